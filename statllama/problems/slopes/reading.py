"""Computer output of a regression: which number is which, and what the numbers say."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from .._draw import Draw, Given, kind
from .._phrases import recalled
from .._problem import number, single, words
from .._siblings import Sibling, Siblings, four
from .._tails import p_value
from .._wording import wordings
from ._shared import Printout, printout, table

# fmt: off

_TWO = "different"
_NUMBER = re.compile(r"-?\d+\.\d+%?")


@dataclass(frozen=True)
class _Output:
    """A printout with all its columns, and the standard deviation of the residuals and r squared below."""

    line: Printout
    s: Given
    share: Given

    @property
    def shown(self) -> str:
        rows = []
        for (_, estimate, error), name in zip(self.line.terms[::-1], ("Constant", self.line.r.x), strict=True):
            t = estimate / error
            chance = p_value(t, self.line.n - 2, _TWO)
            rows.append((name, *(f"{x:.3f}" for x in (estimate, error, t, chance))))
        columns = ("Term", "Coef", "SE Coef", "T-Value", "P-Value")
        return f"{table(columns, *rows)}\nS = {self.s:.3f}, R-Sq = {self.share:.1f}%"

    @property
    def parameters(self) -> dict[str, object]:
        return {**self.line.parameters, "s": self.s, "share": self.share}


def _output(draw: Draw) -> _Output:
    """Draw output whose numbers fit together: S and both standard errors to the spread of x, R-Sq to t."""
    line = printout(draw)
    (low, high), n, se = line.r.xs, line.n, line.slope_se
    center, spread = (low + high) / 2, (high - low) * draw.decimal(0.1, 0.2, 2)
    s = se * spread * math.sqrt(n - 1)
    intercept_se = s * math.sqrt(1 / n + center**2 / ((n - 1) * spread**2))
    line = replace(line, intercept_se=Given(round(intercept_se, 3)))
    t = line.slope / se
    share = 100 * t**2 / (t**2 + n - 2)
    draw.need(abs(t) > 1.5 and share > 10 and p_value(t, n - 2, _TWO) > 0.0015)
    return _Output(line, Given(round(s, 3)), Given(round(share, 1)))


_STEM_READ_REGRESSION_OUTPUT = wordings("""
    train: The output is from a regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for a random sample of {n}
        {r.cases}. The conditions for inference are met.
    train: For {n} randomly selected {r.cases}, software fits a least-squares line that predicts {r.y} ({r.y_unit})
        from {r.x} ({r.x_unit}). Residual plots show no problem.
    train: A random sample of {n} {r.cases} is used to study how {r.y} ({r.y_unit}) depends on {r.x} ({r.x_unit}).
        Software gives this output.
    train: With {r.x} ({r.x_unit}) as explanatory variable and {r.y} ({r.y_unit}) as response, {n} {r.cases} selected
        at random lead to the output below. All conditions are satisfied.
    test: A spreadsheet models {r.y} ({r.y_unit}) as a line in {r.x} ({r.x_unit}), with data from a simple random
        sample of {r.cases}, n = {n}.
    test: Below is what a program prints about the dependence of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}), given {n}
        randomly drawn {r.cases}.
    test: In a report on {r.cases}, a simple random sample of size {n}, a table sums up the fit of {r.y} ({r.y_unit})
        to {r.x} ({r.x_unit}).
""")
_ASK_READ_REGRESSION_OUTPUT = wordings("""
    train/intercept: Which number estimates the intercept of the population line?
    train/intercept: Which number is the predicted {r.y} where the {r.x} is 0?
    train/slope: Which number estimates the slope of the population line?
    train/slope: Which number is the predicted change in {r.y} with one more {one} of {r.x}?
    train/se: Which number is the standard error of the slope?
    train/se: Which number tells how far slopes of such samples typically are from the true slope?
    train/t: Which number is the test statistic for H0: the true slope is 0?
    train/t: Which number tells how many standard errors the sample slope is from 0?
    train/s: Which number is the standard deviation of the residuals?
    train/s: Which number tells how far values of {r.y} typically are from the fitted line?
    test/intercept: Read off the estimated intercept.
    test/intercept: At what height does the fitted line cross the vertical axis?
    test/slope: Read off the estimated coefficient of {r.x}.
    test/slope: How steep is the fitted line?
    test/se: Read off the standard error of the coefficient of {r.x}.
    test/se: How much does the coefficient of {r.x} typically vary around its true value from sample to sample?
    test/t: Read off the t statistic for a test of whether {r.x} and {r.y} are linearly related.
    test/t: What is the distance of the coefficient of {r.x} from 0, in standard errors?
    test/s: Read off the standard deviation of the residuals.
    test/s: How large is the typical error when the line is used to predict {r.y}?
""")
_IN_ROW = "in the row of the explanatory variable"
_NUMBERS = {
    "intercept": ("Coef in the row Constant", "the intercept, the predicted response where x is 0"),
    "slope": (f"Coef {_IN_ROW}", "the slope, the predicted change in response per unit of x"),
    "se": (f"SE Coef {_IN_ROW}", "the standard error of the slope, its typical distance from the true slope"),
    "t": (f"T-Value {_IN_ROW}", "the slope divided by its standard error"),
    "s": ("S below the table", "the standard deviation of the residuals, the typical distance from the line"),
}


@kind(1, ap="9.2, 9.5")
def read_regression_output(draw: Draw) -> Siblings:
    """Which number of the output of a regression is asked for."""
    out = _output(draw)
    line, r = out.line, out.line.r
    stem = draw.ask(_STEM_READ_REGRESSION_OUTPUT, r=r, n=line.n)
    value = {
        "intercept": line.intercept, "slope": line.slope, "se": line.slope_se, "s": out.s,
        "t": round(line.slope / line.slope_se, 3),
    }
    labels = draw.rng.sample(list(_NUMBERS), 4)

    def make(label: str) -> Sibling:
        place, meaning = _NUMBERS[label]
        ask = draw.ask(_ASK_READ_REGRESSION_OUTPUT, label, r=r, one=single(r.x_unit))
        steps = [
            f"[The output describes // The table belongs to] the line that predicts {r.y} from {r.x}.",
            f"[The number asked for is // What is asked for is // We look for] {meaning}.",
            f"[It is printed as {place} // The output prints it as {place} // {place} holds it]: {value[label]:.3f}.",
        ]
        return Sibling(
            label,
            f"{stem}\n\n{out.shown}\n\n{ask}",
            steps,
            number(value[label], 3),
            f"{place} is {meaning}.",
        )

    return four([make(label) for label in labels], [f"gave {_NUMBERS[label][0]}" for label in labels], out.parameters)


_STEM_INTERPRET_REGRESSION_OUTPUT = wordings("""
    train: A random sample of {n} {r.cases} gives this output for the regression of {r.y} ({r.y_unit}) on {r.x}
        ({r.x_unit}).
    train: Software fits a line that predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}) to {n} {r.cases}, selected at
        random.
    train: For {n} randomly selected {r.cases}, {r.x} ({r.x_unit}) is the explanatory variable and {r.y} ({r.y_unit})
        the response. The conditions for inference are met.
    train: The output below shows how {r.y} ({r.y_unit}) depends on {r.x} ({r.x_unit}) in a random sample of {n}
        {r.cases}.
    test: A student enters the {r.x} ({r.x_unit}) and the {r.y} ({r.y_unit}) of {n} randomly drawn {r.cases} into a
        spreadsheet and fits a line.
    test: Can {r.x} ({r.x_unit}) explain {r.y} ({r.y_unit})? From a simple random sample of {r.cases}, n = {n}, a
        program gets the following.
    test: Here is a least-squares fit of {r.y} ({r.y_unit}) to {r.x} ({r.x_unit}), using a simple random sample of
        {r.cases} of size {n}.
""")
_ASK_INTERPRET_REGRESSION_OUTPUT = wordings("""
    train/slope: Which statement interprets Coef in the row of {r.x}?
    train/slope: Which sentence says what the coefficient of {r.x} means?
    train/se: Which statement interprets SE Coef in the row of {r.x}?
    train/se: Which sentence says what the standard error of the coefficient of {r.x} means?
    train/p: Which statement interprets the P-Value in the row of {r.x}?
    train/p: Which sentence says what the p-value of {r.x} means?
    train/s: Which statement interprets S?
    train/s: Which sentence says what S means?
    train/share: Which statement interprets R-Sq?
    train/share: Which sentence says what R-Sq means?
    test/slope: How should the entry under Coef for {r.x} be read?
    test/slope: Choose the correct interpretation of the slope.
    test/se: How should the entry under SE Coef for {r.x} be read?
    test/se: Choose the correct interpretation of the standard error of the slope.
    test/p: How should the entry under P-Value for {r.x} be read?
    test/p: Choose the correct interpretation of the P-value of the slope.
    test/s: How should the value of S be read?
    test/s: Choose the correct interpretation of S.
    test/share: How should the value of R-Sq be read?
    test/share: Choose the correct interpretation of R-Sq.
""")
_SAYS = {
    "slope": ("the coefficient", "The slope is the predicted change in the response per unit of x."),
    "se": ("the standard error of the coefficient", "The standard error of a slope is the typical "
                                                          "distance between sample and true slope."),
    "p": ("the p-value", "The p-value is computed as if the true slope were 0."),
    "s": ("S", "S is the typical distance between observed and predicted responses."),
    "share": ("R-Sq", "R-Sq is the share of the variation in the response that the line explains."),
}


@kind(2, ap="9.5")
def interpret_regression_output(draw: Draw) -> Siblings:
    """What a slope, its standard error, its p-value, S and r squared say."""
    out = _output(draw)
    line, r = out.line, out.line.r
    one, chance = single(r.x_unit), p_value(line.slope / line.slope_se, line.n - 2, _TWO)
    stem = draw.ask(_STEM_INTERPRET_REGRESSION_OUTPUT, r=r, n=line.n)
    texts = {
        "slope": f"With each additional {one} of {r.x}, predicted {r.y} changes by about {line.slope:.3f} {r.y_unit}.",
        "se": f"Slopes from random samples of {line.n} {r.cases} typically differ from the true slope by about "
              f"{line.slope_se:.3f}.",
        "p": f"If the true slope were 0, the probability of a sample slope at least this far from 0 would be about "
             f"{chance:.3f}.",
        "s": f"Observed values of {r.y} typically differ from the values on the line by about {out.s:.3f} {r.y_unit}.",
        "share": f"The linear relation with {r.x} explains about {out.share:.1f}% of the variation of {r.y} in the "
                 f"sample.",
    }
    labels = draw.rng.sample(list(_SAYS), 4)

    def make(label: str) -> Sibling:
        name, idea = _SAYS[label]
        ask = draw.ask(_ASK_INTERPRET_REGRESSION_OUTPUT, label, r=r)
        steps = [
            f"[The output is for {r.x} as x and {r.y} as response, from a random sample of {line.n} {r.cases} // A "
            f"random sample of {line.n} {r.cases} gave this line for {r.y} on {r.x}].",
            recalled(idea),
            f"[In the output, the number for {name} is {_NUMBER.findall(texts[label])[-1]} // The output prints "
            f"{_NUMBER.findall(texts[label])[-1]} for {name}].",
        ]
        return Sibling(label, f"{stem}\n\n{out.shown}\n\n{ask}", steps, words(texts[label]), idea)

    slips = [f"interpreted {_SAYS[label][0]} instead" for label in labels]
    return four([make(label) for label in labels], slips, out.parameters)
