"""The shape of a distribution, told from the counts of a histogram, and its summaries in words."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._numerics import normal_cdf
from .._phrases import recalled
from .._problem import fixed, ordinal, words
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, four
from .._wording import wordings
from ._shared import center_and_spread

# fmt: off


_STEM_DESCRIBE_DISTRIBUTION = wordings("""
    train: The {m.thing} of {m.who} was recorded in four samples. Histograms with eight classes of equal width, from low
        to high {m.thing}, have these counts. {tables}.
    train: Four samples of {m.who} were compared by {m.thing}. From the lowest class to the highest, the counts in eight
        equal classes are as follows. {tables}.
    train: For four samples of {m.who}, the bars of a histogram of {m.thing} in eight classes of equal width have these
        heights, starting with the lowest class. {tables}.
    train: Each of four students measured the {m.thing} of a random sample of {m.who} and grouped the values into the
        same eight classes, lowest first. {tables}.
    test: Eight bars over equal classes, drawn from small values to large ones, show how {m.thing} varies in four sets
        of {m.who}. Their heights follow. {tables}.
    test: Read from left to right, histograms of {m.thing} for four sets of {m.who} have eight bars of these heights.
        {tables}.
    test: How does {m.thing} vary among {m.who}? Four sets of data gave these bar heights over eight equal classes in
        ascending order. {tables}.
""")
_ASK_DESCRIBE_DISTRIBUTION = wordings("""
    train: Which description fits sample {name}?
    train: How is the distribution in sample {name} best described?
    test: Choose the description of set {name}.
    test: What does the histogram of set {name} look like?
""")
_SHAPES = {
    "right": ((22, 17, 11, 8, 5, 3, 2, 1), "Skewed to the right, with a single peak in the lowest classes.",
              "the counts are largest in the lowest classes and trail off slowly toward the highest"),
    "left": ((1, 2, 3, 5, 8, 11, 17, 22), "Skewed to the left, with a single peak in the highest classes.",
             "the counts are largest in the highest classes and trail off slowly toward the lowest"),
    "mound": ((2, 6, 12, 18, 18, 12, 6, 2), "Roughly symmetric, with a single peak in the middle classes.",
              "the counts are largest in the middle classes and fall off alike toward both ends"),
    "bimodal": ((4, 15, 12, 3, 3, 12, 15, 4), "Roughly symmetric, with two peaks and a valley between them.",
                "the counts are large in a lower and in a higher class, and small between the two"),
    "uniform": ((11, 11, 11, 11, 11, 11, 11, 11), "Roughly uniform, with no peak and no tail on either side.",
                "the counts are about equal in all classes from the lowest to the highest"),
    "outlier": ((4, 16, 24, 16, 4, 0, 0, 1), "One peak and little skew, apart from a high outlier after a gap.",
                "the counts form one mound, and after two empty classes a single value stands far above it"),
    "low outlier": ((1, 0, 0, 4, 16, 24, 16, 4), "One peak and little skew, apart from a low outlier before a gap.",
                    "the counts form one mound, and before two empty classes a single value stands far below it"),
}


@kind(1, ap="1.6")
def describe_distribution(draw: Draw) -> Siblings:
    """The shape of one of four distributions, from the counts in eight classes."""
    m = draw.setting(MEASURES)
    shapes = draw.rng.sample(sorted(_SHAPES), 4)
    tables = [[c if c < 3 else c + draw.integer(-1, 1) * (1 + (c > 10)) for c in _SHAPES[shape][0]] for shape in shapes]
    names, label = "ABCD", ("Set", "Sample")[draw.split == "train"]
    shown = ". ".join(f"{label} {name}: {', '.join(map(str, t))}" for name, t in zip(names, tables, strict=True))
    stem = draw.ask(_STEM_DESCRIBE_DISTRIBUTION, m=m, tables=shown)

    def make(i: int) -> Sibling:
        _, answer, reason = _SHAPES[shapes[i]]
        steps = [
            "[A description of the shape names // To describe a shape, we name // Three things belong to the shape:] "
            "the peaks, symmetry or the direction of the longer tail, and outliers.",
            f"In {label.lower()} {names[i]}, {reason}.",
            f"[ // The variable is the {m.thing} of {m.who}. // This is read from the counts in eight classes.]",
        ]
        return Sibling(names[i], f"{stem} {draw.ask(_ASK_DESCRIBE_DISTRIBUTION, name=names[i])}", steps, words(answer),
                       "Shape is described by peaks, symmetry or skew, and unusual features such as gaps and outliers.")

    return four(
        [make(i) for i in range(4)],
        [f"described {label.lower()} {name}" for name in names],
        {"tables": tables},
    )


_STEM_INTERPRET_SUMMARY = wordings("""
    train: The {m.thing} of {n} {m.who} has mean {mean}, standard deviation {sd} and interquartile range {iqr} {m.unit}.
        One {m.one} has {m.thing!a} of {x} {m.unit}, with a z-score of {z}, and is at the {p} percentile.
    train: For {n} {m.who}, {m.thing} has a mean of {mean} {m.unit}, an SD of {sd} {m.unit} and an IQR of {iqr}
        {m.unit}. A value of {x} {m.unit} is at the {p} percentile and has the z-score {z}.
    train: A report on the {m.thing} of {n} {m.who} gives the mean ({mean} {m.unit}), the standard deviation ({sd}
        {m.unit}) and the interquartile range ({iqr} {m.unit}). It adds that {x} {m.unit} is the {p} percentile, with
        z-score {z}.
    train: Software summarizes the {m.thing} of {n} {m.who}: mean {mean}, SD {sd}, IQR {iqr} (all in {m.unit}). For
        {m.one!a} at {x} {m.unit} it shows the z-score {z} and the percentile {p}.
    test: x-bar = {mean}, s = {sd} and IQR = {iqr} ({m.unit}) sum up {m.thing} for {n} {m.who}. A certain {m.one}, at
        {x} {m.unit}, has z = {z} and belongs to the {p} percentile.
    test: {n} {m.who} average {mean} {m.unit} in {m.thing}; the SD is {sd}, the IQR {iqr}. The {p} percentile is {x}
        {m.unit}, for which z = {z}.
    test: A file on {m.who} has {n} values of {m.thing} with average {mean}, SD {sd} and IQR {iqr} {m.unit}. One of
        them, {x} {m.unit}, is marked "z = {z}, {p} percentile".
""")
_ASK_INTERPRET_SUMMARY = wordings("""
    train: Which statement interprets the {name}?
    train: Which sentence says what the {name} means in context?
    test: How should the {name} be read here?
    test: Choose the correct interpretation of the {name}.
""")


@kind(1, ap="1.7, 1.10")
def interpret_summary(draw: Draw) -> Siblings:
    """What a standard deviation, an interquartile range, a percentile and a z-score say, in words."""
    m = draw.setting(MEASURES)
    mean, sd = center_and_spread(draw, m)
    n, iqr = draw.integer(40, 200), Given(round(draw.decimal(1.2, 1.5, 2) * sd, max(m.digits, 1)))
    x = draw.decimal(mean - 2 * sd, mean + 2 * sd, m.digits)
    z = fixed((x - mean) / sd, 2)
    percent = round(100 * normal_cdf(float(z)))
    draw.need(abs(float(z)) > 0.2 and abs(iqr - sd) > 0.15 * sd)
    place = "above" if x > mean else "below"
    stem = draw.ask(_STEM_INTERPRET_SUMMARY, m=m, n=n, mean=mean, sd=sd, iqr=iqr, x=x, z=z, p=ordinal(percent))
    sentences = {
        "standard deviation": (f"The {m.thing} of these {m.many} typically differs from the mean by about {sd} "
                               f"{m.unit}.",
                               "A standard deviation is the size of a typical distance from the mean."),
        "interquartile range": (f"The {m.thing} of the middle half of these {m.many} extends over {iqr} {m.unit}.",
                                "An interquartile range is the width of the interval that holds the middle half."),
        "percentile": (f"The {m.thing} of about {percent}% of these {m.many} is at or below {x} {m.unit}.",
                       "A percentile tells how many percent of the values are at or below a value."),
        "z-score": (f"The {m.thing} of {x} {m.unit} is {z.lstrip('-')} standard deviations {place} the mean.",
                    "A z-score counts the standard deviations between a value and the mean."),
    }
    return four(
        [Sibling(name, f"{stem} {draw.ask(_ASK_INTERPRET_SUMMARY, name=name)}",
                 [f"[The variable is the {m.thing} of {n} {m.who}, in {m.unit} // The data are values of the {m.thing} "
                 f"(in {m.unit}) for {n} {m.who}].", recalled(reason),
                  f"[ // In context, this is a statement about the {m.thing}, in {m.unit}.]"], words(text),
                 "A summary is interpreted in context, with its unit and with what it compares.")
         for name, (text, reason) in sentences.items()],
        [f"interpreted the {name} instead" for name in sentences],
        {"n": n, "mean": mean, "sd": sd, "iqr": iqr, "x": x, "percent": percent},
    )
