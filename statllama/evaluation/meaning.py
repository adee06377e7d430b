"""What a score cannot mean: notes on scores that say less of a model than they look to. Pure mathematics, no torch.

A model that answers every question alike has a score too, and so has one that guesses. The notes state such cases with
their figures, from recorded scores alone; what a record does not hold is not noted. A score that is not shown to be
above chance is called meaningless only where a test rules out that it is `NEAR` or more above it.

Tests are one-sided at `LEVEL`, each by itself. Without clusters they are exact binomial tests. With clusters p is the
larger one of that and of Student's t on the score's distance from chance over the standard error that chance would
have, times the root of the design effect of the clusters (Rao and Scott 1992, Biometrics 48, 577-585).
`benchmarks/chance_tests.py` has the levels of these tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from statllama.config.blind import Blind
from statllama.config.metrics import HOLDOUT
from statllama.evaluation.clusters import Clusters, design_effect, sums_of
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.student import t_cdf

LEVEL = 0.05
NEAR = 0.05
"""Share above chance that still counts as none, where a test rules out that it is more."""
ALIKE = 0.9
"""Share of equal answers from which they are noted."""
FEWEST = 10
"""Items below which equal answers are no surprise."""
UNREADABLE = 0.1
"""Share of replies without an answer from which they are noted."""
UNSHOWN = "not shown to be above"

Kind = Literal["one answer", "unread", "cut", "chance", "no item", "unchanged", "selected"]


Selected = Mapping[str, Mapping[str, Sequence[str]]]
"""{stack: {benchmark: the stages in it whose best step was selected on that score}}."""


@dataclass(frozen=True)
class Note:
    """One reason to read a score with care."""

    task: str
    stack: str
    """Name of the stack or model whose score it is."""
    kind: Kind
    meaningless: bool
    """Whether the score says nothing of the model's knowledge; else it says less than it looks to."""
    what: str
    """The reason, in words that several stacks may share."""
    detail: str = ""
    """Its figures for this one."""

    def __str__(self) -> str:
        return f"{self.task}: {self.what}: {_named(self)}"


def notes(
    scores: Mapping[str, TaskScore],
    before: Mapping[str, Sequence[str]] | None = None,
    selected: Selected | None = None,
) -> tuple[Note, ...]:
    """Return the notes on one benchmark's `scores`, {stack: its score}, in their order.

    `before`: {stack: those it is compared with}, for answers that are all the same as before. `selected`: the stages
    that chose a step by their score.
    """
    found = list(_selected(scores, selected or {}))
    found += [note for stack, score in scores.items() for note in _alone(stack, score)]
    for stack, others in (before or {}).items():
        same = next((name for name in others if _same(scores[name], scores[stack])), None)
        if same is not None:
            what = f"every answer is that of {same}, so nothing changed here"
            found.append(Note(scores[stack].task, stack, "unchanged", False, what))
    return tuple(found)


def _selected(scores: Mapping[str, TaskScore], selected: Selected) -> Iterator[Note]:
    """Yield the scores that steps, or a blend's scale, were chosen on."""
    for stack, score in scores.items():
        if stages := selected.get(stack, {}).get(score.task):
            of = f"the adapter of {' and '.join(stages)} was chosen by it"
            held = score.task.startswith(HOLDOUT)
            what = f"selected on: {of}" if held else f"selected on, so this is no test of it any more: {of}"
            yield Note(score.task, stack, "selected", False, what)


def grouped(found: Sequence[Note]) -> dict[tuple[bool, str], list[str]]:
    """Return {(meaningless, what): those it is said of, with their figures}, the meaningless first.

    >>> grouped([Note("stats", "base", "cut", False, "replies cut", "2 %"), Note("stats", "sft", "cut", False, "x")])
    {(False, 'replies cut'): ['base (2 %)'], (False, 'x'): ['sft']}
    """
    lines: dict[tuple[bool, str], list[str]] = {}
    for note in sorted(found, key=lambda note: not note.meaningless):
        lines.setdefault((note.meaningless, note.what), []).append(_named(note))
    return lines


def sentences(found: Sequence[Note], *, tasks: bool = True) -> list[str]:
    """Return the notes as sentences for a page, one a benchmark and reason; with `tasks`, naming the benchmark."""
    said = []
    for task in dict.fromkeys(note.task for note in found):
        for (meaningless, what), names in grouped([note for note in found if note.task == task]).items():
            end = " Such a score says nothing of what a model knows." if meaningless else ""
            said.append(f"{f'{task}: ' if tasks else ''}{what}: {', '.join(names)}.{end}")
    return said


def floors(chance: float | None, blind: Blind | None) -> str:
    """Return what a score is to be held against, in points: `chance 25.0, blind baseline 24.5 ± 1.4`, or nothing."""
    parts = [] if chance is None else [f"chance {100 * chance:.1f}"]
    if blind is not None:
        error = "" if blind.stderr is None else f" ± {100 * blind.stderr:.1f}"
        parts.append(f"blind baseline {100 * blind.value:.1f}{error}")
    return ", ".join(parts)


def _named(note: Note) -> str:
    return f"{note.stack} ({note.detail})" if note.detail else note.stack


def _alone(stack: str, score: TaskScore) -> Iterator[Note]:
    """Yield the notes on a score by itself."""

    def note(kind: Kind, meaningless: bool, what: str, detail: str = "") -> Note:
        return Note(score.task, stack, kind, meaningless, what, detail)

    answered, n = score.answered, score.n
    if answered is not None and n >= FEWEST and answered.times >= ALIKE * n:
        if answered.times == n:
            yield note("one answer", True, "the same answer to every item", _brief(answered.common))
        elif answered.right < ALIKE * answered.times:  # else the right answers may well be so
            detail = f"{_brief(answered.common)} to {_share(answered.times, n)}"
            yield note("one answer", False, "the same answer to nearly every item", detail)
    if answered is not None and answered.unread >= max(1, UNREADABLE * n):
        yield note("unread", answered.unread == n, "replies without a readable answer", _share(answered.unread, n))
    if score.unfinished:
        yield note("cut", False, "replies cut at the token limit", _share(score.unfinished, n))
    yield from (note("chance", *found) for found in _above(score))
    if score.chance is None and not any(score.items):
        yield note("no item", False, "no item is right, so a loss cannot show")


def _share(part: int, n: int) -> str:
    return f"{100 * part / n:.1f} %, {part:,} of {n:,}"


def _brief(text: str) -> str:
    """Return an answer on one line of at most 40 characters."""
    flat = " ".join(text.split()) or "an empty reply"
    return flat if len(flat) <= 40 else f"{flat[:37]}..."


def _above(score: TaskScore) -> Iterator[tuple[bool, str, str]]:
    """Yield (meaningless, what, detail) for chance and the blind baseline that the score does not rise above.

    Where both have one answer they share a line.
    """
    levels: dict[str, tuple[float, float]] = {}
    if score.chance is not None:
        levels[f"chance ({100 * score.chance:.1f})"] = (score.chance, 0.0)
    if (blind := score.blind) is not None:
        levels[f"the blind baseline ({100 * blind.value:.1f})"] = (blind.value, blind.stderr or 0.0)
    shared: dict[str, list[tuple[str, float]]] = {}
    if all(x in (0, 1) for x in score.items):
        for name, (floor, error) in levels.items():
            p = p_above(score.items, floor, error, score.clusters)
            if p >= LEVEL:
                shared.setdefault(_standing(score, floor, error), []).append((name, p))
    for standing, those in shared.items():
        what = f"{standing} {' or '.join(name for name, _ in those)}"
        tested = f", p = {max(p for _, p in those):.3f}" if standing == UNSHOWN else ""
        yield standing != UNSHOWN, what, f"{100 * score.value:.1f}{tested}"


def _standing(score: TaskScore, floor: float, error: float) -> str:
    """Return the standing of a score that is not above a floor: below it, at it, or not shown to be above."""
    if p_below(score.items, floor, error, score.clusters) < LEVEL:
        return "below"
    if p_below(score.items, floor + NEAR, error, score.clusters) < LEVEL:
        return f"less than {100 * NEAR:g} points above"
    return UNSHOWN


def p_above(items: Sequence[float], floor: float, error: float = 0.0, clusters: Clusters = None) -> float:
    """Return the one-sided p of 'the true share is `floor` or lower', of 0/1 items: small where it is above.

    `error`: standard error of `floor`, 0 where it is known. Raises ValueError for no items.

    >>> round(p_above([1] * 6 + [0] * 14, 0.25), 4)
    0.3828
    """
    right, n = sum(x == 1 for x in items), len(items)
    if not n:
        raise ValueError("a score needs at least one item")
    exact = _upper_tail(right, n, floor)
    if clusters is None and not error:
        return exact
    sums = sums_of(items, clusters)
    unit = math.sqrt(floor * (1 - floor) * design_effect(items, sums) / n + error**2)
    if len(sums) < 2 or not unit:
        return 1.0 if right <= n * floor or len(sums) < 2 else exact
    return max(exact, 1 - t_cdf((right / n - floor) / unit, len(sums) - 1))


def p_below(items: Sequence[float], floor: float, error: float = 0.0, clusters: Clusters = None) -> float:
    """Return the one-sided p of 'the true share is `floor` or higher': `p_above` of the wrong answers."""
    return p_above([1 - x for x in items], max(0.0, 1 - floor), error, clusters)


def _upper_tail(k: int, n: int, p: float) -> float:
    """Return P(X >= k) with X ~ B(n, p)."""
    if k == 0 or p >= 1:
        return 1.0
    if p <= 0:
        return 0.0
    log_p, log_q, whole = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    terms = (whole - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q for i in range(k, n + 1))
    return min(1.0, math.fsum(map(math.exp, terms)))


def _same(before: TaskScore, after: TaskScore) -> bool:
    """Return whether two scores have the same answer to each item."""
    if before.answered is None or after.answered is None:
        return False
    return before.item_ids == after.item_ids and before.answered.digest == after.answered.digest
