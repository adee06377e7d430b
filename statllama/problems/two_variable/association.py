"""Strength of association: correlation, influence and two-way tables."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import number, probability, term, words
from .._scenarios import TABLES
from .._settings import RELATIONS
from .._siblings import Sibling, Siblings, four
from .._wording import wordings

# fmt: off


def _whole_mean(values: list[int]) -> list[int]:
    """Return the values with the last one moved, as little as possible, so that their mean is a whole number."""
    excess = sum(values) % len(values)
    move = -excess if excess <= len(values) // 2 else len(values) - excess
    return [*values[:-1], values[-1] + move]


_STEM_CORRELATION_FROM_DATA = wordings("""
    train: A random sample of five {r.cases} gave these pairs of {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}): {pairs}.
    train: For a sample of five {r.cases}, {r.x} in {r.x_unit} and {r.y} in {r.y_unit} are {pairs}.
    train: The points {pairs} show {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}) for five {r.cases}.
    train: Five {r.cases} were selected at random. Their values of {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}) are
        {pairs}.
    test: {r.x!c} ({r.x_unit}) comes first in each pair and {r.y} ({r.y_unit}) second in these data on {r.cases}:
        {pairs}.
    test: {pairs}: each point stands for one {r.one}, with x = {r.x} in {r.x_unit} and y = {r.y} in {r.y_unit}.
    test: A student enters the {r.x} ({r.x_unit}) and the {r.y} ({r.y_unit}) of five {r.cases} as {pairs}.
""")
_ASK_CORRELATION_FROM_DATA = wordings("""
    train/r: Compute the correlation of {r.x} and {r.y}.
    train/r: What is the correlation coefficient?
    train/square: What proportion of the variation in {r.y} is explained by a least-squares line on {r.x}?
    train/square: Compute the coefficient of determination.
    train/y: What is the slope of the least-squares line that predicts {r.y} from {r.x}?
    train/y: Compute the slope of the least-squares line with {r.y} as the response.
    train/x: What is the slope of the least-squares line that predicts {r.x} from {r.y}?
    train/x: Compute the slope of the least-squares line with {r.x} as the response.
    test/r: How strong is the linear association, measured by r?
    test/r: Work out r for these data.
    test/square: How large is the share of the variability of {r.y} for which its linear relation with {r.x} accounts?
    test/square: Work out r squared for these data.
    test/y: How much does the least-squares prediction of {r.y} rise (+) or fall (-) per unit of {r.x}?
    test/y: Work out the least-squares slope of {r.y} on {r.x}.
    test/x: How much does the least-squares prediction of {r.x} rise (+) or fall (-) per unit of {r.y}?
    test/x: Work out the least-squares slope of {r.x} on {r.y}.
""")


@kind(3, ap="2.5, 2.8")
def correlation_from_data(draw: Draw) -> Siblings:
    """The correlation of five pairs with whole-number means, its square, or one of the two least-squares slopes."""
    r = draw.setting(RELATIONS)
    n, low = 5, math.ceil(r.xs[0])
    xs = _whole_mean([low + draw.integer(0, min(9, int(r.xs[1]) - low)) for _ in range(n)])
    a, b = sum(r.intercept) / 2, sum(r.slope) / 2
    ys = _whole_mean([round(a + b * x + draw.rng.gauss(0, 1) * max(1.0, r.noise[0])) for x in xs])
    draw.need(len(set(xs)) > 3 and len(set(ys)) > 2 and min(ys) > 0 and low <= min(xs) <= max(xs) <= r.xs[1])
    mx, my = sum(xs) // n, sum(ys) // n
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    sxx, syy = sum((x - mx) ** 2 for x in xs), sum((y - my) ** 2 for y in ys)
    draw.need(sxx > 0 and syy > 0 and 0.2 < abs(sxy) / math.sqrt(sxx * syy) < 0.985 and abs(sxy) / syy > 0.03)
    pairs = "; ".join(f"({x}, {y})" for x, y in zip(xs, ys, strict=True))
    stem = draw.ask(_STEM_CORRELATION_FROM_DATA, r=r, pairs=pairs)
    corr = sxy / math.sqrt(sxx * syy)
    found = {"r": (corr, f"r = Sxy / sqrt(Sxx * Syy) = {sxy} / sqrt({sxx} * {syy})"),
             "square": (corr**2, f"r^2 = Sxy^2 / (Sxx * Syy) = {term(sxy)}^2 / ({sxx} * {syy})"),
             "y": (sxy / sxx, f"b = Sxy / Sxx = {sxy} / {sxx}"),
             "x": (sxy / syy, f"b = Sxy / Syy = {sxy} / {syy}")}

    def make(name: str) -> Sibling:
        value, formula = found[name]
        steps = [
            f"[The mean of x, {r.x}, is {mx}, and the mean of y, {r.y}, is {my} // With x for {r.x} and y for {r.y}, "
            f"the means are {mx} and {my}].",
            f"[The sums of squares are // From the deviations,] Sxx = {sxx} and Syy = {syy}, and the sum of products "
            f"is Sxy = {sxy}.",
            f"[So // Therefore, // ] `{formula} = {value:.3f}`.",
        ]
        return Sibling(name, f"{stem} {draw.ask(_ASK_CORRELATION_FROM_DATA, name, r=r)}", steps,
                       number(value, 3, tolerance=0.002),
                       "Correlation and both slopes divide the sum of products, each by another sum of squares.")

    return four(
        [make(name) for name in found],
        ["gave the correlation", "gave the square of the correlation", 
         f"gave the slope for predicting {r.y} from {r.x}",
         f"gave the slope for predicting {r.x} from {r.y}"],
        {"xs": xs, "ys": ys},
    )


_STEM_INFLUENTIAL_POINT = wordings("""
    test: Data on {n} {r.cases} show {r.x} and {r.y} in a {way} straight-line pattern, r = {corr}.
    test: A scatterplot of {r.y} against {r.x} for {n} {r.cases} has a {way} linear pattern with a correlation of
        {corr}.
    test: Among {n} {r.cases}, {r.y} follows {r.x} along a {way} line, and the correlation is {corr}.
""")
_ASK_INFLUENTIAL_POINT = wordings("""
    test/in line: Then {r.one!a} joins whose {r.x} is far beyond all the others and whose {r.y} is just what the line
        predicts. What becomes of slope and correlation?
    test/in line: How do slope and correlation respond to one more {r.one} with {r.x} far beyond the others and {r.y}
        exactly as the line predicts?
    test/flat: Then {r.one!a} joins whose {r.x} is far beyond all the others and whose {r.y} is only average. What
        becomes of slope and correlation?
    test/flat: How do slope and correlation respond to one more {r.one} with {r.x} far beyond the others and {r.y} at
        its mean?
    test/middle: Then {r.one!a} joins whose {r.x} is average and whose {r.y} is far above all the others. What becomes
        of slope and correlation?
    test/middle: How do slope and correlation respond to one more {r.one} with {r.x} at its mean and {r.y} far above the
        others?
    test/steep: Then {r.one!a} joins whose {r.x} is far beyond all the others and whose {r.y} is twice as far from the
        mean as the line predicts. What becomes of slope and correlation?
    test/steep: How do slope and correlation respond to one more {r.one} with {r.x} far beyond the others and {r.y}
        twice as far from its mean as the line predicts?
""")
_EFFECTS = {
    "in line": ("The slope stays about as it was, and the correlation becomes stronger.",
                "The point is far out in x and on the line, so it does not turn the line.",
                "It stretches the pattern along the line, so r moves away from 0.", 
                "extends the pattern along the line"),
    "flat": ("The slope becomes flatter, and the correlation becomes weaker.",
             "The point is far out in x and between the line and the mean of y, so it pulls the line toward the mean.",
             "It does not fit the pattern, so r moves toward 0.", "pulls the line toward the mean"),
    "middle": ("The slope stays about as it was, and the correlation becomes weaker.",
               "The point is at the mean of x, so it shifts the line a little but does not turn it.",
               "It adds scatter about the line, so r moves toward 0.", "adds scatter without turning the line"),
    "steep": ("The slope becomes steeper, and the correlation becomes stronger.",
              "The point is far out in x and beyond the line, so it pulls the line away from the mean.",
              "It stretches the pattern in the direction of the slope, so r moves away from 0.", 
              "pulls the line away from the mean"),
}


@kind(2, held_out=True, ap="2.9")
def influential_point(draw: Draw) -> Siblings:
    """What one added point does to the slope and the correlation."""
    r = draw.setting(RELATIONS)
    corr = Given(math.copysign(draw.decimal(0.55, 0.8, 2), r.slope[0]))
    n = draw.integer(14, 30)
    stem = draw.ask(_STEM_INFLUENTIAL_POINT, r=r, n=n, corr=corr, way="falling" if corr < 0 else "rising")
    return four(
        [Sibling(place, f"{stem} {draw.ask(_ASK_INFLUENTIAL_POINT, place, r=r)}",
                 [f"[The pattern of {r.y} against {r.x} has r = {corr} // Before, the {n} points have r = {corr}].",
                  where, effect], words(text),
                 "A point far out in x turns the line unless it lies on it; r says how closely points follow a line.")
         for place, (text, where, effect, _) in _EFFECTS.items()],
        [f"took the point for one that {slip}" for *_, slip in _EFFECTS.values()],
        {"r": corr, "n": n},
    )


_STEM_CONDITIONAL_PROPORTION = wordings("""
    train: A table counts {t.who} by {t.row} and {t.column}: {shown}.
    train: The {t.who} in a survey are counted by {t.row} and {t.column}: {shown}.
    train: A random sample of {n} {t.who} was classified by {t.row} and {t.column}, with these counts: {shown}.
    train: The following two-way table, given row by row, has {t.row} in the rows and {t.column} in the columns for {n}
        {t.who}: {shown}.
    test: {shown}. This is how a group of {n} {t.who} breaks down by {t.row} and {t.column}.
    test: How {t.row} goes with {t.column} among {t.who} can be seen from these counts: {shown}.
    test: {n} {t.who} were sorted twice, by {t.row} and then by {t.column}. The cells hold {shown}.
""")
_ASK_CONDITIONAL_PROPORTION = wordings("""
    train/row: Of the {t.who} {t.rel} {in_row}, what proportion {in_column}?
    train/row: Find the conditional proportion of {t.who} {t.rel} {in_column}, given that they {in_row}.
    train/column: Of the {t.who} {t.rel} {in_column}, what proportion {in_row}?
    train/column: Find the conditional proportion of {t.who} {t.rel} {in_row}, given that they {in_column}.
    train/joint: Of all {t.who} in the table, what proportion {in_row} and also {in_column}?
    train/joint: Find the proportion of all {t.who} {t.rel} both {in_row} and {in_column}.
    train/margin: Of all {t.who} in the table, what proportion {in_column}?
    train/margin: Find the marginal proportion of {t.who} {t.rel} {in_column}.
    test/row: Look only at those {t.rel} {in_row}: what fraction of them {in_column}?
    test/row: Among those {t.rel} {in_row}, how large is the share that {in_column}?
    test/column: Look only at those {t.rel} {in_column}: what fraction of them {in_row}?
    test/column: Among those {t.rel} {in_column}, how large is the share that {in_row}?
    test/joint: Look at the whole group: what fraction of it has both properties, so that they {in_row} and {in_column}?
    test/joint: In the group as a whole, how large is the share that {in_row} and at the same time {in_column}?
    test/margin: Look at the whole group: what fraction of the {t.who} {in_column}?
    test/margin: In the group as a whole, how large is the share that {in_column}?
""")


@kind(1, ap="2.3")
def conditional_proportion(draw: Draw) -> Siblings:
    """A conditional, joint or marginal proportion from a two-way table."""
    t = draw.setting(TABLES)
    table = [[draw.integer(8, 70) for _ in t.columns] for _ in t.rows]
    i, j = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1)
    cell, row, column, total = table[i][j], sum(table[i]), sum(cells[j] for cells in table), sum(map(sum, table))
    shown = "; ".join(f"{name} (" + ", ".join(f"{c} {k}" for c, k in zip(t.columns, cells, strict=True)) + ")"
                      for name, cells in zip(t.rows, table, strict=True))
    stem = draw.ask(_STEM_CONDITIONAL_PROPORTION, t=t, shown=shown, n=total)
    in_row, in_column = t.in_row(i), t.in_column(j)
    found = {"row": (cell, row, f"those {t.rel} {in_row}", in_column),
             "column": (cell, column, f"those {t.rel} {in_column}", in_row),
             "joint": (cell, total, f"all {t.who}", f"{in_row} and {in_column}"),
             "margin": (column, total, f"all {t.who}", in_column)}

    def make(name: str) -> Sibling:
        part, whole, group, does = found[name]
        steps = [
            f"[The proportion is taken of // The denominator counts // The group to look at is] {group}, {whole} in "
            f"all.",
            f"[Of these, {part} {does} // Among them, {part} {does}].",
            f"[The proportion is // So the proportion is // Dividing gives] `{part} / {whole} = {part / whole:.4f}`.",
        ]
        ask = draw.ask(_ASK_CONDITIONAL_PROPORTION, name, t=t, in_row=in_row, in_column=in_column)
        return Sibling(name, f"{stem} {ask}", steps, probability(part / whole),
                       "A conditional proportion divides by the total of the group named in the condition.")

    return four(
        [make(name) for name in found],
        [f"divided by the number {t.rel} {in_row}", f"divided by the number {t.rel} {in_column}",
         "divided by the grand total, which gives a joint proportion", 
         "gave the overall proportion and ignored the other variable"],
        {"table": table, "row": i, "column": j},
    )
