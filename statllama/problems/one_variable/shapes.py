"""The shape of a distribution, told from the counts of a histogram."""

from __future__ import annotations

from .._draw import Draw, kind
from .._problem import words
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, four
from .._wording import wordings

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


@kind(1)
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
            f"In {label.lower()} {names[i]}, {reason}.",
            "A description of the shape names the peaks, symmetry or the direction of the longer tail, and outliers.",
        ]
        return Sibling(names[i], f"{stem} {draw.ask(_ASK_DESCRIBE_DISTRIBUTION, name=names[i])}", steps, words(answer),
                       "Shape is described by peaks, symmetry or skew, and unusual features such as gaps and outliers.")

    return four(
        [make(i) for i in range(4)],
        [f"described {label.lower()} {name}" for name in names],
        {"tables": tables},
    )
