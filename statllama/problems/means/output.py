"""Computer output of a t test for a mean: what is missing in it, and other p-values than the printed one."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._phrases import SO, THAT, chance, decision, extreme, hypotheses
from .._problem import number, probability
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, square
from .._tails import SIGN, THAN, WAYS, other_way, p_value
from .._wording import wordings
from ._shared import mean_claim

# fmt: off

_ROWS = ("A", "B")
_OTHER_ROW = ("read the row of sample B instead of A", "read the row of sample A instead of B")


def _table(columns: tuple[str, ...], rows: tuple[tuple[object, ...], ...]) -> str:
    """Return output as a table with a row for each sample."""
    lines = [("Sample", *columns), *((name, *row) for name, row in zip(_ROWS, rows, strict=True))]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


_STEM_COMPLETE_T_OUTPUT = wordings("""
    train: Two independent random samples of {m.who} were measured: their {m.thing} in {m.unit}. Software tests H0: mu
        = {null} for each, but two columns of the output are blank. Neither sample shows strong
        skew or outliers.
    train: For each of two random samples of {m.who}, both roughly normal, software carries out a one-sample t test of
        H0: mu = {null}, where mu is the mean {m.thing} in {m.unit}. Part of the output is missing.
    train: The output below belongs to one-sample t tests of whether the mean {m.thing} of {m.who} is {null} {m.unit}.
        Two random samples without strong skew or outliers were used, and some of the output cannot be read.
    train: The mean {m.thing} of {m.who} is claimed to be {null} {m.unit}. Samples A and B, both random and roughly
        symmetric, are used to test the claim; the output has gaps.
    test: Ink has run over a printout of two t tests on the average {m.thing} ({m.unit}) of {m.who}. The null value is
        {null}, and both samples were drawn at random from a normal population.
    test: A student forgot to copy two columns of a printout. In it, the average {m.thing} of {m.who} is compared with
        {null} {m.unit} by t tests, for two simple random samples that look nearly normal.
    test: With H0: mu = {null}, a spreadsheet tests the average {m.thing} ({m.unit}) of {m.who} twice, on simple
        random samples that show no strong skew or outliers. Two cells in each row were deleted.
    test: Stars stand for what is left out of this output. It belongs to t tests of H0: mu = {null}, with mu the average
        {m.thing} ({m.unit}) of {m.who}; each of the two simple random samples looks nearly normal.
""")
_ASK_COMPLETE_T_OUTPUT = wordings("""
    train/se: Find the missing standard error of the mean (SE Mean) for sample {row}.
    train/se: What is SE Mean, the standard error of the mean, for sample {row}?
    train/t: Find the missing t statistic (T-Value) for sample {row}.
    train/t: What is T-Value, the test statistic, for sample {row}?
    test/se: Which number belongs under SE Mean in row {row}?
    test/se: Restore the entry for SE Mean in row {row}.
    test/t: Which number belongs under T-Value in row {row}?
    test/t: Restore the entry for T-Value in row {row}.
""")


@kind(2, ap="7.5")
def complete_t_output(draw: Draw) -> Siblings:
    """A missing entry of the output of two t tests: which sample, and its standard error or its statistic."""
    m = draw.setting(MEASURES)
    sizes = (draw.integer(8, 60), draw.integer(8, 60))
    sds = (draw.decimal(*m.sd, 2), draw.decimal(*m.sd, 2))
    null = draw.decimal(*m.mean, 0)
    errors = [sd / math.sqrt(n) for sd, n in zip(sds, sizes, strict=True)]
    means = [Given(round(null + draw.choice((-1, 1)) * draw.decimal(0.4, 3, 2) * error, 2)) for error in errors]
    rows = tuple((sizes[i], f"{means[i]:.2f}", f"{sds[i]:.2f}", "*", "*") for i in range(2))
    table = _table(("N", "Mean", "StDev", "SE Mean", "T-Value"), rows)
    stem = draw.ask(_STEM_COMPLETE_T_OUTPUT, m=m, null=null)

    def make(a: int, b: int) -> Sibling:
        n, sd, mean, error = sizes[a], sds[a], means[a], errors[a]
        t, entry = (mean - null) / error, ("under SE Mean", "under T-Value")[b]
        steps = [
            f"Sample {_ROWS[a]} has n = {n}, mean {mean} and standard deviation {sd}; the null hypothesis is "
            f"`H0: mu = {null}`, [with mu the mean {m.thing} of all {m.who} // where mu is the mean {m.thing} of all "
            f"{m.who}].",
            "The sample is random, and " + (
                f"n = {n} is at least 30" if n >= 30 else f"n = {n} is below 30 but there is no strong skew")
            + ", so a one-sample t test is appropriate.",
            f"`SE = s / sqrt(n)`{THAT} `{sd} / sqrt({n}) = {error:.3f}`.",
            f"`t = (x_bar - mu_0) / SE`{THAT} `({mean} - {null}) / {error:.3f} = {t:.3f}`.",
            f"[The entry {entry} is {(error, t)[b]:.3f} // {SO} {(error, t)[b]:.3f} stands {entry} // In the output, "
            f"{(error, t)[b]:.3f} belongs {entry}].",
        ]
        ask = draw.ask(_ASK_COMPLETE_T_OUTPUT, ("se", "t")[b], row=_ROWS[a])
        return Sibling(
            f"sample {_ROWS[a]}, {('SE', 't')[b]}",
            f"{stem}\n\n{table}\n\n{ask}",
            steps,
            number((error, t)[b], 3, tolerance=0.004 * abs((error, t)[b]) + 0.002),
            "SE Mean is `StDev / sqrt(N)`, and T-Value is `(Mean - null value) / SE Mean`.",
        )

    return square(
        make,
        _OTHER_ROW,
        ("gave the t statistic instead of the standard error", "gave the standard error instead of the t statistic"),
        {"sizes": sizes, "means": means, "sds": sds, "null": null},
    )


_STEM_P_VALUE_FROM_OUTPUT = wordings("""
    train: For two independent random samples of {m.who}, software tests H0: mu = {null} against Ha: mu != {null},
        where mu is the mean {m.thing} in {m.unit}. The conditions for the tests are met.
    train: The output shows two-sided t tests of whether the mean {m.thing} of {m.who} is {null} {m.unit}, one for
        each of two random samples that are roughly normal.
    train: A researcher has software test whether the mean {m.thing} of {m.who} differs from {null} {m.unit}. Samples
        A and B are random, without strong skew or outliers.
    train: Two random samples of {m.who}, both approximately normal, lead to this output for H0: mu = {null} and Ha:
        mu != {null}, with mu the mean {m.thing} in {m.unit}.
    test: A program prints P-values for the two-sided alternative only. It was given two simple random samples on the
        {m.thing} ({m.unit}) of {m.who}, nearly normal in shape, and the null value {null}.
    test: Is {null} {m.unit} the true average {m.thing} of {m.who}? A printout shows two-tailed t tests of this value
        for two simple random samples, both nearly normal.
    test: From a report on the {m.thing} of {m.who}: two simple random samples, symmetric and without outliers,
        were each compared with {null} {m.unit} by a t test with the alternative "not equal".
""")
_ASK_P_VALUE_FROM_OUTPUT = wordings("""
    train: For sample {row}, what is the p-value if the alternative is that the mean {way} {null}?
    train: Use the output to find the p-value of the test of Ha: mu {sign} {null} with sample {row}.
    test: Give the P-value that row {row} implies for Ha: mu {sign} {null}.
    test: If Ha: mu {sign} {null} is the alternative, which P-value belongs to row {row}?
""")


@kind(2, ap="7.5")
def p_value_from_output(draw: Draw) -> Siblings:
    """A p-value from the output of two two-sided t tests: which sample, and which alternative."""
    m = draw.setting(MEASURES)
    null, ways = draw.decimal(*m.mean, 0), draw.choice(WAYS)
    sizes = (draw.integer(8, 60), draw.integer(8, 60))
    ts = tuple(Given(draw.decimal(0.5, 2.9, 2) * draw.choice((-1, 1))) for _ in range(2))
    printed = tuple(Given(round(p_value(t, n - 1, "different"), 3)) for t, n in zip(ts, sizes, strict=True))
    draw.need(min(printed) > 0.004)
    rows = tuple((sizes[i], f"{ts[i]:.2f}", f"{printed[i]:.3f}") for i in range(2))
    table = _table(("N", "T-Value", "P-Value"), rows)
    stem = draw.ask(_STEM_P_VALUE_FROM_OUTPUT, m=m, null=null)

    def make(a: int, b: int) -> Sibling:
        way, t, p = ways[b], ts[a], printed[a]
        agrees = way != "different" and (t > 0) == (way == "greater")
        value = p if way == "different" else p / 2 if agrees else 1 - p / 2
        how = (
            f"The alternative is two-sided, as [in the output // the printed value is]: `p = {p:.3f}`"
            if way == "different" else
            f"T lies on the side of the alternative, so half of the printed value [counts // is the p-value]: `p = "
            f"{p:.3f} / 2 = {value:.4f}`"
            if agrees else
            "T lies on the other side of 0, so [all but half of the printed value counts // 1 minus half of the "
            f"printed value is the p-value]: `p = 1 - {p:.3f} / 2 = {value:.4f}`"
        )
        steps = [
            f"{hypotheses(f'mu = {null}', f'mu {SIGN[way]} {null}')}, with mu the mean {m.thing} of all {m.who}, in "
            f"{m.unit}.",
            f"[The row of sample {_ROWS[a]} has // Sample {_ROWS[a]} has // For sample {_ROWS[a]}, the output gives] "
            f"T = {t} and the two-sided p-value {p:.3f}. [The sample is random and roughly normal. // The conditions, "
            f"a random sample with a roughly normal shape, are met.]",
            f"{how}.",
            chance("the mean", f"{null} {m.unit}", extreme(t, way), f"{value:.4f}"),
            decision(value, f"the mean {m.thing} of all {m.who} {THAN[way]} {null} {m.unit}"),
        ]
        ask = draw.ask(_ASK_P_VALUE_FROM_OUTPUT, row=_ROWS[a], null=null, way=THAN[way], sign=SIGN[way])
        return Sibling(
            f"sample {_ROWS[a]}, {way}",
            f"{stem}\n\n{table}\n\n{ask}",
            steps,
            probability(value, 4, 0.0005),
            "A one-sided p-value is half of the two-sided one when the statistic lies on the side of the alternative, "
            "and 1 minus that half otherwise.",
            mean_claim(m, null, way),
        )

    return square(make, _OTHER_ROW, other_way(ways), {"sizes": sizes, "ts": ts, "printed": printed, "ways": ways})
