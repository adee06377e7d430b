"""What events change in the state of a run: those of this process's training, and those of workers elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from statllama.config.stage import TrainingSpec
from statllama.runs.watch.run_state import RunState, SeenScore, StageState
from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.data.report import MixtureReport
    from statllama.errors import StatllamaError
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.runs.cluster.work import Where, Work
    from statllama.store import Entry


def stepped(stage: StageState, event: StepEvent, now: float) -> None:
    """Note an optimizer step of a stage."""
    stage.step, stage.steps, stage.at = event.step, event.total, now
    stage.eta_seconds = event.eta_seconds if math.isfinite(event.eta_seconds) else None
    stage.tokens_per_second, stage.memory_bytes = event.tokens_per_second, event.memory_bytes
    stage.on_gpu = event.on_gpu
    figures = {
        "loss": event.loss,
        "grad_norm": event.grad_norm,
        "learning_rate": event.learning_rate,
        "memory_bytes": float(event.memory_bytes),
        **({"tokens_per_second": event.tokens_per_second} if event.tokens_per_second else {}),
        **event.extra,
    }
    stage.series.add(event.step, figures)


def end(stage: StageState, entry: Entry, doing: Literal["done", "cached"]) -> None:
    """Note a stage's result."""
    metrics: Mapping[str, Any] = entry.manifest["metrics"]
    stage.key, stage.doing, stage.eta_seconds = entry.key, doing, None
    stage.seconds = metrics.get("seconds")
    stage.step = stage.steps = int(metrics.get("steps") or 0)
    stage.tokens = metrics.get("tokens")


def note_score(state: RunState, name: str, score: TaskScore) -> None:
    """Note a stack's score."""
    state.scores.setdefault(name, {})[score.task] = SeenScore(score.value, score.stderr, score.metric)


def note_drift(state: RunState, name: str, drift: Drift) -> None:
    """Note a stack's drift, where it ends a stage."""
    if name in state.stages:
        stage = state.stages[name]
        stage.drift_to_parent, stage.drift_to_base = drift.to_parent, drift.to_base


def tokens_of(spec: TrainingSpec, report: MixtureReport, steps: int) -> int | None:
    """Return the tokens that a stage's steps train on: those of an epoch, times its epochs. None for prompts, whose
    completions are yet to be made.
    """
    rows = spec.rows_per_epoch(report.rows) if report.rows else 0
    if not rows or not report.supervised_tokens:
        return None
    return round(report.tokens * steps * spec.train.batch_size / rows)


# ------------------------------------------------------------------ workers elsewhere


def began(state: RunState, work: Work, where: Where, now: float) -> None:
    """Note that a worker is at a work. A stage that is trained stays so while its scores are computed, several of them
    at a time.
    """
    stage = _stage(state, work)
    if stage is not None and work.kind == "train":
        stage.doing, stage.began, stage.where = "training", now, str(where)


def told(state: RunState, work: Work, event: str, arguments: Sequence[Any], now: float) -> None:
    """Note what a worker tells: a name of the stage or stack in it is that of the work."""
    stage = _stage(state, work)
    if work.kind == "train" and stage is not None:
        if event == "step":
            stepped(stage, arguments[0], now)
        elif event in ("sized", "training"):
            stage.steps, stage.tokens = arguments[2], tokens_of(*arguments)
        elif event in ("stage_finished", "stage_cached"):
            end(stage, arguments[1], "done")
    elif event == "scored":
        note_score(state, work.name, arguments[1])
    elif event == "drifted":
        note_drift(state, work.name, arguments[1])
    elif event == "answered":
        state.answers[work.name] = tuple(arguments[1])


def ended(state: RunState, work: Work, seconds: float, error: StatllamaError | None) -> None:
    """Note that a work has ended."""
    stage = _stage(state, work)
    if stage is None or work.kind != "train":
        return
    if error is not None:
        stage.doing = "failed"
    elif stage.doing == "training":
        stage.doing, stage.eta_seconds = "done", None
        if stage.seconds is None:
            stage.seconds = seconds


def lost(state: RunState, work: Work) -> None:
    """Note that the worker of a work is gone: it is begun again."""
    stage = _stage(state, work)
    if stage is not None and work.kind == "train":
        stage.doing = "waiting"


def _stage(state: RunState, work: Work) -> StageState | None:
    """Return the stage that a work trains or scores. Gates may have given it another key since it was planned."""
    if work.kind == "release":
        return None
    stage = state.stages.get(work.name)
    if work.kind == "train":
        stage = next((one for one in state.stages.values() if one.key == work.key), stage)
        if stage is not None:
            stage.key = work.key
    return stage
