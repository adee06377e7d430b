"""Direct preference optimisation (arXiv 2305.18290) against the parent stack.

The reference policy is the stack without the new slice, never the bare base. The first batch of every run, resumed ones
too, asserts that. Both policies are equal before the first step, so the loss then has a known value: asserted as well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.spec import Positive
from statllama.config.stage import TrainingSpec
from statllama.stages import EXPERIMENTAL, NOT_OFFERED
from statllama.stages._chunks import by_rows, in_chunks
from statllama.stages._reference import check_first_loss, check_reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from statllama.train.job import Job

NUMERICS = 2
DATA_KIND = "preferences"
KNOWN = ("ref_chosen_logps", "ref_rejected_logps")  # TRL's names of the reference's log-probabilities in a batch


class Spec(TrainingSpec):
    """`dpo` adds the loss and its constants."""

    type: Literal["dpo"]
    beta: Positive = 0.1
    """Strength of the pull towards the parent stack; IPO's tau."""
    loss: Literal["sigmoid", "ipo", "robust"] = "sigmoid"
    """`sigmoid`: DPO; `ipo`: arXiv 2310.12036; `robust`: arXiv 2403.00409, needs `label_smoothing`."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Assumed share of swapped pairs, for `robust` alone."""

    @field_validator("loss", mode="before")
    @classmethod
    def _stable(cls, value: object) -> object:
        if value in EXPERIMENTAL:
            raise ValueError(f"{value}: {NOT_OFFERED}")
        return value

    @model_validator(mode="after")
    def _dpo_rules(self) -> Self:
        if self.train.packing:
            raise ValueError("packing is for cpt and sft; preference pairs are trained unpacked: set `packing: false`")
        if (self.loss == "robust") != (self.label_smoothing > 0):
            raise ValueError("`loss: robust` needs `label_smoothing` above 0, and only `robust` takes it")
        return self

    @property
    def train_on(self) -> str:
        """Return `responses`: the prompt is masked; both completions count."""
        return "responses"


def reads(spec: Spec, known: bool) -> int:
    """Return the passes without gradients that come with each one: the reference's, unless it is known."""
    return 0 if known else 1


def initial_loss(loss: str, beta: float) -> float:
    """Return the loss when policy and reference agree: ln 2 for `sigmoid` and `robust`, 1 / (4 beta^2) for `ipo`."""
    return 1 / (4 * beta**2) if loss == "ipo" else math.log(2)


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's DPOTrainer with the parent stack as reference and every field of its config set."""
    import trl
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from statllama.model import stack
    from statllama.stages._known_reference import kept_if_right, seen_again, with_reference
    from statllama.train.step import Pass, Row, StepRows, row_passes
    from statllama.train.trainer import StageTrainer

    assert isinstance(job.spec, Spec)
    spec: Spec = job.spec
    collate = DataCollatorForPreference(pad_token_id=job.base.tokenizer.pad_token_id, max_length=None)

    class Trainer(StageTrainer, trl.DPOTrainer):  # type: ignore[misc]
        rows_per_item = 2

        def passes(self, step: Sequence[Row]) -> list[Pass]:
            return row_passes(step, self.lengths(step), self.micro_tokens, collate, self.rows_per_item)

        def lengths(self, step: Sequence[Row]) -> list[int]:
            return [_longer(pair) for pair in step]

        def counts(self, one: Pass) -> dict[str, float]:
            chosen, rejected = (float(half.sum()) for half in one.batch["completion_mask"][:, 1:].chunk(2))
            tokens = {"chosen tokens": chosen, "rejected tokens": rejected, "tokens": chosen + rejected}
            return {"items": one.items, **tokens}

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset  # tokenised already: prompt_ids, chosen_ids, rejected_ids

        def prepare_rows(self) -> None:
            if seen_again(job):
                self.train_dataset = with_reference(self, KNOWN, _longer, collate, rows_per_item=2)
                self.precompute_ref_logps = True  # TRL's: the reference is in the batch
                self.reads = reads(spec, known=True)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            first = not self.checked
            if first:
                with kept_if_right(job):
                    _check_reference(self, model, inputs)
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            if first and self.fresh_start and spec.train.neftune_alpha is None:  # noise is on the policy alone
                check_first_loss(spec.name, spec.loss, loss, initial_loss(spec.loss, spec.beta), job.base.dtype)
            self.checked = True
            return loss * self.share  # a mean over the pass's pairs

    trainer = Trainer(
        model=model,
        args=trl.DPOConfig(**arguments, **_settings(spec)),
        train_dataset=job.dataset,
        processing_class=job.base.tokenizer,
        data_collator=StepRows,
    )
    trainer.job, trainer.reads = job, reads(spec, known=False)
    in_chunks(trainer, job.base.backend)
    stack.refer_to_parents(model)
    return trainer


def _settings(spec: Spec) -> dict[str, Any]:
    """Return DPOConfig's additions to the training arguments."""
    return {
        "loss_type": [spec.loss],
        "loss_weights": None,
        "beta": spec.beta,
        "label_smoothing": spec.label_smoothing,
        "max_length": None,
        "truncation_mode": "keep_start",
        "pad_token": None,
        "router_aux_loss_coef": None,
        "padding_free": False,
        "pad_to_multiple_of": None,
        "disable_dropout": False,
        "precompute_ref_log_probs": False,
        "f_divergence_type": "reverse_kl",
        "ld_alpha": None,
        "use_weighting": False,
        "sync_ref_model": False,
        "trust_remote_code": False,
    }


def _longer(pair: Mapping[str, Sequence[int]]) -> int:
    """Return the tokens of the longer of a pair's two rows."""
    return len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))


def _check_reference(trainer: Any, model: Any, inputs: dict[str, Tensor]) -> None:
    """Check the reference that this batch is trained with, known or not."""
    import torch

    def log_probs(batch: Mapping[str, Tensor]) -> Tensor:
        return torch.cat(trainer.compute_ref_log_probs(model, batch))

    known = [inputs[name] for name in KNOWN if name in inputs]
    by_rows(check_reference, trainer, model, inputs, log_probs, torch.cat(known) if known else None)
