"""Re-expression: logarithms, exponential models and power models."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._problem import number, plain, single, words
from .._siblings import Sibling, Siblings, square
from .._stories import GROWTHS
from .._wording import wordings

# fmt: off


_STEM_LOG_PREDICTION = wordings("""
    train: A scatterplot of {g.y} against {g.x} is curved, but the logarithm of {g.y} is linear in {g.x}: predicted
        log({g.y}) = {a} + {b} * ({g.x}), with {g.x} in {g.x_unit} and {g.y} in {g.unit}.
    train: After a log transformation of {g.y} ({g.unit}), a least-squares line gives predicted log({g.y}) = {a} + {b} *
        ({g.x}), where {g.x} is in {g.x_unit}.
    train: The least-squares line for the logarithm of {g.y}, in {g.unit}, on {g.x}, in {g.x_unit}, has intercept {a}
        and slope {b}, and its residual plot shows no pattern.
    train: To straighten a plot of {g.y} ({g.unit}) against {g.x} ({g.x_unit}), the response was replaced by its
        logarithm. The fitted line is log({g.y}) = {a} + {b} * ({g.x}).
    test: Taking logarithms straightened a plot of {g.y} ({g.unit}) over {g.x} ({g.x_unit}). On the log scale, the
        fitted line starts at {a} and climbs by {b} per unit of {g.x}.
    test: log(y) = {a} + {b} x is the equation that a class obtained for y = {g.y} in {g.unit} and x = {g.x} in
        {g.x_unit}.
    test: With {g.x} in {g.x_unit} as x and {g.y} in {g.unit} as y, log(y) is fitted well by a line of slope {b} and
        intercept {a}.
""")
_ASK_LOG_PREDICTION = wordings("""
    train/ten: The logarithm is to base 10. Predict the {g.y} at {g.x!a} of {x} {g.x_unit}.
    train/ten: If common logarithms were used, what {g.y} does the model predict for {g.x!a} of {x} {g.x_unit}?
    train/e: The logarithm is natural, to base e. Predict the {g.y} at {g.x!a} of {x} {g.x_unit}.
    train/e: If natural logarithms were used, what {g.y} does the model predict for {g.x!a} of {x} {g.x_unit}?
    test/ten: On the original scale, which {g.y} goes with {x} {g.x_unit} when log stands for the base-10 logarithm?
    test/ten: Back-transform the prediction for {x} {g.x_unit}, given that log is log10.
    test/e: On the original scale, which {g.y} goes with {x} {g.x_unit} when log stands for the natural logarithm?
    test/e: Back-transform the prediction for {x} {g.x_unit}, given that log is ln.
""")


@kind(3, ap="2.9")
def log_prediction(draw: Draw) -> Siblings:
    """A prediction from a line fitted to logarithms to base 10 or e, taken back to the original scale."""
    g = draw.setting(GROWTHS)
    a, b = draw.decimal(*g.a, 2), draw.decimal(*g.b, 3)
    xs = [draw.integer(*g.xs) for _ in "ab"]
    draw.need(abs(xs[0] - xs[1]) > 1)
    stem = draw.ask(_STEM_LOG_PREDICTION, g=g, a=a, b=b)

    def make(natural: int, k: int) -> Sibling:
        x, log = xs[k], a + b * xs[k]
        value = math.exp(log) if natural else 10**log
        steps = [
            f"[On the log scale, the prediction is // With {g.x} {x}, the line gives for the logarithm] `{a} + {b} * "
            f"{x} = {plain(log)}`.",
            f"[A logarithm to base {('10', 'e')[natural]} is undone by raising {('10', 'e')[natural]} to it // To undo "
            f"the logarithm, {('10', 'e')[natural]} is raised to this number].",
            f"[The predicted {g.y} is // So the model predicts] `{('10', 'e')[natural]}^{plain(log)}`, [which is // "
            f"or] {value:.1f} {g.unit}[. // for the {g.y}. // , when {g.x} is {x}.]",
        ]
        ask = draw.ask(_ASK_LOG_PREDICTION, ("ten", "e")[natural], g=g, x=x)
        return Sibling(f"base {('10', 'e')[natural]}, {x}", f"{stem} {ask}", steps,
                       number(value, 1, g.unit, tolerance=max(0.1, 0.01 * value)),
                       "A prediction of log y is undone by raising the base of the logarithm to it.")

    return square(
        make,
        ("undid a base-10 logarithm with the number e", "undid a natural logarithm with the number 10"),
        (f"predicted for {g.x} {xs[1]}", f"predicted for {g.x} {xs[0]}"),
        {"a": a, "b": b, "xs": xs},
    )


_STEM_POWER_OR_EXPONENTIAL = wordings("""
    train: Two models for {g.y} y ({g.unit}) and {g.x} x ({g.x_unit}) were fitted to transformed data, with base-10
        logarithms. The first is log(y) = {a1} + {b1} x, the second log(y) = {a2} + {b2} log(x).
    train: For {g.y} ({g.unit}) and {g.x} ({g.x_unit}), least squares gives log(y) = {a1} + {b1} x when y alone is
        transformed, the first model, and log(y) = {a2} + {b2} log(x) when both are, the second. Logarithms are to base
        10.
    train: A first model, predicted log(y) = {a1} + {b1} x, and a second model, predicted log(y) = {a2} + {b2} log(x),
        were fitted to {g.y} y in {g.unit} and {g.x} x in {g.x_unit}. Both use base-10 logarithms.
    train: A curved plot of {g.y} y ({g.unit}) against {g.x} x ({g.x_unit}) led to two fits with base-10 logarithms:
        log(y) = {a1} + {b1} x as the first model and log(y) = {a2} + {b2} log(x) as the second.
    test: Two students model how y = {g.y} ({g.unit}) depends on x = {g.x} ({g.x_unit}). With log for log10, the first
        gets log(y) = {a1} + {b1} x and the second gets log(y) = {a2} + {b2} log(x).
    test: Common logarithms of y = {g.y} in {g.unit} were fitted twice: by {a1} + {b1} x, the first model, and by {a2} +
        {b2} log(x), the second, where x is {g.x} in {g.x_unit}.
    test: A program offers a first model, log(y) = {a1} + {b1} x, and a second, log(y) = {a2} + {b2} log(x), for data on
        {g.y} (y, in {g.unit}) and {g.x} (x, in {g.x_unit}); its log is to base 10.
""")
_ASK_POWER_OR_EXPONENTIAL = wordings("""
    train: What {g.y} does the {which} model predict for {g.x!a} of {x} {g.x_unit}?
    train: Use the {which} model to predict the {g.y} at {g.x!a} of {x} {g.x_unit}.
    test: By the {which} model, how large is the predicted {g.y} when x is {x}?
    test: Which {g.y} follows from the {which} model for x = {x}?
""")


@kind(3, ap="2.9")
def power_or_exponential(draw: Draw) -> Siblings:
    """A prediction from an exponential or from a power model, at one of two values."""
    g = draw.setting(GROWTHS)
    a1, b1, b2 = draw.decimal(*g.a, 2), draw.decimal(*g.b, 3), draw.decimal(0.5, 1.6, 2)
    xs = [draw.integer(*g.xs) for _ in "ab"]
    draw.need(abs(xs[0] - xs[1]) > 1)
    middle = sum(g.xs) / 2
    a2 = Given(round(a1 + b1 * middle - b2 * math.log10(middle) + draw.decimal(-0.15, 0.15, 2), 2))
    draw.need(a2 > 0.3)
    stem = draw.ask(_STEM_POWER_OR_EXPONENTIAL, g=g, a1=a1, b1=b1, a2=a2, b2=b2)

    def make(power: int, k: int) -> Sibling:
        x = xs[k]
        log = a2 + b2 * math.log10(x) if power else a1 + b1 * x
        shown = f"{a2} + {b2} * {math.log10(x):.4f}" if power else f"{a1} + {b1} * {x}"
        start = f"With log(x) = {math.log10(x):.4f}, the" if power else "The"
        steps = [
            f"[A line for log(y) in {('x', 'log(x)')[power]} is {('an exponential', 'a power')[power]} model // The "
            f"{('first', 'second')[power]} model is {('an exponential', 'a power')[power]} one].",
            f"{start} [prediction on the log scale // predicted log(y)] is `{shown} = {log:.4f}`.",
            f"[On the original scale, // Undoing the logarithm,] this is `10^{log:.4f}`, [a prediction of // which "
            f"predicts // a predicted {g.y} of] {10**log:.1f} {g.unit}.",
        ]
        ask = draw.ask(_ASK_POWER_OR_EXPONENTIAL, g=g, which=("first", "second")[power], x=x)
        return Sibling(f"{('exponential', 'power')[power]}, {x}", f"{stem} {ask}", steps,
                       number(10**log, 1, g.unit, tolerance=max(0.1, 0.01 * 10**log)),
                       "A line in x and log y is an exponential model; a line in log x and log y is a power model.")

    return square(
        make,
        ("used the model with log(x)", "used the model with x itself"),
        (f"predicted for {g.x} {xs[1]}", f"predicted for {g.x} {xs[0]}"),
        {"a": (a1, a2), "b": (b1, b2), "xs": xs},
    )


_STEM_TRANSFORMED_MODEL = wordings("""
    train: From {n} pairs of values, four scatterplots of {g.y} y and {g.x} x ({g.x_unit}) were drawn: y against x,
        log(y) against x, y against log(x), and log(y) against log(x).
    train: The {g.y} y was plotted against {g.x} x ({g.x_unit}) for {n} observations, with and without taking logarithms
        of y and of x.
    train: To model {g.y} y by {g.x} x, in {g.x_unit}, a student with {n} data points tries lines for y and for log(y),
        on x and on log(x).
    train: A model is wanted for {g.y} y as a function of {g.x} x, measured in {g.x_unit}. There are {n} points, and
        logarithms of either variable may be taken.
    test: How y, the {g.y}, depends on x, the {g.x} in {g.x_unit}, is examined with {n} points, with and without log
        scales on the two axes.
    test: Each axis of a scatterplot of {g.y} (y) over {g.x} (x, in {g.x_unit}), with {n} points, can be switched to a
        log scale.
    test: Software fits a line to {n} values of {g.y} (y) or its logarithm, with {g.x} (x, in {g.x_unit}) or its
        logarithm as the predictor.
""")
_ASK_TRANSFORMED_MODEL = wordings("""
    train: Only the plot of {v} against {u} is straight, with a residual plot that shows no pattern. What does the model
        say?
    train: The relation turns out to be linear for {v} and {u} alone. Which statement describes the model?
    test: The points follow a line with {u} across and {v} up, and in no other case. How does the fitted model behave?
    test: The residuals show no curve for the fit of {v} on {u}, and for no other. Which property does this model have?
""")


@kind(2, ap="2.9")
def transformed_model(draw: Draw) -> Siblings:
    """What a line means when none, one or both of the variables are logarithms."""
    g = draw.setting(GROWTHS)
    n = draw.integer(12, 80)
    stem = draw.ask(_STEM_TRANSFORMED_MODEL, g=g, n=n)
    starts = (f"An increase of one {single(g.x_unit)} in the {g.x}", f"A twofold increase in the {g.x}")
    ends = (f"adds the same amount to the predicted {g.y}", f"multiplies the predicted {g.y} by the same factor")
    reasons = ("A line in x changes by the same amount for each unit of x.",
               "Doubling x adds log(2) to log(x), so a line in log(x) changes by the same amount for each doubling.",
               "The change is one of y itself, an amount that is added.",
               "The change is one of log(y), and adding to a logarithm multiplies the number itself.")

    def make(log_x: int, log_y: int) -> Sibling:
        u, v = ("x", "log(x)")[log_x], ("y", "log(y)")[log_y]
        return Sibling(
            f"{v} on {u}",
            f"{stem} {draw.ask(_ASK_TRANSFORMED_MODEL, u=u, v=v)}",
            [f"[The model is a line for {v} in {u} // What is straight is the plot of {v} against {u}].",
             (reasons[log_x], reasons[2 + log_y]),
             f"[ // Here x is the {g.x} and y the {g.y}.]"],
            words(f"{starts[log_x]} {ends[log_y]}."),
            "A logarithm of x turns steps into factors of x; a logarithm of y turns sums into factors of y.",
        )

    return square(
        make,
        ("took the logarithm of x to be used", "overlooked the logarithm of x"),
        ("took the logarithm of y to be used", "overlooked the logarithm of y"),
        {"n": n},
    )
