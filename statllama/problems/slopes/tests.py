"""Tests for a slope: the statistic and its p-value."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._phrases import MET, THAT, chance, decision, degrees_of_freedom, extreme, hypotheses, rarity
from .._problem import number, probability, single, term
from .._settings import RELATIONS
from .._siblings import Sibling, Siblings, square
from .._tails import SIGN, THAN, WAYS, area, other_way, p_value
from .._wording import wordings
from ._shared import OTHER_ROW, OTHER_TERM, ROWS, line_claim, printout, table, two_samples

# fmt: off


_STEM_SLOPE_T_STATISTIC = wordings("""
    train: Two independent random samples of {r.cases} are used to regress {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}).
        In both, the conditions for inference about the slope are met.
    train: The output shows least-squares slopes for {r.y} ({r.y_unit}) against {r.x} ({r.x_unit}), from two random
        samples of {r.cases}. Residual plots show no problem.
    train: A line that predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) is fitted to each of two random samples of
        {r.cases}. All conditions for a t test are satisfied.
    train: For {r.cases}, {r.y} ({r.y_unit}) is modeled as a linear function of {r.x} ({r.x_unit}). Samples A and B,
        both random, give the output below, and the residuals look as they should.
    test: Samples A and B of {r.cases}, drawn at random and independently, each lead to a fitted line for {r.y}
        ({r.y_unit}) in terms of {r.x} ({r.x_unit}). The residuals give no reason for concern.
    test: How does {r.y} ({r.y_unit}) depend on {r.x} ({r.x_unit})? Two simple random samples of {r.cases} were
        analyzed, and the usual checks of a regression raised no concerns.
    test: A report fits {r.y} ({r.y_unit}) to {r.x} ({r.x_unit}) twice, for simple random samples A and B of
        {r.cases}, and finds the assumptions of the regression model plausible.
""")
_ASK_SLOPE_T_STATISTIC = wordings("""
    train/zero: With sample {row}, compute the t statistic for testing that the true slope is 0.
    train/zero: What is the t statistic of sample {row} for the null hypothesis of no linear relation?
    train/some: With sample {row}, compute the t statistic for testing that the true slope is {null}, as an older
        study states.
    train/some: What is the t statistic of sample {row} for the null hypothesis of a slope of {null}?
    test/zero: Which value of t does row {row} give under H0: beta = 0?
    test/zero: Find t for row {row} if a flat population line is the null hypothesis.
    test/some: Which value of t does row {row} give under H0: beta = {null}?
    test/some: Find t for row {row} if a population line of slope {null} is the null hypothesis.
""")


@kind(1, ap="9.5")
def slope_t_statistic(draw: Draw) -> Siblings:
    """The t statistic of a slope: which sample, and a null value of 0 or another one."""
    r, sizes, slopes, errors = two_samples(draw)
    claimed = Given(round(slopes[0] * draw.decimal(0.4, 1.6, 2), 2))
    draw.need(min(abs(b - claimed) / se for b, se in zip(slopes, errors, strict=True)) > 0.2)
    rows = [(ROWS[i], sizes[i], f"{slopes[i]:.3f}", f"{errors[i]:.3f}") for i in range(2)]
    shown = table(("Sample", "n", "Slope", "SE of slope"), *rows)
    stem = draw.ask(_STEM_SLOPE_T_STATISTIC, r=r)

    def make(a: int, b: int) -> Sibling:
        null, n = (Given(0.0), claimed)[b], sizes[a]
        t = (slopes[a] - null) / errors[a]
        steps = [
            f"Let beta be the slope of the population line [of // for] {r.y} on {r.x}. [The null hypothesis is // We "
            f"test] `H0: beta = {null}`.",
            f"{MET}. Sample {ROWS[a]}[, a random sample of {n} {r.cases}, // ] has slope {slopes[a]} and standard "
            f"error {errors[a]}, with {degrees_of_freedom(n, 2)}.",
            f"`t = (b - beta_0) / SE_b`{THAT} `({slopes[a]} - {term(null)}) / {errors[a]} = {t:.2f}`.",
            f"The sample slope is {abs(t):.2f} standard errors {'above' if t > 0 else 'below'} {null}. "
            + rarity(p_value(t, n - 2, "different"), f"{t:.2f}"),
        ]
        ask = draw.ask(_ASK_SLOPE_T_STATISTIC, ("zero", "some")[b], row=ROWS[a], null=claimed)
        return Sibling(
            f"sample {ROWS[a]}, null {null}",
            f"{stem}\n\n{shown}\n\n{ask}",
            steps,
            number(t, 2, tolerance=0.02),
            "The t statistic of a slope is the slope minus its null value, over the standard error of the slope.",
            line_claim(r, "slope", "beta", null, "different", p_value(t, n - 2, "different")),
        )

    slips = f"tested a slope of {claimed} instead of 0", f"tested a slope of 0 instead of {claimed}"
    parameters = {"sizes": sizes, "slopes": slopes, "errors": errors, "claimed": claimed}
    return square(make, OTHER_ROW, slips, parameters)


_STEM_SLOPE_P_VALUE = wordings("""
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for a random sample of {n} {r.cases} gives this
        output. The conditions for inference are met.
    train: From a random sample of {n} {r.cases}, software finds the least-squares line that predicts {r.y}
        ({r.y_unit}) from {r.x} ({r.x_unit}). Residual plots show no problem.
    train: The output is for {n} {r.cases}, selected at random, with {r.x} ({r.x_unit}) as explanatory variable and
        {r.y} ({r.y_unit}) as response. All conditions for t tests are satisfied.
    train: Is {r.y} ({r.y_unit}) linearly related to {r.x} ({r.x_unit})? The line below was fitted to {n} randomly
        selected {r.cases}, and the residuals look as they should.
    test: A spreadsheet models {r.y} ({r.y_unit}) as a line in {r.x} ({r.x_unit}), using a simple random sample of
        {r.cases} with n = {n}. Checks of the residuals raised no concerns.
    test: Part of a printout follows; the data are {n} {r.cases}, drawn at random, with {r.x} ({r.x_unit}) on the
        horizontal axis and {r.y} ({r.y_unit}) on the vertical one. The assumptions of the regression model are
        plausible.
    test: Here is how a program sums up the dependence of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) in a simple random
        sample of size {n} of {r.cases}. The conditions for t procedures are met.
""")
_ASK_SLOPE_P_VALUE = wordings("""
    train: Find the p-value of the test of whether the true {what} {way} 0.
    train: What is the p-value for the alternative hypothesis that the true {what} {way} 0?
    test: For the population line, Ha says that the {what} {way} 0. How large is the P-value?
    test: Give the P-value of a t test of H0: {what} = 0 against Ha: {what} {sign} 0.
""")


@kind(3, ap="9.5", beyond="intercept")
def slope_p_value(draw: Draw) -> Siblings:
    """A p-value from the printout of a line: slope or intercept, and which alternative."""
    out, ways = printout(draw), draw.choice(WAYS)
    n = out.n
    stem = draw.ask(_STEM_SLOPE_P_VALUE, r=out.r, n=n)

    def make(a: int, b: int) -> Sibling:
        (what, estimate, error), way = out.terms[a], ways[b]
        t = estimate / error
        value = p_value(t, n - 2, way)
        steps = [
            f"{hypotheses(f'{what} = 0', f'{what} {SIGN[way]} 0')}, for the population line of {out.r.y} on {out.r.x}.",
            f"{MET}, and the test has {degrees_of_freedom(n, 2)}.",
            f"`t = (estimate - 0) / SE`{THAT} `{estimate} / {error} = {t:.2f}`.",
            f"[The p-value is // This gives the p-value // For this alternative, the p-value is] "
            f"`{area('T', f'{t:.2f}', way)} = {value:.4f}`.",
            chance(f"the true {what}", "0", extreme(f"{t:.2f}", way), f"{value:.4f}"),
            decision(value, f"the true {what} of the line for {out.r.y} on {out.r.x} {THAN[way]} 0"),
        ]
        ask = draw.ask(_ASK_SLOPE_P_VALUE, what=what, way=THAN[way], sign=SIGN[way])
        return Sibling(
            f"{what}, {way}",
            f"{stem}\n\n{out.table}\n\n{ask}",
            steps,
            probability(value, 4, 0.001),
            "The t statistic is the estimate over its own standard error, with n - 2 degrees of freedom; the "
            "alternative decides which tail counts.",
            line_claim(out.r, what, what, 0, way),
        )

    return square(make, OTHER_TERM, other_way(ways), {**out.parameters, "ways": ways})


_STEM_ONE_SIDED_SLOPE_TEST = wordings("""
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for a random sample of {n} {r.cases} gives slope
        {b} with standard error {se}. A textbook states a slope of {first}, an older study a slope of {second}. The
        conditions for inference are met.
    train: From {n} randomly selected {r.cases}, the least-squares slope for {r.y} ({r.y_unit}) on {r.x} ({r.x_unit})
        is {b}, with standard error {se}; residual plots show no problem. Two values are to be tested: {first} from a
        textbook and {second} from an older study.
    train: According to a textbook, the true slope for {r.y} ({r.y_unit}) against {r.x} ({r.x_unit}) is {first};
        according to an older study, it is {second}. A random sample of {n} {r.cases} gives {b} with a standard error
        of {se}, and all conditions for a t test are satisfied.
    train: Is the slope of the line that predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) {first}, as in a
        textbook, or {second}, as in an older study? For {n} {r.cases} selected at random, the slope is {b} and its
        standard error {se}. The residuals look as they should.
    test: By a textbook's rule, {r.y} changes by {first} {r.y_unit} per {x_one} of {r.x}; by an older study, it
        changes by {second}. With a simple random sample of {r.cases} (n = {n}) and no concerns about residuals, a
        student gets the coefficient {b}, SE {se}.
    test: Two claims about how {r.y} ({r.y_unit}) varies with {r.x} ({r.x_unit}), beta = {first} in a textbook and
        beta = {second} in an older study, are compared with {n} randomly drawn {r.cases}. Their fitted coefficient is
        {b} (SE {se}), and the regression model is plausible.
    test: The coefficient of {r.x} ({r.x_unit}) in a line for {r.y} ({r.y_unit}) comes out as {b} (SE {se}) in a
        simple random sample of {n} {r.cases} that meets the usual assumptions. A textbook has {first} for it, and an
        older study has {second}.
""")
_ASK_ONE_SIDED_SLOPE_TEST = wordings("""
    train: Find the p-value of the test of whether the true slope {way} the value in the {source}.
    train: What is the p-value if the null hypothesis is the value of the {source} and the alternative says that the
        true slope {way} it?
    test: Taking beta from the {source} as H0, how large is the P-value for Ha: beta {sign} {null}?
    test: Give the P-value for the suspicion that the true coefficient {way} the one in the {source}.
""")


@kind(3, ap="9.5")
def one_sided_slope_test(draw: Draw) -> Siblings:
    """The one-sided p-value of a slope: which null value, and which side."""
    r = draw.setting(RELATIONS)
    n, b = draw.integer(10, 45), draw.decimal(*r.slope, 3)
    se = Given(round(abs(b) / draw.decimal(2, 9, 2), 3))
    nulls = [Given(round(b + draw.choice((-1, 1)) * draw.decimal(0.6, 2.9, 2) * se, 2)) for _ in range(2)]
    draw.need(se > 0.02 and nulls[0] != nulls[1] and min(null * b for null in nulls) > 0)
    ways = ("greater", "less")
    stem = draw.ask(
        _STEM_ONE_SIDED_SLOPE_TEST, r=r, n=n, b=b, se=se, first=nulls[0], second=nulls[1],
        x_one=single(r.x_unit),
    )

    def make(i: int, j: int) -> Sibling:
        null, way, source = nulls[i], ways[j], ("textbook", "older study")[i]
        t = (b - null) / se
        value = p_value(t, n - 2, way)
        steps = [
            f"Let beta be the slope of the population line [of // for] {r.y} on {r.x}. "
            f"{hypotheses(f'beta = {null}', f'beta {SIGN[way]} {null}')}.",
            f"{MET}[, and // for the random sample of {n} {r.cases}, and] the test has {degrees_of_freedom(n, 2)}.",
            f"`t = (b - beta_0) / SE_b`{THAT} `({b} - {term(null)}) / {se} = {t:.2f}`.",
            f"[The p-value is // This gives the p-value // For this alternative, the p-value is] "
            f"`{area('T', f'{t:.2f}', way)} = {value:.4f}`.",
            chance("the true slope", null, f"a sample slope of {b} or {('more', 'less')[j]}", f"{value:.4f}"),
            decision(value, f"the true slope of {r.y} on {r.x} {THAN[way]} {null}, the value of the {source}"),
        ]
        ask = draw.ask(_ASK_ONE_SIDED_SLOPE_TEST, way=THAN[way], sign=SIGN[way], null=null, source=source)
        return Sibling(
            f"{source}, {way}",
            f"{stem} {ask}",
            steps,
            probability(value, 4, 0.001),
            "A slope is tested by its distance from the null value in standard errors, with n - 2 degrees of freedom.",
            line_claim(r, "slope", "beta", null, way),
        )

    return square(
        make,
        ("tested the value of the older study instead of the textbook", "tested the value of the textbook instead of "
                                                                        "the older study"),
        other_way(ways),
        {"slope": b, "se": se, "n": n, "nulls": nulls},
    )
