"""Direct preference optimisation (arXiv 2305.18290) against the parent stack.

The reference policy is the stack without the new slice, never the bare base. The first batch of every run, resumed ones
too, asserts that. Both policies are equal before the first step, so the loss then has a known value: asserted as well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from statllama.errors import TrainingError
from statllama.specs import Positive, TrainingSpec

if TYPE_CHECKING:
    from torch import Tensor

    from statllama.training import Job

NUMERICS = 1
DATA_KIND = "preferences"


class Spec(TrainingSpec):
    """`dpo` adds the loss and its constants."""

    type: Literal["dpo"]
    beta: Positive = 0.1
    """Strength of the pull towards the parent stack; IPO's tau."""
    loss: Literal["sigmoid", "ipo", "robust"] = "sigmoid"
    """`sigmoid`: DPO; `ipo`: arXiv 2310.12036; `robust`: arXiv 2403.00409, needs `label_smoothing`."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Assumed share of swapped pairs, for `robust` alone."""

    @model_validator(mode="after")
    def _dpo_rules(self) -> Self:
        if self.train.packing:
            raise ValueError("packing is for cpt and sft; preference pairs are trained unpacked: set `packing: false`")
        if (self.loss == "robust") != (self.label_smoothing > 0):
            raise ValueError("`loss: robust` needs `label_smoothing` above 0, and only `robust` takes it")
        return self

    @property
    def train_on(self) -> str:
        """The prompt is masked; both completions count."""
        return "responses"


def initial_loss(loss: str, beta: float) -> float:
    """Loss when policy and reference agree: ln 2 for `sigmoid` and `robust`, 1 / (4 beta^2) for `ipo`."""
    return 1 / (4 * beta**2) if loss == "ipo" else math.log(2)


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """TRL's DPOTrainer with the parent stack as reference and every field of its config set."""
    import trl
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from statllama import stack
    from statllama.training import StageTrainer

    assert isinstance(job.spec, Spec)
    spec: Spec = job.spec

    class Trainer(StageTrainer, trl.DPOTrainer):  # type: ignore[misc]
        checked = False

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset  # tokenised already: prompt_ids, chosen_ids, rejected_ids

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            first, self.checked = not self.checked, True
            if first:
                _check_reference(self, model, inputs)
            result = super().compute_loss(model, inputs, *args, **kwargs)
            if first and self.fresh_start:
                _check_first_loss(spec, result[0] if isinstance(result, tuple) else result, job.base.dtype)
            return result

    trainer = Trainer(
        model=model,
        args=trl.DPOConfig(**arguments, **_settings(spec)),
        train_dataset=job.dataset,
        processing_class=job.base.tokenizer,
        data_collator=DataCollatorForPreference(pad_token_id=job.base.tokenizer.pad_token_id, max_length=None),
    )
    trainer.job = job
    stack.add_reference(model)
    return trainer


def _settings(spec: Spec) -> dict[str, Any]:
    """What DPOConfig adds to the training arguments."""
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


def _check_reference(trainer: Any, model: Any, inputs: dict[str, Tensor]) -> None:
    """Without the new slice the policy is the parent stack: its log-probabilities must be the reference's."""
    import torch

    from statllama import stack

    kwargs = {k: v for k, v in inputs.items() if k in ("input_ids", "attention_mask")}
    with torch.no_grad(), torch.random.fork_rng():  # dropout here must not shift the training's own draws
        with stack.without_new_slice(trainer.model):
            logits = model(**kwargs, use_cache=False).logits
        rows = zip(logits, inputs["input_ids"], inputs["completion_mask"], strict=True)
        policy = torch.stack([_log_prob(*row) for row in rows])
        del logits
        reference = torch.cat(trainer.compute_ref_log_probs(model, inputs))
    allowed = 1e-3 if trainer.job.base.dtype is torch.float32 else 0.05
    if not torch.allclose(policy, reference.float(), rtol=allowed, atol=allowed):
        gap = float((policy - reference).abs().max())
        raise TrainingError(
            f"stage {trainer.job.spec.name}: on the first batch the reference's log-probabilities differ from the "
            f"parent stack's by up to {gap:.4g}: the reference is not the parent stack",
            remedy="run `statllama doctor`: a version outside the known-good set may build the reference otherwise",
        )


def _log_prob(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Log-probability of a row's completion. Row by row, since float32 logits of a whole batch are gigabytes.

    Shapes: logits (length, vocabulary), ids (length,), mask (length,) with 1 on the completion.
    """
    picked = logits[:-1].float().log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
    return (picked * mask[1:]).sum()


def _check_first_loss(spec: Spec, loss: Tensor, dtype: Any) -> None:
    import torch

    expected, got = initial_loss(spec.loss, spec.beta), float(loss.detach())
    if not math.isclose(got, expected, rel_tol=1e-3 if dtype is torch.float32 else 0.05):
        raise TrainingError(
            f"stage {spec.name}: the first {spec.loss} loss is {got:.6f} and must be {expected:.6f}: the reference is "
            "not the parent stack",
            remedy="run `statllama doctor`: a version outside the known-good set may compute this loss otherwise",
        )
