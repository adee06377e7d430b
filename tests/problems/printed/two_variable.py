"""Answers to two-variable problems of the test split, from the printed question alone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from ._reading import Expected, find, words

ORDER = ("first", "second")


def _line(q: str) -> tuple[float, float]:
    """Intercept and slope of "predicted rent = 250 - 3 * (age)"."""
    a, sign, b = words(q, r"predicted [^=]* = (-?[\d.]+) ([+-]) ([\d.]+) \* \(")
    return float(a), float(sign + b)


def _residual(q: str) -> Expected:
    x1, y1, x2, y2 = find(
        q,
        r"point \(#, #\) as the first .* point \(#, #\) as the second",
        r"read # and # \(first .*?\) and # and # \(second",
        r"came out at # and #, her second at # and #\.",
    )
    (which,) = words(
        q,
        r"its predicted value is the (\w+)",
        r"belongs to the (\w+)",
        r"line at the (\w+)",
        r"overprediction for the (\w+)",
    )
    x, y = ((x1, y1), (x2, y2))[ORDER.index(which)]
    a, b = _line(q)
    over = re.search("above .* the observed value|overprediction", q) is not None
    return a + b * x - y if over else y - a - b * x


def _slope_from_summary(q: str) -> Expected:
    if "raw data" in q:
        (r, sx, sy), (x, y) = (
            find(q, r"r = #, sx = # .* and sy = # "),
            words(q, r"sx = [\d.]+ .*? for (.*?) and sy = [\d.]+ .*? for (.*?) are known"),
        )
    elif q.startswith("Among"):
        (r, sx, sy), (x, y) = (
            find(q, r"correlate at # and vary with SDs of # .* and # "),
            words(q, r"^Among .*?, (.*?) and (.*?) correlate"),
        )
    else:
        sx, sy, r = find(q, r"SDs of # .* and # .* and a correlation of #")
        x, y = words(q, r"SDs of [\d.]+ .*? \((.*?)\) and [\d.]+ .*? \((.*?)\) and a corr")
    per_sd = "one SD" in q or "per SD" in q
    if "as the response and" in q:
        to, of = words(q, r"give with (.*) as the response and (.*) as the explanatory")
    elif "as the response, how" in q:
        to, of = words(q, r"With (.*) as the response, .* per .*? of (.*)\?$")
    else:
        to, of = words(q, r"fitted (.*) move along the least-squares line when (.*) goes up")
    assert {to, of} == {x, y}
    s_to, s_of = (sy, sx) if to == y else (sx, sy)
    return r * s_to if per_sd else r * s_to / s_of


def _line_from_summary(q: str) -> Expected:
    if "Only summaries" in q:
        mx, sx, my, sy, r, x1, y1, x2, y2 = find(
            q, r"x-bar = #, sx = # .*y-bar = #, sy = # .*r = #\. .*\(#, #\) as the first and \(#, #\) as the second"
        )
    elif q.startswith("Among"):
        mx, my, sx, sy, r, x1, y1, x2, y2 = find(
            q,
            r"averages # and .* averages #; the SDs are # .* and # .* correlate at #\. Take # and # as .*?, # and # as",
        )
    else:
        y1, x1, y2, x2, mx, sx, my, sy, r = find(
            q, r"y = # at x = # .* y = # at x = # .*average #, SD # .*average #, SD # .*r = # for"
        )
    (which,) = words(q, r"does the (\w+) point deviate", r"What is left of .* of the (\w+) \w+ when")
    x, y = ((x1, y1), (x2, y2))[ORDER.index(which)]
    if re.search("averaged over all|the average of all", q):
        return y - my
    return y - my - r * sy / sx * (x - mx)


def _interpret_slope(q: str) -> Expected:
    a, b = _line(q)
    if "coefficient of determination" in q:
        share, s = words(q, r"determination is ([\d.]+)%, her residual standard deviation ([\d.]+)\. ")
    else:
        share, s = words(q, r"R-Sq = ([\d.]+)% and S = ([\d.]+)\. ", r"([\d.]+)% is r squared and ([\d.]+) is s ")
    (name,) = words(q, r"How should the (.*) be read", r"interpretation of the (.*)\.$")
    return re.compile(
        {
            "slope": rf"The predicted .* is {abs(b):g} .* {'higher' if b > 0 else 'lower'} for each additional",
            "intercept": rf"The predicted .* is {a:g} .* with .* of 0 ",
            "standard deviation of the residuals": rf"The actual .* typically differs by about {s} ",
            "value of r squared": rf"About {share}% of the variation in .* is explained by",
        }[name]
    )


def _interpret_r_squared(q: str) -> Expected:
    if "correlated at" in q:
        r, year_r, year_square, square = words(
            q, r"correlated at (\S+) in the (\w+) year; in the (\w+) year their .* was ([\d.]+)\. "
        )
    elif "A table" in q:
        r, year_r, square, year_square = words(q, r"r = (\S+) for the (\w+) year .* R-Sq = (\S+) for the (\w+) year")
    else:
        square, year_square, r, year_r = words(q, r"R-Sq = (\S+) in the (\w+) year and as r = (\S+) in the (\w+) year")
    (year,) = words(q, r"does the (\w+) year's fit", r"in the (\w+) year's residuals", r"For the (\w+) year, which")
    assert {year_r, year_square} == set(ORDER)
    share = 100 * (float(r) ** 2 if year == year_r else float(square))
    return 100 - share if re.search("remains in|not captured", q) else share


def _regression_output(q: str) -> Expected:
    a, b, s, share = find(q, r"Constant: Coef #, .*?: Coef #, .*?S = #, R-Sq = #%")
    asked = {
        "How steep|rate of change": b,
        "cross the y-axis|at .* 0\\?$": a,
        "typically miss|size of a residual": s,
        "How strong|is the correlation": math.copysign(math.sqrt(share / 100), b),
    }
    return next(value for pattern, value in asked.items() if re.search(pattern, q))


def _cause_and_range(q: str) -> Expected:
    low, high = find(q, r"from # to # ")
    if "random number generator" in q:
        (experiment,) = words(q, r"In the (\w+) study a random number")
    elif "Twice" in q:
        (experiment,) = words(q, r"the (\w+) study randomly allotted")
    else:
        (experiment,) = words(q, r"a (\w+) study lets chance")
    (study,) = words(q, r"holds for the (\w+) study", r"applies the (\w+) study's")
    (x,) = find(q, r"makes at # ", r"line at # ")
    cause = "supports a causal effect" if study == experiment else "shows an association only"
    return (
        f"The study {cause}, and the prediction is {'within' if low <= x <= high else 'outside'} the range of the data."
    )


def _correlation_from_data(q: str) -> Expected:
    pairs = re.findall(r"\((-?\d+), (-?\d+)\)", q)
    x, y = (np.array([int(v) for v in side]) for side in zip(*pairs, strict=True))
    names = words(
        q,
        r"^(.*?) \(.*?\) comes first in each pair and (.*?) \(",
        r"with x = (.*?) in .* and y = (.*) in [a-z ]+\. [A-Z]",
        r"enters the (.*?) \(.*? and the (.*?) \(",
    )
    r = float(stats.pearsonr(x, y).statistic)
    if re.search("measured by r|Work out r for", q):
        return r
    if re.search("share of the variability|Work out r squared", q):
        return r**2
    (to,) = words(q, r"least-squares prediction of (.*?) rise", r"least-squares slope of (.*?) on")
    assert to.lower() in [name.lower() for name in names]
    fit = stats.linregress(x, y) if to.lower() == names[1].lower() else stats.linregress(y, x)
    return float(fit.slope)


def _influential_point(q: str) -> Expected:
    """What happens when such a point joins normal data with this correlation."""
    (n,) = find(q, r"Data on # ", r"for # ", r"Among # ")
    (r,) = find(q, r"r = #\. ", r"correlation of #\. ", r"correlation is #\. ")
    x = stats.norm.ppf((np.arange(int(n)) + 0.5) / n)
    e = np.cos(np.arange(int(n)) * 2.3)
    e -= np.polyval(np.polyfit(x, e, 1), x)
    y = r * x / x.std() + math.sqrt(1 - r**2) * e / e.std()
    slope = float(np.polyfit(x, y, 1)[0])
    if "far beyond" in q:
        times = 2 if "twice" in q else 1 if "the line predicts" in q else 0
        point = (5.0, 5 * slope * times)
    else:
        point = (0.0, 5.0)
    x, y = np.append(x, point[0]), np.append(y, point[1])
    ratio = float(np.polyfit(x, y, 1)[0]) / slope
    change = "stays about as it was" if abs(ratio - 1) < 0.1 else f"becomes {'steeper' if ratio > 1 else 'flatter'}"
    stronger = abs(np.corrcoef(x, y)[0, 1]) > abs(r)
    return f"The slope {change}, and the correlation becomes {'stronger' if stronger else 'weaker'}."


def _conditional_proportion(q: str) -> Expected:
    cells: dict[tuple[str, str], int] = {}
    q = re.sub(r"^.*(?:cells hold |these counts: )", "", q)
    for row, inside in re.findall(r"([\w ]+?) \(((?:[\w ]+ \d+(?:, )?)+)\)", q):
        for column, count in re.findall(r"([a-z ]+?) (\d+)", inside):
            cells[row.strip(), column.strip()] = int(count)

    def total(text: str) -> int:
        """The count of all cells whose labels are those that a text names."""
        rows = {row for row, _ in cells if re.search(rf"\b{row}\b", text)} or {row for row, _ in cells}
        columns = {column for _, column in cells if re.search(rf"\b{column}\b", text)} or {
            column for _, column in cells
        }
        return sum(count for (row, column), count in cells.items() if row in rows and column in columns)

    ask = re.split(r"(?=Look only|Look at the whole|Among those|In the group as)", q)[-1]
    if re.search("Look only|Among those", ask):
        given, event = re.split(": what|, how large", ask)
        return total(f"{given} {event}") / total(given)
    return total(ask.replace("how large", "")) / total("")


def _log_prediction(q: str) -> Expected:
    if "of slope" in q:
        b, a = find(q, r"slope # and intercept #\. ")
    else:
        a, b = find(q, r"starts at # and climbs by # per", r"log\(y\) = # \+ # x is")
    (x,) = find(q, r"goes with # ", r"prediction for # ")
    ten = re.search("base-10|log10", q) is not None
    return 10 ** (a + b * x) if ten else math.exp(a + b * x)


def _power_or_exponential(q: str) -> Expected:
    a1, b1, a2, b2 = find(
        q,
        r"first gets log\(y\) = # \+ # x and the second gets log\(y\) = # \+ # log\(x\)",
        r"twice: by # \+ # x, .* by # \+ # log\(x\)",
        r"first model, log\(y\) = # \+ # x, and a second, log\(y\) = # \+ # log\(x\)",
    )
    (which,) = words(q, r"By the (\w+) model", r"from the (\w+) model")
    (x,) = find(q, r"when x is #\?", r"for x = #\?")
    return 10 ** (a1 + b1 * x) if which == "first" else 10**a2 * x**b2


def _transformed_model(q: str) -> Expected:
    if "across" in q:
        u, v = words(q, r"with (\S+) across and (\S+) up")
    else:
        v, u = words(q, r"the fit of (\S+) on (\S+), and")
    start = "A twofold increase in" if u == "log(x)" else "An increase of one"
    end = "multiplies the predicted .* by the same factor" if v == "log(y)" else "adds the same amount to the predicted"
    return re.compile(f"{start} .* {end}")


def _plot(q: str) -> str:
    """The description of the plot that the last sentence asks about."""
    (name,) = words(q, r"plot ([A-D])(?:\.| show|\?| supports)[^.?]*[.?]?$")
    return words(q, rf"Plot {name}(?:,|:) ([^.]*)\.")[0]


def _describe_scatterplot(q: str) -> Expected:
    text = _plot(q)
    strength = "weak" if re.search("much scatter|loosely", text) else "strong"
    way = "positive" if re.search("go up|climb", text) else "negative"
    return f"A {strength}, {way}, {'nonlinear' if 'levels off' in text else 'linear'} association."


def _residual_plot(q: str) -> Expected:
    text = _plot(q)
    if "both ends" in text:
        return "A line is not suitable for these cases"
    if becomes := re.search("becomes (wider|narrower)", text):
        end = "large" if becomes[1] == "wider" else "small"
        return f"A line is suitable for all cases, but with less precise predictions for {end} values"
    if point := re.search("single point very far (above|below)", text):
        return re.compile(f"A line is suitable for all cases but one, .* far {point[1]} the prediction")
    return "A line is suitable for all cases, with equally precise predictions"


def _unusual_points(q: str) -> Expected:
    (mx,) = find(q, r"x-bar = #", r"average #")
    (sx,) = find(q, r"sx = #", r"and SD # ")
    (s,) = find(q, r"(?:with| and) s = #", r"residual SD is # ")
    (name,) = words(q, r"point ([A-D])[.?]$")
    x, y = find(q, rf"\b{name} \(#, #\)")
    a, b = _line(q)
    leverage = "high" if abs(x - mx) > 2 * sx else "low"
    return f"It has {leverage} leverage and {'an' if abs(y - a - b * x) > 2 * s else 'no'} unusually large residual."


READ: Mapping[str, Callable[[str], Expected]] = {
    "residual": _residual,
    "slope_from_summary": _slope_from_summary,
    "line_from_summary": _line_from_summary,
    "interpret_slope": _interpret_slope,
    "interpret_r_squared": _interpret_r_squared,
    "regression_output": _regression_output,
    "cause_and_range": _cause_and_range,
    "correlation_from_data": _correlation_from_data,
    "influential_point": _influential_point,
    "conditional_proportion": _conditional_proportion,
    "log_prediction": _log_prediction,
    "power_or_exponential": _power_or_exponential,
    "transformed_model": _transformed_model,
    "describe_scatterplot": _describe_scatterplot,
    "residual_plot": _residual_plot,
    "unusual_points": _unusual_points,
}
