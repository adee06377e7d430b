"""Scatterplots and residual plots, described in words and numbers."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._problem import article, fixed, term, words
from .._settings import RELATIONS
from .._settings_two_variable import PAIRS
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import equation, line, plus

# fmt: off

_LETTERS = "ABCD"

_STEM_DESCRIBE_SCATTERPLOT = wordings("""
    train: Four scatterplots are described, each from left to right. {plots}
    train: A report contains four scatterplots. Read from left to right, they look as follows. {plots}
    train: Four students each draw a scatterplot and describe it from left to right. {plots}
    train: The following scatterplots come from four studies with random samples. From left to right: {plots}
    test: Each of four graphs has one point for each case. Going from low to high values of x, this is what they show.
        {plots}
    test: How do two variables go together? As x increases, four graphs of points give four pictures. {plots}
    test: On a page with four graphs of y against x, the points behave as follows when x gets larger. {plots}
""")
_ASK_DESCRIBE_SCATTERPLOT = wordings("""
    train: Which description fits plot {name}?
    train: How is the association in plot {name} best described?
    test: Choose the description of plot {name}.
    test: What association does plot {name} show?
""")
_SEEN = {
    ("strong", "linear"): (("in a narrow band around a straight line",),
                           ("close to a straight line throughout", "and keep near one straight line")),
    ("weak", "linear"): (("in a wide cloud around a straight line",),
                         ("about a straight line, with much scatter", "loosely along a straight line")),
    ("strong", "nonlinear"): (("in a narrow band around a bent curve",),
                              ("close to a curve that levels off", "and keep near one curve that levels off")),
    ("weak", "nonlinear"): (("in a wide cloud around a bent curve",),
                            ("about a curve that levels off, with much scatter", "loosely along a curve that levels "
                                                                                 "off")),
}
_MOVES = {"positive": (("rise",), ("go up", "climb")), "negative": (("fall",), ("go down", "drop"))}


@kind(1, ap="2.4")
def describe_scatterplot(draw: Draw) -> Siblings:
    """Direction, form and strength of one of four described scatterplots."""
    test = draw.split == "test"
    pairs = [draw.setting(PAIRS) for _ in _LETTERS]
    features = [draw.choice(sorted(_SEEN)) for _ in _LETTERS]
    ways = ["positive" if pair.rises else "negative" for pair in pairs]
    plots = [(way, *feature) for way, feature in zip(ways, features, strict=True)]
    draw.need(len({pair.key for pair in pairs}) == 4 and len(set(plots)) == 4)
    seen = [f"the points {draw.choice(_MOVES[way][test])} {draw.choice(_SEEN[strength, form][test])}"
            for way, strength, form in plots]
    shown = [f"Plot {name}, {pair.y} against {pair.x}: {text}."
             for name, pair, text in zip(_LETTERS, pairs, seen, strict=True)]
    stem = draw.ask(_STEM_DESCRIBE_SCATTERPLOT, plots=" ".join(shown))

    def make(i: int) -> Sibling:
        way, strength, form = plots[i]
        steps = [
            f"[Plot {_LETTERS[i]}: // In plot {_LETTERS[i]}, // What plot {_LETTERS[i]} shows:] {seen[i]}.",
            f"[The direction is {way}, the form {form}, and the strength {strength}, as the points are "
            f"{('near', 'far from')[strength == 'weak']} the pattern // As the points are "
            f"{('near', 'far from')[strength == 'weak']} the pattern, the strength is {strength}; the form is {form} "
            f"and the direction {way}].",
            f"[ // The variables are {pairs[i].x} and {pairs[i].y}.]",
        ]
        ask = draw.ask(_ASK_DESCRIBE_SCATTERPLOT, name=_LETTERS[i])
        return Sibling(_LETTERS[i], f"{stem} {ask}", steps, words(f"A {strength}, {way}, {form} association."),
                       "A scatterplot is described by direction, form and strength, and by unusual points.")

    return four([make(i) for i in range(4)], [f"described plot {name}" for name in _LETTERS], {"seen": seen})


_STEM_RESIDUAL_PLOT = wordings("""
    train: Lines that predict {r.y} from {r.x} were fitted to four random samples of {r.cases}. The residuals are
        plotted against {r.x}. {plots}
    train: Four students each fit a least-squares line for {r.y} on {r.x} to data on {r.cases} and draw a residual plot.
        {plots}
    train: Residual plots, with {r.x} on the horizontal axis, belong to four lines for {r.y} among {r.cases}. {plots}
    train: For four samples of {r.cases}, {r.y} was regressed on {r.x}. These are the plots of residuals against {r.x}.
        {plots}
    test: Data on {r.cases} from four sources were fitted with straight lines, {r.y} on {r.x}, and what is left over was
        plotted over {r.x}. {plots}
    test: Is a straight line right for {r.y} as a function of {r.x}? Graphs of residuals from four data sets on
        {r.cases} help to decide. {plots}
    test: A page shows graphs of residuals over {r.x}, one for each of four fits of {r.y} on {r.x} to {r.cases}. {plots}
""")
_ASK_RESIDUAL_PLOT = wordings("""
    train: Which conclusion follows from plot {name}?
    train: What does plot {name} say about a line for these data?
    test: Choose the conclusion that plot {name} supports.
    test: What is to be learned from plot {name}?
""")


def _residual_patterns(draw: Draw, x: str, y: str, one: str) -> dict[str, tuple[str, str, str]]:
    """Return what is seen, what follows and why, by the name of a pattern; their directions are drawn."""
    up, wide, high = (draw.choice((True, False)) for _ in range(3))
    signs = ("positive", "negative") if up else ("negative", "positive")
    places = ("above", "below") if up else ("below", "above")
    ends, becomes = (("small", "large"), "wider") if wide else (("large", "small"), "narrower")
    side, test = "above" if high else "below", draw.split == "test"
    seen = {
        "none": (f"the points scatter about 0 without a pattern, equally far for all values of {x}",
                 "a cloud about 0 of even width, which shows no pattern",
                 "an even scatter on both sides of 0, with no pattern"),
        "curve": (f"the points are mostly {signs[0]} on the left, {signs[1]} in the middle and {signs[0]} on the right",
                  f"a band that is {places[0]} 0 at both ends and {places[1]} 0 between them",
                  f"an arc, {places[0]} 0 at both ends and {places[1]} 0 elsewhere"),
        "fan": (f"the points scatter about 0, close to it for {ends[0]} values of {x} and far from it for {ends[1]} "
                f"ones",
                f"a cloud about 0 that becomes {becomes} as {x} increases",
                f"an uneven scatter that becomes {becomes} as {x} increases"),
        "outlier": (f"the points scatter closely about 0 without a pattern, but one is far {side} all the others",
                    f"a narrow cloud about 0 of even width, with a single point very far {side} it",
                    f"a small, even scatter on both sides of 0, and a single point very far {side} it"),
    }
    follows = {
        "none": (f"A line is suitable for all cases, with equally precise predictions for all values of {x}.",
                 "Residuals without a pattern mean that the form is linear and the spread about the line constant."),
        "curve": (f"A line is not suitable for these cases, because the relation of {y} to {x} is curved.",
                  "Residuals that change sign in a systematic way mean that the form is not linear."),
        "fan": (f"A line is suitable for all cases, but with less precise predictions for {ends[1]} values of {x}.",
                "Residuals that fan out mean that the spread about the line is not constant."),
        "outlier": (f"A line is suitable for all cases but one, {article(one)} with {article(y)} far {side} the "
                    f"prediction.",
                    "A single residual of unusual size belongs to an outlier in the regression."),
    }
    return {name: (draw.choice(texts[test:] if test else texts[:1]), *follows[name]) for name, texts in seen.items()}


@kind(1, ap="2.7")
def residual_plot(draw: Draw) -> Siblings:
    """What follows from one of four described residual plots."""
    r = draw.setting(RELATIONS)
    patterns = _residual_patterns(draw, r.x, r.y, r.one)
    order = draw.rng.sample(sorted(patterns), 4)
    names = dict(zip(order, _LETTERS, strict=True))
    stem = draw.ask(_STEM_RESIDUAL_PLOT, r=r,
                    plots=" ".join(f"Plot {names[pattern]}: {patterns[pattern][0]}." for pattern in order))
    return four(
        [Sibling(names[pattern], f"{stem} {draw.ask(_ASK_RESIDUAL_PLOT, name=names[pattern])}",
                 [f"[Plot {names[pattern]}: // What plot {names[pattern]} shows: // In plot {names[pattern]}:] "
                  f"{patterns[pattern][0]}.", patterns[pattern][2],
                  f"[ // This bears on a line that predicts {r.y} from {r.x}. // A residual plot of a suitable line "
                  "has no pattern.]"],
                 words(patterns[pattern][1]), "A residual plot shows whether a line fits, how precisely, and which "
                                              "points do not.")
         for pattern in order],
        [f"concluded from plot {names[pattern]}" for pattern in order],
        {"order": order, "seen": [patterns[pattern][0] for pattern in order], "x": r.x, "y": r.y, "one": r.one},
    )


_STEM_UNUSUAL_POINTS = wordings("""
    train: The line {equation} was fitted to data on {n} {r.cases}. The {r.x} has mean {mx} and standard deviation {sx}
        {r.x_unit}, and the standard deviation of the residuals is {s} {r.y_unit}. Four points in the plot are {points}.
    train: For {n} {r.cases}, {r.x} has mean {mx} {r.x_unit} (SD {sx}), and least squares gives {equation}, with s = {s}
        {r.y_unit}. The data include the points {points}.
    train: A regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} {r.cases} yields {equation}, s = {s}. The
        mean of {r.x} is {mx}, its SD {sx}. Consider the points {points}.
    train: Among {n} {r.cases}, {r.x} averages {mx} {r.x_unit} with standard deviation {sx}. The least-squares line is
        {equation}; its residuals have a standard deviation of {s} {r.y_unit}. Four of the points are {points}.
    test: A graph of {r.y} ({r.y_unit}) over {r.x} ({r.x_unit}) for {n} {r.cases} contains {points}. The fitted line
        reads {equation}, with s = {s}; x-bar = {mx} and sx = {sx}.
    test: {points} are four of {n} points from data on {r.cases}. Here x, the {r.x}, has average {mx} and SD {sx}
        {r.x_unit}; the fit is {equation}, and its residual SD is {s} {r.y_unit}.
    test: With x-bar = {mx}, sx = {sx} ({r.x}, {r.x_unit}) and s = {s} {r.y_unit} about the line {equation}, data on {n}
        {r.cases} are to be checked for unusual points, such as {points}.
""")
_ASK_UNUSUAL_POINTS = wordings("""
    train: Which statement describes point {name}?
    train: How is point {name} best described?
    test: Choose the statement that holds for point {name}.
    test: What is to be said of point {name}?
""")


@kind(2, ap="2.9")
def unusual_points(draw: Draw) -> Siblings:
    """Leverage and residual of one of four points."""
    r = draw.setting(RELATIONS)
    a, b = line(draw, r)
    s, width, right = draw.decimal(*r.noise, 1), r.xs[1] - r.xs[0], draw.choice((True, False))
    sx, at = draw.decimal(0.08 * width, 0.12 * width, 1), draw.decimal(0.22, 0.3, 2)
    mx = Given(round(r.xs[0] + (at if right else 1 - at) * width, 1))
    order = draw.rng.sample(range(4), 4)
    points: list[tuple[Given, Given]] = []
    for far, large in ((0, 0), (0, 1), (1, 0), (1, 1)):
        away = draw.decimal(0.7, 0.99, 2) * width * (1 if right else -1) * far
        x = Given(round((r.xs[0] if right else r.xs[1]) + away if far else mx + draw.decimal(-0.7, 0.7, 2) * sx))
        miss = draw.choice((-1, 1)) * (draw.decimal(3.4, 4.5, 2) if large else draw.decimal(0.1, 0.6, 2)) * s
        points.append((x, Given(round(a + b * x + miss, r.digits))))
    draw.need(min(y for _, y in points) > 0 and len(set(points)) == 4 and sx > 0.3 and s > 0.5)
    names = {place: _LETTERS[i] for i, place in enumerate(order)}
    shown = ", ".join(f"{names[place]} ({points[place][0]}, {points[place][1]})" for place in order)
    n = draw.integer(30, 80)
    stem = draw.ask(_STEM_UNUSUAL_POINTS, r=r, equation=equation(r, a, b), n=n, mx=mx, sx=sx, s=s, points=shown)

    def make(far: int, large: int) -> Sibling:
        place = 2 * far + large
        x, y = points[place]
        fit = a + b * x
        steps = [
            f"[The {r.x} of point {names[place]} is // In x, point {names[place]} is] `|{x} - {term(mx)}| / {sx} = "
            f"{abs(x - mx) / sx:.1f}` standard deviations from the mean, so its leverage is {('low', 'high')[far]}.",
            f"[Its residual is // In y, its residual is] `{y} - ({a} {plus(b)} * {term(x)}) = {fixed(y - fit, 2)}`, or "
            f"{abs(y - fit) / s:.1f} times s, so it is {('not an outlier', 'an outlier')[large]} in the regression.",
        ]
        return Sibling(
            names[place],
            f"{stem} {draw.ask(_ASK_UNUSUAL_POINTS, name=names[place])}",
            steps,
            words(f"It has {('low', 'high')[far]} leverage and {('no', 'an')[large]} unusually large residual."),
            "Leverage is high for an unusual x; an outlier in the regression has an unusually large residual.",
        )

    return square(
        make,
        ("took a usual value of x for an unusual one", "overlooked an unusual value of x"),
        ("took a small residual for a large one", "overlooked a large residual"),
        {"a": a, "b": b, "s": s, "mx": mx, "sx": sx, "points": [points[place] for place in order]},
    )
