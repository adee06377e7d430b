"""One stage's training: what is common to all stage types around TRL's trainers.

`run` attaches the stack, trains, resumes from the newest sound checkpoint, halves the micro-batch when memory runs
out, stops at a loss that is not a number and saves when asked to stop. A stage type gives `make_trainer`.
"""

from __future__ import annotations

import gc
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainerState

from statllama.arguments import arguments
from statllama.checkpoints import newest_sound, retain, seal
from statllama.config.specs import TrainingSpec
from statllama.data.collate import real_tokens
from statllama.errors import Interrupted, TrainingError
from statllama.evaluate.drift import DriftCap, ended_at
from statllama.model import stack
from statllama.model.base_model import Base, adapt, unsloth_hushed
from statllama.preflight import require_batch
from statllama.reporting import StepEvent
from statllama.store.files import read_json, require_bytes, translate_os_errors, write_json

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel

    from statllama.model.adapter import Adapter

OUT_OF_MEMORY = (  # what a plain RuntimeError says; bitsandbytes and cuBLAS allocate past torch's allocator
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
CLOCK = "clock.json"  # in a checkpoint: the seconds of training that led to it


@dataclass(frozen=True)
class Job:
    """Everything a stage needs to train."""

    spec: TrainingSpec
    base: Base
    parents: tuple[Adapter, ...]
    dataset: Dataset
    data_kind: str
    """documents, conversations, preferences, judgements or questions: what the dataset's rows are."""
    folder: Path
    """Working folder: checkpoints/ and out/ below it."""
    root: Path = Path()
    """The recipe's folder, and whether code in it may run: a user's own rewards."""
    trust_local_code: bool = False
    on_step: Callable[[StepEvent], None] = lambda event: None
    on_note: Callable[[str], None] = lambda text: None
    stop_requested: Callable[[], bool] = lambda: False
    report_to: tuple[str, ...] = ()
    run_name: str = ""
    tracker_folder: Path | None = None
    """Where TensorBoard's files go: checkpoints are deleted once a stage is published."""

    @property
    def checkpoints(self) -> Path:
        """Where the trainer writes `checkpoint-<step>` folders."""
        return self.folder / "checkpoints"


@dataclass(frozen=True)
class Outcome:
    """What a finished stage says of itself in its manifest."""

    steps: int
    micro_batch_size: int
    resumed_from: int | None
    """Step of the checkpoint that the last attempt went on from."""
    seconds: float
    """Training time of all attempts; what came after the last checkpoint of a killed one is not known."""
    tokens: int
    peak_memory_bytes: int
    ended_by: Literal["steps", "drift"]
    """Whether it took all its steps, or drifted too far."""
    history: list[dict[str, float]] = field(repr=False)
    summary: dict[str, float] = field(default_factory=dict)
    """Further figures of its stage type, by name."""

    def metrics(self) -> dict[str, Any]:
        """Figures for the manifest; `loss` is the mean over the last tenth of the steps, `drift` the last measured."""
        losses = [h["loss"] for h in self.history if "loss" in h]
        drifts = [h["drift"] for h in self.history if "drift" in h]
        tail = losses[-max(1, len(losses) // 10) :]
        return {
            "steps": self.steps,
            "first_loss": losses[0] if losses else None,
            "loss": sum(tail) / len(tail) if tail else None,
            "seconds": round(self.seconds, 3),
            "tokens": self.tokens,
            "micro_batch_size": self.micro_batch_size,
            "resumed_from": self.resumed_from,
            "peak_memory_bytes": self.peak_memory_bytes,
            "ended_by": self.ended_by,
            **({"drift": drifts[-1]} if drifts else {}),
            **self.summary,
        }


def run(job: Job, stage: ModuleType) -> Outcome:
    """Train the stage and write its adapter to `job.folder/out`. The base is as it was when this returns or raises.

    Raises TrainingError (not a number, out of memory at micro-batch 1) or Interrupted (saved; resumes next time).
    """
    os.environ.setdefault("WANDB_PROJECT", "statllama")
    if job.tracker_folder is not None:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.tracker_folder)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()  # the manifest's peak is this stage's
    micro = job.spec.train.micro_batch_size
    while True:
        try:
            return _attempt(job, stage, micro)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            smaller = _next_smaller(micro, job.spec.train.batch_size)
            if smaller is None:
                raise TrainingError(
                    f"stage {job.spec.name}: out of memory even with 1 row per forward pass of "
                    f"{job.spec.train.max_length} tokens",
                    remedy=f"shorten the rows: --set stages.{job.spec.name}.train.max_length="
                    f"{job.spec.train.max_length // 2}, or use a smaller rank or base",
                ) from None
            accumulation = job.spec.train.batch_size // smaller
            job.on_note(
                f"out of memory with micro-batch {micro}: going on with {smaller} x {accumulation} "
                f"(effective batch still {job.spec.train.batch_size})"
            )
            micro = smaller
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _attempt(job: Job, stage: ModuleType, micro: int) -> Outcome:
    model = adapt(job.base, job.spec.lora, job.parents, job.spec.train.seed, job.spec.train.gradient_checkpointing)
    try:
        start = {name: p.detach().clone() for name, p in stack.trainable(model).items()}
        with unsloth_hushed():
            trainer = stage.make_trainer(job, model, arguments(job, micro))
        require_batch(trainer, micro)
        _restore(model, start)
        return _fit(job, trainer, model, micro)
    finally:
        stack.detach(model)
        job.base.tokenizer.padding_side = "right"


def _fit(job: Job, trainer: Any, model: PeftModel, micro: int) -> Outcome:
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    checkpoint = newest_sound(job.checkpoints)
    started = time.monotonic() - _seconds_before(checkpoint)
    watcher = _Watcher(job, trainer, started)
    if job.spec.drift is not None:
        trainer.cap = DriftCap(job.spec.drift, model, job.base)
        trainer.add_callback(trainer.cap)  # before the watcher, which takes no request to stop once this ends the stage
    trainer.add_callback(watcher)
    resumed = int(checkpoint.name.rpartition("-")[2]) if checkpoint else None
    trainer.fresh_start = resumed is None
    if resumed is not None:
        job.on_note(f"resuming from the checkpoint of step {resumed}")
    with translate_os_errors(job.checkpoints):
        # Weights, two moments of Adam and the temporary copy of one checkpoint, in float32.
        parameters = sum(p.numel() for p in stack.trainable(model).values())
        require_bytes(job.folder, 4 * parameters * (3 * (job.spec.train.keep_checkpoints + 1) + 1))
        if checkpoint is None or not _take_finished(job, checkpoint, trainer, model):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if watcher.stopped:
        raise Interrupted(
            f"stage {job.spec.name}: stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; "
            "the checkpoint is saved",
            remedy="the same command goes on from there",
        )
    drift = ended_at(job.spec.drift, trainer.state)
    if drift is not None:
        job.on_note(
            f"stage {job.spec.name}: ended at step {trainer.state.global_step} of {trainer.state.max_steps}: it has "
            f"drifted {drift:.3g} nats per token from what it started from, above `drift.max`"
        )
    with translate_os_errors(job.folder):
        _save_slice(job, model, job.folder / "out")
    history = _history(trainer.state.log_history)
    return Outcome(
        steps=trainer.state.global_step,
        micro_batch_size=micro,
        resumed_from=resumed,
        seconds=time.monotonic() - started,
        tokens=int(trainer.tokens),
        peak_memory_bytes=memory_bytes(),
        ended_by="steps" if drift is None else "drift",
        history=history,
        summary=trainer.summary(history),
    )


def _seconds_before(checkpoint: Path | None) -> float:
    """Training time up to a checkpoint."""
    return float((read_json(checkpoint / CLOCK) or {}).get("seconds", 0.0)) if checkpoint else 0.0


def _history(log: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The steps of a trainer's log, without the infinite gradient norms of steps that float16 skips (JSON has none)."""
    return [
        {k: float(v) for k, v in entry.items() if v is not None and math.isfinite(v)}
        for entry in log
        if "loss" in entry
    ]


def _save_slice(job: Job, model: PeftModel, folder: Path) -> None:
    """Write the new slice. TrainingError when a weight is not finite: losses tell of it one step late, or never."""
    for name, parameter in stack.trainable(model).items():
        if not torch.isfinite(parameter).all():
            raise TrainingError(
                f"stage {job.spec.name}: {name} holds numbers that are not finite after an optimizer step",
                remedy=f"lower the learning rate ({_smaller_rate(job)})",
            )
    stack.save_adapter(model, job.spec.lora, str(job.base.model.config.name_or_path), folder)


def _smaller_rate(job: Job) -> str:
    return f"--set stages.{job.spec.name}.train.learning_rate={job.spec.train.learning_rate / 4:g}"


def _take_finished(job: Job, checkpoint: Path, trainer: Any, model: PeftModel) -> bool:
    """Restore a checkpoint of the stage's end, if this is one: `trainer.train` would add a step of its own."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if state.global_step < state.max_steps and ended_at(job.spec.drift, state) is None:
        return False
    trainer.state, trainer.tokens = state, state.num_input_tokens_seen
    stack.restore_slice(model, checkpoint)
    return True


def _restore(model: PeftModel, start: dict[str, torch.Tensor]) -> None:
    """TRL casts the LoRA of a 4-bit model to bfloat16, which eats updates of 5e-7: back to float32, as drawn."""
    for name, parameter in stack.trainable(model).items():
        parameter.data = start[name]


class StageTrainer:
    """Mixed into TRL's trainers: our checkpoints (the new slice alone), a token count, a check of the first batch."""

    job: Job
    fresh_start = True
    tokens: Any = 0
    cap: DriftCap | None = None
    shown: tuple[str, ...] = ("rewards/", "drift")
    """What the names of logged figures begin with that are reported beside the loss."""
    _batch_checked = False

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """TRL's step, counting the tokens that are not padding."""
        if not self._batch_checked:
            self._batch_checked = True
            self._check_batch(inputs)
        self.tokens = self.tokens + real_tokens(inputs)
        return super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """TRL's, with the drift that was measured after this step."""
        super().log({**logs, **(self.cap.take() if self.cap else {})}, *args, **kwargs)  # type: ignore[misc]

    def summary(self, history: list[dict[str, float]]) -> dict[str, float]:
        """Further figures for the manifest, from what was logged at each step."""
        return {}

    def _check_batch(self, inputs: dict[str, Any]) -> None:
        """One BOS a sequence, one end-of-turn an assistant turn, loss only where the mask says so."""
        from statllama.data.checks import check_batch

        spec = self.job.spec
        check_batch(
            inputs,
            self.job.base.tokenizer,
            kind=self.job.data_kind,  # type: ignore[arg-type]
            train_on=spec.train_on,  # type: ignore[attr-defined]
            max_length=spec.train.max_length,
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the new slice alone: PEFT would also write `ref/`, from which a resume goes wrong."""
        _save_slice(self.job, self.model, Path(str(output_dir)))  # type: ignore[attr-defined]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        stack.restore_slice(self.model, Path(resume_from_checkpoint))  # type: ignore[attr-defined]

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL writes a card into every checkpoint; the release writes ours."""


class _Watcher(TrainerCallback):
    """Reports steps, refuses numbers that are not finite, seals checkpoints, obeys a request to stop."""

    def __init__(self, job: Job, trainer: Any, started: float) -> None:
        """`started`: when the stage began, on the clock of `time.monotonic`, had it run without a break."""
        self.job, self.trainer, self.started = job, trainer, started
        self.stopped = False
        self._marks: list[tuple[float, int, int]] = []  # (time, step, tokens) of the last steps

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", math.nan))
        if not math.isfinite(loss) or not (math.isfinite(norm) or args.fp16):
            self._refuse(state, loss, norm)
        self._marks = [*self._marks[-20:], (time.monotonic(), state.global_step, int(self.trainer.tokens))]
        (then, step, tokens), (now, step_now, tokens_now) = self._marks[0], self._marks[-1]
        elapsed, steps = now - then, step_now - step
        self.job.on_step(
            StepEvent(
                stage=self.job.spec.name,
                step=state.global_step,
                total=state.max_steps,
                loss=loss,
                grad_norm=norm,
                learning_rate=float(logs.get("learning_rate", 0.0)),
                tokens_per_second=(tokens_now - tokens) / elapsed if elapsed else 0.0,
                eta_seconds=(state.max_steps - step_now) * elapsed / steps if steps else math.nan,
                memory_bytes=memory_bytes(),
                extra={k: float(v) for k, v in logs.items() if k.startswith(self.trainer.shown) and v is not None},
            )
        )

    def _refuse(self, state: Any, loss: float, norm: float) -> None:
        checkpoint = newest_sound(self.job.checkpoints)
        kept = f"the last sound checkpoint is step {checkpoint.name.rpartition('-')[2]}" if checkpoint else "none saved"
        raise TrainingError(
            f"stage {self.job.spec.name}: loss {loss} and gradient norm {norm} at step {state.global_step} of "
            f"{state.max_steps} (epoch {state.epoch:.2f}); {kept} in {self.job.checkpoints}",
            remedy=f"lower the learning rate ({_smaller_rate(self.job)}) or look for broken rows in this stage's data",
        )

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.tokens = state.num_input_tokens_seen  # not 0 after a resume

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        state.num_input_tokens_seen = int(self.trainer.tokens)  # goes into the checkpoint
        if self.job.stop_requested() and not control.should_training_stop:
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        checkpoint = self.job.checkpoints / f"checkpoint-{state.global_step}"
        write_json(checkpoint / CLOCK, {"seconds": time.monotonic() - self.started})
        seal(checkpoint)
        retain(self.job.checkpoints, self.job.spec.train.keep_checkpoints)


def memory_bytes() -> int:
    """Peak memory so far: of the GPU's allocator, or of the process where there is no GPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(sign in str(error) for sign in OUT_OF_MEMORY)


def _next_smaller(micro: int, batch: int) -> int | None:
    """The largest micro-batch of at most half the size that divides the effective batch; None below 1."""
    return next((m for m in range(micro // 2, 0, -1) if batch % m == 0), None)
