"""The step that leaves out written rows that are wrong: checks of one kind, over blocks of rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from statllama.config.keyed import keyed
from statllama.config.spec import Spec as Settings
from statllama.data.build.check.asking import Asks, Reply, Request
from statllama.data.build.check.checks import check_module, check_names
from statllama.data.build.check.findings import Finding, failed, unchecked
from statllama.data.build.check.reading import Reading, read
from statllama.data.build.check.spec import CheckSettings
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.errors import DataError, near
from statllama.store.canonical import digest
from statllama.store.files import temporary_folder

NUMERICS = 1
Kind = Literal["alone", "together", "asked"]
FORMAT = "format"
"""Name under which the finding stands of a row that its format refuses: it needs no setting."""


@dataclass(frozen=True)
class CheckStep:
    """The checks of one kind. `checks`: (name, settings, what it prepared), the cheapest first.

    Without `all` a row is left out at its first check that fails. With it every row goes on until the step that is
    `last`, which leaves out those that failed any, for the reason of the cheapest.
    """

    name: str
    kind: Kind
    checks: tuple[tuple[str, Settings, Any], ...]
    all: bool
    last: bool
    block: int
    threads: bool = False
    servers: Mapping[str, Asks] = field(default_factory=dict)
    """{check: the server that it asks}"""

    def material(self) -> Mapping[str, Any]:
        """Return what decides the findings."""
        checks = {
            name: {
                "settings": keyed(settings),
                "numerics": check_module(name).NUMERICS,
                "prepared": digest(prepared),
                "server": dict(self.servers[name].material()) if name in self.servers else None,
            }
            for name, settings, prepared in self.checks
        }
        return {"step": "check", "numerics": NUMERICS, "checks": checks, "all": self.all, "last": self.last}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return {check: {id: finding}} of the rows that fail a check of all rows together; None for other kinds."""
        if self.kind != "together":
            return None

        def rows() -> Iterator[tuple[str, Reading]]:
            for row in inputs():
                if isinstance(reading := read(row), Reading):
                    yield row["id"], reading

        _require_ids(inputs())
        found = {}
        for name, settings, _ in self.checks:
            with temporary_folder() as folder:
                found[name] = check_module(name).compare(settings, rows, folder)
        return found

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterable[Outcome]:
        """Yield each row with its findings, or what left it out."""
        readings = [read(row) for row in records]
        findings: list[dict[str, Finding]] = [
            {FORMAT: reading} if isinstance(reading, Finding) else {} for reading in readings
        ]
        for name, settings, prepared in self.checks:
            open_ = [
                (i, records[i], reading)
                for i, reading in enumerate(readings)
                if isinstance(reading, Reading) and (self.all or not _fails(findings[i]))
            ]
            made = self._made(name, settings, prepared, [(row, reading) for _, row, reading in open_], plan)
            for (i, _, _), finding in zip(open_, made, strict=True):
                findings[i][name] = finding
        return [self._outcome(row, found) for row, found in zip(records, findings, strict=True)]

    def _made(
        self, name: str, settings: Settings, prepared: Any, rows: Sequence[tuple[Json, Reading]], plan: Any
    ) -> list[Finding]:
        """Return the findings of one check of some rows."""
        module = check_module(name)
        if self.kind == "alone":
            check = module.make(settings, prepared)
            return [check(row, reading) for row, reading in rows]
        if self.kind == "together":
            return [_of_plan(plan[name].get(row["id"])) for row, _ in rows]
        return converse(
            [module.talk(settings, prepared, row, reading) for row, reading in rows], self.servers[name].ask
        )

    def _outcome(self, row: Json, found: Mapping[str, Finding]) -> Outcome:
        provenance = row["provenance"]
        checks = {**provenance.get("checks", {}), **{name: finding.as_json() for name, finding in found.items()}}
        record = {**row, "provenance": {**provenance, "checks": checks}}
        ordered = sorted(checks, key=(FORMAT, *check_names()).index)  # files sort names
        wrong = [checks[name] for name in ordered if checks[name]["passed"] is False]
        if not wrong or (self.all and not self.last):
            return Kept(record)
        return LeftOut(wrong[0]["reason"], row["id"], wrong[0].get("detail", ""), record)


def _require_ids(rows: Iterator[Json]) -> None:
    """DataError where two rows have one id: what is found of one would count for the other."""
    seen: set[int] = set()
    for row in rows:
        mark = hash(row["id"])
        if mark in seen:
            raise DataError(f"two written rows have the id {row['id']!r}", remedy="give every row an id of its own")
        seen.add(mark)


def _fails(found: Mapping[str, Finding]) -> bool:
    return any(finding.passed is False for finding in found.values())


def _of_plan(found: Json | None) -> Finding:
    if found is None:
        return Finding(True)
    figures = {name: value for name, value in found.items() if name not in ("passed", "reason", "detail")}
    return failed(found["reason"], found.get("detail", ""), **figures)


def converse(talks: Sequence[Any], ask: Callable[[Sequence[Request]], Sequence[Reply]]) -> list[Finding]:
    """Return what each talk finds. All wait for the replies of one round: a server has many requests at once."""
    findings: list[Finding] = [unchecked("") for _ in talks]
    replies: dict[int, Sequence[Reply] | None] = dict.fromkeys(range(len(talks)))
    while replies:
        asked: dict[int, Sequence[Request]] = {}
        for i, said in replies.items():
            try:
                asked[i] = talks[i].send(said)
            except StopIteration as end:
                findings[i] = end.value
        answers = list(ask(list(itertools.chain.from_iterable(asked.values())))) if asked else []
        edges = list(itertools.accumulate(map(len, asked.values()), initial=0))
        replies = {i: answers[a:b] for i, a, b in zip(asked, edges, edges[1:], strict=False)}
    return findings


def steps(spec: CheckSettings, servers: Mapping[str, Asks], folder: Path) -> list[CheckStep]:
    """Return the steps of a `check:`, in order: of a row by itself, of all rows, those that ask a model.

    `servers`: the build's, by name; `folder`: that of the YAML, where the paths in it begin. DataError for a check that
    asks and has no server, or an unknown one, and for prompts and benchmarks that cannot be read.
    """
    made = spec.made()
    kinds = list(dict.fromkeys(check_module(name).KIND for name in made))
    found = []
    for kind in kinds:
        names = [name for name in made if kind == check_module(name).KIND]
        asked = {name: _server(name, made[name], servers) for name in names} if kind == "asked" else {}
        found.append(
            CheckStep(
                f"check:{kind}",
                kind,
                tuple((name, made[name], check_module(name).prepare(made[name], folder)) for name in names),
                spec.all,
                kind == kinds[-1],
                spec.asked_block if kind == "asked" else spec.block,
                kind == "asked",
                asked,
            )
        )
    return found


def _server(name: str, settings: Any, servers: Mapping[str, Asks]) -> Asks:
    if not servers:
        raise DataError(
            f"`check.{name}` asks a model, and the build has no server",
            remedy=f"give the build a server, or remove `check.{name}`",
        )
    wanted = settings.server or next(iter(servers))
    if wanted not in servers:
        raise DataError(
            f"`check.{name}.server` is {wanted!r}; {near(wanted, servers)}", remedy="name one of the build's"
        )
    return servers[wanted]
