"""Graphs of one variable, given in words and numbers: histograms, stemplots, cumulative graphs, shapes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .._draw import Draw, kind
from .._problem import fixed, number, words
from .._settings import MEASURES, Measure
from .._siblings import Sibling, Siblings, four
from .._wording import wordings
from ._shared import center_and_spread

# fmt: off


def _classes(draw: Draw, m: Measure, k: int) -> list[int]:
    """Return k + 1 limits of k classes of equal, whole-number width around the mean."""
    mean, sd = center_and_spread(draw, m)
    width = max(1, round(4.4 * sd / k))
    start = round(mean) - width * k // 2
    draw.need(start > 0)
    return [start + i * width for i in range(k + 1)]


def _table(limits: Sequence[int], counts: Sequence[int]) -> str:
    return "; ".join(f"{a} to {b}: {c}" for a, b, c in zip(limits, limits[1:], counts, strict=False))


_STEM_HISTOGRAM_SHARES = wordings("""
    train: A histogram of {m.thing} ({m.unit}) for {n} {m.who} has these classes and counts: {table}. Each class
        includes its lower limit but not its upper limit.
    train: The {m.thing} of {n} {m.who}, in {m.unit}, is grouped into classes that include their lower limits only. The
        counts are {table}.
    train: For {n} {m.who}, the bars of a histogram of {m.thing} in {m.unit} have the following heights, with lower
        limits included and upper limits excluded: {table}.
    train: A frequency table shows {m.thing}, in {m.unit}, for a random sample of {n} {m.who}: {table}. A value at a
        limit belongs to the upper class.
    test: {table}: these are the classes and bar heights in a histogram of {m.thing} ({m.unit}) among {n} {m.who}. A
        value on a boundary is counted in the class that starts there.
    test: A student sorts {n} {m.who} by {m.thing} in {m.unit}, putting each boundary value into the class above it, and
        draws bars of these heights: {table}.
    test: How {m.thing} varies among {n} {m.who} is shown by bars over classes, which start with their lower boundary
        and stop short of the upper one. In {m.unit}, the bars read {table}.
""")
_ASK_HISTOGRAM_SHARES = wordings("""
    train: What percent of the {m.many} have {m.thing!a} {range} {m.unit}?
    train: Find the relative frequency, in percent, of values {range} {m.unit}.
    test: Out of every hundred of these {m.many}, how many lie {range} {m.unit}?
    test: Which percentage of the data is found {range} {m.unit}?
""")


@kind(1, ap="1.5")
def histogram_shares(draw: Draw) -> Siblings:
    """The percent of values in, below or above a class of a histogram."""
    m = draw.setting(MEASURES)
    limits, k = _classes(draw, m, 6), draw.integer(1, 4)
    counts = [draw.integer(2, 9) + (6 if 1 <= i <= 4 else 0) * draw.integer(0, 2) for i in range(6)]
    n = sum(counts)
    draw.need(n != 100)
    stem = draw.ask(_STEM_HISTOGRAM_SHARES, m=m, n=n, table=_table(limits, counts))
    low, high = limits[k], limits[k + 1]
    ranges = {f"less than {low}": counts[:k], f"from {low} to less than {high}": counts[k: k + 1],
              f"of {low} or more": counts[k:], f"less than {high}": counts[: k + 1]}

    def make(name: str) -> Sibling:
        part = ranges[name]
        total = sum(part)
        added = f"`{' + '.join(map(str, part))} = {total}`" if len(part) > 1 else str(total)
        said = name.removeprefix("of ")
        steps = [
            f"[There are {n} values in all // The counts add up to {n}].",
            f"[The classes with values {name} {m.unit} have a count of {added} // Adding the classes with values "
            f"{name} {m.unit} gives {added}].",
            f"[As a percent, that is // The relative frequency, in percent, is // Out of {n}, this makes] `100 * "
            f"{total} / {n} = {100 * total / n:.1f}`.",
        ]
        place = name if draw.split == "train" else {"less": f"below {said[10:]}", "of": f"at or above {low}"}.get(
            name.split()[0], name)
        ask = draw.ask(_ASK_HISTOGRAM_SHARES, m=m, range=place)
        return Sibling(said, f"{stem} {ask}", steps, number(100 * total / n, 1, "percent"),
                       "A relative frequency adds the counts of the classes in the range and divides by the total.")

    return four(
        [make(name) for name in ranges],
        [f"counted the values below {low}", f"counted only the class that starts at {low}",
         f"counted the values from {low} upward", f"counted the values below {high}"],
        {"limits": limits, "counts": counts, "k": k},
    )


_STEM_HISTOGRAM_QUARTILES = wordings("""
    train: The {m.thing} of {n} {m.who} is summarized by a histogram with these classes, in {m.unit}, and counts:
        {table}. Lower limits are included.
    train: In a histogram of {m.thing} ({m.unit}), {n} {m.who} are grouped as follows, with lower limits included in the
        classes: {table}.
    train: A grouped frequency table for the {m.thing}, in {m.unit}, of {n} {m.who} reads {table}. Each class includes
        its lower limit only.
    train: A sample of {n} {m.who} was grouped by {m.thing} in {m.unit}. The class counts, where a class includes its
        lower limit, are {table}.
    test: {table}. So many of {n} {m.who} fall into each class of {m.thing} ({m.unit}); boundary values are counted in
        the upper class.
    test: Only grouped data on {n} {m.who} are at hand; their {m.thing} in {m.unit} is given by {table}, where each
        class starts with its first boundary.
    test: On the bars of a graph of {m.thing} among {n} {m.who}, the classes ({m.unit}) and heights read {table}. A
        value on a boundary belongs to the bar on its right.
""")
_ASK_HISTOGRAM_QUARTILES = wordings("""
    train: Which class contains the {measure}?
    train: In which class does the {measure} lie?
    test: Where in the table is the {measure} to be found?
    test: Name the class into which the {measure} falls.
""")
_QUARTILES = {25: "first quartile", 50: "median", 75: "third quartile"}


def _named(draw: Draw, percent: int) -> str:
    """Return a name of the value with `percent` of the data below it: by those below, or by those above it."""
    below = _QUARTILES.get(percent, f"{percent}th percentile")
    return draw.choice((below, f"value that {100 - percent}% of the data exceed"))


@kind(2, ap="1.7")
def histogram_quartiles(draw: Draw) -> Siblings:
    """The class of a histogram that holds a quartile or a percentile, counted from below or from above."""
    m = draw.setting(MEASURES)
    limits, counts = _classes(draw, m, 7), [draw.integer(5, 19) for _ in range(7)]
    n, sums = sum(counts), list(itertools.accumulate(counts))
    percents = {_named(draw, percent): percent for percent in draw.rng.sample((10, 25, 40, 50, 60, 75, 90), 4)}
    draw.need(all(abs(total / n - p / 100) > 0.015 for total in sums for p in percents.values()))
    at = {name: next(i for i, total in enumerate(sums) if total > p / 100 * n) for name, p in percents.items()}
    draw.need(len(set(at.values())) == 4)
    stem = draw.ask(_STEM_HISTOGRAM_QUARTILES, m=m, n=n, table=_table(limits, counts))

    def make(name: str) -> Sibling:
        i, p = at[name], percents[name] / 100
        steps = [
            f"The {name} has {percents[name]}% of the values below it, [that is // which makes] `{p:g} * {n} = "
            f"{p * n:.1f}` of {n}.",
            f"[There are // Adding the counts from the left gives] {sums[i - 1] if i else 0} values below {limits[i]} "
            f"and {sums[i]} below {limits[i + 1]} {m.unit}.",
            f"[So the {name} is between {limits[i]} and {limits[i + 1]} {m.unit} // The class from {limits[i]} to "
            f"{limits[i + 1]} {m.unit} therefore contains the {name}].",
        ]
        return Sibling(name, f"{stem} {draw.ask(_ASK_HISTOGRAM_QUARTILES, measure=name)}", steps,
                       words(f"{limits[i]} to {limits[i + 1]} {m.unit}"),
                       "A quartile or percentile is located by adding the counts from the lowest class upward.")

    slips = [f"located the {name}" for name in at]
    return four([make(name) for name in at], slips, {"limits": limits, "counts": counts, "percents": percents})


_STEM_STEM_AND_LEAF = wordings("""
    train: A stemplot shows the {m.thing} of {n} {m.who}: {plot}. Here {key} stands for {value} {m.unit}.
    train: The {m.thing} of a random sample of {n} {m.who} is shown in a stem-and-leaf plot with the rows {plot}, where
        {key} represents {value} {m.unit}.
    train: For {n} {m.who}, a stemplot of {m.thing} has these rows: {plot}. The key says that {key} means {value}
        {m.unit}.
    train: The rows of a stem-and-leaf plot of {m.thing} for {n} {m.who} are {plot}. (Key: {key} is {value} {m.unit}.)
    test: {plot}: these rows, in which {key} is to be read as {value} {m.unit}, list {m.thing} for {n} {m.who}.
    test: Reading {key} as {value} {m.unit}, take the {m.thing} of {n} {m.who} from the stems and leaves {plot}.
    test: Stems and leaves for {n} {m.who}, with {m.thing} as the variable and {key} for {value} {m.unit}: {plot}.
""")
_ASK_STEM_AND_LEAF = wordings("""
    train: What is the {measure} of these values?
    train: Find the {measure}.
    test: State the {measure} of the data.
    test: Read off or compute the {measure}.
""")


@kind(2, ap="1.5, 1.7")
def stem_and_leaf(draw: Draw) -> Siblings:
    """Median, mean, interquartile range or range of eleven values in a stemplot."""
    m = draw.setting(MEASURES)
    mean, sd = center_and_spread(draw, m)
    data = sorted(round(mean + draw.rng.gauss(0, 1) * sd) for _ in range(11))
    stems = range(data[0] // 10, data[-1] // 10 + 1)
    draw.need(3 <= len(stems) <= 8 and len(set(data)) > 8)
    plot = "; ".join(f"{s} | {' '.join(str(x % 10) for x in data if x // 10 == s)}".rstrip() for s in stems)
    fields = {"m": m, "n": len(data), "plot": plot, "key": f"{data[0] // 10} | {data[0] % 10}", "value": data[0]}
    stem = draw.ask(_STEM_STEM_AND_LEAF, **fields)
    total, q1, middle, q3 = sum(data), data[2], data[5], data[8]
    found = {
        "median": (middle, f"The median is the 6th of the 11 values in order, {middle}."),
        "mean": (total / 11, f"The mean is the sum over the number of values, `{total} / 11 = {total / 11:.1f}`."),
        "interquartile range": (q3 - q1, "The quartiles are the 3rd and the 9th of the 11 values, so the interquartile "
                                         f"range is `{q3} - {q1} = {q3 - q1}`."),
        "range": (data[-1] - data[0], "The range is the largest value minus the smallest, "
                                      f"`{data[-1]} - {data[0]} = {data[-1] - data[0]}`."),
    }

    def make(name: str) -> Sibling:
        value, reason = found[name]
        steps = [f"[In order, the values are // Read from the stemplot, the values are // The leaves give, in order,] "
                 f"{', '.join(map(str, data))} {m.unit}.", reason,
                 f"[ // In context: the {name} of the {m.thing} is {number(value, 1, m.unit).text}. // So for the "
                 f"{m.thing} of these {m.many}, the {name} is {number(value, 1, m.unit).text}.]"]
        return Sibling(name, f"{stem} {draw.ask(_ASK_STEM_AND_LEAF, measure=name)}", steps, number(value, 1, m.unit),
                       "A stemplot keeps the values in order, so that medians and quartiles are found by counting.")

    return four([make(name) for name in found], [f"gave the {name}" for name in found], {"data": data})


_STEM_CUMULATIVE_GRAPH = wordings("""
    train: A cumulative relative frequency graph for the {m.thing}, in {m.unit}, of {m.who} passes through these points:
        {points}.
    train: For {m.who}, the cumulative relative frequency of {m.thing} ({m.unit}) at several values is {points}.
    train: The {m.thing} of {m.who} in {m.unit} is summarized by a table of cumulative relative frequencies: {points}.
    train: An ogive, the graph of cumulative relative frequency, is drawn for the {m.thing} ({m.unit}) of {m.who}. Its
        points are {points}.
    test: {points}: this is how the cumulative share of {m.who} grows with {m.thing}, measured in {m.unit}.
    test: A rising curve shows, for each {m.thing} in {m.unit}, the share of {m.who} at or below it. It goes through
        {points}.
    test: The points {points} were read from an ogive, a curve of cumulative shares, that a student drew for {m.thing}
        ({m.unit}) among {m.who}.
""")
_ASK_CUMULATIVE_GRAPH = wordings("""
    train: What proportion of the {m.many} have a value that is {range} {m.unit}?
    train: Find the relative frequency of values that are {range} {m.unit}.
    test: How large is the share of {m.many} whose value is {range} {m.unit}?
    test: Which fraction of the distribution is {range} {m.unit}?
""")


@kind(1, ap="1.5")
def cumulative_graph(draw: Draw) -> Siblings:
    """A proportion below, above or between two points of a cumulative relative frequency graph."""
    m = draw.setting(MEASURES)
    limits = _classes(draw, m, 6)[1:]
    shares = [x / 100 for x in sorted(draw.rng.sample(range(4, 98), 5))] + [1.0]
    low, high = sorted(draw.rng.sample(range(5), 2))
    points = ", ".join(f"({x}, {fixed(p, 2)})" for x, p in zip(limits, shares, strict=True))
    stem = draw.ask(_STEM_CUMULATIVE_GRAPH, m=m, points=points)
    a, b, p, q = limits[low], limits[high], shares[low], shares[high]
    ranges = {f"at most {a}": (p, f"{p:.2f}"), f"above {b}": (1 - q, f"`1 - {q:.2f} = {1 - q:.2f}`"),
              f"above {a} but at most {b}": (q - p, f"`{q:.2f} - {p:.2f} = {q - p:.2f}`"),
              f"at most {b}": (q, f"{q:.2f}")}

    def make(name: str) -> Sibling:
        value, shown = ranges[name]
        steps = [
            f"[The graph shows // A cumulative graph shows] the proportion of values up to each point: {p:.2f} up to "
            f"{a} and {q:.2f} up to {b} {m.unit}.",
            f"[The proportion of values that are {name} {m.unit} is therefore {shown} // So the values that are {name} "
            f"{m.unit} have the relative frequency {shown}].",
        ]
        return Sibling(name, f"{stem} {draw.ask(_ASK_CUMULATIVE_GRAPH, m=m, range=name)}", steps, number(value, 2),
                       "A cumulative relative frequency counts everything up to its value; other ranges are "
                       "differences.")

    return four(
        [make(name) for name in ranges],
        [f"read the share up to {a}", f"took the share beyond {b}", f"took the difference between {b} and {a}",
         f"read the share up to {b}"],
        {"limits": limits, "shares": shares, "places": (low, high)},
    )
