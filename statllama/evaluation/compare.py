"""Two or more scored models, each against the first, on all benchmarks they share. Pure mathematics and data, no torch.

Changes that a recipe asks about are judged with all that it asks about, the others with those shown beside them; the
topics of each change are a family of their own. The chance of any false claim in a family is at most 5 %.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from statllama.config.blind import Blind
from statllama.errors import UsageError
from statllama.evaluation import meaning
from statllama.evaluation.paired import ALPHA, Change, Judged, judge, paired_change
from statllama.evaluation.scorecard import IncomparableError, compare_scores
from statllama.evaluation.scores import TaskScore, floor_known
from statllama.evaluation.unit import Unit, unit_of

Sample = Mapping[str, Any]
Flips = tuple[tuple[Sample, Sample], ...]

MODEL = ("base", "stack")  # fields of a protocol that say what is scored, not how

SPOKEN = {
    "protocol": "the version of statllama's scoring",
    "lm_eval": "the version of lm-eval",
    "transformers": "the version of Transformers",
    "compute": "the compute type",
}


@dataclass(frozen=True)
class Record:
    """One model's score on one benchmark and how it was scored."""

    score: TaskScore
    """The score with its samples; without them there are no flipped items and topics."""
    protocol: Mapping[str, Any]
    """The benchmark's value of `protocol_key`."""


@dataclass(frozen=True)
class Scored:
    """A model by the name that the reader knows it by, and its records by benchmark."""

    name: str
    records: Mapping[str, Record]
    selected: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """{benchmark: the stages in the stack whose best step was selected on its score}."""


@dataclass(frozen=True)
class Tested(Judged):
    """A change that was judged, with the two scores it is between."""

    before: float
    """Mean score of the reference: a share between 0 and 1, or of a hold-out minus its loss, see `TaskScore`."""
    after: float
    """Mean score of the other model."""


@dataclass(frozen=True)
class Contrast:
    """One model against the reference on one benchmark."""

    task: str
    metric: str
    other: str
    """Name of the model; the reference is `Comparison.reference`."""
    total: int
    """Items that the benchmark has; more than `overall.change.n` where only a part was scored."""
    overall: Tested
    gained: Flips
    """(sample of the reference, sample of the other) of items that score higher, in document order."""
    lost: Flips
    """The same for items that score lower."""
    topics: Mapping[str, Tested]
    """Exploratory: the items of each topic by themselves, in alphabetical order. Empty where items have no topic."""
    chance: float | None = None
    """Share that guessing gets right; None where items have no choices."""
    blind: Blind | None = None
    """Blind baseline of the benchmark; None where it states none."""

    @property
    def unit(self) -> Unit:
        """Return what people read its figures as."""
        return unit_of(self.metric)


@dataclass(frozen=True)
class Comparison:
    """All models against the first, on the benchmarks that all of them have."""

    reference: str
    others: tuple[str, ...]
    level: float
    """Chance of any false claim in a family of changes."""
    contrasts: tuple[Contrast, ...]
    """By benchmark, then by model."""
    left_out: Mapping[str, tuple[str, ...]]
    """{benchmark that not all have: names of the models that have it}."""
    notes: tuple[meaning.Note, ...] = ()
    """Reasons to read scores with care, by benchmark."""

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values; a flipped item is `{before: sample, after: sample}`."""
        data = asdict(self)
        for contrast in data["contrasts"]:
            for side in ("gained", "lost"):
                contrast[side] = [{"before": before, "after": after} for before, after in contrast[side]]
        return data


def compare(subjects: Sequence[Scored], sizes: Mapping[tuple[str, str], int] | None = None) -> Comparison:
    """Compare each of `subjects` with the first on every benchmark that all have, on the same items.

    `sizes`: {(benchmark, model): number of changes that this one is judged with}, of those that a recipe asks about;
    all others are judged together.

    Raises UsageError for fewer than two, a name given twice, or no common benchmark; IncomparableError when a benchmark
    was scored by different protocols or on different items, saying what differs.
    """
    tasks = _common(subjects)
    _check_protocols(subjects, tasks)
    reference, *others = subjects
    pairs = [(task, other) for task in tasks for other in others]
    scores = [(reference.records[task].score, other.records[task].score) for task, other in pairs]
    known = [(sizes or {}).get((task, other.name)) for task, other in pairs]
    floors = {task: floor_known(subject.records[task].score for subject in subjects) for task in tasks}
    contrasts = tuple(
        Contrast(
            task=task,
            metric=old.metric,
            other=other.name,
            total=old.total,
            overall=_tested(old.value, new.value, compare_scores(old, new, size or known.count(None))),
            gained=_flips(old, new, gained=True),
            lost=_flips(old, new, gained=False),
            topics=_topics(old, new),
            chance=floors[task][0],
            blind=floors[task][1],
        )
        for (task, other), (old, new), size in zip(pairs, scores, known, strict=True)
    )
    having = {task: tuple(s.name for s in subjects if task in s.records) for s in subjects for task in s.records}
    left_out = {task: names for task, names in having.items() if task not in tasks}
    notes = tuple(note for task in tasks for note in _notes(subjects, task))
    return Comparison(reference.name, tuple(other.name for other in others), ALPHA, contrasts, left_out, notes)


def _notes(subjects: Sequence[Scored], task: str) -> tuple[meaning.Note, ...]:
    """Return what the scores on one benchmark cannot mean, each set against the reference's."""
    reference, *others = subjects
    scores = {subject.name: subject.records[task].score for subject in subjects}
    selected = {subject.name: subject.selected for subject in subjects}
    return meaning.notes(scores, {other.name: (reference.name,) for other in others}, selected)


def require_different(names: Sequence[str]) -> None:
    """Raise UsageError unless these are the names of two models or more, each once."""
    if len(names) < 2:
        raise UsageError("a comparison needs two models or more", remedy="statllama compare A B")
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise UsageError(f"a comparison needs different models: {repeated[0]!r} is given twice")


def _common(subjects: Sequence[Scored]) -> list[str]:
    """Return the benchmarks that all have, in the order of the first."""
    require_different([subject.name for subject in subjects])
    tasks = [task for task in subjects[0].records if all(task in other.records for other in subjects)]
    if not tasks:
        lists = "; ".join(f"{s.name}: {', '.join(s.records) or 'none'}" for s in subjects)
        raise UsageError(
            f"no benchmark is scored for all of them ({lists})",
            remedy="score the same ones: statllama eval MODEL --task NAME",
        )
    return tasks


def _check_protocols(subjects: Sequence[Scored], tasks: Sequence[str]) -> None:
    """Raise IncomparableError with all that differs from the first."""
    reference, *others = subjects
    lines = [
        f"{task}, {reference.name} and {other.name}: {difference}"
        for task in tasks
        for other in others
        for difference in _differences(task, reference.records[task].protocol, other.records[task].protocol)
    ]
    if lines:
        raise IncomparableError(
            "the scores cannot be compared, because they were made in different ways:\n  " + "\n  ".join(lines),
            remedy="score both again with the same `evaluate` settings and data, on one machine",
        )


def _differences(task: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the differences between two protocols of a benchmark."""
    found = []
    olds, news = dict(_fields(old)), dict(_fields(new))
    for field in dict.fromkeys((*olds, *news)):
        a, b = olds.get(field, "not recorded"), news.get(field, "not recorded")
        if field[0] in MODEL or a == b or (field[0] == "tasks" and field[1:] != (task,)):
            continue
        if field[0] == "tasks":
            found.append(f"the benchmark's file or data differ (fingerprints {a!s:.12} and {b!s:.12})")
        else:
            name = ".".join(field)
            found.append(f"{SPOKEN.get(name, f'`{name}`')} is {a!r} and {b!r}")
    return found


def _fields(protocol: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, value) of everything in nested mappings."""
    for name, value in protocol.items():
        if isinstance(value, Mapping):
            yield from _fields(value, (*above, name))
        else:
            yield (*above, name), value


def _tested(before: float, after: float, change: Change) -> Tested:
    judged = judge(change)
    return Tested(change, judged.p_adjusted, judged.verdict, before, after)


def _topics(before: TaskScore, after: TaskScore) -> dict[str, Tested]:
    """Return the items of each topic compared by themselves, for those that have one: a family of the topics."""
    rows: dict[str, list[tuple[float, float, str]]] = {}
    clusters = after.clusters or after.item_ids
    for (old, new), cluster in zip(_samples(before, after), clusters, strict=False):
        if (topic := old.get("topic")) is not None:
            rows.setdefault(str(topic), []).append((old["score"], new["score"], cluster))
    found = {}
    for topic, scores in sorted(rows.items()):
        olds, news, of = zip(*scores, strict=True)
        change = paired_change(olds, news, of if after.clusters else None, len(rows), after.smooth)  # no hold-out's
        found[topic] = _tested(fmean(olds), fmean(news), change)
    return found


def _flips(before: TaskScore, after: TaskScore, *, gained: bool) -> Flips:
    sign = 1 if gained else -1
    return tuple((old, new) for old, new in _samples(before, after) if sign * (new["score"] - old["score"]) > 0)


def _samples(before: TaskScore, after: TaskScore) -> Iterator[tuple[Sample, Sample]]:
    """Yield both records of each item; none where a score came without them."""
    if before.samples and after.samples:
        yield from zip(before.samples, after.samples, strict=True)
