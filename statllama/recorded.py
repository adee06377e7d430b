"""The scores that a workspace holds of several models, chosen so that they can be compared. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from statllama.errors import UsageError
from statllama.evaluate.compare import MODEL, Record, Scored
from statllama.evaluate.scores import StackRef
from statllama.scorer import entries_of, with_samples
from statllama.store import Entry, Store
from statllama.store.canonical import digest
from statllama.subjects import Subject

ByProtocol = Mapping[str, Entry]


def scored(store: Store, wanted: Sequence[tuple[str, Subject, StackRef]]) -> tuple[Scored, ...]:
    """The recorded scores of each (label, subject, its stack), with samples.

    Of a benchmark that was scored in several ways (other data, another limit), the way that all have is taken; of
    several such ways the one with the most items. Where no way is common, each has its own, for `compare` to refuse.
    UsageError for one that has no score at all.
    """
    found = {label: _by_task(entries_of(store, subject.scored_as, stack)) for label, subject, stack in wanted}
    for label, subject, _ in wanted:
        if not found[label]:
            raise UsageError(f"nothing is scored for {label}", remedy=f"statllama eval {subject.name}")
    tasks = list(dict.fromkeys(task for by_task in found.values() for task in by_task))
    chosen = {task: _chosen([by_task[task] for by_task in found.values() if task in by_task]) for task in tasks}
    return tuple(
        Scored(
            label,
            {
                task: _record(ways[chosen[task]] if chosen[task] in ways else _largest(ways))
                for task, ways in by_task.items()
            },
        )
        for label, by_task in found.items()
    )


def way_of(entry: Entry) -> str:
    """How a score was made, whatever was scored: equal for scores that can be compared."""
    return digest({name: value for name, value in entry.manifest["protocol"].items() if name not in MODEL})


def _by_task(entries: Sequence[Entry]) -> dict[str, dict[str, Entry]]:
    """{benchmark: {way: entry}}."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        found.setdefault(entry.manifest["score"]["task"], {})[way_of(entry)] = entry
    return found


def _chosen(all_ways: Sequence[ByProtocol]) -> str:
    """The way that all have, the one with the most items; empty when there is none."""
    common = set.intersection(*(set(ways) for ways in all_ways))
    return max(sorted(common), key=lambda way: _items(all_ways[0][way]), default="")


def _largest(ways: ByProtocol) -> Entry:
    return max(ways.values(), key=_items)


def _items(entry: Entry) -> int:
    return int(entry.manifest["score"]["n"])


def _record(entry: Entry) -> Record:
    return Record(with_samples(entry), entry.manifest["protocol"])
