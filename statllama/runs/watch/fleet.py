"""What workers on other devices and hosts do for a run, and have done, as plain data.

`fleet_progress` keeps it from events; all moments are seconds since 1970 on the clock of this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from statllama.runs.subject import BASE


@dataclass
class WorkState:
    """A work that a worker is at."""

    kind: Literal["train", "score", "measure", "release"]
    name: str
    """Of the stage or stack, with its recipe's where that is needed."""
    task: str
    """Benchmark that it is scored on."""
    host: str
    device: str
    """`gpu 0`, `gpus 0, 1`, `cpu 2`."""
    devices: int
    began: float
    expected: float | None = None
    """Seconds that it takes, by its forecast or by works like it."""
    doing: str = "starts"
    """In words, where it is not yet at what it is for: `loads the base`, `waits for ...`."""
    done: int = 0
    total: int | None = None
    """Steps or items in all. None where it is not known yet."""
    first: int = 0
    """`done` when it was first told: what an earlier worker had done."""
    since: float = 0.0
    """When it began to be done."""
    at: float = 0.0
    """When `done` was last told."""
    eta_seconds: float | None = None
    """What was left at the moment `at`, by its own account."""
    first_loss: float | None = None
    loss: float | None = None
    """Of the newest step; a reward where `rewarded`."""
    rewarded: bool = False
    tokens_per_second: float = 0.0
    memory_bytes: int = 0
    on_gpu: bool = False

    @property
    def what(self) -> str:
        """Return what it is, in words."""
        if self.kind == "train":
            return self.name
        if self.kind == "score":
            return f"{self.name} on {self.task}"
        if self.kind == "release":
            return f"release of {self.name}"
        return f"{'answers' if self.name.rpartition(':')[2] == BASE else 'drift'} of {self.name}"

    @property
    def where(self) -> str:
        """Return its place, in words."""
        return f"{self.host} {self.device}"

    def left(self, now: float) -> float | None:
        """Return the seconds that are left of it: by its own account, at its speed so far, or as expected. None where
        nothing tells.
        """
        if self.eta_seconds is not None:
            return max(0.0, self.eta_seconds - (now - self.at))
        by_speed = left_at_speed(self.done, self.first, self.total, self.since, self.at, now)
        if by_speed is not None:
            return by_speed
        return None if self.expected is None else max(0.0, self.expected - (now - self.began))


@dataclass
class HostUse:
    """What was computed on one host."""

    seconds: float = 0.0
    """Of devices, in works that have ended."""
    most: int = 0
    """Devices at work at once, at most."""
    gpus: bool = False


@dataclass
class Fleet:
    """All workers, as far as they work for a run: for all runs of a study, or for one."""

    began: float = 0.0
    """When workers were asked for."""
    first: float | None = None
    """When the first work began."""
    ended: float | None = None
    works: dict[str, WorkState] = field(default_factory=dict)
    """Those under way, by id, in the order in which they began."""
    waiting: int = 0
    """Works that are not begun yet."""
    done: int = 0
    failed: int = 0
    lost: int = 0
    """Workers that were lost."""
    lost_seconds: float = 0.0
    """Of devices, from the begin of a work to the loss of its worker."""
    hosts: dict[str, HostUse] = field(default_factory=dict)
    eta_seconds: float | None = None
    """What was left of all works at the moment `eta_at`. None where nothing is known."""
    eta_at: float = 0.0
    at_least: bool = False
    """Whether there is more to do than is counted in it: the time of a work is not known, or a gate may add some."""

    @property
    def device_seconds(self) -> float:
        """Return the time of all devices, in works that have ended."""
        return sum(use.seconds for use in self.hosts.values())

    @property
    def most(self) -> int:
        """Return the devices that worked at once, at most, summed over hosts."""
        return sum(use.most for use in self.hosts.values())

    @property
    def gpus(self) -> bool:
        """Return whether the devices are GPUs."""
        return any(use.gpus for use in self.hosts.values())

    def wall(self, now: float) -> float:
        """Return the seconds since the first work began; 0 before."""
        return 0.0 if self.first is None else max(0.0, (self.ended or now) - self.first)

    def left(self, now: float) -> float | None:
        """Return the seconds that are left of all works. None where nothing is known."""
        return None if self.eta_seconds is None else max(0.0, self.eta_seconds - (now - self.eta_at))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `asdict` made. TypeError or KeyError for anything else."""
        works = {name: WorkState(**work) for name, work in value["works"].items()}
        hosts = {name: HostUse(**use) for name, use in value["hosts"].items()}
        return cls(**{**value, "works": works, "hosts": hosts})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def left_at_speed(done: int, first: int, total: int | None, since: float, at: float, now: float) -> float | None:
    """Return the seconds left at the speed from the moment `since`, with `first` done, to `at`. None where nothing was
    done yet.
    """
    if not total or done <= first:
        return None
    each = (at - since) / (done - first)
    return max(0.0, (total - done) * each - (now - at))
