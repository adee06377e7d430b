"""A whole build: its steps with their keys, run one after the other, and its parts.

What a step takes is what the steps before it keep: `extract` takes what was found, `clean` takes documents and the rows
that were collected, `write` takes cleaned documents, `check` takes written rows. So a build that is changed somewhere
makes again only what depends on that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from statllama.config.built import built_folder, settings_digest
from statllama.data.build.asks import asks_of
from statllama.data.build.blocks import Tally, left_out_of, records_of
from statllama.data.build.chain import Executor, Step, Watcher, key_of, run_step
from statllama.data.build.check import step as checks
from statllama.data.build.clean import steps as cleaning
from statllama.data.build.collect import steps_of
from statllama.data.build.extract.step import Extract
from statllama.data.build.graded import graded
from statllama.data.build.parts import document_row, is_current, part_row, require_ours, sweep, write_parts
from statllama.data.build.records import Json
from statllama.data.build.server.responses import FILE
from statllama.data.build.spec import DOCUMENTS, Build, MixSpec
from statllama.data.build.write.step import Writer, writers
from statllama.errors import UsageError, near
from statllama.store import Entry, Store
from statllama.store.canonical import digest

PARTS = 1
"""Raised when the same steps would make other parts."""
Takes = Callable[[Json], bool]


@dataclass(frozen=True)
class Planned:
    """A step of a build."""

    step: Step
    key: str
    inputs: Mapping[str, Takes]
    """{step before: which of its records this one takes}"""

    @property
    def name(self) -> str:
        """Return its name."""
        return self.step.name


@dataclass(frozen=True)
class Asked:
    """What the command says of models that are asked."""

    server: str | None = None
    """Another address of the server."""
    accepted: bool = False
    """Whether to start though the estimate is above the budget."""


@dataclass(frozen=True)
class Made:
    """A finished build."""

    folder: Path
    record: Mapping[str, Any]
    """What `build.json` says."""


def is_row(record: Json) -> bool:
    """Return whether a record is a row."""
    return "part" in record


def is_document(record: Json) -> bool:
    """Return whether a record is a document, or what one is made of."""
    return "part" not in record


def anything(record: Json) -> bool:
    """Return True."""
    return True


def plan(
    build: Build, store: Store, asked: Asked | None = None, stop: Callable[[], None] | None = None
) -> tuple[Planned, ...]:
    """Return the steps in order, with their keys. Reads the files that keys depend on, and asks nobody.

    UsageError, DataError or NotFoundError for what a step cannot do.
    """
    asked = asked or Asked()
    found: list[Planned] = []

    def add(step: Step, inputs: Mapping[str, Takes]) -> str:
        keys = {each.name: each.key for each in found}
        found.append(Planned(step, key_of(step, [keys[name] for name in inputs]), inputs))
        return step.name

    collected: list[str] = []
    for number, spec in enumerate(build.collectors, start=1):
        last: list[str] = []
        for step in steps_of(spec, build.root, f"collect:{number}:{spec.type}"):
            last = [add(step, dict.fromkeys(last, anything))]
        collected += last
    extracted = add(Extract(build.spec.extract), dict.fromkeys(collected, is_document))
    before: dict[str, Takes] = {extracted: anything, **dict.fromkeys(collected, is_row)}
    for step in cleaning.steps(build.spec.clean, build.root):
        before = {add(step, before): anything}
    cleaned = dict.fromkeys(before, is_document)
    written = [add(writer, cleaned) for writer in _writers(build, store, asked, stop)]
    if build.check is not None:
        servers = asks_of(build, store.root / FILE, asked.server, stop)
        for step in checks.steps(build.check, servers, build.root):
            written = [add(step, dict.fromkeys(written, anything))]
    return tuple(found)


def _writers(build: Build, store: Store, asked: Asked, stop: Callable[[], None] | None) -> list[Writer]:
    if build.spec.write is None:
        return []
    return writers(
        build.spec.write,
        build.root,
        store.root / FILE,
        server=asked.server,
        account=build.spec.name,
        accepted=asked.accepted,
        stop=stop,
    )


def inputs_of(planned: Planned, entries: Mapping[str, Entry]) -> Callable[[], Iterator[Json]]:
    """Return the records that a step takes, as often as asked. `entries`: results of the steps before."""

    def records() -> Iterator[Json]:
        for name, takes in planned.inputs.items():
            yield from filter(takes, records_of(entries[name]))

    return records


def run(
    build: Build,
    store: Store,
    executor: Executor,
    watcher: Watcher,
    *,
    asked: Asked | None = None,
    out: Path | None = None,
    until: str | None = None,
    wait: bool = True,
) -> Made | None:
    """Run all steps that have no result yet, and write the parts; None where it ends at the step `until`.

    `out`: folder for the parts; None: beside the build's file. Errors: those of the steps, and of `plan`.
    """
    planned = plan(build, store, asked, watcher.stop)
    names = [each.name for each in planned]
    if until is not None and until not in names:
        raise UsageError(f"--until {until}: no step {until!r}; {near(until, names)}")
    target = Path(built_folder(str(build.file))) if out is None else out
    sweep(target)
    require_ours(target)
    entries: dict[str, Entry] = {}
    store.write_build(build.spec.name, {"file": str(build.file), "steps": {each.name: each.key for each in planned}})
    for each in planned:
        inputs, total = inputs_of(each, entries), _total(each, entries)
        entries[each.name] = run_step(each.step, each.key, inputs, store, executor, watcher, total=total, wait=wait)
        watcher.finished(each.name, Tally.of_json(entries[each.name].manifest))
        if each.name == until:
            return None
    return _parts(build, planned, entries, target)


def _total(planned: Planned, entries: Mapping[str, Entry]) -> int | None:
    """Return how many records a step takes, where that is known without reading them."""
    if not planned.inputs or any(takes is not anything for takes in planned.inputs.values()):
        return None
    return sum(int(entries[name].manifest["kept"]) for name in planned.inputs)


# ------------------------------------------------------------------ the parts


def _parts(build: Build, planned: Sequence[Planned], entries: Mapping[str, Entry], target: Path) -> Made:
    keys = {each.name: each.key for each in planned}
    settings = settings_digest(build.data)
    build_digest = digest({"parts": PARTS, "settings": settings, "keys": keys})
    record = {
        "build": build_digest,
        "name": build.spec.name,
        "settings": settings,
        "steps": [
            {"name": name, "key": keys[name], **Tally.of_json(entry.manifest).as_json()}
            for name, entry in entries.items()
        ],
        "tokens": {each.name: each.step.spent().tokens for each in planned if isinstance(each.step, Writer)},
    }
    known = is_current(target, build_digest)
    if known is not None:
        return Made(target, known)
    rows = Rows(build, planned, entries)
    return Made(target, write_parts(target, {name: rows.of(name) for name in build.parts}, record))


@dataclass(frozen=True)
class Rows:
    """The rows of a build's parts, read from the results of its last steps."""

    build: Build
    planned: Sequence[Planned]
    entries: Mapping[str, Entry]

    def of(self, part: str) -> Iterator[Json]:
        """Yield the rows of a part as a recipe reads them, one at a time."""
        if part in self.build.spec.mix:
            return self._mixed(self.build.spec.mix[part])
        if part == DOCUMENTS:
            return (document_row(document) for document in self._cleaned() if is_document(document))
        return (part_row(row) for row in self._rows(part))

    def _mixed(self, mix: MixSpec) -> Iterator[Json]:
        if DOCUMENTS in mix.of:
            found: Callable[[], Iterable[Json]] = lambda: self.of(DOCUMENTS)  # noqa: E731
        else:
            found = lambda: (part_row(row) for row in self._chosen(mix))  # noqa: E731
        if mix.limit is None:
            return iter(found())
        return evenly(found, mix.limit)

    def _chosen(self, mix: MixSpec) -> Iterator[Json]:
        rows = chain.from_iterable(map(self._rows, mix.of))
        if mix.only == "all":
            return rows
        return (good for row in rows if (good := graded(row)) is not None)

    def _rows(self, part: str) -> Iterator[Json]:
        return (row for row in chain(self._cleaned(), self.written()) if is_row(row) and row["part"] == part)

    def _cleaned(self) -> Iterator[Json]:
        last = [each.name for each in self.planned if each.name == Extract.name or each.name.startswith("clean")][-1]
        return records_of(self.entries[last])

    def written(self) -> Iterator[Json]:
        """Yield the rows that a model wrote and that passed all checks."""
        checked = [each.name for each in self.planned if each.name.startswith("check:")]
        names = checked[-1:] or [each.name for each in self.planned if each.name.startswith("write:")]
        return chain.from_iterable(records_of(self.entries[name]) for name in names)


def reviewed(build: Build, store: Store) -> tuple[Iterator[Json], Iterator[Json]]:
    """Return the written rows that a finished build keeps, and those that its checks left out, with their reasons.

    UsageError where nothing is written, or a step has no result.
    """
    planned = plan(build, store)
    written = [each for each in planned if each.name.startswith(("write:", "check:"))]
    if not written:
        raise UsageError(f"build {build.spec.name} has no rows that a model wrote", remedy="add `write` to it")
    entries = {each.name: entry for each in planned if (entry := store.find("steps", each.key)) is not None}
    if lacking := [each.name for each in planned if each.name not in entries]:
        raise UsageError(
            f"build {build.spec.name}: {lacking[0]} has no result here", remedy=f"statllama data build {build.file}"
        )
    lost = chain.from_iterable(left_out_of(entries[each.name]) for each in written)
    return Rows(build, planned, entries).written(), lost


def evenly(rows: Callable[[], Iterable[Json]], limit: int) -> Iterator[Json]:
    """Yield at most `limit` rows, spread evenly over all. `rows` is called twice: to count, and to choose.

    >>> list(evenly(lambda: iter("abcdef"), 3))
    ['a', 'c', 'e']
    """
    count = sum(1 for _ in rows())
    for number, row in enumerate(rows()):
        if count <= limit or (number * limit) % count < limit:
            yield row
