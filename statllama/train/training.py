"""One stage's training: the common part of all stage types around TRL's trainers.

`run` attaches the stack, trains, resumes from the newest sound checkpoint, stops at a loss that is not a number and
saves when asked to stop. A stage type gives `make_trainer`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerState

from statllama.data.budget import out_of_memory
from statllama.data.work import Work
from statllama.errors import Interrupted, TrainingError
from statllama.evaluation.drift import DriftCap
from statllama.model import stack
from statllama.model.base_model import adapt, unsloth_hushed
from statllama.store.files import read_json, require_bytes, translate_os_errors
from statllama.train import resident
from statllama.train.activations import budget, recomputes, tight
from statllama.train.arguments import arguments
from statllama.train.checkpoints import newest_sound
from statllama.train.ending import End
from statllama.train.initial import initialise
from statllama.train.job import Job, Outcome
from statllama.train.memory import state_bytes
from statllama.train.neftune import noise
from statllama.train.optimizers import ShowAverage
from statllama.train.preflight import require_batch
from statllama.train.ranks import Ranks
from statllama.train.selection import Selection
from statllama.train.sides import Sides
from statllama.train.steps import count_steps
from statllama.train.trackers import prepare_trackers
from statllama.train.trainer import CLOCK, _save_slice, _Watcher, memory_bytes

if TYPE_CHECKING:
    from peft import PeftModel


def run(job: Job, stage: ModuleType) -> Outcome:
    """Train the stage and write its adapter to `job.folder/out`. The base is as it was when this returns or raises.

    Raises TrainingError (not a number, out of memory with a single row) or Interrupted (saved; resumes next time). On
    several ranks all of them call this, and what it raises on one ends it on all.
    """
    with job.ranks.one_fate():
        return _guarded(job, stage)


def _guarded(job: Job, stage: ModuleType) -> Outcome:
    prepare_trackers(job.tracker_folder)
    resident.reset_peak()  # the manifest's peak is this stage's
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        return _attempt(job, stage)
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(
            f"stage {job.spec.name}: out of memory outside the forward passes of a step",
            remedy="free memory of other processes, or use a smaller rank or base",
        ) from None


def _attempt(job: Job, stage: ModuleType) -> Outcome:
    checkpointing = job.ranks.any(recomputes(job))
    model = adapt(job.base, job.spec.lora, job.parents, job.spec.train.seed, checkpointing)
    try:
        if job.spec.lora.init != "kaiming" and _checkpoint(job) is None:
            initialise(job, model)
        start = {name: p.detach().clone() for name, p in stack.trainable(model).items()}
        with unsloth_hushed():
            trainer = stage.make_trainer(job, model, arguments(job, checkpointing))
        require_batch(trainer, job.spec.train.batch_size)
        trainer.micro_tokens = min(job.ranks.gather(budget(job, checkpointing)))
        trainer.untried = job.ranks.any(tight(job))
        trainer.sides = Sides.of(job)
        _restore(model, start)
        train = job.spec.train
        with noise(model, train.neftune_alpha, train.seed, lambda: trainer.state.global_step):
            return _fit(job, trainer, model)
    finally:
        stack.detach(model)
        job.base.tokenizer.padding_side = "right"


def _fit(job: Job, trainer: Any, model: PeftModel) -> Outcome:
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    checkpoint = _checkpoint(job)
    before = _before(checkpoint)
    started = time.monotonic() - float(before.get("seconds", 0.0))
    trainer.count_from(*(Work.from_json(before.get(name, {})) for name in ("trained", "read")))
    _require_same(job, trainer)
    watcher = _Watcher(job, trainer, started, float(before.get("started_seconds", 0.0)))
    _add_callbacks(job, trainer, model, watcher)
    resumed = int(checkpoint.name.rpartition("-")[2]) if checkpoint else None
    trainer.fresh_start = resumed is None
    if resumed is not None:
        job.on_note(f"resuming from the checkpoint of step {resumed}")
    with translate_os_errors(job.checkpoints):
        if job.ranks.first:
            _require_space(job, model)
            if checkpoint is not None:
                watcher.keep(checkpoint)  # a run may have been killed between sealing and keeping it
        if checkpoint is None or not _take_finished(job, checkpoint, trainer, model):
            trainer.prepare_rows()
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            checkpoint = None
    if watcher.stopped:
        raise Interrupted(
            f"stage {job.spec.name}: stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; "
            "the checkpoint is saved",
            remedy="run the same command again to go on from there",
        )
    trainer.keep_average(checkpoint)
    end, history = End.of(job, trainer.state), _history(trainer.state.log_history)
    if end.note:
        job.on_note(f"stage {job.spec.name}: {end.note}")
    for measuring in trainer.measuring:  # the cap's slice, then that of the best step, where one was validated
        if measuring.keeps:
            measuring.restore()
    trainer.require_same_slice()
    if job.ranks.first:
        with translate_os_errors(job.folder):
            _save_slice(job, model, job.folder / "out")
    return Outcome(
        steps=trainer.state.global_step,
        adapter_step=end.adapter_step,
        micro_tokens=trainer.micro_tokens,
        resumed_from=resumed,
        seconds=time.monotonic() - started,
        tokens=int(trainer.tokens),
        peak_memory_bytes=max(job.ranks.gather(memory_bytes())),
        ended_by=end.by,
        selected=end.chosen,
        trained=trainer.trained,
        read=trainer.read,
        recomputes=bool(trainer.args.gradient_checkpointing),
        started_seconds=watcher.started_seconds,
        history=history,
        summary=trainer.summary(history),
    )


def _measuring(job: Job, trainer: Any, model: PeftModel) -> tuple[DriftCap | Selection, ...]:
    """Return what measures the stage while it trains. The cap goes first: a step above it is no candidate."""
    once, select = partial(_by_first, job.ranks), job.spec.train.select
    cap = None
    if job.spec.drift is not None:
        cap = DriftCap(job.spec, model, job.base, once, select.due if select else lambda step, steps: False)
    if select is None:
        return () if cap is None else (cap,)

    def count(read: Work) -> None:
        trainer.read = trainer.read + read

    assert job.validation is not None
    selection = Selection(job.spec, model, job.validation, once, cap, count)
    return (selection,) if cap is None else (cap, selection)


def _add_callbacks(job: Job, trainer: Any, model: PeftModel, watcher: _Watcher) -> None:
    """Add what measures the model when a step ends, between showing its averaged weights and hiding them; then the
    watcher, which takes no request to stop once a measurement ends the stage.
    """
    average = ShowAverage(trainer)
    trainer.measuring = _measuring(job, trainer, model)
    for callback in (average.first, *trainer.measuring, average.last, watcher):
        trainer.add_callback(callback)


def _require_space(job: Job, model: PeftModel) -> None:
    """Raise StoreError where the disk has no room for the checkpoints that are kept and the one being written."""
    # Weights, the optimizer's state and the temporary copy of one checkpoint, in float32.
    parameters = sum(p.numel() for p in stack.trainable(model).values())
    train = job.spec.train
    copies = 1 + state_bytes(train.optimizer, job.spec.lora.r) / 4 + job.spec.kept_slices
    kept = train.keep_checkpoints + 1 + train.keep_state
    require_bytes(job.folder, math.ceil(4 * parameters * (copies * kept + 1)))


def _checkpoint(job: Job) -> Path | None:
    """Return the checkpoint to go on from, which rank 0 looks for: that deletes what is damaged."""
    found = newest_sound(job.checkpoints) if job.ranks.first else None
    name = job.ranks.broadcast(found.name if found else None)
    return job.checkpoints / name if name else None


def _require_same(job: Job, trainer: Any) -> None:
    """Raise TrainingError where the ranks would not train the same: another base, other rows, other first values."""
    if job.ranks.size > 1:
        name, remedy = job.spec.name, "let all ranks see the same files, with the same versions of all libraries"
        base = job.base
        job.ranks.require_same(f"stage {name}: the base", (base.checksum, str(base.dtype), base.backend), remedy)
        job.ranks.require_same(f"stage {name}: the number of rows", len(job.dataset), remedy)
        trainer.require_same_slice()


def _by_first(ranks: Ranks, measure: Callable[[], float]) -> float:
    """Measure on rank 0 alone, however long that takes, and return what it found on all: what follows from it is the
    same everywhere.
    """
    value = measure() if ranks.first else math.nan
    ranks.wait_for_first()
    return ranks.broadcast(value)


def _before(checkpoint: Path | None) -> dict[str, Any]:
    """Return what had been spent on the stage at a checkpoint; nothing without one."""
    return (read_json(checkpoint / CLOCK) or {}) if checkpoint else {}


def _history(log: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the steps of a trainer's log, without the infinite gradient norms of steps that float16 skips (JSON has
    none).
    """
    return [
        {k: float(v) for k, v in entry.items() if v is not None and math.isfinite(v)}
        for entry in log
        if "loss" in entry
    ]


def _take_finished(job: Job, checkpoint: Path, trainer: Any, model: PeftModel) -> bool:
    """Restore a checkpoint of the stage's end, if this is one: `trainer.train` would add a step of its own.

    A state that was kept says how many steps the run had that wrote it.
    """
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    state.max_steps = count_steps(job.spec.rows_per_epoch(len(job.dataset)), job.spec.train)
    if state.global_step < state.max_steps and End.of(job, state).by == "steps":
        return False
    trainer.state, trainer.tokens = state, state.num_input_tokens_seen
    stack.restore_slice(model, checkpoint)
    for measuring in trainer.measuring:
        measuring.load(checkpoint)
    return True


def _restore(model: PeftModel, start: dict[str, torch.Tensor]) -> None:
    """Restore float32 weights: TRL casts the LoRA of a 4-bit model to bfloat16, which swallows updates of 5e-7."""
    for name, parameter in stack.trainable(model).items():
        parameter.data = start[name]
