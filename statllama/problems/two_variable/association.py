"""Strength of association: correlation, r squared, influence and two-way tables."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import (
    Draft,
    Wrong,
    number,
    probability,
    term,
    words,
)
from .._scenarios import (
    TABLES,
)
from .._settings import RELATIONS
from .._wording import wordings

# fmt: off


_ASK_INTERPRET_R_SQUARED = wordings("""
    train: For {r.cases}, the correlation between {r.x} and {r.y} is {corr}. What does r squared say about a
        line that predicts {r.y} from {r.x}?
    train: For {r.cases}, the correlation between {r.x} and {r.y} is {corr}. What share of the variation in
        {r.y} does the least-squares line on {r.x} account for?
    train: A study of {r.cases} finds a correlation of {corr} between {r.x} and {r.y}. Interpret r squared in
        context.
    test: {r.x!c} and {r.y} were recorded for {r.cases} and turned out to correlate at {corr}. Put into words
        what the square of this number means for a straight-line fit with {r.y} as response.
    test: With r = {corr} for {r.cases}, how should one read the coefficient of determination of a model that
        has {r.x} as its only predictor of {r.y}?
""")


@kind(2)
def interpret_r_squared(draw: Draw) -> Draft:
    """What r squared says, in words, given r."""
    r = draw.setting(RELATIONS)
    corr = Given(math.copysign(draw.decimal(0.35, 0.95, 2), r.slope[0]))
    square, flat = corr**2 * 100, abs(corr) * 100
    draw.need(abs(square - flat) > 3)
    start = f"r^2 = ({corr})^2 = {square / 100:.4f}."
    tail = f"of the variation in {r.y} is explained by its linear relation with {r.x}."
    return Draft(
        draw.ask(_ASK_INTERPRET_R_SQUARED, r=r, corr=corr),
        [start, "r squared is the share of the variation in the response that the line accounts for."],
        words(f"About {square:.1f}% {tail}"),
        [
            Wrong(words(f"About {flat:.1f}% {tail}"), "used r instead of r squared",
                  [f"The correlation is {corr}, and its size is {flat / 100:.2f}.",
            "That is the share of the variation that the line accounts for."]),
            Wrong(words(f"About {100 - square:.1f}% {tail}"), "gave the share that is left unexplained",
                  [start, f"The line accounts for the rest, 1 - {square / 100:.4f} = "
                          f"{1 - square / 100:.4f}."]),
            Wrong(words(f"About {square:.1f}% of the points lie exactly on the line of {r.y} on {r.x}."),
            "took r squared for the share of points on the line",
                  [start, "r squared counts how many of the points the line meets."]),
            Wrong(words(f"About {square:.1f}% of the predictions of {r.y} that the line makes from {r.x} "
                        "turn out to be right."),
            "took r squared for a rate of correct predictions"),
        ],
        "r squared is the share of the variation in the response that the line accounts for.",
        {"r": corr},
    )


def _whole_mean(values: list[int]) -> list[int]:
    """The values with the last one moved, as little as possible, so that their mean is a whole number."""
    excess = sum(values) % len(values)
    move = -excess if excess <= len(values) // 2 else len(values) - excess
    return [*values[:-1], values[-1] + move]


_ASK_CORRELATION_FROM_DATA = wordings("""
    train: A random sample of five {r.cases} gave these pairs of {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}):
        {pairs}. Compute the correlation.
    train: For a sample of five {r.cases}, {r.x} in {r.x_unit} and {r.y} in {r.y_unit} are {pairs}. What is the
        correlation coefficient r?
    test: How strong is the linear association in these data on {r.cases}, measured by r? {r.x!c} ({r.x_unit})
        comes first in each pair and {r.y} ({r.y_unit}) second: {pairs}.
    test: Work out r for the points {pairs}. Each stands for one {r.one}, with {r.x} in {r.x_unit} across and
        {r.y} in {r.y_unit} up.
""")


@kind(3)
def correlation_from_data(draw: Draw) -> Draft:
    """The correlation of five pairs with whole-number means."""
    r = draw.setting(RELATIONS)
    n, low = 5, math.ceil(r.xs[0])
    xs = _whole_mean([low + draw.integer(0, min(9, int(r.xs[1]) - low)) for _ in range(n)])
    a, b = sum(r.intercept) / 2, sum(r.slope) / 2
    ys = _whole_mean([round(a + b * x + draw.rng.gauss(0, 1) * max(1.0, r.noise[0])) for x in xs])
    draw.need(len(set(xs)) > 3 and len(set(ys)) > 2 and min(ys) > 0 and low <= min(xs) <= max(xs) <= r.xs[1])
    mx, my = sum(xs) // n, sum(ys) // n
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    sxx, syy = sum((x - mx) ** 2 for x in xs), sum((y - my) ** 2 for y in ys)
    right = sxy / math.sqrt(sxx * syy)
    draw.need(0.2 < abs(right) < 0.985)
    pairs = "; ".join(f"({x}, {y})" for x, y in zip(xs, ys, strict=True))
    start = ([f"The means are {mx} and {my}.",
              f"The sums of squares are Sxx = {sxx}, Syy = {syy}, and the sum of products is Sxy = {sxy}."])
    return Draft(
        draw.ask(_ASK_CORRELATION_FROM_DATA, r=r, pairs=pairs),
        [*start, f"r = Sxy / sqrt(Sxx * Syy) = {sxy} / sqrt({sxx} * {syy}) = {right:.3f}."],
        number(right, 3, low=-1, high=1, tolerance=0.002),
        [
            Wrong(number(right**2, 3, low=-1, high=1), "gave r squared instead of r",
                  [*start, f"r = Sxy^2 / (Sxx * Syy) = {term(sxy)}^2 / ({sxx} * {syy}) = {right**2:.3f}."]),
            Wrong(number(-right, 3, low=-1, high=1), "lost the sign of the sum of products",
                  [*start, f"r = -Sxy / sqrt(Sxx * Syy) = {-sxy} / sqrt({sxx} * {syy}) = {-right:.3f}."]),
            Wrong(number(math.copysign(math.sqrt(abs(right)), right), 3, low=-1, high=1),
            "took a square root once too often"),
            Wrong(number(1 - right**2, 3, low=-1, high=1), "gave the unexplained share of the variation"),
            Wrong(number(sxy / sxx, 3, low=-1, high=1),
                  "gave the slope of the line instead of the correlation"),
        ],
        "Correlation divides the sum of products by the root of the product of the sums of squares.",
        {"xs": xs, "ys": ys},
    )


_ASK_INFLUENTIAL_POINT = wordings("""
    test/in line: Data on {n} {r.cases} show {r.x} and {r.y} in a {way} straight-line pattern, r = {corr}. Then
        {r.one!a} joins whose {r.x} is far beyond all the others and whose {r.y} is just what the line had
        foretold. What becomes of slope and correlation?
    test/off line: Data on {n} {r.cases} show {r.x} and {r.y} in a {way} straight-line pattern, r = {corr}. Then
        {r.one!a} joins whose {r.x} is far beyond all the others and whose {r.y} is only average. What becomes
        of slope and correlation?
    test/middle: Data on {n} {r.cases} show {r.x} and {r.y} in a {way} straight-line pattern, r = {corr}. Then
        {r.one!a} joins whose {r.x} is average and whose {r.y} is far above all the others. What becomes of
        slope and correlation?
""")


_EFFECTS = {
    "in line": "The slope stays about as it was, and the correlation becomes stronger.",
    "off line": "The slope becomes flatter, and the correlation becomes weaker.",
    "middle": "The slope stays about as it was, and the correlation becomes weaker.",
    "none": "Neither changes to speak of, because a single point cannot matter.",
}


@kind(2, held_out=True)
def influential_point(draw: Draw) -> Draft:
    """What one added point does to the slope and the correlation."""
    r = draw.setting(RELATIONS)
    place = draw.choice(("in line", "off line", "middle"))
    corr = Given(math.copysign(draw.decimal(0.55, 0.85, 2), r.slope[0]))
    n = draw.integer(12, 30)
    where = {
        "in line": "The point is far out in x and lies on the line, so it does not turn the line.",
        "off line": "The point is far out in x and away from the line, so it pulls the line toward itself.",
        "middle": "The point is at the mean of x, so it lifts the line a little but does not turn it.",
        "none": f"The point is one of {n + 1}.",
    }
    effect = {
        "in line": "It stretches the pattern along the line, so r moves away from 0.",
        "off line": "It does not fit the pattern, so r moves toward 0.",
        "middle": "It adds scatter about the line, so r moves toward 0.",
        "none": "The others decide about the line and about r.",
    }
    slips = {"in line": "took the point for one that extends the pattern",
             "off line": "took the point for one that turns the line",
             "middle": "took the point for an outlier in the middle of the x values",
             "none": "thought that one point among many has no influence"}
    return Draft(
        draw.ask(_ASK_INFLUENTIAL_POINT, place, r=r, n=n, corr=corr, way="falling" if corr < 0 else "rising"),
        [where[place], effect[place]],
        words(_EFFECTS[place]),
        [Wrong(words(text), slips[name], [where[place] if name == "none" else where[name], effect[name]])
         for name, text in _EFFECTS.items() if name != place],
        "A point far out in x turns the line unless it lies on it; a point off the line weakens r.",
        {"place": place, "r": corr, "n": n},
    )


_ASK_CONDITIONAL_PROPORTION = wordings("""
    train: A table counts {t.who} by {t.row} and {t.column}: {shown}. Of the {t.who} {t.rel} {in_row}, what
        proportion {in_column}?
    train: The {t.who} in a survey are counted by {t.row} and {t.column}: {shown}. Find the conditional
        proportion of those {t.rel} {in_column}, given that they {in_row}.
    test: {shown}. This is how a group of {t.who} breaks down by {t.row} and {t.column}. Look only at those
        {t.rel} {in_row}: which fraction of them {in_column}?
    test: Restrict attention to {t.who} {t.rel} {in_row}. How large is the relative frequency of "{label}" for
        {t.column} within this group, if the counts by {t.row} and {t.column} are {shown}?
""")


@kind(1)
def conditional_proportion(draw: Draw) -> Draft:
    """A conditional proportion from a two-way table."""
    t = draw.setting(TABLES)
    table = [[draw.integer(8, 70) for _ in t.columns] for _ in t.rows]
    i, j = draw.integer(0, len(t.rows) - 1), draw.integer(0, len(t.columns) - 1)
    cell, row_total = table[i][j], sum(table[i])
    column_total, total = sum(row[j] for row in table), sum(map(sum, table))
    rows = (f"{name} (" + ", ".join(f"{c} {k}" for c, k in zip(t.columns, row, strict=True)) + ")"
            for name, row in zip(t.rows, table, strict=True))
    shown = "; ".join(rows)

    def work(of: str, size: int, top: int = cell) -> list[str]:
        return ([f"The question is about {of}, of whom there are {size}." if t.rel == "who" else
                 f"The question is about {of}, of which there are {size}.",
                 f"The proportion is {top} / {size} = {top / size:.4f}."])

    return Draft(
        draw.ask(_ASK_CONDITIONAL_PROPORTION, t=t, shown=shown, in_row=t.in_row(i), in_column=t.in_column(j),
                 label=t.columns[j]),
        work(f"those {t.rel} {t.in_row(i)}", row_total),
        probability(cell / row_total, 4),
        [
            Wrong(probability(cell / column_total), "divided by the total of the wrong variable",
                  work(f"those {t.rel} {t.in_column(j)}", column_total)),
            Wrong(probability(cell / total), "divided by the grand total, which gives a joint proportion",
                  work(f"all {t.who}", total)),
            Wrong(probability(column_total / total), "gave the overall proportion and ignored the condition",
                  work(f"all {t.who}", total, column_total)),
            Wrong(probability(row_total / total), "gave the proportion of the condition itself"),
        ],
        "A conditional proportion divides by the total of the group named in the condition.",
        {"table": table, "row": i, "column": j},
    )
