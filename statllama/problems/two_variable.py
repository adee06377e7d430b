"""Exploring two-variable data: scatterplots, correlation, least squares, two-way tables."""

from __future__ import annotations

import math

from ._draw import Draw, Given, kind
from ._problem import Draft, Wrong, article, number, plain, probability, sig, single, term, words
from ._scenarios import TABLES
from ._settings import RELATIONS, Relation

# fmt: off


def _line(draw: Draw, r: Relation) -> tuple[Given, Given]:
    """Intercept and slope of a fitted line, rounded as software prints them."""
    return draw.decimal(*r.intercept, 1), draw.decimal(*r.slope, 2)


def _equation(r: Relation, a: float, b: float) -> str:
    return f"predicted {r.y} = {a} {'-' if b < 0 else '+'} {plain(abs(b))} * ({r.x})"


@kind(1)
def residual(draw: Draw) -> Draft:
    """The residual of one observation."""
    r = draw.setting(RELATIONS)
    a, b = _line(draw, r)
    x = draw.decimal(*r.xs, 0)
    predicted = a + b * x
    y = Given(round(predicted + draw.rng.gauss(0, 1) * r.noise[1], r.digits))
    right = y - predicted
    draw.need(abs(right) > 0.2 * r.noise[0] and abs(right + predicted) > 0 and y > 0 < predicted)
    fit = (f"The prediction is {a} {'-' if b < 0 else '+'} {plain(abs(b))} * {x} = {plain(predicted)} "
           f"{r.y_unit}.")
    return Draft(
        draw.wording(
            f"For {r.cases}, the least-squares line is {_equation(r, a, b)}, with {r.x} in {r.x_unit} and "
            f"{r.y} in {r.y_unit}. One {r.one} has {r.x} {x} and {r.y} {y}. What is its residual?",
            f"A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {r.cases} gives "
            f"{_equation(r, a, b)}. Find the residual of {article(r.one)} whose {r.x} is {x} and whose {r.y} "
            f"is {y}.",
        ),
        [fit, f"Residual = observed - predicted = {y} - {plain(predicted)} = {plain(right)} {r.y_unit}."],
        number(right, 2, r.y_unit),
        [
            Wrong(number(-right, 2, r.y_unit), "subtracted the observed value from the predicted one",
                  [fit, f"Residual = predicted - observed = {plain(predicted)} - {y} = {plain(-right)} "
                        f"{r.y_unit}."]),
            Wrong(number(predicted, 2, r.y_unit), "gave the predicted value instead of the residual",
                  [fit, "The line gives this value at the observed x, so this is the residual."]),
            Wrong(number(y - b * x, 2, r.y_unit), "left the intercept out of the prediction",
                  [f"The prediction is {b} * {x} = {plain(b * x)} {r.y_unit}.",
                   f"Residual = {y} - {term(b * x)} = {plain(y - b * x)} {r.y_unit}."]),
            Wrong(number(y - a, 2, r.y_unit), "subtracted only the intercept"),
        ],
        "A residual is observed minus predicted.",
        {"a": a, "b": b, "x": x, "y": y},
    )


@kind(2)
def slope_from_summary(draw: Draw) -> Draft:
    """The least-squares slope from r and the two standard deviations."""
    r = draw.setting(RELATIONS)
    sx = draw.decimal((r.xs[1] - r.xs[0]) * 0.2, (r.xs[1] - r.xs[0]) * 0.32, 1)
    b = draw.decimal(*r.slope, 2)
    corr = draw.decimal(0.55, 0.95, 2)
    corr = Given(math.copysign(corr, b))
    sy = Given(round(b * sx / corr, 1))
    draw.need(sx > 0.5 and sy > 0.5)
    right = corr * sy / sx
    unit = f"{r.y_unit} per {single(r.x_unit)}"
    return Draft(
        draw.wording(
            f"For {r.cases}, {r.x} has standard deviation {sx} {r.x_unit}, {r.y} has standard deviation {sy} "
            f"{r.y_unit}, and their correlation is {corr}. Find the slope of the least-squares line that "
            f"predicts {r.y} from {r.x}.",
            f"A study of {r.cases} reports a correlation of {corr} between {r.x} (SD {sx} {r.x_unit}) and "
            f"{r.y} (SD {sy} {r.y_unit}). What is the slope of the regression line of {r.y} on {r.x}?",
        ),
        ["The slope is b = r * sy / sx.", f"b = {corr} * {sy} / {sx} = {sig(right)} {unit}."],
        number(right, 3, unit, tolerance=max(0.002, 0.005 * abs(right))),
        [
            Wrong(number(corr * sx / sy, 3, unit), "turned the ratio of the standard deviations around",
                  ["The slope is b = r * sx / sy.",
                   f"b = {corr} * {sx} / {sy} = {sig(corr * sx / sy)} {unit}."]),
            Wrong(number(sy / sx, 3, unit), "left out the correlation",
                  ["The slope compares the spread of y with the spread of x.",
                   f"b = sy / sx = {sy} / {sx} = {sig(sy / sx)} {unit}."]),
            Wrong(number(corr**2 * sy / sx, 3, unit), "used r squared instead of r",
                  ["The slope is b = r^2 * sy / sx.",
                   f"b = {plain(corr**2)} * {sy} / {sx} = {sig(corr**2 * sy / sx)} {unit}."]),
            Wrong(number(corr, 3, unit), "took the correlation itself for the slope"),
        ],
        "The least-squares slope is the correlation times the ratio of the standard deviations, sy over sx.",
        {"r": corr, "sx": sx, "sy": sy},
    )


@kind(1)
def interpret_slope(draw: Draw) -> Draft:
    """What a fitted slope says, in words."""
    r = draw.setting(RELATIONS)
    a, b = _line(draw, r)
    size, way = plain(abs(b)), "higher" if b > 0 else "lower"
    opposite = "lower" if b > 0 else "higher"
    steps = [f"The slope is {b}, in {r.y_unit} per {single(r.x_unit)}.",
             "It is the change in the predicted y for one more unit of x."]
    return Draft(
        f"For {r.cases}, the least-squares line is {_equation(r, a, b)}, with {r.x} in {r.x_unit} and {r.y} "
        f"in {r.y_unit}. "
        + draw.wording("Which statement interprets the slope?", "How should the slope be read?"),
        steps,
        words(f"For each extra unit of {r.x} ({r.x_unit}), the predicted {r.y} is {size} {r.y_unit} {way}."),
        [
            Wrong(words(f"For each extra unit of {r.x} ({r.x_unit}), the predicted {r.y} is {size} "
                        f"{r.y_unit} {opposite}."), "read the sign of the slope the wrong way",
                  [f"The slope has size {size}.", f"More {r.x} goes with a {opposite} predicted value."]),
            Wrong(words(f"For each extra unit of {r.y} ({r.y_unit}), the predicted {r.x} is {size} "
                        f"{r.x_unit} {way}."), "exchanged the explanatory and the response variable",
                  [f"The slope is {b}.", f"It is the change in {r.x} for one more unit of {r.y}."]),
            Wrong(words(f"When the {r.x} is zero ({r.x_unit}), the line predicts {article(r.y)} of {b} "
                        f"{r.y_unit}, its starting value."),
            "took the slope for the intercept",
                  [f"The line has the constants {a} and {b}.", f"At {r.x} zero the line is at {b}."]),
            Wrong(words(f"The line explains {plain(abs(b))} percent of the variation in {r.y} ({r.y_unit}) "
                        f"by means of {r.x}."),
            "took the slope for r squared"),
        ],
        "A slope is the change in the predicted response for one more unit of the explanatory variable.",
        {"a": a, "b": b, "explanatory": r.x, "response": r.y},
    )


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
        f"For {r.cases}, the correlation between {r.x} and {r.y} is {corr}. "
        + draw.wording(f"What does r squared say about a line that predicts {r.y} from {r.x}?",
            f"What share of the variation in {r.y} does the least-squares line on {r.x} account for?"),
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
        draw.wording(
            f"Five {r.cases} gave these pairs of {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}): {pairs}. Compute "
            "the correlation.",
            f"For a sample of five {r.cases}, {r.x} in {r.x_unit} and {r.y} in {r.y_unit} are {pairs}. What "
            "is the correlation coefficient r?",
        ),
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
        return ([f"The question looks at {of}: {size}.",
                 f"The proportion is {top} / {size} = {top / size:.4f}."])

    return Draft(
        f"A table counts {t.who} by {t.row} and {t.column}: {shown}. "
        + draw.wording(
            f"Of the {t.who} whose {t.row} is {t.rows[i]}, for what proportion is the {t.column} "
            f"{t.columns[j]}?",
            f"Given that the {t.row} is {t.rows[i]}, what is the proportion with {t.column} {t.columns[j]}?",
        ),
        work(f"those with {t.row} {t.rows[i]}", row_total),
        probability(cell / row_total, 4),
        [
            Wrong(probability(cell / column_total), "divided by the total of the wrong variable",
                  work(f"those with {t.column} {t.columns[j]}", column_total)),
            Wrong(probability(cell / total), "divided by the grand total, which gives a joint proportion",
                  work(f"all {t.who}", total)),
            Wrong(probability(column_total / total), "gave the overall proportion and ignored the condition",
                  work(f"all {t.who}", total, column_total)),
            Wrong(probability(row_total / total), "gave the proportion of the condition itself"),
        ],
        "A conditional proportion divides by the total of the group named in the condition.",
        {"table": table, "row": i, "column": j},
    )
