"""Position in a distribution: z-scores, percentiles and comparisons."""

from __future__ import annotations

from .._draw import Draw, kind
from .._problem import number, plain, words
from .._scenarios import TALLIES
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, square
from .._stories import CONTESTS
from .._wording import capital, wordings
from ._shared import YEARS, two_years

# fmt: off


_STEM_Z_SCORE = wordings("""
    train: The {m.thing} of {m.who} had mean {m1} {m.unit} and standard deviation {s1} {m.unit} in the first year of a
        study, and mean {m2} {m.unit} and standard deviation {s2} {m.unit} in the second year.
    train: For {m.who}, the mean {m.thing} was {m1} {m.unit} in the first year (SD {s1}) and {m2} {m.unit} in the second
        year (SD {s2}).
    train: Records of {m.who} give the following for {m.thing}, in {m.unit}. First year: mean {m1}, standard deviation
        {s1}. Second year: mean {m2}, standard deviation {s2}.
    train: In two successive years, the {m.thing} of {m.who} was recorded. The distribution had mean {m1} and standard
        deviation {s1} {m.unit} in the first year, mean {m2} and standard deviation {s2} {m.unit} in the second.
    test: {m.who!c} were studied twice. Their average {m.thing} was {m1} {m.unit} in the first year, when the SD was
        {s1}, and {m2} {m.unit} in the second, when the SD was {s2}.
    test: A table of {m.thing} ({m.unit}) among {m.who} lists x-bar = {m1} and s = {s1} under "first year" and x-bar =
        {m2} and s = {s2} under "second year".
    test: With an average of {m1} {m.unit} and an SD of {s1} {m.unit}, the first year's data on {m.who} describe
        {m.thing} before a change; the second year's average of {m2} and SD of {s2} describe it afterward.
""")
_ASK_Z_SCORE = wordings("""
    train: What is the z-score of {m.thing!a} of {x} {m.unit} in the {year} year?
    train: Find the standardized score of {m.one!a} with {m.thing!a} of {x} {m.unit} in the {year} year.
    test: In the {year} year, how many standard deviations above (+) or below (-) the mean is {m.one!a} at {x} {m.unit}?
    test: Convert {x} {m.unit}, recorded for {m.one!a} of the {year} year, to standard units.
""")


@kind(1, ap="1.10")
def z_score(draw: Draw) -> Siblings:
    """The standardized score of one of two values in one of two years."""
    m = draw.setting(MEASURES)
    means, sds = two_years(draw, m)
    xs = tuple(draw.decimal(means[0] - 2.6 * sds[0], means[0] + 2.6 * sds[0], m.digits) for _ in "ab")
    draw.need(abs(xs[0] - xs[1]) > 0.4 * sds[0])
    stem = draw.ask(_STEM_Z_SCORE, m=m, m1=means[0], m2=means[1], s1=sds[0], s2=sds[1])

    def make(a: int, b: int) -> Sibling:
        mean, sd, x = means[a], sds[a], xs[b]
        z = (x - mean) / sd
        steps = [
            "[The z-score counts standard deviations from the mean: // A value is standardized by its own mean and "
            "SD:] `z = (x - mean) / SD`.",
            f"[For {x} {m.unit} in the {YEARS[a]} year, // With mean and SD of the {YEARS[a]} year,] `z = ({x} - "
            f"{mean}) / {sd} = {plain(x - mean)} / {sd} = {z:.2f}`.",
            f"[The value is // So {x} {m.unit} is // In context, a {m.thing} of {x} {m.unit} is] {abs(z):.2f} "
            f"standard deviations {'above' if z > 0 else 'below'} that year's mean.",
        ]
        return Sibling(
            f"{YEARS[a]} year, {x}",
            f"{stem} {draw.ask(_ASK_Z_SCORE, m=m, x=x, year=YEARS[a])}",
            steps,
            number(z, 2),
            "A z-score is a signed distance from the mean of its own distribution, in standard deviations.",
        )

    return square(
        make,
        ("standardized with the mean and SD of the second year", "standardized with the mean and SD of the first year"),
        (f"put in {xs[1]} instead of {xs[0]}", f"put in {xs[0]} instead of {xs[1]}"),
        {"means": means, "sds": sds, "xs": xs},
    )


_STEM_COMPARE_Z_SCORES = wordings("""
    train: {c.who} gets {x1} {c.unit} in {c.first} and {x2} {c.unit} in {c.second}. The results of all participants have
        mean {m1} and standard deviation {s1} in {c.first}, and mean {m2} and standard deviation {s2} in {c.second}.
    train: In {c.first}, all results have mean {m1} and standard deviation {s1}; in {c.second}, mean {m2} and standard
        deviation {s2}. {c.who} gets {x1} {c.unit} in the former and {x2} {c.unit} in the latter.
    train: {c.who} takes part twice, with {x1} {c.unit} in {c.first} (mean of all results {m1}, standard deviation {s1})
        and {x2} {c.unit} in {c.second} (mean {m2}, standard deviation {s2}).
    train: The mean of all results is {m1} {c.unit} in {c.first} and {m2} {c.unit} in {c.second}; the standard
        deviations are {s1} and {s2}. {c.who} gets {x1} in the former and {x2} in the latter.
    test: {c.who} comes home with {x1} {c.unit} from {c.first} (field average {m1}, SD {s1}) and {x2} {c.unit} from
        {c.second} (field average {m2}, SD {s2}).
    test: The score sheet for {c.first} shows a field average of {m1} {c.unit} and an SD of {s1}; for {c.second}, {m2}
        and {s2}. {c.who} appears on both, with {x1} and {x2} {c.unit}.
    test: Two events, two fields: {c.first} averages {m1} {c.unit} with SD {s1}, while {c.second} averages {m2} with SD
        {s2}. {c.who} scores {x1} in one and {x2} in the other.
""")
_ASK_COMPARE_Z_SCORES = wordings("""
    train/z: Relative to the variation among all participants, in which of the two is the result {better}, and by how
        much?
    train/z: Judged by z-scores, in which of the two is the result {better}, and by how much?
    train/raw: Leaving the variation aside, in which of the two is the result {farther} above the mean, and by how much?
    train/raw: Judged by plain distance above the mean, in which of the two is the result {better}, and by how much?
    test/z: Allowing for how much each field varied, where was the {stronger} showing, and what is the gap?
    test/z: Which of the two performances is the {stronger} one once both are standardized, and what is the gap?
    test/raw: Ignoring how much each field varied, where was the {larger} lead over the average, and what is the gap?
    test/raw: Which performance has the {larger} lead over its field average before any standardizing, and what is the
        gap?
""")


@kind(2, ap="1.10")
def compare_z_scores(draw: Draw) -> Siblings:
    """Which of two results is better, by z-scores or by plain distances from the mean."""
    c = draw.setting(CONTESTS)
    m = tuple(draw.integer(*c.mean) for _ in "ab")
    s = tuple(draw.decimal(*c.sd, 1) for _ in "ab")
    x = tuple(round(m[k] + draw.decimal(0.3, 2.4, 2) * s[k]) for k in (0, 1))
    d = tuple(x[k] - m[k] for k in (0, 1))
    z = tuple(d[k] / s[k] for k in (0, 1))
    draw.need(abs(z[0] - z[1]) > 0.2 and abs(d[0] - d[1]) > 1 and min(d) > 1 and m[0] != m[1])
    gaps = (f"{abs(z[0] - z[1]):.2f} standard deviations", f"{abs(d[0] - d[1])} {c.unit}")
    stem = draw.ask(_STEM_COMPARE_Z_SCORES, c=c, x1=x[0], x2=x[1], m1=m[0], m2=m[1], s1=s[0], s2=s[1])
    names = (c.first, c.second)
    working = (
        f"The z-scores are `({x[0]} - {m[0]}) / {s[0]} = {z[0]:.3f}` in {names[0]} and "
        f"`({x[1]} - {m[1]}) / {s[1]} = {z[1]:.3f}` in {names[1]}.",
        f"The distances above the mean are `{x[0]} - {m[0]} = {d[0]}` in {names[0]} and `{x[1]} - {m[1]} = {d[1]}` in "
        f"{names[1]}.",
    )

    def make(raw: int, k: int) -> Sibling:
        wins = (z, d)[raw][k] > (z, d)[raw][1 - k]
        way = ("better", "farther", "larger", "stronger") if wins else ("weaker", "less far", "smaller", "weaker")
        fields = dict(zip(("better", "farther", "larger", "stronger"), way, strict=True))
        steps = [
            ("[Different distributions are compared in standard deviations // Each result is standardized first].",
             f"[Plain distances from the mean are compared // The comparison is of distances in {c.unit}].")[raw],
            working[raw],
            f"[The {('z-score', 'distance')[raw]} in {names[k]} is the {'larger' if wins else 'smaller'} one, // Of "
            f"the two, that in {names[k]} is {'larger' if wins else 'smaller'},] by {gaps[raw]}.",
        ]
        return Sibling(
            f"{('z-scores', 'distances')[raw]}, {names[k]}",
            f"{stem} {draw.ask(_ASK_COMPARE_Z_SCORES, ('z', 'raw')[raw], c=c, **fields)}",
            steps,
            words(f"{capital(names[k])}, by {gaps[raw]}."),
            "Results from different distributions are compared by z-scores, which allow for mean and spread.",
        )

    return square(
        make,
        ("compared distances from the mean without dividing by the standard deviations",
         "divided by the standard deviations although plain distances were asked for"),
        ("turned the comparison around", "turned the comparison around"),
        {"x": x, "m": m, "s": s, "names": names},
    )


_STEM_CUMULATIVE_PERCENT = wordings("""
    train: {t.what!c} per {t.each} was recorded {n} times: {table}.
    train: A frequency table of {t.what} per {t.each} has these entries: {table}.
    train: For a random sample of {n}, {t.what} per {t.each} was as follows: {table}.
    train: A dotplot of {t.what} per {t.each} has these numbers of dots above 0 to 4: {counts}.
    test: Of {n} entries in a log of {t.what} per {t.each}, the tally reads {table}.
    test: Above the values 0, 1, 2, 3 and 4, a bar graph of {t.what} per {t.each} shows bars of height {counts}.
    test: {table}: this is the tally of {t.what} per {t.each}, kept for a report.
""")
_ASK_CUMULATIVE_PERCENT = wordings("""
    train: What percent of these values are {range}?
    train: Find the relative frequency, in percent, of values that are {range}.
    test: How many in a hundred entries are {range}?
    test: Which percentage of the recorded values is {range}?
""")


@kind(1, ap="1.4")
def cumulative_percent(draw: Draw) -> Siblings:
    """The percent of values of a frequency table at, below or above one value."""
    t = draw.setting(TALLIES)
    counts, k = tuple(draw.integer(3, 24) for _ in range(5)), draw.integer(1, 3)
    n = sum(counts)
    draw.need(n != 100)
    table = ", ".join(f"{value} ({times} times)" for value, times in enumerate(counts))
    shown = ", ".join(map(str, counts[:-1])) + f" and {counts[-1]}"
    stem = draw.ask(_STEM_CUMULATIVE_PERCENT, t=t, n=n, table=table, counts=shown)
    ranges = ((f"{k} or less", f"less than {k}"), (f"{k} or more", f"more than {k}"))

    def make(up: int, strict: int) -> Sibling:
        part = counts[k + strict:] if up else counts[: k + 1 - strict]
        right = 100 * sum(part) / n
        steps = [
            f"[There are {n} values in all // The frequencies add up to {n}].",
            f"[The number of values that are {ranges[up][strict]} is // Adding the frequencies of the values that are "
            f"{ranges[up][strict]} gives] `{' + '.join(map(str, part))} = {sum(part)}`.",
            f"[As a percent, that is // Out of {n}, this makes] `100 * {sum(part)} / {n} = {right:.1f}`.",
        ]
        return Sibling(
            ranges[up][strict],
            f"{stem} {draw.ask(_ASK_CUMULATIVE_PERCENT, range=ranges[up][strict])}",
            steps,
            number(right, 1, "percent"),
            "A cumulative relative frequency adds the counts of all values in the range and divides by the total.",
        )

    return square(
        make,
        ("counted the values on the upper side", "counted the values on the lower side"),
        (f"left out the value {k} itself", f"included the value {k} itself"),
        {"counts": counts, "k": k},
    )
