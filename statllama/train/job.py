"""The input, the events and the outcome of a stage's training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from statllama.config.stage import TrainingSpec
from statllama.data.work import Work
from statllama.evaluation.chosen import Chosen
from statllama.model.base_model import Base
from statllama.store.hold import Hold
from statllama.store.working_folder import CHECKPOINTS
from statllama.train.protection import protection_of
from statllama.train.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from datasets import Dataset

    from statllama.data.replay import ReplayRows
    from statllama.model.adapter import Adapter
    from statllama.train.selection import Validation


@dataclass(frozen=True)
class Job:
    """The input of a stage's training."""

    spec: TrainingSpec
    base: Base
    parents: tuple[Adapter, ...]
    dataset: Dataset
    data_kind: str
    """The kind of the dataset's rows: documents, conversations, preferences, judgements or questions."""
    folder: Path
    """Working folder: checkpoints/ and out/ below it."""
    left_out: bool = False
    """Whether some assistant turns of its rows say that they carry no loss."""
    root: Path = Path()
    """The recipe's folder, and whether code in it may run: a user's own rewards."""
    trust_local_code: bool = False
    on_step: Callable[[StepEvent], None] = lambda event: None
    on_note: Callable[[str], None] = lambda text: None
    stop_requested: Callable[[], bool] = lambda: False
    hold: Hold | None = None
    """The lock of the result. When it is lost to another host, training ends with an error and saves nothing."""
    report_to: tuple[str, ...] = ()
    run_name: str = ""
    tracker_folder: Path | None = None
    """Folder for TensorBoard's files: checkpoints are deleted once a stage is published."""
    validation: Validation | None = None
    """What its steps are compared on, where `train.select` is set."""
    keep: Callable[[Path], None] | None = None
    """Keeps a sealed checkpoint beyond the stage's end, where `train.keep_state` is set: it gets that of
    `steps.kept_step`, once or more often. Rank 0 calls it."""
    replay: ReplayRows | None = None
    """The rows that it replays, if any."""
    ranks: Ranks = ALONE
    """The processes that train it together, of which this is one; rank 0 alone writes into `folder`."""

    def require_hold(self) -> None:
        """Look whether the result's lock is still held. LostError where it is not: nothing may be written then."""
        if self.hold is not None:
            self.hold.require()

    @property
    def checkpoints(self) -> Path:
        """Return the folder in which the trainer writes `checkpoint-<step>`."""
        return self.folder / CHECKPOINTS


@dataclass(frozen=True)
class Outcome:
    """A finished stage's figures for its manifest."""

    steps: int
    """Optimizer steps taken."""
    adapter_step: int
    """Step at which the published adapter stood: the last one, or with a cap on drift the last measured within it; with
    a selection the best one validated."""
    micro_tokens: int
    """The token budget at the end: less than the spec's when memory ran out."""
    resumed_from: int | None
    """Step of the checkpoint from which the last attempt resumed."""
    seconds: float
    """Training time of all attempts, without the time after the last checkpoint of a killed one, which is unknown."""
    tokens: int
    peak_memory_bytes: int
    ended_by: Literal["steps", "drift", "patience"]
    """Whether it completed its steps, drifted too far, or was no longer getting better."""
    trained: Work
    """What was computed forward and backward; a pass that the most expensive one was tried with is among it."""
    read: Work
    """What was computed forward alone: references, and completions as they were generated."""
    recomputes: bool
    """Whether activations were recomputed in the backward pass."""
    started_seconds: float
    """Of `seconds`, those before the first step ended: checks, a known reference, and what is slow once."""
    history: list[dict[str, float]] = field(repr=False)
    selected: Chosen | None = None
    """The choice of its best step, where one was made."""
    summary: dict[str, float] = field(default_factory=dict)
    """Further figures of its stage type, by name."""

    def metrics(self) -> dict[str, Any]:
        """Return the figures for the manifest; `loss` is the mean over the last tenth of the steps, `drift` that of the
        adapter.
        """
        losses = [h["loss"] for h in self.history if "loss" in h]
        drifts = [h["drift"] for h in self.history if "drift" in h and h["step"] == self.adapter_step]
        protection = protection_of(self.history)
        tail = losses[-max(1, len(losses) // 10) :]
        return {
            "steps": self.steps,
            "adapter_step": self.adapter_step,
            "first_loss": losses[0] if losses else None,
            "loss": sum(tail) / len(tail) if tail else None,
            "seconds": round(self.seconds, 3),
            "tokens": self.tokens,
            "micro_tokens": self.micro_tokens,
            "resumed_from": self.resumed_from,
            "peak_memory_bytes": self.peak_memory_bytes,
            "ended_by": self.ended_by,
            "work": {
                "trained": self.trained.as_json(),
                "read": self.read.as_json(),
                "recomputes": self.recomputes,
                "started_seconds": round(self.started_seconds, 3),
            },
            **({"drift": drifts[-1]} if drifts else {}),
            **({"selected": self.selected.as_json()} if self.selected else {}),
            **({"protection": protection} if protection else {}),
            **self.summary,
        }


@dataclass(frozen=True)
class StepEvent:
    """One optimizer step, for the live display and the log."""

    stage: str
    step: int
    total: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens_per_second: float
    eta_seconds: float
    memory_bytes: int
    extra: dict[str, float]
    trained: Work = field(default_factory=Work)
    """Computed forward and backward since the stage began, and `read`: forward alone."""
    read: Work = field(default_factory=Work)
    recomputes: bool = False
    """Whether activations are recomputed in the backward pass."""
    on_gpu: bool = False
    """Whether `memory_bytes` is the peak of the GPU's allocator; else it is that of the process."""
