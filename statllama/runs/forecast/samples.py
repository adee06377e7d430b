"""Measured seconds with what was computed in them: from the manifests of a workspace, and from `plan --calibrate`.

A sample counts for one machine, base, backend and compute type alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from statllama.config.metrics import HOLDOUT
from statllama.data.work import Work
from statllama.evaluation.scores import TaskScore
from statllama.model.shape import Shape
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.machine import Machine
from statllama.runs.forecast.operations import Ranks, forward, training
from statllama.store import Entry, Store
from statllama.store.canonical import digest
from statllama.store.memory import recall, remember
from statllama.store.store import MANIFEST
from statllama.store.versions import __version__, installed_versions
from statllama.store.workspace import KEY, Kind

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where and with what something is computed: what speeds may be learned from."""

    machine: Machine
    base: Mapping[str, Any]
    """The base's identity (`identity.base_identity`)."""
    backend: str
    dtype: str
    shape: Shape

    def holds(self, manifest: Mapping[str, Any]) -> bool:
        """Return whether a manifest's figures were measured here."""
        base = manifest.get("base", {}).get("identity") or manifest.get("protocol", {}).get("base") or {}
        where = [manifest.get(name) for name in ("machine", "backend", "dtype")]
        same = where == [self.machine.as_json(), self.backend, self.dtype]
        return same and all(base.get(name) == self.base.get(name) for name in ("model", "quantization"))

    @property
    def nf4(self) -> bool:
        """Return whether the base's matrices are in 4 bits."""
        return self.base.get("quantization") == "nf4"

    @property
    def wide(self) -> int:
        """Return the bytes of a number in the compute type."""
        return 4 if self.dtype == "float32" else 2


@dataclass(frozen=True)
class Cost:
    """What takes time: each is worth some seconds, which `speed.fit` finds."""

    operations: float = 0
    passes: float = 0
    units: float = 0
    """Optimizer steps of a stage, requests of a benchmark."""
    decoded: float = 0
    """Steps of generation."""
    starts: float = 0
    """Beginnings: checks of the first batch, kernels and caches that are not there yet."""
    tokens: float = 0
    """Not a cost of its own; tells what a token of a pass costs."""

    def __add__(self, other: Cost) -> Cost:
        """Return the sum."""
        return Cost(**{name: value + getattr(other, name) for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    kind: str
    """A stage's type, `score:<benchmark>` or `drift`."""
    cost: Cost
    seconds: float
    source: str
    """`manifest` or `calibrated`."""


def cost_of(
    shape: Shape, ranks: Ranks, trained: Work, read: Work, *, units: float, starts: float = 1, recomputes: bool = False
) -> Cost:
    """Return the cost of work on a base with adapters of these ranks."""
    return Cost(
        operations=training(shape, ranks, trained, recomputes=recomputes) + forward(shape, ranks, read),
        passes=trained.passes + read.passes,
        units=units,
        decoded=read.decoded,
        starts=starts,
        tokens=trained.tokens + read.tokens,
    )


# ------------------------------------------------------------------ manifests


def kind_of(task: str) -> str:
    """Return the kind of the samples of a benchmark's scores: hold-outs are all alike, rows that are read once."""
    return f"score:{HOLDOUT if task.startswith(HOLDOUT) else task}"


def recorded(store: Store, place: Place) -> list[Sample]:
    """Return the samples of all stages and scores that the workspace has from this place."""
    stages = _of_entries(store, "results", place, "stage", lambda entry: _of_stage(store, place, entry))
    scores = _of_entries(store, "scores", place, "score", lambda entry: _of_score(place, entry))
    return [*stages, *scores]


_read: dict[tuple[str, str, Path, int], Any] = {}
"""{(place, what is learned, entry, time of its manifest's last change): what was learned from it}"""


def _of_entries(store: Store, kind: Kind, place: Place, what: str, learn: Callable[[Entry], T | None]) -> list[T]:
    """Return what `learn` learns of the entries that are from this place; each manifest is read once in a process.

    A study of a thousand recipes forecasts thousands of stages in a workspace of thousands of entries.
    """
    about = [place.machine.as_json(), dict(place.base), place.backend, place.dtype, asdict(place.shape)]
    where, found = digest(about), []
    for folder in store.listed(kind):
        try:
            key = (where, what, folder, os.stat(folder / MANIFEST).st_mtime_ns)
        except OSError:
            continue
        if key not in _read:
            entry = store.find(kind, folder.name) if KEY.fullmatch(folder.name) else None
            _read[key] = learn(entry) if entry is not None and place.holds(entry.manifest) else None
        if _read[key] is not None:
            found.append(_read[key])
    return found


def _of_stage(store: Store, place: Place, entry: Entry) -> Sample | None:
    """Return a trained stage's sample; None for a blend, and for one that was trained before work was counted."""
    manifest, metrics = entry.manifest, entry.manifest["metrics"]
    work = metrics.get("work")
    if not work or not metrics["seconds"]:
        return None
    lora = manifest["config"]["lora"]
    below = ranks_below(store, manifest["parents"])
    ranks = Ranks.of(lora["target_modules"], lora["r"], below, lora.get("layers"))
    trained, read = Work.from_json(work["trained"]), Work.from_json(work["read"])
    cost = cost_of(place.shape, ranks, trained, read, units=metrics["steps"], recomputes=bool(work.get("recomputes")))
    return Sample(manifest["config"]["type"], cost, float(metrics["seconds"]), "manifest")


def ranks_below(store: Store, keys: Iterable[str]) -> list[tuple[Sequence[str], int]]:
    """Return (modules, rank) of each adapter of a stack that the workspace still has."""
    found = list[tuple[Sequence[str], int]]()
    for key in keys:
        entry = store.find("results", key)
        config = entry.manifest["config"] if entry is not None else {}
        if "lora" in config:
            found.append((list(config["lora"]["target_modules"]), int(config["lora"]["r"])))
    return found


def _of_score(place: Place, entry: Entry) -> Sample | None:
    """Return the sample of a score or of a drift; None for one that a killed evaluation had begun."""
    manifest = entry.manifest
    ranks = Ranks()  # a stack's rank is a few hundredths of the work
    if manifest["kind"] == "drift":
        read = Work.from_json(manifest["read"])
        found = cost_of(place.shape, ranks, Work(), read, units=0)
        return Sample("drift", found, float(manifest["seconds"]), "manifest") if read.passes else None
    spent = manifest.get("spent") or {}
    if not spent or spent["asked"] != spent["requests"]:
        return None
    score = TaskScore.from_json(manifest["score"])
    found = cost_of(place.shape, ranks, Work(), Work.from_json(spent["read"]), units=spent["asked"])
    return Sample(kind_of(score.task), found, score.seconds, "manifest")


# ------------------------------------------------------------------ calibration


def remembered(store: Store, place: Place) -> list[Sample]:
    """Return the samples that `plan --calibrate` took here with these versions; none where they cannot be read."""
    try:
        found = json.loads(recall(store.memory).get(_question(place), "[]"))
        return [Sample(one["kind"], Cost(**one["cost"]), float(one["seconds"]), "calibrated") for one in found]
    except (ValueError, KeyError, TypeError):
        return []


def keep(store: Store, place: Place, samples: Iterable[Sample]) -> None:
    """Remember calibrated samples, in place of earlier ones of the same kinds: all of them or, after a kill, none."""
    fresh = list(samples)
    kinds = {sample.kind for sample in fresh}
    kept = [sample for sample in remembered(store, place) if sample.kind not in kinds]
    remember(store.memory, _question(place), json.dumps([asdict(sample) for sample in (*kept, *fresh)]))


def _question(place: Place) -> str:
    base = {name: place.base.get(name) for name in ("model", "quantization")}
    about = [place.machine.as_json(), base, place.backend, place.dtype, __version__, installed_versions()]
    return f"speed of {place.machine.device} {digest(about)}"


def all_samples(store: Store, place: Place) -> list[Sample]:
    """Return what is known of this place: manifests first, then calibration."""
    return [*recorded(store, place), *remembered(store, place)]


def forecast_errors(store: Store, place: Place, kind: str) -> Iterator[float]:
    """Yield the relative errors of the forecasts from measurements that were made of stages of a type here, the newest
    last.
    """
    found = _of_entries(store, "results", place, "error", _error)
    yield from (error for _, of, error in sorted(found, key=lambda one: one[0]) if of == kind)


def _error(entry: Entry) -> tuple[str, str, float] | None:
    """Return (when, a stage's type, relative error of its forecast); None without a forecast from measurements."""
    manifest = entry.manifest
    made = (manifest.get("forecast") or {}).get("seconds")
    if not made or not Figure.from_json(made).measured or not manifest["metrics"]["seconds"]:
        return None
    error = made["usual"] / manifest["metrics"]["seconds"] - 1
    return str(manifest["created"]), manifest["config"]["type"], error
