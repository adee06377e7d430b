"""What a test for a mean may decide, and what its probabilities say."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._phrases import hypotheses, recalled
from .._problem import words
from .._settings import MEASURES
from .._settings_means import STAKES
from .._siblings import Sibling, Siblings, Step, four, square
from .._tails import SIGN, THAN
from .._wording import capital, wordings

# fmt: off


_STEM_ERRORS_OF_MEAN_TEST = wordings("""
    train: A random sample of {n} {s.who} is used to test H0: mu = {null} against Ha: mu {sign} {null}, where mu is
        the mean {s.thing} in {s.unit}. If H0 is rejected, {s.act}; otherwise, {s.keep}.
    train: The mean {s.thing} of {s.who} is supposed to be {null} {s.unit}. From a random sample of {n}, a t test
        decides whether it {way} this value. If there is convincing evidence, {s.act}; if not, {s.keep}.
    train: Let mu be the mean {s.thing} (in {s.unit}) of {s.who}. The hypotheses are H0: mu = {null} and Ha: mu {sign}
        {null}, tested with {n} of them selected at random. Rejecting H0 means that {s.act}, and failing to reject H0
        means that {s.keep}.
    train: With {n} randomly selected {s.who}, a significance test checks whether their mean {s.thing} {way} {null}
        {s.unit}. When the result is significant, {s.act}. When it is not, {s.keep}.
    test: A one-sample t test with {n} randomly drawn {s.who} has H0: the average {s.thing} is {null} {s.unit}, and
        Ha: it {way} {null} {s.unit}. The plan is simple: if H0 is rejected, {s.act}; if it is not, {s.keep}.
    test: An inspector wonders if the average {s.thing} of {s.who} {way} {null} {s.unit} and takes this as Ha. Based
        on a simple random sample of size {n}, either H0 is rejected and {s.act}, or H0 is not rejected and {s.keep}.
    test: For {s.who}, H0 states an average {s.thing} of {null} {s.unit}, and Ha says that it {way} this value. After
        a small p-value from a simple random sample of {n}, {s.act}. After a large one, {s.keep}.
""")
_ASK_ERRORS_OF_MEAN_TEST = wordings("""
    train/I: Which outcome is a Type I error?
    train/I: In which case has a Type I error been made?
    train/II: Which outcome is a Type II error?
    train/II: In which case has a Type II error been made?
    train/power: Which outcome becomes more likely when the power of the test is increased?
    train/power: In which case has the test detected a true alternative hypothesis?
    train/right: Which outcome is a correct decision not to reject H0?
    train/right: In which case has a true null hypothesis not been rejected?
    test/I: What would be a Type I error here?
    test/I: Choose the description of a Type I error.
    test/II: What would be a Type II error here?
    test/II: Choose the description of a Type II error.
    test/power: A more powerful test would produce which outcome more often?
    test/power: Choose the outcome that a test of high power makes likely.
    test/right: What would be a correct failure to reject H0?
    test/right: Choose the description of a correct decision to retain H0.
""")
_CELLS = {
    (0, 1): ("I", "A Type I error is rejecting a null hypothesis that is true"),
    (1, 0): ("II", "A Type II error is failing to reject a null hypothesis that is false"),
    (1, 1): ("power", "Power is the probability of rejecting a null hypothesis that is false"),
    (0, 0): ("right", "A true null hypothesis that is not rejected is a correct decision"),
}


@kind(1, ap="6.7")
def errors_of_mean_test(draw: Draw) -> Siblings:
    """The four outcomes of a test for a mean in context: both errors and both right decisions."""
    s = draw.setting(STAKES)
    n, null, sign = draw.integer(12, 60), draw.integer(*s.null), SIGN[s.way]
    stem = draw.ask(_STEM_ERRORS_OF_MEAN_TEST, s=s, n=n, null=null, sign=sign, way=THAN[s.way])
    truths = (f"is {null} {s.unit}", f"{THAN[s.way]} {null} {s.unit}")

    def make(false: int, rejected: int) -> Sibling:
        label, idea = _CELLS[false, rejected]
        consequence = s.act if rejected else s.keep
        steps: list[Step] = [
            f"Let mu be the mean {s.thing} of all {s.who}. {hypotheses(f'mu = {null}', f'mu {sign} {null}')}.",
            f"[By definition: // Recall the definition: // ] {idea}.",
            (f"[Here // In this context,] H0 is {('true', 'false')[false]} when the true mean {truths[false]}.",
             f"H0 is {('not rejected', 'rejected')[rejected]} [when // in the case that] {consequence}."),
        ]
        return Sibling(
            label,
            f"{stem} {draw.ask(_ASK_ERRORS_OF_MEAN_TEST, label)}",
            steps,
            words(f"{capital(consequence)}, and the true mean {truths[false]}."),
            f"{idea}.",
        )

    return square(
        make,
        ("took the alternative for true although the null hypothesis is", "took the null hypothesis for true although "
                                                                          "the alternative is"),
        ("named a decision to reject H0 instead of one not to reject it", "named a decision not to reject H0 instead "
                                                                          "of one to reject it"),
        {"n": n, "null": null, "way": s.way, "act": capital(s.act), "keep": capital(s.keep)},
    )


_STEM_PROBABILITIES_OF_T_TEST = wordings("""
    train: A random sample of {n} {m.who} has mean {m.thing} {mean} {m.unit}. It is used to test whether the
        population mean {way} {null} {m.unit}, at alpha = {alpha}. Suppose that the population mean is in fact {true}
        {m.unit}.
    train: To test H0: mu = {null} against Ha: mu {sign} {null} at the {alpha} level, where mu is the mean {m.thing}
        (in {m.unit}) of {m.who}, {n} of them are selected at random. Their mean is {mean}. Unknown to the researcher,
        the true mean is {true}.
    train: The mean {m.thing} of {m.who} was once {null} {m.unit}. A t test with alpha = {alpha} checks whether it now
        {way} this value; {n} {m.many} selected at random have mean {mean} {m.unit}. Suppose that the true mean is now
        {true} {m.unit}.
    train: At significance level {alpha}, a researcher tests whether the mean {m.thing} of {m.who} {way} {null}
        {m.unit}. The random sample of {n} gives a mean of {mean} {m.unit}. In truth, the mean is {true} {m.unit}.
    test: Suppose that the average {m.thing} of {m.who} is {true} {m.unit}, which nobody knows. With a simple random
        sample of size {n} and alpha = {alpha}, a student tests H0: mu = {null} against Ha: mu {sign} {null} and
        observes x-bar = {mean}.
    test: In a t test at level {alpha}, {n} randomly drawn {m.who} have an average {m.thing} of {mean} {m.unit}. The
        hypotheses are H0: mu = {null} and Ha: mu {sign} {null}; a later census reveals that mu is {true}.
    test: A newspaper tests at level {alpha} if the average {m.thing} of {m.who} {way} {null} {m.unit}; its simple
        random sample (n = {n}) averages {mean} {m.unit}. As it happens, the value for all {m.who} is {true} {m.unit}.
""")
_ASK_PROBABILITIES_OF_T_TEST = wordings("""
    train/p: Which probability is the p-value?
    train/p: What does the p-value of this test measure?
    train/alpha: Which probability is the significance level?
    train/alpha: What does the significance level of this test measure?
    train/power: Which probability is the power of the test?
    train/power: What does the power of this test measure?
    train/beta: Which probability is that of a Type II error?
    train/beta: What does the Type II error probability of this test measure?
    test/p: In this situation, what is meant by the p-value?
    test/p: Choose the correct description of the p-value.
    test/alpha: In this situation, what is meant by alpha, the level of the test?
    test/alpha: Choose the correct description of alpha, the level of the test.
    test/power: In this situation, what is meant by the power?
    test/power: Choose the correct description of the power.
    test/beta: In this situation, what is meant by the chance of a Type II error?
    test/beta: Choose the correct description of the chance of a Type II error.
""")
_PROBABILITIES = {
    "p": "The p-value is computed from the observed sample, assuming that the null hypothesis is true.",
    "alpha": "The significance level is how often a true null hypothesis is rejected.",
    "power": "Power is how often the test rejects the null hypothesis when a certain alternative is true.",
    "beta": "A Type II error is failing to reject the null hypothesis when a certain alternative is true.",
}


@kind(2, ap="6.7, 7.5")
def probabilities_of_t_test(draw: Draw) -> Siblings:
    """What the p-value, the significance level, the power and the probability of a Type II error say."""
    m = draw.setting(MEASURES)
    n, null, sd = draw.integer(12, 60), draw.decimal(*m.mean, 0), (m.sd[0] + m.sd[1]) / 2
    up = draw.choice((True, False))
    shifts = [Given(round(null + (1 if up else -1) * draw.decimal(0.1, 0.7, 2) * sd, 1)) for _ in range(2)]
    mean, true = shifts
    draw.need(len({null, mean, true}) == 3)
    way, alpha = ("greater", "less")[not up], draw.choice(("0.01", "0.05", "0.10"))
    stem = draw.ask(
        _STEM_PROBABILITIES_OF_T_TEST, m=m, n=n, null=null, mean=mean, true=true, alpha=alpha, sign=SIGN[way],
        way=THAN[way],
    )
    event = {
        "p": f"a sample mean of {mean} {m.unit} or {('more', 'less')[not up]}",
        "alpha": "rejecting the null hypothesis",
        "power": "rejecting the null hypothesis",
        "beta": "not rejecting the null hypothesis",
    }

    def make(label: str) -> Sibling:
        idea, given = _PROBABILITIES[label], null if label in ("p", "alpha") else true
        steps: list[Step] = [
            f"Let mu be the mean {m.thing} of all {m.who}. {hypotheses(f'mu = {null}', f'mu {SIGN[way]} {null}')}.",
            recalled(idea),
            (f"[The event is // The event in question is] {event[label]}.",
             f"[Its probability is computed // The calculation is made] [for // with] a population mean of {given} "
             f"{m.unit}."),
        ]
        text = f"The probability of {event[label]} when the population mean is {given} {m.unit}."
        ask = draw.ask(_ASK_PROBABILITIES_OF_T_TEST, label)
        return Sibling(label, f"{stem} {ask}", steps, words(text), idea)

    names = ("p-value", "significance level", "power", "probability of a Type II error")
    return four(
        [make(label) for label in _PROBABILITIES],
        [f"described the {name} instead" for name in names],
        {"n": n, "null": null, "mean": mean, "true": true, "way": way},
    )
