"""What workers are given, and what is heard of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from statllama.errors import StatllamaError
from statllama.recipe import Recipe
from statllama.runs.subject import StackRef
from statllama.store.canonical import digest

if TYPE_CHECKING:
    from statllama.runs.forecast.forecast import StageForecast
    from statllama.runs.plan import PlannedStage
    from statllama.store.workspace import Kind as Shelf

Kind = Literal["train", "score", "measure", "release"]
"""Train a stage; score a stack on one benchmark; measure a stack's drift, and have it answer the user's prompts; write
and verify a release of a stack.
"""


class Release(Protocol):
    """See `releasing.Ask`."""

    def prepare(self, loaded: Any) -> None:
        """Publish its written and verified forms into the workspace. `loaded`: the base, a `Loaded`."""
        ...


@dataclass(frozen=True)
class Work:
    """Something that one worker publishes into the workspace. It travels to the worker: no tensor is in it."""

    kind: Kind
    name: str
    """Of the stage or stack."""
    key: str
    """Of what it publishes."""
    recipe: Recipe
    identity: Mapping[str, Any]
    """Of the base, as planned."""
    stage: PlannedStage | None = None
    """To train."""
    stack: StackRef | None = None
    """To score or to measure."""
    release: Release | None = None
    """To write and verify."""
    task: str = ""
    """Benchmark to score it on."""
    forecast: StageForecast | None = None
    """What the stage needs, for its manifest."""
    devices: int = 1
    """Number of devices that it takes at once: GPUs, or sets of cores."""
    seconds: float | None = None
    """Forecast; None where nothing is known."""
    least: float = 0.0
    """Bytes of a device's memory without which it cannot run, by the forecast; 0 where nothing is known."""
    wanted: float = 0.0
    """Bytes that it takes if it can have them."""
    wait: bool = True
    """Whether to wait where another process, of another run, is at it."""

    @property
    def id(self) -> str:
        """Return what it is told by: works of several recipes that publish one thing are one work."""
        return f"{self.kind}-{self.key}"

    @property
    def shelf(self) -> Shelf:
        """Return the kind of entry that it publishes."""
        shelves: dict[Kind, Shelf] = {"train": "results", "release": "releases"}
        return shelves.get(self.kind, "scores")

    @property
    def base(self) -> str:
        """Return a hash that two works share if one loaded base serves both."""
        precision = self.recipe.precision if self.stage is None else self.stage.spec.model_dump().get("train", {})
        computed = precision if isinstance(precision, str) else precision.get("precision", self.recipe.precision)
        return digest([self.recipe.base.model_dump(mode="json"), dict(self.identity), computed])

    def __str__(self) -> str:
        if self.kind == "train":
            return f"train {self.name}"
        if self.kind == "score":
            return f"{self.name} on {self.task}"
        if self.kind == "release":
            return f"release of {self.name}"
        return f"drift of {self.name}" if self.stack is not None and self.stack.keys else f"answers of {self.name}"


@dataclass(frozen=True)
class Where:
    """The place of a worker."""

    host: str
    device: str
    """`gpu 0`, `gpus 0, 1`, `cpu 2`: as the console shows it."""

    def __str__(self) -> str:
        return f"{self.host} {self.device}"


@dataclass(frozen=True)
class Began:
    """A worker has begun a work."""

    work: str
    """Its `id`, as in the others."""
    where: Where


@dataclass(frozen=True)
class Told:
    """An event of `Reporter`, from a worker: `step` with a StepEvent, `note` with a text, and so on."""

    work: str
    where: Where
    event: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Ended:
    """A work is done, or failed with an error of ours."""

    work: str
    where: Where
    seconds: float
    error: StatllamaError | None = None


@dataclass(frozen=True)
class Lost:
    """A worker is gone, and what became of its work is not known."""

    work: str
    where: Where
    why: str


Heard = Began | Told | Ended | Lost


class Cluster(Protocol):
    """Workers that wait for works."""

    def room(self, work: Work) -> bool:
        """Return whether a work could start now."""
        ...

    def submit(self, work: Work) -> None:
        """Start a work."""
        ...

    def heard(self, timeout: float) -> list[Heard]:
        """Return what is new, in order; wait for it at most `timeout` seconds. StatllamaError when the cluster is
        gone.
        """
        ...

    def stop(self) -> None:
        """Ask every worker to save and to end its work, which then ends with Interrupted. A second call insists."""
        ...
