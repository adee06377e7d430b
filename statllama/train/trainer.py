"""The trainer that all stage types derive from: checked batches, events, sealed checkpoints."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from statllama.data.budget import out_of_memory
from statllama.data.lengths import lengths
from statllama.errors import TrainingError
from statllama.evaluation.measuring import Measuring
from statllama.model import stack
from statllama.store.files import write_json
from statllama.train import resident
from statllama.train.checkpoints import newest_sound, retain, seal
from statllama.train.job import Job, StepEvent
from statllama.train.optimizers import OptimizedTrainer
from statllama.train.protection import FIGURES
from statllama.train.ranks import ShortOfMemory
from statllama.train.sides import Sides
from statllama.train.step import Batch, Pass, StepTrainer
from statllama.train.steps import kept_step

if TYPE_CHECKING:
    from peft import PeftModel

TRIED = 256  # tokens of the row on which the parents' effect is tried
CLOCK = "clock.json"  # in a checkpoint: what was spent on the stage so far, in seconds and work


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


class StageTrainer(OptimizedTrainer, StepTrainer):
    """Mixed into TRL's trainers: exact steps, our checkpoints (the new slice alone), a check of the first batch."""

    job: Job
    fresh_start = True
    measuring: tuple[Measuring, ...] = ()
    """What measures it while it trains: a cap on drift, a selection."""
    sides: Sides | None = None
    shown: tuple[str, ...] = ("rewards/", "drift", "holdout_", "task_score", *FIGURES)
    """Prefixes of the logged figures that are reported beside the loss."""
    checked = False
    """Whether the reference and the first loss of this run were checked."""
    _batch_checked = False
    untried = False
    """Whether the heaviest passes are to be tried before the next step."""

    def before_step(self, model: Any, step: Any) -> None:
        """Try the heaviest passes, if that is still to be done."""
        if self.untried:
            self.untried = False
            self._try_heaviest(model, step)

    def _try_heaviest(self, model: Any, step: Any) -> None:
        """Run the heaviest passes once, with smaller ones until they fit, and leave no trace but a smaller budget.

        Memory that a stage lacks is then missed in its first minute. Adam's moments are not there yet: they take 8
        bytes for each weight of the slice.
        """
        known = self.checked, self._batch_checked
        self.checked = self._batch_checked = True  # the pass is no batch of the data's, nor its loss the first one
        waiting = self._tries(model, step)
        while waiting:
            before, held = self._before(), None
            try:
                waiting[0]()
                self._ranks.any(False)  # all have come so far
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                held = error.held if isinstance(error, ShortOfMemory) else []
            self._put_back(model, before)
            if held is None:
                del waiting[0]
            else:
                self._shrink(held or self._tell_short())
                waiting = self._tries(model, step)
        self.checked, self._batch_checked = known

    def _tries(self, model: Any, step: Any) -> list[Callable[[], object]]:
        """Return what runs each of the heaviest passes, those beside the stage's own rows too."""
        own: list[Callable[[], object]] = [partial(self._take, model, [one]) for one in self.heaviest(step)]
        if self.sides is None:
            return own
        return own + [partial(self.sides.try_pass, self, model, one) for one in self.sides.heaviest(self.micro_tokens)]

    def heaviest(self, step: Any) -> list[Pass]:
        """Return the passes under the budget that need the most memory of all that the stage may make, by its rows."""
        known = lengths(self.job.dataset, self.job.data_kind)
        rows: Any = self.train_dataset  # type: ignore[attr-defined]
        groups = known.heaviest(self.micro_tokens, self.job.spec.train.batch_size)
        split = [self.passes([rows[i] for i in group]) for group in groups]
        return [max(passes, key=lambda one: one.tokens) for passes in split]

    def _take(self, model: Any, passes: Sequence[Pass]) -> torch.Tensor:
        """Take a step, after a check of the first one's batch."""
        if not self._batch_checked:
            for one in passes:
                self._check_batch(one.batch)
            for one in passes[:1]:
                self._require_parents_act(model, one.batch)
            self._batch_checked = True
        return super()._take(model, passes)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Take a step. The first one is over then: a rank that had no row of it checks none of the next, whose loss is
        not the first.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.checked = self.checked or self._ranks.size > 1
        return loss

    def prepare_rows(self) -> None:
        """Add to the rows what is known before the first step. `training` calls it once all is set up."""

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as TRL does, with what was measured after this step."""
        measured = {name: value for one in self.measuring for name, value in one.take().items()}
        super().log({**logs, **measured}, *args, **kwargs)  # type: ignore[misc]

    def summary(self, history: list[dict[str, float]]) -> dict[str, float]:
        """Return the further figures for the manifest, from what was logged at each step."""
        return {}

    def _check_batch(self, inputs: dict[str, Any]) -> None:
        """Check for one BOS per sequence, one end-of-turn per assistant turn, and loss only where the mask says so."""
        from statllama.data.checks import check_batch

        spec = self.job.spec
        check_batch(
            inputs,
            self.job.base.tokenizer,
            kind=self.job.data_kind,  # type: ignore[arg-type]
            train_on=spec.train_on,  # type: ignore[attr-defined]
            max_length=spec.train.max_length,
            left_out=self.job.left_out,
        )

    def _require_parents_act(self, model: Any, batch: Batch) -> None:
        """Raise TrainingError where the stages below have no effect on the model as it trains.

        Tried on the start of one row, in the mode of training. In 16 bits a small effect may round away: a note.
        """
        job = self.job
        ids = (
            batch["input_ids"] if "input_ids" in batch else torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        )
        if not any(parent.has_effect for parent in job.parents):
            return
        if stack.parents_act(model, ids[:1, :TRIED].to(model.device)):
            return
        what = f"stage {job.spec.name}: the adapters of the stages below change no prediction while it trains"
        if job.base.dtype is not torch.float32:
            job.on_note(f"{what}: they are too small for 16 bits, or a library ignores them")
            return
        raise TrainingError(
            what, remedy="run `statllama doctor`: a version outside the known-good set may ignore frozen adapters"
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, once, of what is the same on all ranks."""
        self.require_same_slice()
        if self._ranks.first:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]

    def require_same_slice(self) -> None:
        """Raise TrainingError where the ranks' slices are not the same, bit for bit."""
        if self._ranks.size > 1:
            state = hashlib.sha256()
            for name, parameter in stack.trainable(self.model).items():  # type: ignore[attr-defined]
                state.update(name.encode() + parameter.detach().cpu().contiguous().numpy().tobytes())
            self._ranks.require_same(
                f"stage {self.job.spec.name}: the slice in training",
                state.hexdigest(),
                "train on devices of one kind, with the same versions of all libraries, or on one: "
                f"--set stages.{self.job.spec.name}.train.devices=1",
            )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the new slice alone: PEFT would also write `ref/`, from which a resume goes wrong."""
        _save_slice(self.job, self.model, Path(str(output_dir)))  # type: ignore[attr-defined]
        for one in self.measuring:
            one.save(Path(str(output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        stack.restore_slice(self.model, Path(resume_from_checkpoint))  # type: ignore[attr-defined]
        for one in self.measuring:
            one.load(Path(resume_from_checkpoint))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: TRL would put one into every checkpoint, and the release writes ours."""


class _Watcher(TrainerCallback):
    """Reports steps, refuses numbers that are not finite, seals checkpoints, obeys a request to stop."""

    def __init__(self, job: Job, trainer: Any, started: float, started_seconds: float) -> None:
        """Take the moment the stage began, on the clock of `time.monotonic`, had it run without a break, as
        `started`, and how long its first step took to end, where that is known (else 0), as `started_seconds`.
        """
        self.job, self.trainer, self.started, self.started_seconds = job, trainer, started, started_seconds
        self.stopped = False
        self._kept = kept_step(job.spec, len(job.dataset))
        self._marks: list[tuple[float, int, int]] = []  # (time, step, tokens) of the last steps

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", math.nan))
        if not math.isfinite(loss) or not (math.isfinite(norm) or args.fp16):
            self._refuse(state, loss, norm)
        self.started_seconds = self.started_seconds or time.monotonic() - self.started
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
                trained=self.trainer.trained,
                read=self.trainer.read,
                on_gpu=torch.cuda.is_available(),
                recomputes=bool(args.gradient_checkpointing),
            )
        )

    def _refuse(self, state: Any, loss: float, norm: float) -> None:
        checkpoint = newest_sound(self.job.checkpoints) if self.job.ranks.first else None
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
        if self.job.hold is not None:
            self.job.hold.heed()
        if state.global_step == self._kept:
            control.should_save = True
        if self.job.ranks.any(self.job.stop_requested()) and not control.should_training_stop:
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.job.ranks.first:
            return
        checkpoint = self.job.checkpoints / f"checkpoint-{state.global_step}"
        spent = {"seconds": time.monotonic() - self.started, "started_seconds": self.started_seconds}
        work = {"trained": self.trainer.trained.as_json(), "read": self.trainer.read.as_json()}
        self.job.require_hold()
        write_json(checkpoint / CLOCK, spent | work)
        seal(checkpoint)
        self.keep(checkpoint)
        retain(self.job.checkpoints, self.job.spec.train.keep_checkpoints)

    def keep(self, checkpoint: Path) -> None:
        """Have a sealed checkpoint kept beyond the stage's end, if it is the one to keep."""
        if self.job.keep is not None and checkpoint.name == f"checkpoint-{self._kept}":
            self.job.keep(checkpoint)


def memory_bytes() -> int:
    """Return the stage's peak so far: of the GPU's allocator, or of the process where there is no GPU."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resident.peak()
