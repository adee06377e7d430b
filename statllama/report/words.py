"""Numbers and verdicts in words, as the page and its tables show them."""

from __future__ import annotations

from collections.abc import Sequence

from statllama.evaluation.paired import ALPHA, Change, Judged
from statllama.evaluation.repeated import RecipeContrast
from statllama.evaluation.unit import SHARE, Unit
from statllama.report.data import Benchmark, Delta, Estimate, Score

DASH = "–"
NOTHING = "no evidence of a difference"


def percent(value: float) -> str:
    """Return a share: `43.1 %`."""
    return f"{value:.1f} %"


def scored(estimate: Estimate) -> str:
    """Return a score: `43.1 %`, or of a loss `1.234`."""
    return f"{estimate.value:.{estimate.unit.digits}f}" if estimate.unit.loss else percent(estimate.value)


def label(score: Score) -> str:
    """Return the stack of a score, marked where a step of it was selected on that score."""
    return f"{score.stack} (selected on)" if score.selected else score.stack


def interval(estimate: Estimate) -> str:
    """Return a score's interval: `36.6 to 49.7`."""
    return f"{estimate.low:.{estimate.unit.digits}f} to {estimate.high:.{estimate.unit.digits}f}"


def points(value: float, unit: Unit = SHARE) -> str:
    """Return a change in percentage points, with its sign: `+13.9` or `−1.4`; of a loss in nats: `−0.014`."""
    text = unit.spoken_change(value)
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def points_interval(change: Change, unit: Unit = SHARE) -> str:
    """Return a change's interval: `+5.0 to +22.5`."""
    return points_bounds(change.low, change.high, unit)


def points_bounds(low: float, high: float, unit: Unit = SHARE) -> str:
    """Return two bounds of a change, the lower figure first: `+5.0 to +22.5`."""
    ends = (high, low) if unit.loss else (low, high)
    return " to ".join(points(end, unit) for end in ends)


def changed(delta: Delta) -> str:
    """Return a change with its unit: `+13.9 points`, or `−0.014 nats per token`."""
    return f"{points(delta.change.difference, delta.unit)} {delta.unit.of_changes}"


def p_equals(p: float) -> str:
    """Return a p-value to three decimals, with its sign: `= 0.003` or `< 0.001`; never 0."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def count(number: float | None) -> str:
    """Return an integer with separators, or a dash for none."""
    return DASH if number is None else f"{number:,.0f}"


def figure(number: float | None) -> str:
    """Return a logged number to four significant digits, or a dash for none."""
    return DASH if number is None else f"{number:.4g}"


def share(part: float, whole: float) -> str:
    """Return a share in per cent, or a dash for a share of nothing."""
    return DASH if not whole else f"{100 * part / whole:.0f} %"


def duration(seconds: float | None) -> str:
    """Return `45 s`, `3 min 34 s` or `2 h 05 min`, or a dash for none."""
    if seconds is None:
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def size(count_: float | None) -> str:
    """Return the bytes in the unit that suits them, or a dash for none."""
    if count_ is None:
        return DASH
    for unit in ("B", "KiB", "MiB"):
        if count_ < 1024:
            return f"{count_:.0f} B" if unit == "B" else f"{count_:.1f} {unit}"
        count_ /= 1024
    return f"{count_:.1f} GiB"


def moment(iso: str) -> str:
    """Return an ISO 8601 time for people: `2026-11-21 11:55 UTC`. What has another shape stays as it is."""
    date, mark, time = iso.partition("T")
    if not mark or len(time) < 5:
        return iso
    return f"{date} {time[:5]}" + (" UTC" if time.endswith(("+00:00", "Z")) else "")


def several(number: int, one: str, many: str | None = None) -> str:
    """Return `1 item`, `2 items`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def kind(delta: Delta | None) -> str:
    """Return `better`, `worse` or `same`: how a change is marked. Empty for none."""
    if delta is None:
        return ""
    return delta.verdict if delta.verdict in ("better", "worse") else "same"


def verdict(benchmark: Benchmark, score: Score, delta: Delta) -> str:
    """State a comparison's result in a sentence that claims no more than its test."""
    c = delta.change
    tested = f"{changed(delta)}, interval {points_interval(c, delta.unit)}, p {p_equals(delta.p)}"
    one, gained, lost = ("row", "better", "worse") if delta.unit.loss else ("item", "gained", "lost")
    moved = f"{several(c.gained, one)} {gained} and {count(c.lost)} {lost} of {count(c.n)}"
    if kind(delta) == "same":
        return f"No evidence of a difference between {score.stack} and {delta.against}: {moved} ({tested})."
    return f"{score.stack} is {delta.verdict} than {delta.against} on {benchmark.task}: {moved} ({tested})."


def shown(judged: Judged) -> str:
    """Return the verdict in two words at most: `better`, `worse` or `not shown`."""
    return judged.verdict if judged.verdict in ("better", "worse") else "not shown"


def over_runs(contrasts: Sequence[RecipeContrast]) -> str:
    """Say what the verdicts over several runs rest on, and from what size on a difference can show."""
    runs = max(contrast.runs for contrast in contrasts)
    more = 5 if runs < 5 else 2 * runs
    sizes = sorted({contrast.recipe.change.tests for contrast in contrasts})
    family = f", for all {' or '.join(map(str, sizes))} together (Bonferroni)," if sizes[-1] > 1 else ""
    text = (
        f"Score: mean of {several(runs, 'run')} ± standard deviation between them. Items, runs: standard errors of the "
        f"difference from the choice of items and from the seeds; interval and p{family} hold both. The recipe: under "
        "other seeds and on other items. The checkpoint: the first run alone, on other items."
    )
    spreads = [
        (c.spread, ALPHA / c.recipe.change.tests)
        for c in contrasts
        if c.spread is not None and c.runs == runs and not c.unit.loss
    ]
    if not spreads:
        return text
    now = _range([min(100.0, spread.half_width(level)) for spread, level in spreads])
    then = _range([min(100.0, spread.after(more).half_width(level)) for spread, level in spreads])
    return (
        f"{text} With {runs} runs that differ so much, a recipe's difference shows from {now} points on; with {more} "
        f"such runs it would from {then}."
    )


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"
