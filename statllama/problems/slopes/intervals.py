"""The interval for a slope, what it says, and what follows from it about a claim."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._numerics import t_quantile
from .._phrases import MET, SO, THAT, confident, degrees_of_freedom, hypotheses, recalled
from .._problem import fixed, interval, sig, single, words
from .._settings import RELATIONS
from .._siblings import LEVELS, Sibling, Siblings, four, other_level, square
from .._wording import wordings
from ._shared import OTHER_ROW, OTHER_TERM, ROWS, printout, table

# fmt: off


_STEM_SLOPE_INTERVAL = wordings("""
    train: The output is for a random sample of {n} {r.cases}, with {r.x} ({r.x_unit}) as explanatory variable and
        {r.y} ({r.y_unit}) as response. The conditions for inference are met.
    train: A least-squares line predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}). It was fitted to {n} randomly
        selected {r.cases}, and residual plots show no problem.
    train: For {n} {r.cases}, selected at random, a regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) gives this
        output. All conditions for t intervals are satisfied.
    train: How is {r.y} ({r.y_unit}) related to {r.x} ({r.x_unit}) for {r.cases}? The line below comes from a random
        sample of {n}, and its residuals look as they should.
    test: A spreadsheet fits {r.y} ({r.y_unit}) to {r.x} ({r.x_unit}) for a simple random sample of {r.cases} with n =
        {n}. The assumptions of the regression model are met.
    test: Estimates of a regression line follow: {r.y} ({r.y_unit}) on the vertical axis, {r.x} ({r.x_unit}) on the
        horizontal one, {n} {r.cases} drawn at random. The conditions for inference have been checked and are met.
    test: In a report on {r.cases}, a simple random sample of size {n} is used to model {r.y} ({r.y_unit}) as a line
        in {r.x} ({r.x_unit}). The conditions for t procedures are met.
""")
_ASK_SLOPE_INTERVAL = wordings("""
    train: Construct a {level}% confidence interval for the true {what}.
    train: Find the {level}% confidence interval for the {what} of the population line.
    test: Estimate the true {what} by an interval, with {level}% confidence.
    test: Between which limits does the true {what} lie, with {level}% confidence?
""")


@kind(2, ap="9.2", beyond="intercept")
def slope_interval(draw: Draw) -> Siblings:
    """The t interval from the printout of a line: slope or intercept, at one of two levels."""
    out, levels = printout(draw), draw.choice(LEVELS)
    r, n = out.r, out.n
    stem = draw.ask(_STEM_SLOPE_INTERVAL, r=r, n=n)

    def make(a: int, high: int) -> Sibling:
        (what, estimate, error), level = out.terms[a], levels[high]
        critical = t_quantile(0.5 + level / 200, n - 2)
        margin = critical * error
        low, high_end = fixed(estimate - margin, 3), fixed(estimate + margin, 3)
        steps = [
            f"[The parameter is // We estimate // The parameter of interest is] the {what} of the population line that "
            f"predicts {r.y} from {r.x}.",
            f"{MET}: the {n} {r.cases} are a random sample and the residuals show no problem. With "
            f"{degrees_of_freedom(n, 2)}, t* = {critical:.3f} at {level}% confidence.",
            f"The interval is `estimate +/- t* SE`{THAT} `{estimate} +/- {critical:.3f} * {error} = {estimate} +/- "
            f"{sig(margin)}`.",
            confident(level, low, high_end, f"the true {what}" + (
                f", the change in mean {r.y} per {single(r.x_unit)} of {r.x}," if what == "slope" else
                f", the mean {r.y} where {r.x} is 0,"), (out.rate, r.y_unit)[what != "slope"]),
        ]
        return Sibling(
            f"{what}, {level}%",
            f"{stem}\n\n{out.table}\n\n{draw.ask(_ASK_SLOPE_INTERVAL, what=what, level=level)}",
            steps,
            interval(estimate - margin, estimate + margin, 3),
            "An interval for a slope or an intercept uses t with n - 2 degrees of freedom and its own standard error.",
        )

    return square(make, OTHER_TERM, other_level(levels), {**out.parameters, "levels": levels})


_STEM_INTERPRET_SLOPE_INTERVAL = wordings("""
    train: From a random sample of {n} {r.cases}, a {level}% confidence interval for the slope of the line that
        predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) is {b} plus or minus {margin}, from {low} to {high}. The
        standard error of the slope is {se}.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} randomly selected {r.cases} gives slope
        {b}, standard error {se}, and the {level}% confidence interval ({low}, {high}) for the slope.
    train: For {n} {r.cases}, selected at random, the slope of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) is {b} with
        standard error {se}. At {level}% confidence, the margin of error is {margin}, so that the interval runs from
        {low} to {high}.
    train: How does {r.y} ({r.y_unit}) change with {r.x} ({r.x_unit})? In a random sample of {n} {r.cases}, the
        least-squares slope is {b} (standard error {se}). The {level}% t interval for the true slope is ({low},
        {high}).
    test: "Coefficient of {r.x}: {b}, SE {se}, {level}% confidence interval {low} to {high}" stands below a line for
        {r.y} in {r.y_unit}, fitted to {n} randomly drawn {r.cases}, with {r.x} in {r.x_unit}.
    test: Software was given the {r.x} ({r.x_unit}) and the {r.y} ({r.y_unit}) of {n} {r.cases}, drawn at random. Its
        estimate of beta is {b} +/- {margin} at {level}% confidence, or ({low}, {high}), with an SE of {se}.
    test: Students model {r.y} ({r.y_unit}) as a line in {r.x} ({r.x_unit}). A simple random sample of {r.cases} (n =
        {n}) has coefficient {b}, SE {se}; with {level}% confidence, beta is between {low} and {high}.
""")
_ASK_INTERPRET_SLOPE_INTERVAL = wordings("""
    train/interval: Which statement interprets the confidence interval?
    train/interval: Which sentence says what the confidence interval means?
    train/level: Which statement interprets the confidence level?
    train/level: Which sentence says what the confidence level means?
    train/margin: Which statement interprets the margin of error?
    train/margin: Which sentence says what the margin of error means?
    train/se: Which statement interprets the standard error of the slope?
    train/se: Which sentence says what the standard error of the slope means?
    test/interval: How should the interval itself be read?
    test/interval: Choose the correct interpretation of the interval.
    test/level: How should "{level}% confidence" be read?
    test/level: Choose the correct interpretation of "{level}% confidence".
    test/margin: How should the margin of error be read?
    test/margin: Choose the correct interpretation of the margin of error.
    test/se: How should the SE be read?
    test/se: Choose the correct interpretation of the SE.
""")
_MEANINGS = {
    "interval": "The interval gives plausible values of the parameter: the change in mean response per unit of x.",
    "level": "The level describes the method: how often it succeeds when samples are drawn again and again.",
    "margin": "The margin of error bounds how far the sample slope is from the true one, at the given confidence.",
    "se": "The standard error describes how much slopes vary from sample to sample.",
}


@kind(2, ap="9.3")
def interpret_slope_interval(draw: Draw) -> Siblings:
    """What an interval for a slope, its level, its margin of error and its standard error say."""
    out, level = printout(draw), draw.confidence()
    r, n, b, se, one = out.r, out.n, out.slope, out.slope_se, single(out.r.x_unit)
    margin = t_quantile(0.5 + level / 200, n - 2) * se
    low, high, reach = fixed(b - margin, 2), fixed(b + margin, 2), fixed(margin, 2)
    draw.need(low != high and fixed(se, 2) != "0.00")
    stem = draw.ask(
        _STEM_INTERPRET_SLOPE_INTERVAL, r=r, n=n, level=level, b=fixed(b, 2), se=fixed(se, 2), margin=reach, low=low,
        high=high,
    )
    texts = {
        "interval": f"We are {level}% confident that, with each additional {one} of {r.x}, mean {r.y} changes by {low} "
                    f"to {high} {r.y_unit}.",
        "level": f"In the long run, about {level}% of the intervals from random samples of {n} {r.cases} capture the "
                 "slope of the population line.",
        "margin": f"With {level}% confidence, the change in mean {r.y} with each {one} of {r.x} is within {reach} "
                  f"{r.y_unit} of the sample slope.",
        "se": f"Slopes from random samples of {n} {r.cases} typically differ from the slope of the population line "
              f"by about {fixed(se, 2)} {out.rate}.",
    }
    of = [
        Sibling(
            label,
            f"{stem} {draw.ask(_ASK_INTERPRET_SLOPE_INTERVAL, label, level=level)}",
            [f"[The parameter is the slope of the population line, estimated by the slope of a random sample // Of "
             f"interest is the slope of the population line of {r.y} on {r.x}, estimated from {n} {r.cases}].",
             f"{recalled(idea)}",
             f"[Here x is {r.x}, and the response is {r.y} // In context, the slope is in {out.rate}]."],
            words(texts[label]),
            idea,
        )
        for label, idea in _MEANINGS.items()
    ]
    names = ("interval", "confidence level", "margin of error", "standard error")
    parameters = {"slope": b, "se": se, "n": n, "confidence": level}
    return four(of, [f"interpreted the {name} instead" for name in names], parameters)


_STEM_SLOPE_CONCLUSION = wordings("""
    train: One analyst claims that {r.y} ({r.y_unit}) has no linear relation to {r.x} ({r.x_unit}) for {r.cases};
        another claims that the true slope is {k}. Two independent random samples give these {level}% confidence
        intervals for the slope.
    train: For {r.cases}, the slope of the line that predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) is claimed to
        be 0 by some and {k} by others. The table shows {level}% confidence intervals for it, from two random samples.
    train: Two random samples of {r.cases} lead to these {level}% confidence intervals for the slope of {r.y}
        ({r.y_unit}) on {r.x} ({r.x_unit}). Two claims are to be tested: a slope of 0 and a slope of {k}.
    train: Is there a linear relation between {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}), and could its slope be {k},
        as a textbook says? For two random samples of {r.cases}, {level}% confidence intervals for the slope were
        computed.
    test: A textbook gives beta = {k} for the dependence of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}); a skeptic says
        beta = 0. At {level}% confidence, simple random samples A and B of {r.cases} place beta in these intervals.
    test: With {level}% confidence, beta lies in the intervals below. Here beta is the coefficient of {r.x}
        ({r.x_unit}) in a line for {r.y} ({r.y_unit}), estimated from two simple random samples of {r.cases}. The
        values 0 and {k} have been proposed for it.
    test: Does {r.y} ({r.y_unit}) of {r.cases} go up or down with {r.x} ({r.x_unit}), perhaps at the rate beta = {k}?
        Simple random samples A and B were drawn independently; both intervals have {level}% confidence.
""")
_ASK_SLOPE_CONCLUSION = wordings("""
    train: With sample {row} alone, what can be concluded about a true slope of {claim} at the {alpha} level?
    train: Use the interval from sample {row} to test a slope of {claim} with alpha = {alpha}. What is the conclusion?
    test: Judging by row {row}, what follows for H0: beta = {claim} at significance level {alpha}?
    test: What does row {row} say about beta = {claim} in a two-sided test with alpha = {alpha}?
""")


@kind(2, ap="9.3")
def slope_conclusion(draw: Draw) -> Siblings:
    """What an interval says about a claim: which sample, and a slope of 0 or another one."""
    r, level = draw.setting(RELATIONS), draw.confidence()
    k = draw.decimal(*r.slope, 2)
    low_end, half = k * draw.decimal(0.05, 0.3, 2), abs(k) * draw.decimal(0.2, 0.6, 2)
    near = (k + draw.choice((-1, 1)) * half * draw.decimal(0.1, 0.8, 2), half)  # holds k, not 0
    far = (low_end, abs(k) * draw.decimal(0.35, 0.6, 2))  # holds 0, not k
    pair = [near, far] if draw.choice((True, False)) else [far, near]
    ends = [(Given(round(mid - reach, 2)), Given(round(mid + reach, 2))) for mid, reach in pair]
    claims = (Given(0.0), k)
    inside = [[low < claim < high for claim in claims] for low, high in ends]
    edges = [abs(end - claim) for both in ends for end in both for claim in claims]
    draw.need(sorted(map(tuple, inside)) == [(False, True), (True, False)] and min(edges) > 0.02)
    stem = draw.ask(_STEM_SLOPE_CONCLUSION, r=r, k=k, level=level)
    shown = table(("Sample", "Lower limit", "Upper limit"), *((ROWS[i], *map(_two, ends[i])) for i in range(2)))
    alpha = fixed(1 - level / 100, 2)

    def make(a: int, b: int) -> Sibling:
        claim, (low, high), kept = claims[b], ends[a], inside[a][b]
        steps = [
            f"{hypotheses(f'beta = {claim}', f'beta != {claim}')}, [for // where beta is] the slope of the population "
            f"line of {r.y} on {r.x}.",
            f"A two-sided test at [the {alpha} level // alpha = {alpha}] rejects exactly the values outside the "
            f"{level}% interval.",
            f"The interval of sample {ROWS[a]} runs from {low} to {high}; {claim} is {('outside', 'inside')[kept]} it.",
            f"{SO} H0 is {('rejected', 'not rejected')[kept]}: the evidence against a slope of {claim} is "
            f"{('convincing', 'not convincing')[kept]}.",
        ]
        ask = draw.ask(_ASK_SLOPE_CONCLUSION, row=ROWS[a], claim=claim, alpha=alpha)
        return Sibling(
            f"sample {ROWS[a]}, claim {claim}",
            f"{stem}\n\n{shown}\n\n{ask}",
            steps,
            words(f"There is {('', 'no ')[kept]}convincing evidence that the true slope differs from {claim}."),
            "A two-sided test rejects the values outside the interval of the matching confidence level.",
        )

    slips = f"tested a slope of {k} instead of 0", f"tested a slope of 0 instead of {k}"
    return square(make, OTHER_ROW, slips, {"k": k, "ends": ends, "confidence": level})


def _two(value: float) -> str:
    return f"{value:.2f}"
