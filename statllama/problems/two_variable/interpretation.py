"""What the numbers of a regression say: slope, intercept, s, r squared, and how far they reach."""

from __future__ import annotations

import math

from .._draw import Draw, Given, kind
from .._phrases import recalled
from .._problem import article, fixed, number, plain, single, term, words
from .._settings import RELATIONS
from .._settings_two_variable import AMOUNTS
from .._siblings import Sibling, Siblings, Step, four, square
from .._wording import wordings
from ._shared import ORDER, equation, line

# fmt: off


_STEM_INTERPRET_SLOPE = wordings("""
    train: For {r.cases}, the least-squares line is {equation}, with {r.x} in {r.x_unit} and {r.y} in {r.y_unit}. The
        standard deviation of the residuals is {s} {r.y_unit}, and r squared is {share}%.
    train: A line fitted by least squares to a random sample of {r.cases} is {equation}. The units are {r.x_unit} for
        {r.x} and {r.y_unit} for {r.y}; software adds S = {s} and R-Sq = {share}%.
    train: Regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {r.cases} gives {equation}, with s = {s} and r^2 =
        {share}%.
    train: With data on {r.cases}, {r.y} in {r.y_unit} is predicted from {r.x} in {r.x_unit} by {equation}. For this
        line, r squared is {share}% and the standard deviation of the residuals is {s}.
    test: Data on {r.cases} led to the model {equation}, in {r.x_unit} and {r.y_unit}. A printout also shows R-Sq =
        {share}% and S = {s}.
    test: A student obtained the regression equation {equation} from {r.cases}, measured in {r.x_unit} and {r.y_unit}.
        Her coefficient of determination is {share}%, her residual standard deviation {s}.
    test: {share}% is r squared and {s} is s when {r.y} ({r.y_unit}) is regressed on {r.x} ({r.x_unit}) for {r.cases};
        the equation reads {equation}.
""")
_ASK_INTERPRET_SLOPE = wordings("""
    train: Which statement interprets the {name}?
    train: Which sentence says what the {name} means in context?
    test: How should the {name} be read here?
    test: Choose the correct interpretation of the {name}.
""")


@kind(1, ap="2.8")
def interpret_slope(draw: Draw) -> Siblings:
    """What the slope, the intercept, s and r squared of a fitted line say, in words."""
    r = draw.setting(RELATIONS)
    a, b = line(draw, r)
    s, share = draw.decimal(*r.noise, max(1, r.digits)), draw.decimal(35, 92, 1)
    stem = draw.ask(_STEM_INTERPRET_SLOPE, r=r, equation=equation(r, a, b), s=s, share=share)
    way = "higher" if b > 0 else "lower"
    one = single(r.x_unit)
    sentences = {
        "slope": (f"The predicted {r.y} is {plain(abs(b))} {r.y_unit} {way} for each additional {one} of {r.x}.",
                  f"The slope, {b}, is the change in the prediction for one more unit of the explanatory variable."),
        "intercept": (f"The predicted {r.y} is {a} {r.y_unit} for {article(r.one)} with {r.x} of 0 {r.x_unit}.",
                      f"The intercept, {a}, is the prediction where the explanatory variable is 0."),
        "standard deviation of the residuals": (
            f"The actual {r.y} typically differs by about {s} {r.y_unit} from the value on the line.",
            f"The standard deviation of the residuals, {s}, is the size of a typical prediction error."),
        "value of r squared": (
            f"About {share}% of the variation in {r.y} is explained by its linear relation with {r.x}.",
            f"The value of r squared, {share}%, is the share of variation that the line accounts for."),
    }
    return four(
        [Sibling(name, f"{stem} {draw.ask(_ASK_INTERPRET_SLOPE, name=name)}",
                 [f"[The line predicts {r.y} in {r.y_unit} from {r.x} in {r.x_unit} // The response is {r.y} (in "
                  f"{r.y_unit}), the explanatory variable {r.x} (in {r.x_unit})].", recalled(reason),
                  "[ // A line describes predictions, so the wording must not claim a cause. // In context, "
                  f"the statement names {r.y} and {r.x}.]"],
                 words(text), "Slope, intercept, s and r squared answer different questions about a fitted line.")
         for name, (text, reason) in sentences.items()],
        [f"interpreted the {name} instead" for name in sentences],
        {"a": a, "b": b, "s": s, "share": share, "x": r.x, "y": r.y},
    )


_STEM_INTERPRET_R_SQUARED = wordings("""
    train: For {r.cases}, a line that predicts {r.y} from {r.x} was fitted in two years. The correlation was {v} in the
        {year_r} year, and r squared was {square} in the {year_square} year.
    train: Two studies of {r.cases} fit a least-squares line for {r.y} on {r.x}. In the {year_r} year, r = {v}; in the
        {year_square} year, r^2 = {square}.
    train: In the {year_r} year, the correlation of {r.x} and {r.y} among {r.cases} was {v}. In the {year_square} year,
        a line for {r.y} on {r.x} had r squared equal to {square}.
    train: A report on {r.x} and {r.y} for {r.cases} gives r squared as {square} for the {year_square} year and the
        correlation as {v} for the {year_r} year.
    test: {r.x!c} and {r.y}, recorded for {r.cases}, correlated at {v} in the {year_r} year; in the {year_square} year
        their coefficient of determination was {square}.
    test: A table on {r.cases} has the entry r = {v} for the {year_r} year and the entry R-Sq = {square} for the
        {year_square} year. The response is {r.y}, the explanatory variable {r.x}.
    test: How well a line on {r.x} describes the {r.y} of {r.cases} was reported twice: as R-Sq = {square} in the
        {year_square} year and as r = {v} in the {year_r} year.
""")
_ASK_INTERPRET_R_SQUARED = wordings("""
    train/in: What percent of the variation in {r.y} did the line of the {year} year account for?
    train/in: Find the percent of the variation in {r.y} that is explained by the line of the {year} year.
    train/out: What percent of the variation in {r.y} did the line of the {year} year leave unexplained?
    train/out: Find the percent of the variation in {r.y} that the line of the {year} year does not account for.
    test/in: How much of the variability of {r.y}, in percent, does the {year} year's fit explain?
    test/in: For the {year} year, which percentage of the variability of {r.y} goes with {r.x} in a linear way?
    test/out: How much of the variability of {r.y}, in percent, remains in the {year} year's residuals?
    test/out: For the {year} year, which percentage of the variability of {r.y} is not captured by a line on {r.x}?
""")


@kind(2, ap="2.8")
def interpret_r_squared(draw: Draw) -> Siblings:
    """The share of variation that a line explains or leaves, from r or from r squared of the same size."""
    r = draw.setting(RELATIONS)
    size = draw.decimal(0.35, 0.95, 2)
    v, years = Given(math.copysign(size, r.slope[0])), draw.choice((ORDER, ORDER[::-1]))
    draw.need(abs(size**2 - size) > 0.03 and abs(size + size**2 - 1) > 0.01)
    stem = draw.ask(_STEM_INTERPRET_R_SQUARED, r=r, v=v, square=size, year_r=years[0], year_square=years[1])

    def make(given_square: int, left: int) -> Sibling:
        share = 100 * (size if given_square else size**2)
        value = 100 - share if left else share
        first = f"`r^2 = {size}`" if given_square else f"`r^2 = {term(v)}^2 = {plain(size**2)}`"
        last = f"`100 - {plain(share)} = {value:.1f}`" if left else f"{value:.1f}"
        steps = [
            f"[In the {years[given_square]} year, // For the {years[given_square]} year,] {first}.",
            f"[So the line // The line therefore] accounts for {plain(share)}% of the variation in {r.y}.",
            f"[The percent that is {('explained', 'left unexplained')[left]} is // The "
            f"{('explained', 'unexplained')[left]} share, in percent, is] {last}.",
        ]
        ask = draw.ask(_ASK_INTERPRET_R_SQUARED, ("in", "out")[left], r=r, year=years[given_square])
        asked = f"{('r', 'r squared')[given_square]} given, {('explained', 'unexplained')[left]}"
        return Sibling(asked, f"{stem} {ask}", steps,
                       number(value, 1, "percent"),
                       "r squared is the share of the variation in the response that the line accounts for.")

    return square(
        make,
        ("did not square the correlation", "squared r squared once more"),
        ("gave the share that is left unexplained", "gave the share that is explained"),
        {"v": v},
    )


_STEM_REGRESSION_OUTPUT = wordings("""
    train: Software reports a regression of {r.y} ({r.y_unit}) on {r.x} ({r.x_unit}) for {n} {r.cases}. {table}
    train: Here is computer output for a least-squares line that predicts {r.y} ({r.y_unit}) from {r.x} ({r.x_unit}),
        based on {n} {r.cases}. {table}
    train: For a random sample of {n} {r.cases}, {r.y} in {r.y_unit} was regressed on {r.x} in {r.x_unit}. The output
        reads as follows. {table}
    train: The {r.y} ({r.y_unit}) and the {r.x} ({r.x_unit}) of {n} {r.cases} were analyzed with this result. {table}
    test: {table} This printout belongs to data on {n} {r.cases}, with {r.y} ({r.y_unit}) as the response.
    test: A class feeds {n} {r.cases}, measured by {r.x} ({r.x_unit}) and {r.y} ({r.y_unit}), into a program. It prints:
        {table}
    test: From {n} {r.cases} comes the following printout, in which {r.x} is in {r.x_unit} and {r.y}, the response, in
        {r.y_unit}. {table}
""")
_ASK_REGRESSION_OUTPUT = wordings("""
    train/slope: By how much does the predicted {r.y} change for each additional {one} of {r.x}?
    train/slope: What is the slope of the least-squares line?
    train/intercept: What {r.y} does the line predict where the {r.x} is 0?
    train/intercept: What is the y-intercept of the least-squares line?
    train/s: What is the standard deviation of the residuals?
    train/s: About how large is a typical error of the predictions?
    train/r: What is the correlation between {r.x} and {r.y}?
    train/r: Find the correlation coefficient r.
    test/slope: How steep is the fitted line, per {one} of {r.x}?
    test/slope: Which number is the rate of change of the predicted {r.y}?
    test/intercept: At what height does the fitted line cross the y-axis?
    test/intercept: Which number is the predicted {r.y} at {r.x} 0?
    test/s: By how much do the points typically miss the fitted line?
    test/s: Which number measures the typical size of a residual?
    test/r: How strong, with its sign, is the linear association between the two variables?
    test/r: Which number is the correlation of the two variables?
""")


@kind(2, ap="2.8")
def regression_output(draw: Draw) -> Siblings:
    """Slope, intercept, standard deviation of the residuals or correlation, from computer output."""
    r = draw.setting(RELATIONS)
    a, b = line(draw, r, (2, 2))
    n, s, share = draw.integer(12, 40), draw.decimal(*r.noise, 2), draw.decimal(40, 94, 1)
    corr = math.copysign(math.sqrt(share / 100), b)
    t = abs(corr) * math.sqrt((n - 2) / (1 - corr**2))
    mean = (r.xs[0] + r.xs[1]) / 2
    se_b = abs(b) / t
    se_a = s * math.sqrt(1 / n + (mean * se_b / s) ** 2)
    table = (f"Constant: Coef {fixed(a, 2)}, SE Coef {fixed(se_a, 2)}. {r.x[:1].upper()}{r.x[1:]}: Coef "
             f"{fixed(b, 2)}, SE Coef "
             f"{fixed(se_b, 3)}. S = {fixed(s, 2)}, R-Sq = {share}%.")
    stem = draw.ask(_STEM_REGRESSION_OUTPUT, r=r, n=n, table=table)
    found = {"slope": (b, f"The coefficient of {r.x} is the slope of the line, {fixed(b, 2)}."),
             "intercept": (a, f"The coefficient of the constant is the intercept of the line, {fixed(a, 2)}."),
             "s": (s, f"The number after S is the standard deviation of the residuals, {fixed(s, 2)}."),
             "r": (corr, f"The number after R-Sq is r squared, and r has the sign of the slope: "
                         f"`{'-' if b < 0 else ''}sqrt({plain(share / 100)}) = {fixed(corr, 2)}`.")}

    def make(name: str) -> Sibling:
        value, reason = found[name]
        ask = draw.ask(_ASK_REGRESSION_OUTPUT, name, r=r, one=single(r.x_unit))
        slope = f"{'-' if b < 0 else '+'} {fixed(abs(b), 2)}"
        steps = [f"[The fitted line is // From the column Coef, the line is // The output stands for the line] "
                 f"`predicted {r.y} = {fixed(a, 2)} {slope} * ({r.x})`.", reason,
                 f"[ // The data are {n} {r.cases}. // S is in {r.y_unit}, like {r.y}, and R-Sq has no unit.]"]
        return Sibling(name, f"{stem} {ask}", steps, number(value, 2, tolerance=0.01),
                       "In regression output, Coef holds intercept and slope, S the residual SD, and R-Sq r squared.")

    names = {"slope": "slope", "intercept": "intercept", "s": "standard deviation of the residuals", "r": "correlation"}
    return four([make(name) for name in found], [f"gave the {name}" for name in names.values()],
                {"a": a, "b": b, "s": s, "share": share})


_STEM_CAUSE_AND_RANGE = wordings("""
    train: Two studies of {q.units} found a strong linear relation between the {q.x} and the {q.y}. In the {assigned}
        study, values from {low} to {high} {q.x_unit} were assigned at random. In the {seen} study, values from {low} to
        {high} {q.x_unit} were observed in a random sample.
    train: The relation of the {q.y} to the {q.x} is strong and linear in two studies of {q.units}, both with values
        from {low} to {high} {q.x_unit}. The {assigned} study is a randomized experiment; the {seen} study is an
        observational study with a random sample.
    train: In a {assigned} study, {q.units} are given values of the {q.x} from {low} to {high} {q.x_unit} at random. In
        a {seen} study, such values are recorded as they occur in a random sample. Each finds a strong linear relation
        with the {q.y}.
    train: A line that predicts the {q.y} from the {q.x} fits the data on {q.units} well in two studies, with the {q.x}
        from {low} to {high} {q.x_unit}. Chance assigned the values in the {assigned} study, while the {seen} study only
        recorded them in a random sample.
    test: The {q.x} (from {low} to {high} {q.x_unit}) and the {q.y} follow a line closely in two data sets on {q.units}.
        In the {assigned} study a random number generator decided who got how much; the {seen} study, of a random
        sample, left this as it was.
    test: Twice a line was found to fit well when the {q.y} was plotted against the {q.x}, which ran from {low} to
        {high} {q.x_unit}. The {seen} study surveyed a random sample of {q.units}; the {assigned} study randomly
        allotted the values to them.
    test: How does the {q.y} respond to the {q.x}? A {seen} study looks at a random sample of {q.units}; a {assigned}
        study lets chance decide on the values for each of them. Both use values from {low} to {high} {q.x_unit} and
        obtain a close-fitting line.
""")
_ASK_CAUSE_AND_RANGE = wordings("""
    train: Which statement about the {study} study, and about its prediction at {x0} {q.x_unit}, is correct?
    train: The line of the {study} study is used at {x0} {q.x_unit}. Which statement is correct?
    test: What holds for the {study} study and for a prediction that its line makes at {x0} {q.x_unit}?
    test: Someone applies the {study} study's line at {x0} {q.x_unit}. Choose the correct statement.
""")


@kind(1, ap="2.6, 3.7")
def cause_and_range(draw: Draw) -> Siblings:
    """Whether a study supports a causal conclusion, and whether a prediction is an extrapolation."""
    q = draw.setting(AMOUNTS)
    width = q.xs[1] - q.xs[0]
    low, high = q.xs[0] + draw.integer(0, width // 5), q.xs[1] - draw.integer(0, width // 5)
    inside = draw.integer(low + (high - low) // 4, high - (high - low) // 4)
    outside = high + draw.integer((high - low) // 2 + 1, high - low)
    studies = draw.choice((ORDER, ORDER[::-1]))
    stem = draw.ask(_STEM_CAUSE_AND_RANGE, q=q, low=low, high=high, assigned=studies[0], seen=studies[1])
    said = (("The study supports a causal effect", "The study shows an association only"),
            ("the prediction is within the range of the data", "the prediction is outside the range of the data"))

    def make(seen: int, out: int) -> Sibling:
        x0 = (inside, outside)[out]
        steps: list[Step] = [
            ((f"In the {studies[0]} study, chance assigned the {q.x}, which tends to balance all other variables.",
              f"In the {studies[1]} study, the {q.x} was only observed, so other variables may be behind it.")[seen],
             f"The value {x0} {q.x_unit} is {('within', 'outside')[out]} the range of the data, from {low} to {high} "
             f"{q.x_unit}, so a prediction there is {('an interpolation', 'an extrapolation')[out]}."),
            "[ // Two things matter: how the values came about, and where the prediction is made. // Cause and range "
            "are separate questions.]",
        ]
        ask = draw.ask(_ASK_CAUSE_AND_RANGE, q=q, x0=x0, study=studies[seen])
        return Sibling(f"{('experiment', 'observational study')[seen]}, {x0}", f"{stem} {ask}", steps,
                       words(f"{said[0][seen]}, and {said[1][out]}."),
                       "Only random assignment supports cause and effect, and a line is trusted only within its data.")

    return square(
        make,
        ("took a randomized experiment for an observational study", "took an observational study for an experiment"),
        ("took a value within the data for an extrapolation", "took an extrapolation for a value within the data"),
        {"low": low, "high": high, "inside": inside, "outside": outside},
    )
