"""Kahneman-Tversky optimisation (arXiv 2402.01306) against the parent stack: from single answers, judged good or bad.

It needs no pairs, and a preference pair is two judged answers. Like `dpo` it needs a reference, which is the stack
without the new slice, never the bare base: asserted on the first batch of every run, and so is the first loss, which is
known because both policies are equal before the first step.

The loss measures each answer against an estimate of the KL divergence from the reference: the mean log-ratio of answers
put after other rows' prompts, not below 0. TRL takes it anew from every forward pass; here it is that of the whole
optimizer step, so that the token budget changes rounding alone. Rows keep their order in every epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import model_validator

from statllama.config.spec import Positive
from statllama.config.stage import TrainingSpec
from statllama.stages._chunks import by_rows, in_chunks
from statllama.stages._reference import check_first_loss, check_reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from statllama.train.job import Job
    from statllama.train.step import Pass

NUMERICS = 2
DATA_KIND = "judgements"
IN_ORDER = True  # see `Mismatched`
KL = "KL_"  # what TRL's names of the mismatched answers begin with
KNOWN = ("ref_logps", "ref_KL_logps")  # TRL's names of the reference's log-probabilities in a batch


class Spec(TrainingSpec):
    """`kto` adds the loss and its constants."""

    type: Literal["kto"]
    beta: Positive = 0.1
    """Strength of the pull towards the parent stack."""
    loss: Literal["kto", "apo_zero_unpaired"] = "kto"
    """`kto`: arXiv 2402.01306; `apo_zero_unpaired`: arXiv 2408.06266, which sets the KL divergence to 0."""
    desirable_weight: Positive = 1.0
    """Weight of answers with the label true. The authors advise that this times their number be 1 to 4/3 of
    `undesirable_weight` times the number of the others."""
    undesirable_weight: Positive = 1.0
    """Weight of answers with the label false."""

    @model_validator(mode="after")
    def _kto_rules(self) -> Self:
        if self.train.packing:
            raise ValueError("packing is for cpt and sft; judged answers are trained unpacked: set `packing: false`")
        if self.loss == "kto" and self.train.batch_size < 2:
            raise ValueError(
                "`train.batch_size` 1: the loss `kto` compares each answer with answers to other prompts of its step, "
                "so there must be 2 or more (or `loss: apo_zero_unpaired`)"
            )
        return self

    @property
    def train_on(self) -> str:
        """Return `responses`: the prompt is masked; the answer counts."""
        return "responses"


class Mismatched:
    """Prepared rows as TRL's collator takes them, each with the answer of another row for the KL divergence.

    That is the row before it in its optimizer step, of the first the step's last one; all answers of a step are used. A
    step of one row, at the end of an epoch, borrows from the step before it.
    """

    def __init__(self, rows: Any, per_step: int) -> None:
        """Take `rows`, a dataset of `prompt_ids`, `completion_ids`, `label` (lists of int), and `per_step`, the
        effective batch.
        """
        self.rows, self.per_step = rows, per_step

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the row as {prompt_ids, completion_ids, KL_completion_ids: lists of int, label: bool}."""
        row = self.rows[index]
        start = index - index % self.per_step
        stop = min(start + self.per_step, len(self))
        other = start + (index - start - 1) % (stop - start)
        other = index - 1 if other == index else other
        return {
            "prompt_ids": list(row["prompt_ids"]),
            "completion_ids": list(row["completion_ids"]),
            f"{KL}completion_ids": list(self.rows[other]["completion_ids"]),
            "label": bool(row["label"][0]),
        }


def reads(spec: Spec, known: bool) -> int:
    """Return the passes without gradients that come with each one: the reference's, unless it is known, and with a KL
    divergence those over the mismatched answers, of both policies.
    """
    estimates = spec.loss == "kto"
    return estimates if known else 1 + 2 * estimates


def initial_loss(spec: Spec, labels: Sequence[bool]) -> float:
    """Return the loss when policy and reference agree: all log-ratios are 0, so that each answer's is half its
    weight.
    """
    weights = [spec.desirable_weight if label else spec.undesirable_weight for label in labels]
    return sum(weights) / (2 * len(weights))


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's KTOTrainer with the parent stack as reference and every field of its config set."""
    import trl

    from statllama.model import stack
    from statllama.train.step import StepRows

    trainer = _trainer_class(job)(
        model=model,
        args=trl.KTOConfig(**(arguments | _settings(cast(Spec, job.spec)))),
        train_dataset=job.dataset,
        processing_class=job.base.tokenizer,
        data_collator=StepRows,
    )
    trainer.job, trainer.reads = job, reads(cast(Spec, job.spec), known=False)
    in_chunks(trainer, job.base.backend)
    stack.refer_to_parents(model)
    return trainer


def _trainer_class(job: Job) -> Any:
    """Return TRL's KTOTrainer with exact steps, the KL divergence of the whole step, and checks of the first batch."""
    import trl
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    from statllama.stages._kl_of_step import StepKLTrainer
    from statllama.stages._known_reference import kept_if_right, seen_again, with_reference
    from statllama.train.step import Row, row_passes

    spec = cast(Spec, job.spec)
    collate = DataCollatorForUnpairedPreference(pad_token_id=job.base.tokenizer.pad_token_id, max_length=None)

    class Trainer(StepKLTrainer, trl.KTOTrainer):  # type: ignore[misc]
        def passes(self, step: Sequence[Row]) -> list[Pass]:
            return row_passes(step, self.lengths(step), self.micro_tokens, collate)

        def lengths(self, step: Sequence[Row]) -> list[int]:
            return [_longest(row) for row in step]

        def counts(self, one: Pass) -> dict[str, float]:
            return {"items": one.items, **_counts(one.batch)}

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return Mismatched(dataset, spec.train.batch_size)

        def prepare_rows(self) -> None:
            if seen_again(job):
                self.train_dataset = with_reference(self, KNOWN, _longest, collate)
                self.precompute_ref_logps = True  # TRL's: the reference is in the batch
                self.reads = reads(spec, known=True)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            first = not self.checked
            if first:
                with kept_if_right(job):
                    _check_reference(self, model, inputs)
            loss = super().compute_loss(model, self.with_known(inputs), *args, **kwargs)
            if first and self.fresh_start and spec.train.neftune_alpha is None:  # noise is on the policy alone
                check_first_loss(spec.name, spec.loss, loss, initial_loss(spec, inputs["label"]), job.base.dtype)
            self.checked = True
            return loss * self.share  # a mean over the pass's rows

    return Trainer


def _check_reference(trainer: Any, model: Any, inputs: dict[str, Tensor]) -> None:
    """Check the reference that this batch is trained with, known or not."""

    def log_probs(batch: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = trainer.compute_ref_log_probs(model, batch)[0]
        return found

    by_rows(check_reference, trainer, model, inputs, log_probs, inputs.get("ref_logps"))


def _counts(batch: Mapping[str, Any]) -> dict[str, float]:
    """Return the number of good (chosen) and bad (rejected) answers of a batch, and of their tokens."""
    import torch

    good = torch.as_tensor(batch["label"], dtype=torch.bool)
    tokens = batch["completion_mask"][:, 1:].sum(1)
    chosen, rejected = float(tokens[good].sum()), float(tokens[~good].sum())
    answers = {"chosen": int(good.sum()), "rejected": int((~good).sum())}
    return {**answers, "chosen tokens": chosen, "rejected tokens": rejected, "tokens": chosen + rejected}


def _longest(row: Mapping[str, Any]) -> int:
    """Return the tokens of a judged row, or of its prompt with the other row's answer where that is longer."""
    return len(row["prompt_ids"]) + max(len(row["completion_ids"]), len(row[f"{KL}completion_ids"]))


def _settings(spec: Spec) -> dict[str, Any]:
    """Return KTOConfig's additions to the training arguments."""
    return {
        "train_sampling_strategy": "sequential",  # as `Mismatched` counts steps
        "loss_type": spec.loss,
        "beta": spec.beta,
        "desirable_weight": spec.desirable_weight,
        "undesirable_weight": spec.undesirable_weight,
        "max_length": None,
        "router_aux_loss_coef": None,
        "pad_to_multiple_of": None,
        "disable_dropout": False,
        "precompute_ref_log_probs": False,
        "sync_ref_model": False,
        "trust_remote_code": False,
    }
