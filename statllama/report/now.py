"""What a page shows of a run that goes on: what each stage and each worker does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageNow:
    """A stage of a run that goes on, in words for its row; empty where there is nothing to tell."""

    name: str
    doing: str
    step: str
    time: str
    """Time that its training took, or `... left`."""
    loss: str
    speed: str
    memory: str
    drift: str
    where: str = ""
    """The worker that trains it, or trained it."""


@dataclass(frozen=True)
class WorkNow:
    """What a worker elsewhere is at, in words for its row."""

    name: str
    where: str
    doing: str
    step: str
    loss: str
    speed: str
    left: str


@dataclass(frozen=True)
class Now:
    """A run that goes on, or how one ended early."""

    going: bool
    headline: str
    """What it does, or how it ended."""
    remedy: str
    """What mends that, or goes on. Empty where there is nothing to mend."""
    facts: tuple[tuple[str, str], ...]
    """(what, value) to show in large letters."""
    stages: tuple[StageNow, ...]
    works: tuple[WorkNow, ...] = ()
    """Of workers elsewhere, those that began first."""
    notes: tuple[str, ...] = ()
    """The newest notes of the run."""
    share: float = 0.0
    """Share of the optimizer steps of all stages that are taken, 0 to 1."""
    refresh: int = 0
    """Seconds after which the page loads itself again; 0: never."""
    told: str = ""
    """When this was so, in words."""
