"""How long a run takes, part by part, beside what the parts that ran took: what `plan` shows of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.machine import Machine, this_machine
from statllama.runs.forecast.timing import Part, Timing, total

if TYPE_CHECKING:
    from statllama.runs.plan import PlannedStage


@dataclass(frozen=True)
class Taken:
    """A stage that was trained: the seconds that it took, and those forecast just before."""

    seconds: float
    forecast: Figure | None
    machine: str | None = None
    """Where; None where the manifest does not say."""

    @property
    def error(self) -> float | None:
        """Return the relative error of the forecast: 0.1 when it was 10 % too long."""
        return None if self.forecast is None or not self.seconds else self.forecast.usual / self.seconds - 1


@dataclass(frozen=True)
class Outlook:
    """The time of a run."""

    machine: str
    here: bool
    """Whether that is this machine, which can be measured."""
    parts: Mapping[Part, Figure]
    """What is still to be done, as far as anything is known of it."""
    taken: Mapping[str, Taken]
    """{stage: of those that are trained}."""
    unknown: tuple[str, ...]
    """Stages of whose time nothing is known."""

    @property
    def total(self) -> Figure | None:
        """Return the seconds of all parts that are still to be done; None where nothing is."""
        return total(self.parts)

    @property
    def scoring(self) -> Figure | None:
        """Return the seconds of all scores and drifts that are still to be computed."""
        return total({part: made for part, made in self.parts.items() if part[0] != "train"})

    def training(self, stage: str) -> Figure | None:
        """Return the seconds of a stage that is to be trained; None where it is trained, or nothing is known."""
        return self.parts.get(("train", stage))


def outlook(timing: Timing, planned: Sequence[PlannedStage], fresh: Sequence[PlannedStage] | None = None) -> Outlook:
    """Return the time of a planned run; `fresh`: of these of its stages alone."""
    parts, shown = timing.run_seconds(planned, fresh), planned if fresh is None else fresh
    taken = {s.spec.name: taken_of(s.entry.manifest) for s in shown if s.entry is not None}
    open_ = [s.spec.name for s in shown if s.entry is None and ("train", s.spec.name) not in parts]
    here = timing.machine == this_machine()
    return Outlook(str(timing.machine), here, parts, taken, tuple(open_))


def taken_of(manifest: Mapping[str, Any]) -> Taken:
    """Return what a stage took by its manifest, with what was forecast, where it was."""
    made, where = (manifest.get("forecast") or {}).get("seconds"), manifest.get("machine")
    return Taken(
        float(manifest["metrics"]["seconds"]),
        None if made is None else Figure.from_json(made),
        None if where is None else str(Machine(**where)),
    )
