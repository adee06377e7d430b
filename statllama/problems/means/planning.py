"""Before a test for a mean: its hypotheses, its procedure and its conditions."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import words
from .._scenarios import PAIRINGS
from .._settings import VERSUS
from .._siblings import Sibling, Siblings, Step, four, square
from .._wording import wordings

# fmt: off


_STEM_HYPOTHESES_FOR_MEAN = wordings("""
    train: A researcher studies the effect of {b.event} on the {b.y} of {b.who}. Without it, the mean is known to be
        {k} {b.unit}.
    train: Does {b.event} have an effect on the {b.y} of {b.who}? The usual mean is {k} {b.unit}.
    train: The mean {b.y} of all {b.who} is {k} {b.unit}, according to a large survey. A study looks at the effect of
        {b.event}.
    train: It is known that {b.y} averages {k} {b.unit} among {b.who}. A t test is planned to find out what {b.event}
        does.
    test: Normally, the {b.y} of {b.who} averages {k} {b.unit}. An experiment investigates whether {b.event} changes
        this.
    test: For {b.who}, the normal {b.y} is {k} {b.unit} on average. {b.event!c} may change this, and a significance
        test will be used to find out.
    test: A report examines {b.event} for {b.who}. So far, their {b.y} has averaged {k} {b.unit}.
""")
_ASK_HYPOTHESES_FOR_MEAN = wordings("""
    train/one: A random sample of {n} is measured after {b.event}. Which hypotheses test whether the mean is then
        {way} than {k} {b.unit}?
    train/one: For {n} {b.who} selected at random, only the value after {b.event} is recorded. State the hypotheses
        for testing whether the mean is {way} than the known one.
    train/paired: A random sample of {n} is measured before and after {b.event}. Which hypotheses test whether the
        {b.y} is {way} afterward, on average?
    train/paired: For each of {n} {b.who} selected at random, the value before {b.event} and the value after it are
        recorded. State the hypotheses for testing whether values are {way} afterward, on average.
    train/two: Of {double} {b.who}, {n} are assigned at random to {b.event} and the rest are not. Which hypotheses
        test whether the mean is {way} with it than without it?
    train/two: At random, {n} of {double} {b.who} are assigned to {b.event}; the others serve as a control group.
        State the hypotheses for testing whether the mean is {way} in the treated group.
    test/one: In all, {n} randomly drawn {b.who} are measured once, at the end. What are H0 and Ha for the question
        whether their average is then {way} than usual?
    test/one: A simple random sample of size {n} provides values from the time after {b.event} only. State H0 and Ha
        if {way} values than usual are expected.
    test/paired: Each member of a simple random sample of size {n} is measured at the start and at the end. What are
        H0 and Ha for the question whether values become {way} on average?
    test/paired: A first and a last value are obtained from each of {n} randomly drawn {b.who}. State H0 and Ha if
        {way} values are expected at the end.
    test/two: Chance splits {double} {b.who} in half, and one half gets {b.event}. What are H0 and Ha for the question
        whether this half has the {way} average?
    test/two: Two groups of {n} are formed at random, and one of them gets {b.event}. State H0 and Ha if {way} values
        are expected in that group.
""")
_DESIGNS = (("one", "paired"), ("paired", "two"), ("one", "two"))


@kind(2, ap="7.4, 7.8")
def hypotheses_for_mean(draw: Draw) -> Siblings:
    """The hypotheses of a t test: which parameter, and which direction."""
    b = draw.setting(PAIRINGS)
    n, k = draw.integer(8, 40), draw.integer(*b.level)
    designs, flipped = draw.choice(_DESIGNS), draw.choice((False, True))
    stem = draw.ask(_STEM_HYPOTHESES_FOR_MEAN, b=b, k=k)
    order = ("after minus before", "before minus after")[flipped]
    group = ("with", "without")[flipped]
    parameter = {
        "one": ("mu", str(k), f"mu the mean after {b.event}"),
        "paired": ("mu_d", "0", f"mu_d the mean of {order}"),
        "two": ("mu_1 - mu_2", "0", f"group 1 the one {group} {b.event}"),
    }

    def make(i: int, lower: int) -> Sibling:
        design, way = designs[i], ("higher", "lower")[lower]
        symbol, null, meaning = parameter[design]
        sign = "<" if bool(lower) != (flipped and design != "one") else ">"
        data = {
            "one": "One random sample is compared with a known value, so the parameter is a single mean",
            "paired": "Each of them gives two values, so the parameter is the mean of the differences",
            "two": "Two separate groups are compared, so the parameter is the difference of their means",
        }[design]
        steps: list[Step] = [
            f"{data}, with {meaning}.",
            (f"[The null hypothesis of no effect is // No effect means // The null hypothesis states that nothing has "
             f"changed:] `H0: {symbol} = {null}`.",
             f"Values are [suspected // thought] to be {way} with {b.event}, so [the alternative is // we take // this "
             f"gives] `Ha: {symbol} {sign} {null}`."),
            "[Both hypotheses are about the population, not about the sample. // The direction was chosen before any "
            "data were seen. // ]",
        ]
        ask = draw.ask(_ASK_HYPOTHESES_FOR_MEAN, design, b=b, n=n, double=2 * n, way=way, k=k)
        return Sibling(
            f"{design}, {way}",
            f"{stem} {ask}",
            steps,
            words(f"H0: {symbol} = {null} and Ha: {symbol} {sign} {null}, with {meaning}."),
            "The design decides on the parameter, and the question, asked before the data are seen, on the direction.",
        )

    names = {"one": "a single mean", "paired": "the mean difference of pairs", "two": "two independent means"}
    slips = [f"wrote hypotheses for {names[taken]} although the study is about {names[asked]}"
             for asked, taken in (designs, designs[::-1])]
    return square(
        make,
        (slips[0], slips[1]),
        ("turned the alternative around",) * 2,
        {"n": n, "k": k, "flipped": flipped},
    )


_STEM_CHOOSE_T_PROCEDURE = wordings("""
    train: A study is about the {b.y} of {b.who} and about {b.event}.
    train: A researcher collects data on {b.y} ({b.unit}) among {b.who} and takes an interest in {b.event}.
    train: The {b.y} of {b.who} is measured in {b.unit}. The interest is in {b.event}.
    train: Plans for a study of {b.who} mention {b.y}, in {b.unit}, and {b.event}.
    test: A class investigates {b.event} and the {b.y} ({b.unit}) of {b.who}.
    test: For a project on {b.event}, students gather data on {b.who}: their {b.y}, in {b.unit}.
    test: A report deals with the {b.y} of {b.who} ({b.unit}) and the possible benefit of {b.event}.
""")
_ASK_CHOOSE_T_PROCEDURE = wordings("""
    train/one: The {b.y} of {n} {b.who}, selected at random, is recorded at the end of {b.event}, to {aim} {one_aim}.
        Which procedure is appropriate?
    train/one: A random sample of {n} {b.who} is measured once. The goal is to {aim} {one_aim}. Which inference
        procedure fits?
    train/paired: The {b.y} of {n} {b.who}, selected at random, is recorded before and after {b.event}, to {aim}
        {paired_aim}. Which procedure is appropriate?
    train/paired: From {double} {b.who}, {n} pairs with similar {b.y} are formed, and a coin decides which one of each
        pair is assigned to {b.event}. The goal is to {aim} {paired_aim}. Which inference procedure fits?
    train/two: Of {double} {b.who}, {n} are assigned at random to {b.event}, and all are measured at the end, to {aim}
        {two_aim}. Which procedure is appropriate?
    train/two: A random sample of {n} {b.who} with {b.event} and an independent random sample of {n} without it are
        measured once. The goal is to {aim} {two_aim}. Which inference procedure fits?
    train/slope: The age and the {b.y} of {n} {b.who}, selected at random, are recorded at the end of {b.event}, to
        {aim} {slope_aim}. Which procedure is appropriate?
    train/slope: For a random sample of {n} {b.who}, age in years is noted beside the {b.y}. The goal is to {aim}
        {slope_aim}. Which inference procedure fits?
    test/one: A simple random sample of size {n} is observed once, at the end, in order to {aim} {one_aim}. Which
        method is called for?
    test/one: The data are single values of {n} randomly drawn {b.who}, collected to {aim} {one_aim}. Name the right
        procedure.
    test/paired: Each member of a simple random sample of size {n} is observed twice, at the start and at the end, in
        order to {aim} {paired_aim}. Which method is called for?
    test/paired: The data are first and later values of the same {n} randomly drawn {b.who}, collected to {aim}
        {paired_aim}. Name the right procedure.
    test/two: Chance splits {double} {b.who} in half, and one half gets {b.event}, in order to {aim} {two_aim}. Which
        method is called for?
    test/two: The data are values of {n} randomly drawn {b.who} with {b.event} and of {n} others without it, collected
        to {aim} {two_aim}. Name the right procedure.
    test/slope: A simple random sample of size {n} is observed once, and the age of each is noted, in order to {aim}
        {slope_aim}. Which method is called for?
    test/slope: The data are values of {n} randomly drawn {b.who}, plotted against age in years to {aim} {slope_aim}.
        Name the right procedure.
""")
_AIMS = {
    "one": ("the population mean", "A single random sample is measured once, and the parameter is one mean."),
    "paired": ("the mean difference", "The values come in pairs, and the parameter is the mean of their differences."),
    "two": ("the difference of two population means", "Two independent groups are measured, and the parameter is a "
                                                      "difference of two means."),
    "slope": ("how the mean changes with age", "Two quantitative variables are measured on each case, and the "
                                               "parameter is the slope of a line."),
}
_PROCEDURES = {
    "one": "One-sample t {} for a mean",
    "paired": "Paired t {} for a mean difference",
    "two": "Two-sample t {} for a difference of means",
    "slope": "t {} for the slope of a regression line",
}


@kind(1, ap="7.10, 9.6")
def choose_t_procedure(draw: Draw) -> Siblings:
    """Which t procedure a study calls for: one sample, pairs, two samples or a slope."""
    b = draw.setting(PAIRINGS)
    n, test = draw.integer(10, 45), draw.choice((True, False))
    stem = draw.ask(_STEM_CHOOSE_T_PROCEDURE, b=b)
    effect = f"whether {b.event} has an effect on average" if test else f"the average effect of {b.event}"
    aims = {
        "one_aim": f"whether the mean is still {draw.integer(*b.level)} {b.unit}" if test else "the mean",
        "paired_aim": effect,
        "two_aim": effect,
        "slope_aim": "whether the mean changes with age" if test else "the change of the mean per year of age",
    }
    fields = {"b": b, "n": n, "double": 2 * n, "aim": "test" if test else "estimate", **aims}

    def make(label: str) -> Sibling:
        name = _PROCEDURES[label].format("test" if test else "interval")
        target, idea = _AIMS[label]
        steps = [
            f"[The goal is to // The study is to // We want to] {'test a claim about' if test else 'estimate'} "
            f"{target}, so a {'significance test' if test else 'confidence interval'} is [needed // called for].",
            recalled(idea),
            "[The population standard deviation is unknown, so the procedure is based on t // Sigma is not known and s "
            "takes its place, so t applies // Since s estimates an unknown sigma, a t procedure is used].",
        ]
        ask = draw.ask(_ASK_CHOOSE_T_PROCEDURE, label, **fields)
        return Sibling(label, f"{stem} {ask}", steps, words(name), idea)

    kinds = ("one sample", "pairs", "two independent samples", "points on a scatterplot")
    return four(
        [make(label) for label in _PROCEDURES],
        [f"treated the data as {name}" for name in kinds],
        {"n": n, "test": test},
    )


_STEM_CONDITIONS_FOR_T = wordings("""
    train: Two groups of {n} {v.units} each are compared with a two-sample t procedure: one with {v.a}, the other with
        {v.b}. The response is {v.y}.
    train: A two-sample t test compares the mean {v.y} of {n} {v.units} with {v.a} and of {n} with {v.b}.
    train: To compare {v.a} with {v.b}, the {v.y} of {n} {v.units} with each is measured, and a two-sample t interval
        is computed.
    train: In an experiment with {double} {v.units}, half get {v.a} and half get {v.b}. A t test for the difference in
        mean {v.y} is planned.
    test: A report on {v.units} uses the two-sample t method for {v.y}: {n} with {v.a} against {n} with {v.b}.
    test: {v.a!c} or {v.b}: which one changes the average {v.y} of {v.units}? With {n} of them for each, a student
        wants to carry out a t test.
    test: Before comparing the average {v.y} under two treatments, {v.a} and {v.b}, of {n} {v.units} each, a class
        checks what the two-sample t method needs.
""")
_ASK_CONDITIONS_FOR_T = wordings("""
    train/sample: Which fact allows the result to be generalized to all {v.units} of the population?
    train/sample: The groups should represent the whole population of {v.units}. Which fact supports this?
    train/tenth: The {v.units} were drawn without replacement. Which fact allows them to be treated as independent
        draws?
    train/tenth: Which fact is needed because the {v.units} were drawn from a finite population without replacement?
    train/normal: Which fact supports that the difference of the sample means is approximately normal?
    train/normal: The sampling distribution of the difference should be close to normal. Which fact supports this?
    train/assign: Which fact allows the conclusion that the treatment caused a significant difference?
    train/assign: The two groups should differ in nothing but the treatment, apart from chance. Which fact supports
        this?
    test/sample: What makes it reasonable to speak of all {v.units} and not only of those in the study?
    test/sample: Choose the fact that lets the findings be extended to the population.
    test/tenth: What justifies treating the draws as independent, although none of the {v.units} can be drawn twice?
    test/tenth: Choose the fact that keeps draws without replacement close to independent.
    test/normal: What justifies a t distribution, as far as the size of the groups or the shape of the data is
        concerned?
    test/normal: Choose the fact that speaks to the shape of the sampling distribution.
    test/assign: What makes it reasonable to speak of cause and effect?
    test/assign: Choose the fact that leaves the treatment and chance as the only likely explanations of a difference.
""")
_CONDITIONS = {
    "sample": "A random sample represents its population, so that results can be generalized to it.",
    "tenth": "Draws without replacement are nearly independent when the sample is at most 10% of the population.",
    "normal": "A sampling distribution of means is close to normal for large samples, or for data without strong skew.",
    "assign": "Random assignment makes the groups alike except for the treatment, so that a difference has one cause.",
}


@kind(1, ap="7.8")
def conditions_for_t(draw: Draw) -> Siblings:
    """Which fact supports which condition of a two-sample t procedure."""
    v = draw.setting(VERSUS)
    n, many = draw.integer(12, 45), draw.integer(12, 60) * 100
    draw.need(many > 25 * n)
    stem = draw.ask(_STEM_CONDITIONS_FOR_T, v=v, n=n, double=2 * n)
    shape = f"Each group has {n} {v.units}, which is more than 30." if n > 30 else \
        f"The values of {v.y} in both groups have no strong skew."
    facts = {
        "sample": f"All {2 * n} {v.units} in the study were selected at random.",
        "tenth": f"There are {many} {v.units} in the population under study.",
        "normal": shape,
        "assign": f"A coin toss decided which {v.units} got {v.a}.",
    }

    def make(label: str) -> Sibling:
        idea = _CONDITIONS[label]
        steps = [
            f"[A two-sample t procedure rests on random selection or assignment, independence and approximate "
            f"normality // Inference about the mean {v.y} with two groups has conditions: randomness, independence and "
            f"approximate normality].",
            recalled(idea),
            f"[The fact that bears on this is // In the study, this is checked by one fact // For {v.a} and {v.b}, "
            f"the relevant fact is]: {facts[label]}",
        ]
        ask = draw.ask(_ASK_CONDITIONS_FOR_T, label, v=v)
        return Sibling(label, f"{stem} {ask}", steps, words(facts[label]), idea)

    slips = ("named the random selection, which lets results be generalized", "named the size of the population, which "
             "bears on independence", "named the shape or size of the samples, which bears on normality", "named the "
             "random assignment, which bears on cause and effect")
    return four([make(label) for label in _CONDITIONS], slips, {"n": n, "population": many})
