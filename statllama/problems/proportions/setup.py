"""Before the computation: hypotheses, conditions, and which procedure to use."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._phrases import parameter
from .._problem import count, plain, words
from .._settings_proportions import CONTRASTS, SHARES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import negated, one_sample

# fmt: off


_STEM_HYPOTHESES_FOR_ONE_PROPORTION = wordings("""
    train: A report says that {null100:g}% of all {s.who} {s.does}. A random sample of {n} is taken to examine this
        claim.
    train: According to a report, the proportion of all {s.who} {s.rel} {s.does} is {null}. The claim is tested with a
        random sample of {n}.
    train: In an earlier year, {null100:g}% of all {s.who} {s.does}. A random sample of {n} will show whether this has
        changed.
    train: A newspaper states that {null100:g}% of all {s.who} {s.does}. A researcher doubts this and selects a random
        sample of {n}.
    test: Is it still true that {null100:g}% of {s.who} {s.does}, as it was ten years ago? A survey of {n} randomly
        selected {s.many} is to answer this.
    test: The figure of {null100:g}%, printed on a poster, is meant to be the percentage of {s.who} {s.rel} {s.does}.
        Someone plans to check it with a simple random sample ({n} {s.many}).
    test: Old records put the proportion of {s.who} {s.rel} {s.does} at {null}. New data will come from a simple random
        sample of size {n}.
""")
_ASK_HYPOTHESES_FOR_ONE_PROPORTION = wordings("""
    train: Let p be the present proportion of all {s.who} {s.rel} {does}. Which hypotheses test whether {more} than
        {null100:g}% of them {s.does}?
    train: Which hypotheses should be used if the suspicion is that {more} than {null100:g}% {s.does}, and p stands for
        the proportion of all {s.who} {s.rel} {does}?
    test: Suppose there is reason to think that the percentage {s.rel} {s.does} is now {higher}. Write down H0 and Ha,
        with p as the population proportion {s.rel} {does}.
    test: Write p for the proportion in the population {s.rel} {does}. State the hypotheses for the conjecture that the
        true percentage {s.rel} {s.does} is {higher} than stated.
""")


@kind(1, ap="6.4")
def hypotheses_for_one_proportion(draw: Draw) -> Siblings:
    """Hypotheses in symbols: the suspected direction, and the proportion that p stands for."""
    s = draw.setting(SHARES)
    null, n = draw.decimal(*s.p, 2), 10 * draw.integer(8, 60)
    draw.need(abs(null - 0.5) > 0.01)
    stem = draw.ask(_STEM_HYPOTHESES_FOR_ONE_PROPORTION, s=s, n=n, null=null, null100=null * 100)

    def make(a: int, b: int) -> Sibling:
        more, does, value = ("more", "less")[a], (s.does, negated(s.does))[b], (plain(null), plain(1 - null))[b]
        sign = "><"[a ^ b]
        ask = draw.ask(_ASK_HYPOTHESES_FOR_ONE_PROPORTION, s=s, does=does, more=more, null100=null * 100,
                       higher=("higher", "lower")[a])
        steps = [
            f"{parameter('p', f'the proportion of all {s.who} {s.rel} {does}')}.",
            f"The claim of {null * 100:g}% {s.rel} {s.does} [means that // says that // translates into] `p = "
            f"{value}`; this is H0.",
            f"The suspicion is that {more} than {null * 100:g}% {s.does}, which [means that // gives // translates "
            f"into] `p {sign} {value}`; this is Ha.",
        ]
        return Sibling(f"{more} than claimed, p {('with', 'without')[b]} the trait", f"{stem} {ask}", steps,
                       words(f"H0: p = {value}; Ha: p {sign} {value}"),
                       "H0 is the claim of equality, and Ha is what the researcher suspects; both are about p, not "
                       "p_hat.")

    return square(
        make,
        ("turned the direction of the alternative around",) * 2,
        (f"took p as the proportion {s.rel} {negated(s.does)}", f"took p as the proportion {s.rel} {s.does}"),
        {"null": null, "n": n},
    )


_STEM_HYPOTHESES_FOR_TWO_PROPORTIONS = wordings("""
    train: Independent random samples of {n} {first} and {m} {second} are taken. Let p1 be the proportion of all {first}
        {c.rel} {c.does}, and let p2 be that of all {second}.
    train: A researcher will ask how many {first} and how many {second} {c.does}, using independent random samples of
        {n} and {m}. The population proportions are p1 for {first} and p2 for {second}.
    train: The proportions {c.rel} {c.does} are p1 among all {first} and p2 among all {second}. Data will come from
        independent random samples of {n} and {m}.
    train: A study takes a random sample of {n} {first} and an independent one of {m} {second}. Write p1 and p2 for the
        two population proportions {c.rel} {c.does}.
    test: How do {first} compare with {second}? Simple random samples (sizes {n} and {m}), drawn separately, will show
        how many of each {c.does}; p1 and p2 denote the proportions in the two populations, in this order.
    test: Among all {first}, a proportion p1 {c.does}; among all {second}, a proportion p2. Neither is known, so {n} of
        the former and {m} of the latter are selected at random.
    test: In a survey with two separate random samples, {n} {first} (true proportion p1) and {m} {second} (true
        proportion p2) are checked for those {c.rel} {c.does}.
""")
_ASK_HYPOTHESES_FOR_TWO_PROPORTIONS = wordings("""
    train/more: Which hypotheses test whether a larger proportion of {first} than of {second} {c.does}?
    train/more: State the hypotheses for the suspicion that the proportion is higher for {first} than for {second}.
    train/less: Which hypotheses test whether a smaller proportion of {first} than of {second} {c.does}?
    train/less: State the hypotheses for the suspicion that the proportion is lower for {first} than for {second}.
    train/differ: Which hypotheses test whether the proportions of {first} and {second} {c.rel} {c.does} differ?
    train/differ: State the hypotheses for the suspicion that the proportion is not the same for {first} as for
        {second}.
    train/single: Which hypotheses test whether {more} than {null100:g}% of all {first} {c.does}?
    train/single: State the hypotheses for the suspicion that the proportion is {side} {null} for {first}.
    test/more: Write down H0 and Ha if the conjecture is that the proportion of {first} is the greater one.
    test/more: What are H0 and Ha when evidence is sought that p1 exceeds p2?
    test/less: Write down H0 and Ha if the conjecture is that the proportion of {second} is the greater one.
    test/less: What are H0 and Ha when evidence is sought that p2 exceeds p1?
    test/differ: Write down H0 and Ha if the conjecture is that there is some difference, in whichever direction.
    test/differ: What are H0 and Ha when evidence is sought that the two populations are not alike?
    test/single: Write down H0 and Ha if the conjecture is that {more} than {null100:g}% of {first} {c.does}.
    test/single: What are H0 and Ha when evidence is sought that the first population's proportion is {side} {null}?
""")


@kind(1, ap="6.4, 6.10")
def hypotheses_for_two_proportions(draw: Draw) -> Siblings:
    """Hypotheses in symbols for four research questions about two populations."""
    c = draw.setting(CONTRASTS)
    n, m = 10 * draw.integer(8, 50), 10 * draw.integer(8, 50)
    null, up = draw.decimal(*c.p, 2), draw.choice((True, False))
    first, second = draw.choice(((c.a, c.b), (c.b, c.a)))
    stem = draw.ask(_STEM_HYPOTHESES_FOR_TWO_PROPORTIONS, c=c, first=first, second=second, n=n, m=m)
    fields = {"first": first, "second": second, "null": null, "null100": null * 100, "more": "more" if up else "less",
              "side": "above" if up else "below"}
    sign = ">" if up else "<"
    about = {
        "more": ("p1 = p2", "p1 > p2", f"the proportion is higher for {first} than for {second}"),
        "less": ("p1 = p2", "p1 < p2", f"the proportion is lower for {first} than for {second}"),
        "differ": ("p1 = p2", "p1 != p2", f"the proportions for {first} and {second} differ in either direction"),
        "single": (f"p1 = {null}", f"p1 {sign} {null}", f"the proportion for {first} alone is {fields['side']} {null}"),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_HYPOTHESES_FOR_TWO_PROPORTIONS, asked, c=c, **fields)}",
                [f"[The parameters are the // Let p1 and p2 be the] population proportions {c.rel} {c.does}: p1 for "
                 f"all {first}, p2 for all {second}.",
                 (f"The suspicion is that {what}, so [Ha is // the alternative is] `{other}`.",
                  f"H0 has [the equals sign in its place // equality]: `{zero}`."),
                 "[ // Hypotheses are about parameters, so p1_hat and p2_hat do not appear in them.]"],
                words(f"H0: {zero}; Ha: {other}"),
                "H0 states equality; the direction of Ha comes from the question, not from the data.")
        for asked, (zero, other, what) in about.items()
    ]
    slips = ["tested whether p1 is greater than p2", "tested whether p1 is less than p2",
             "tested for a difference in either direction", "tested a claim about one of the two populations"]
    return four(of, slips, {"n": n, "m": m, "null": null, "up": up})


_CLAIM = wordings("""
    train: A report claims that the proportion of all {s.who} {s.rel} {s.does} is {null}. Count {s.many} {s.rel}
        {s.does} as successes.
    train: Let p be the proportion of all {s.who} {s.rel} {s.does} (the successes). A report claims that p = {null}.
    test: The population proportion is p, and H0 sets it at {null}. Those {s.rel} {s.does} count as successes.
    test: A brochure puts the proportion at {null} for the whole population. Those {s.rel} {s.does} are called
        successes.
""")
_ASK_LARGE_COUNTS_CONDITION = wordings("""
    train/test: For a z test of this claim, which number of {hits} must be at least 10 by the Large Counts condition?
    train/test: A z test of the claimed value is planned. What number of {hits} does the Large Counts condition compare
        with 10?
    train/interval: For a z interval for p, which number of {hits} must be at least 10 by the Large Counts condition?
    train/interval: A z interval for the true proportion is planned. What number of {hits} does the Large Counts
        condition compare with 10?
    test/test: Check the Large Counts condition for the significance test: how many {hits} go into it?
    test/test: Which count of {hits} justifies the normal approximation when H0 is tested?
    test/interval: Check the Large Counts condition for the confidence interval: how many {hits} go into it?
    test/interval: Which count of {hits} justifies the normal approximation when p is estimated by an interval?
""")


@kind(1, ap="6.2, 6.4")
def large_counts_condition(draw: Draw) -> Siblings:
    """The counts that a z test or a z interval compares with 10, for successes or for failures."""
    s = draw.setting(SHARES)
    n = 20 * draw.integer(4, 20)
    x, null = round(n * draw.decimal(*s.p, 3)), Given(draw.integer(1, 19) * 5 / 100)
    draw.need(10 < x < n - 10 and 10 <= n * null <= n - 10 and abs(null - x / n) < 0.12)
    expected = round(n * null)
    stem = f"{one_sample(draw, s, n, x)} {draw.ask(_CLAIM, s=s, null=null)}"

    def make(a: int, b: int) -> Sibling:
        hits = ("successes", "failures")[b]
        value = ((expected, n - expected), (x, n - x))[a][b]
        how = (
            (f"`n p_0 = {n} * {null} = {expected}`", f"`n (1 - p_0) = {n} * {plain(1 - null)} = {n - expected}`"),
            (f"`n p_hat = {x}`", f"`n (1 - p_hat) = {n} - {x} = {n - x}`"),
        )[a][b]
        steps = [
            f"{parameter('p', f'the proportion of all {s.who} {s.rel} {s.does}')}.",
            ("[A test is carried out as if H0 were true, so the condition uses p_0 // For a test, the counts are those "
             "expected under H0, with p_0",
             "[An interval assumes no value of p, so the condition uses p_hat // For an interval, the counts are those "
             "in the sample, with p_hat")[a] + "].",
            f"The number of {hits} is {how}, which is at least 10[. // , so the condition is met for the {hits}.]",
        ]
        ask = draw.ask(_ASK_LARGE_COUNTS_CONDITION, ("test", "interval")[a], hits=hits)
        return Sibling(f"{('test', 'interval')[a]}, {hits}", f"{stem} {ask}", steps, count(value),
                       "The Large Counts condition uses the null value for a test and the sample proportion for an "
                       "interval.")

    return square(
        make,
        ("used the observed count, as for an interval", "used the count expected under H0, as for a test"),
        ("gave the number of failures", "gave the number of successes"),
        {"n": n, "x": x, "null": null},
    )
