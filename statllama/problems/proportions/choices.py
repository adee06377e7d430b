"""What a condition is for, which procedure answers a question, and hypotheses in words."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import parameter, recalled
from .._problem import words
from .._settings_proportions import CONTRASTS, SHARES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import sample, two_samples

# fmt: off


_STEM_CONDITION_PURPOSE = wordings("""
    train: A z test of H0: p = {null} for the proportion of all {s.who} {s.rel} {s.does} is to use a random sample of
        {n} {s.many}. There are more than {large} {s.who}.
    train: From more than {large} {s.who}, a researcher selects {n} at random, without replacement, for a z test of
        whether the proportion {s.rel} {s.does} is {null}.
    train: A student checks the conditions of a z test of H0: p = {null}, where p is the proportion of all {s.who}
        {s.rel} {s.does}. The sample is random and has size {n}; the population has more than {large} members.
    train: To test H0: p = {null} with a z statistic, a random sample of {n} is taken from the more than {large}
        {s.who}; p is the proportion {s.rel} {s.does}.
    test: Before a z statistic is computed for H0: p = {null} (p: proportion of {s.who} {s.rel} {s.does}), the
        conditions are verified: simple random sample, population larger than {large} with n = {n}, enough expected
        counts.
    test: A checklist for a one-proportion z test about {s.who} {s.rel} {s.does} names a random sample (n = {n}), a
        population of more than {large}, and expected counts of at least 10 under H0: p = {null}.
    test: {s.who!c} number more than {large}. Of these, {n} are selected at random without replacement in order to test,
        by means of z, whether the proportion {s.rel} {s.does} is {null}.
""")
_ASK_CONDITION_PURPOSE = wordings("""
    train/random: Why does the sample have to be random?
    train/random: What is the Random condition for?
    train/ten: Why should the population be at least 10 times as large as the sample?
    train/ten: What is the 10% condition for?
    train/large: Why should n p_0 and n (1 - p_0) be at least 10?
    train/large: What is the Large Counts condition for?
    train/null: Why does the standard deviation in z contain p_0 and not p_hat?
    train/null: What is the reason for using p_0 in the denominator of z?
    test/random: Explain the need for random selection.
    test/random: What purpose does random selection serve here?
    test/ten: Explain the need for a large population when sampling without replacement.
    test/ten: What purpose does a sample of no more than 10% of the population serve here?
    test/large: Explain the need for large expected counts of successes and failures.
    test/large: What purpose do expected counts of 10 or more serve here?
    test/null: Explain why z is computed with sqrt(p_0 (1 - p_0) / n) in its denominator.
    test/null: What purpose does p_0 serve under the square root in z?
""")


@kind(1, ap="6.4")
def condition_purpose(draw: Draw) -> Siblings:
    """What each condition of a one-proportion z test allows, and why p_0 stands in the denominator."""
    s = draw.setting(SHARES)
    n, null = 10 * draw.integer(8, 60), draw.decimal(*s.p, 2)
    draw.need(10 <= n * null <= n - 10)
    stem = draw.ask(_STEM_CONDITION_PURPOSE, s=s, n=n, null=null, large=f"{50 * n:,}")
    about = {
        "random": (f"It allows the result for the {n} {s.many} to be generalized to all {s.who}.",
                   "A random sample represents its population, so conclusions can be drawn about the population."),
        "ten": (f"It allows the {n} {s.many} to be treated as independent although they are drawn without replacement.",
                "When the sample is at most 10% of the population, draws without replacement are nearly independent."),
        "large": ("It allows the sampling distribution of p_hat to be treated as approximately normal.",
                  "With at least 10 expected successes and failures, p_hat is approximately normal."),
        "null": ("It allows the spread of p_hat to be computed under the assumption that H0 is true.",
                 "A test statistic is computed as if H0 were true, so the null value determines the standard "
                 "deviation."),
    }
    remark = (f"[ // Here {n} {s.many} are selected, and the null value is {null} // The test here is of "
              f"`H0: p = {null}` with `n = {n}`].")
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_CONDITION_PURPOSE, asked)}",
                [f"{parameter('p', f'the proportion of all {s.who} {s.rel} {s.does}')}.", recalled(idea), remark],
                words(text), idea)
        for asked, (text, idea) in about.items()
    ]
    names = ("the random sample", "the 10% condition", "the Large Counts condition", "p_0 in the denominator")
    return four(of, [f"gave the purpose of {name}" for name in names], {"n": n, "null": null})


_PROCEDURES = (
    ("One-sample z test for a proportion", "One-sample z interval for a proportion"),
    ("Two-sample z test for a difference in proportions", "Two-sample z interval for a difference in proportions"),
)
_ASK_CHOOSE_PROPORTION_PROCEDURE = wordings("""
    train/one test: Is there convincing evidence that {more} than {half}% of all {group} {c.does}? Which procedure
        answers this?
    train/one test: A newspaper claims that {half}% of all {group} {c.does}. Which procedure tests this claim?
    train/one interval: What proportion of all {group} {c.does}? Which procedure estimates it?
    train/one interval: Which procedure gives plausible values for the proportion of all {group} {c.rel} {c.does}?
    train/two test: Is there convincing evidence that the proportions of all {c.a} and all {c.b} differ? Which procedure
        answers this?
    train/two test: Someone claims that equal proportions of all {c.a} and of all {c.b} {c.does}. Which procedure tests
        this claim?
    train/two interval: By how much do the proportions of all {c.a} and all {c.b} differ? Which procedure estimates it?
    train/two interval: Which procedure gives plausible values for the difference between all {c.a} and all {c.b}?
    test/one test: Name the method for deciding whether the true percentage of {group} {c.rel} {c.does} is {higher} than
        {half}%.
    test/one test: The value of {half}% for {group} is in doubt. What inference method should be used to judge it?
    test/one interval: Name the method for estimating the true percentage of {group} {c.rel} {c.does}.
    test/one interval: The percentage for {group} alone is to be estimated with a margin of error. What inference method
        should be used?
    test/two test: Name the method for deciding whether {c.a} and {c.b} have the same true percentage.
    test/two test: That {c.a} and {c.b} do not differ is in doubt. What inference method should be used to judge it?
    test/two interval: Name the method for estimating how far apart the two true percentages are.
    test/two interval: The gap between {c.a} and {c.b} is to be estimated with a margin of error. What inference method
        should be used?
""")


@kind(1, ap="6.2, 6.4, 6.8, 6.10")
def choose_proportion_procedure(draw: Draw) -> Siblings:
    """One population or two, and a test or an interval."""
    c = draw.setting(CONTRASTS)
    (n1, x1), (n2, x2) = sample(draw, c.p, 80, 400), sample(draw, c.p, 80, 400)
    half, up, group = 5 * draw.integer(4, 13), draw.choice((True, False)), draw.choice((c.a, c.b))
    stem = two_samples(draw, c, n1, x1, n2, x2)

    def make(a: int, b: int) -> Sibling:
        label = f"{('one', 'two')[a]} {('test', 'interval')[b]}"
        ask = draw.ask(_ASK_CHOOSE_PROPORTION_PROCEDURE, label, c=c, group=group, half=half,
                       more="more" if up else "less", higher="higher" if up else "lower")
        steps = [
            (f"[The question concerns // The parameter belongs to] one population, all {group}: [it is the // the] "
             f"proportion {c.rel} {c.does}.",
             f"[The question compares // The parameters belong to] two populations, all {c.a} and all {c.b}: [it is "
             f"about the // the] proportions {c.rel} {c.does}.")[a],
            ("[It asks // The aim is to decide] whether a claim is consistent with the data, which calls for a test.",
             "[It asks // The aim is to find] how large the parameter is, which calls for an interval.")[b],
            f"Sampling is random, and [the counts of successes and failures // all counts, {x1}, {n1 - x1}, {x2} and "
            f"{n2 - x2},] are at least 10, so a z procedure is appropriate.",
        ]
        return Sibling(label, f"{stem} {ask}", steps, words(_PROCEDURES[a][b]),
                       "Count the populations; a claim is tested, an unknown value is estimated by an interval.")

    return square(
        make,
        ("chose a procedure for two populations", "chose a procedure for one population"),
        ("chose an interval where a claim is to be tested", "chose a test where a value is to be estimated"),
        {"x1": x1, "n1": n1, "x2": x2, "n2": n2, "half": half},
    )


_STEM_HYPOTHESES_IN_WORDS = wordings("""
    train: Independent random samples of {n} {c.a} and {m} {c.b} are taken to compare the proportions {c.rel} {c.does}.
    train: A researcher plans a two-sample z test. Random samples of {n} {c.a} and, independently, {m} {c.b} will show
        how many {c.does}.
    train: Is the proportion {c.rel} {c.does} the same for {c.a} and {c.b}? The question is studied with independent
        random samples of {n} and {m}.
    train: The proportions of {c.a} and of {c.b} {c.rel} {c.does} are compared by a significance test, with independent
        random samples of {n} and {m}.
    test: A significance test concerns two proportions: that of {c.a} {c.rel} {c.does} and that of {c.b}. Sample sizes
        are {n} and {m}, and sampling is random and separate.
    test: {n} {c.a} and {m} {c.b}, selected separately and at random, will be checked for those {c.rel} {c.does}; a z
        test is to follow.
    test: To learn how {c.a} and {c.b} compare in the proportion {c.rel} {c.does}, a student plans a z test with two
        separate random samples, of sizes {n} and {m}.
""")
_ASK_HYPOTHESES_IN_WORDS = wordings("""
    train/null: What is the null hypothesis?
    train/null: State the null hypothesis in words.
    train/differ: What is the alternative hypothesis if a difference in either direction matters?
    train/differ: State in words the alternative hypothesis of a two-sided test.
    train/more: What is the alternative hypothesis if the proportion is suspected to be larger for {c.a}?
    train/more: State in words the alternative hypothesis of someone who suspects that {c.b} have the smaller
        proportion.
    train/less: What is the alternative hypothesis if the proportion is suspected to be larger for {c.b}?
    train/less: State in words the alternative hypothesis of someone who suspects that {c.a} have the smaller
        proportion.
    test/null: Put H0 into words.
    test/null: Which statement is assumed to be true when the p-value is computed?
    test/differ: Put Ha into words for a test without a direction.
    test/differ: Which statement is to be supported if any discrepancy at all is of interest?
    test/more: Put Ha into words for the conjecture that {c.a} have the higher proportion.
    test/more: Which statement is to be supported if {c.b} are believed to have the lower proportion?
    test/less: Put Ha into words for the conjecture that {c.b} have the higher proportion.
    test/less: Which statement is to be supported if {c.a} are believed to have the lower proportion?
""")


@kind(1, ap="6.10")
def hypotheses_in_words(draw: Draw) -> Siblings:
    """The null hypothesis and three alternatives about two proportions, as sentences about the populations."""
    c = draw.setting(CONTRASTS)
    n, m = 10 * draw.integer(8, 60), 10 * draw.integer(8, 60)
    stem = draw.ask(_STEM_HYPOTHESES_IN_WORDS, c=c, n=n, m=m)
    about = {
        "null": ("p1 = p2", f"The proportion of all {c.a} {c.rel} {c.does} is equal to that of all {c.b}."),
        "differ": ("p1 != p2", f"The proportion of all {c.a} {c.rel} {c.does} is different from that of all {c.b}."),
        "more": ("p1 > p2", f"The proportion of all {c.a} {c.rel} {c.does} is greater than that of all {c.b}."),
        "less": ("p1 < p2", f"The proportion of all {c.a} {c.rel} {c.does} is less than that of all {c.b}."),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_HYPOTHESES_IN_WORDS, asked, c=c)}",
                [f"[The parameters are // Let p1 and p2 be] the population proportions {c.rel} {c.does}: p1 for {c.a}, "
                 f"p2 for {c.b}.",
                 "[In symbols the hypothesis is // The hypothesis to put into words is // Written with symbols, it "
                 f"is] `{symbols}`.",
                 "[In words, it is a statement about both whole populations // It is about the populations, not about "
                 "the samples // The sentence must speak of all members of both groups]."],
                words(text), "Hypotheses are about population proportions; H0 has equality, Ha what is suspected.")
        for asked, (symbols, text) in about.items()
    ]
    slips = ["stated the null hypothesis", "stated a two-sided alternative",
             f"stated the alternative that {c.a} have the larger proportion",
             f"stated the alternative that {c.b} have the larger proportion"]
    return four(of, slips, {"n": n, "m": m, "groups": [c.a, c.b]})
