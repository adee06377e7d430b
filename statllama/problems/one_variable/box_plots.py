"""Box plots, described by their five numbers."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._problem import count, number, plain, words
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import YEARS, five_numbers

# fmt: off


_STEM_BOX_PLOT_SPREAD = wordings("""
    train: A boxplot of {m.thing} for {m.who} shows minimum {low}, first quartile {q1}, median {mid}, third quartile
        {q3} and maximum {high} {m.unit}.
    train: The five-number summary of {m.thing}, in {m.unit}, for a sample of {m.who} is {low}, {q1}, {mid}, {q3},
        {high}.
    train: For {m.who}, the box of a boxplot of {m.thing} reaches from {q1} to {q3} {m.unit} with the median at {mid};
        the whiskers end at {low} and {high}.
    train: In a boxplot of the {m.thing} of some {m.who}, the whiskers end at {low} and {high} {m.unit}, the ends of the
        box are {q1} and {q3}, and the line in the box is at {mid}.
    test: Min = {low}, Q1 = {q1}, Med = {mid}, Q3 = {q3}, Max = {high}: a calculator displays this for the {m.thing}
        ({m.unit}) of a group of {m.who}.
    test: Above an axis for {m.thing} in {m.unit}, a line from {low} leads to a box that starts at {q1}, is divided at
        {mid} and stops at {q3}; another line goes on to {high}. The plot describes {m.who}.
    test: {m.thing!c} among {m.who} goes from {low} up to {high} {m.unit}, with {mid} as the middle value and quartiles
        of {q1} and {q3}.
""")
_ASK_BOX_PLOT_SPREAD = wordings("""
    train/range: What is the range of these data?
    train/range: Find the width of the interval that holds all of the values.
    train/iqr: What is the interquartile range of these data?
    train/iqr: Find the width of the interval that holds the middle 50% of the values.
    train/upper: How far does the upper half of the values extend?
    train/upper: Find the width of the interval that holds the upper 50% of the values.
    train/lower: How far does the lower half of the values extend?
    train/lower: Find the width of the interval that holds the lower 50% of the values.
    test/range: Over what distance, in {m.unit}, is the whole distribution spread?
    test/range: How many {m.unit} separate the two extreme values?
    test/iqr: Over what distance, in {m.unit}, is the middle half of the distribution spread?
    test/iqr: How many {m.unit} separate the two quartiles?
    test/upper: Over what distance, in {m.unit}, is the upper half of the distribution spread?
    test/upper: How many {m.unit} separate the middle value from the largest?
    test/lower: Over what distance, in {m.unit}, is the lower half of the distribution spread?
    test/lower: How many {m.unit} separate the smallest value from the middle one?
""")


@kind(1, ap="1.8")
def box_plot_spread(draw: Draw) -> Siblings:
    """The width of a part of a box plot: all, the box, the upper or the lower half."""
    m = draw.setting(MEASURES)
    low, q1, middle, q3, high = five_numbers(draw, m)
    stem = draw.ask(_STEM_BOX_PLOT_SPREAD, m=m, low=low, q1=q1, mid=middle, q3=q3, high=high)
    parts = {"range": (low, high, "all of the values", "minimum", "maximum"),
             "iqr": (q1, q3, "the middle half of the values", "first quartile", "third quartile"),
             "upper": (middle, high, "the upper half of the values", "median", "maximum"),
             "lower": (low, middle, "the lower half of the values", "minimum", "median")}

    def make(name: str) -> Sibling:
        start, end, what, first, last = parts[name]
        steps = [
            f"The interval from the {first}, {start}, to the {last}, {end}, holds {what}.",
            f"[Its width is // The width is the difference of the two, // Subtracting gives] `{end} - {start} = "
            f"{plain(end - start)}` {m.unit}.",
            f"[ // So {what} extend over {plain(end - start)} {m.unit}. // In context, the {m.thing} of "
            f"{what.removesuffix(' of the values')} of the {m.many} varies by at most this much.]",
        ]
        return Sibling(name, f"{stem} {draw.ask(_ASK_BOX_PLOT_SPREAD, name, m=m)}", steps,
                       number(end - start, m.digits, m.unit),
                       "The quartiles and the median divide the data into four parts with a quarter of the values "
                       "each.")

    return four(
        [make(name) for name in parts],
        [f"gave the width of {part[2]}" for part in parts.values()],
        {"five": (low, q1, middle, q3, high)},
    )


_STEM_BOX_PLOT_COUNTS = wordings("""
    train: Boxplots show the {m.thing} of {n1} {m.who} in the first year (Q1 {p0}, median {p1}, Q3 {p2} {m.unit}) and of
        {n2} in the second year (Q1 {q0}, median {q1}, Q3 {q2} {m.unit}).
    train: For the {m.thing} of {m.who} in {m.unit}, the quartiles and the median are {p0}, {p1}, {p2} in the first
        year, with {n1} values, and {q0}, {q1}, {q2} in the second year, with {n2} values.
    train: Two boxplots compare the {m.thing} ({m.unit}) of {m.who}. In the first year, with {n1} values, the box runs
        from {p0} to {p2}, median {p1}; in the second year, with {n2} values, from {q0} to {q2}, median {q1}.
    train: A summary of {m.thing}, in {m.unit}, for {m.who} lists n = {n1}, Q1 = {p0}, median = {p1}, Q3 = {p2} in the
        first year and n = {n2}, Q1 = {q0}, median = {q1}, Q3 = {q2} in the second.
    test: The box for the first year's {n1} {m.who} starts at {p0}, is divided at {p1} and stops at {p2} {m.unit} on the
        axis for {m.thing}. The box for the second year's {n2} starts at {q0}, is divided at {q1} and stops at {q2}.
    test: {m.thing!c} of {m.who}, year by year, in {m.unit}: half of the {n1} values of the first year are from {p0} to
        {p2} (the quartiles) around a median of {p1}, half of the {n2} values of the second from {q0} to {q2} around
        {q1}.
    test: A calculator gives Q1 = {p0}, Med = {p1}, Q3 = {p2} for {m.thing} ({m.unit}) among {n1} {m.who} of the first
        year; for {n2} of the second year it gives Q1 = {q0}, Med = {q1}, Q3 = {q2}.
""")
_ASK_BOX_PLOT_COUNTS = wordings("""
    train: About how many of the {year} year's values are {side} {cut} {m.unit}?
    train: About how many {m.many} of the {year} year have {m.thing!a} {side} {cut} {m.unit}?
    test: Roughly what number of values {side} {cut} {m.unit} does the {year} year have?
    test: In the {year} year, what is the approximate count of {m.many} {side} {cut} {m.unit}?
""")


@kind(2, ap="1.8")
def box_plot_counts(draw: Draw) -> Siblings:
    """About how many values lie above or below a number that is Q1 of one box plot and Q3 of another."""
    m = draw.setting(MEASURES)
    upper, lower = five_numbers(draw, m)[1:4], five_numbers(draw, m)[1:4]
    move = round(upper[0] - lower[2], m.digits)
    lower = (Given(round(lower[0] + move, m.digits)), Given(round(lower[1] + move, m.digits)), upper[0])
    cut, sizes = upper[0], (4 * draw.integer(8, 40), 4 * draw.integer(8, 40))
    draw.need(min(lower) > 0 and sizes[0] not in (sizes[1], 3 * sizes[1]) and sizes[1] != 3 * sizes[0])
    boxes = draw.choice(((upper, lower), (lower, upper)))
    names = {f"{box}{i}": x for box, values in zip("pq", boxes, strict=True) for i, x in enumerate(values)}
    stem = draw.ask(_STEM_BOX_PLOT_COUNTS, m=m, n1=sizes[0], n2=sizes[1], **names)

    def make(k: int, below: int) -> Sibling:
        is_q1, side = boxes[k][0] == cut, ("above", "below")[below]
        share = 25 if is_q1 == bool(below) else 75
        steps = [
            f"[In the {YEARS[k]} year, {cut} {m.unit} is // {cut} {m.unit} is, in the {YEARS[k]} year,] the "
            f"{'first' if is_q1 else 'third'} quartile[. // of the {m.thing}.]",
            f"About {share}% of the values are {side} it[: // , which makes] `{share / 100:.2f} * {sizes[k]} = "
            f"{sizes[k] * share // 100}`[. // of the {sizes[k]} {m.many}.]",
        ]
        ask = draw.ask(_ASK_BOX_PLOT_COUNTS, m=m, year=YEARS[k], side=side, cut=cut)
        return Sibling(f"{YEARS[k]} year, {side}", f"{stem} {ask}", steps, count(sizes[k] * share // 100, m.many),
                       "About a quarter of the values lie below the first quartile and above the third.")

    return square(
        make,
        ("used the box of the second year", "used the box of the first year"),
        (f"counted the values below {cut}", f"counted the values above {cut}"),
        {"boxes": boxes, "sizes": sizes, "cut": cut},
    )


_STEM_COMPARE_BOX_PLOTS = wordings("""
    train: Boxplots of the {m.thing} of {m.who}, in {m.unit}, have these five numbers. First year: {first}. Second year:
        {second}.
    train: The five-number summaries of {m.thing} ({m.unit}) for {m.who} are {first} in the first year and {second} in
        the second year.
    train: Side-by-side boxplots compare the {m.thing} of {m.who} in two years. In {m.unit}, minimum, quartiles and
        maximum are {first} for the first year, and {second} for the second.
    train: For {m.who}, minimum, first quartile, median, third quartile and maximum of {m.thing} are {first} {m.unit} in
        the first year and {second} {m.unit} in the second.
    test: Min, Q1, Med, Q3 and Max of {m.thing} ({m.unit}) among {m.who} read {first} in a first year and {second} in a
        second one.
    test: Two boxplots above one axis, of a first and a second year, show {m.thing} in {m.unit} for {m.who}. Their five
        marks are at {first} and at {second}.
    test: From data on {m.who} a calculator finds the five numbers of {m.thing}, in {m.unit}: {first} for the first year
        and {second} for the second.
""")
_ASK_COMPARE_BOX_PLOTS = wordings("""
    train: In which year is the {measure} larger, and by how much?
    train: Which year has the larger {measure}, and what is the difference?
    test: Which of the two years has the greater {measure}, and how great is the gap?
    test: Name the year with the larger {measure}, and say by how much it is larger.
""")


@kind(1, ap="1.9")
def compare_box_plots(draw: Draw) -> Siblings:
    """Which of two box plots has the larger median, interquartile range, range or maximum, and by how much."""
    m = draw.setting(MEASURES)
    first = five_numbers(draw, m)
    plots = [first, five_numbers(draw, m, first[2])]
    values: dict[str, list[float]] = {
        "median": [p[2] for p in plots], "interquartile range": [p[3] - p[1] for p in plots],
        "range": [p[4] - p[0] for p in plots], "maximum": [p[4] for p in plots],
    }
    gaps = {name: round(v[0] - v[1], m.digits) for name, v in values.items()}
    draw.need(all(abs(gap) not in (0, 1) for gap in gaps.values()))
    shown = {year: ", ".join(map(str, plot)) for year, plot in zip(YEARS, plots, strict=True)}
    stem = draw.ask(_STEM_COMPARE_BOX_PLOTS, m=m, **shown)

    def make(name: str) -> Sibling:
        pair = [plain(v) for v in values[name]]
        ahead = 0 if gaps[name] > 0 else 1
        steps = [
            f"[The {name} is {pair[0]} {m.unit} in the first year and {pair[1]} {m.unit} in the second // Read from "
            f"the boxplots, the {name} is {pair[0]} (first year) and {pair[1]} (second year) {m.unit}].",
            f"[The {YEARS[ahead]} year is ahead by // The {YEARS[ahead]} year has the larger {name}, by] "
            f"`{pair[ahead]} - {pair[1 - ahead]} = {plain(abs(gaps[name]))}` {m.unit}.",
        ]
        return Sibling(name, f"{stem} {draw.ask(_ASK_COMPARE_BOX_PLOTS, measure=name)}", steps,
                       words(f"The {YEARS[ahead]} year, by {plain(abs(gaps[name]))} {m.unit}."),
                       "Boxplots are compared by median (center), IQR and range (spread), and extremes.")

    slips = [f"compared the years by the {name}" for name in values]
    return four([make(name) for name in values], slips, {"plots": plots})
