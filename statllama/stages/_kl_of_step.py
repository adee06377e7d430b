"""The KL divergence that `kto` measures answers against: of the whole optimizer step, whatever its passes and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from statllama.model import stack
from statllama.train.step import Pass
from statllama.train.trainer import StageTrainer


class StepKLTrainer(StageTrainer):
    """Mixed into TRL's KTOTrainer, which takes the mismatched answers of one forward pass alone."""

    shown = (*StageTrainer.shown, "kl")
    calculate_KL: bool
    precompute_ref_logps: bool
    """TRL's: whether the reference is in the batch."""
    step_passes: Sequence[Pass] = ()
    step_logps: dict[range, Tensor]
    """{adapters that the policy shows: the mismatched answers' log-probabilities, (rows of the step,)}"""
    step_known: Tensor | None = None
    """The reference's, where it is known."""

    def _take(self, model: Any, passes: Sequence[Pass]) -> Tensor:
        self.step_passes, self.step_logps = passes, {}
        self.step_known = self._known_of_step(passes) if self.calculate_KL and self.precompute_ref_logps else None
        if self.calculate_KL and self._ranks.size > 1:
            self._estimate(model)
        return super()._take(model, passes)

    def _known_of_step(self, passes: Sequence[Pass]) -> Tensor:
        known = [torch.zeros(0), *(one.batch["ref_KL_logps"].cpu() for one in passes)]
        return self._of_ranks(torch.cat(known))

    def _estimate(self, model: Any) -> None:
        """Compute the mismatched answers' log-probabilities of both policies before the passes, of which another rank
        has more or fewer: each rank those of its own rows.
        """
        compute: Any = super()._compute_kl_logps  # type: ignore[misc]
        trainer: Any = self
        policies: list[AbstractContextManager[None]] = [nullcontext()]
        if not self.precompute_ref_logps:
            policies.append(stack.up_to(trainer.model))
        for policy in policies:
            parts = [torch.zeros(0)]
            with policy, trainer.compute_loss_context_manager():
                for one in self.step_passes:
                    self._held = one
                    parts.append(compute(model, trainer._prepare_inputs(one.batch)).cpu())
                shown = stack.shown(trainer.model)
            self.step_logps[shown] = self._of_ranks(torch.cat(parts))

    def _of_ranks(self, values: Tensor) -> Tensor:
        """Return the values of all ranks' rows, (rows of the step,)."""
        return torch.cat(self._ranks.gather(values)).to(self.args.device)  # type: ignore[attr-defined]

    def _compute_kl_logps(self, model: Any, batch: Any) -> Tensor | None:
        """Return the mismatched answers' log-probabilities, (rows of the step,); once per policy."""
        compute: Any = super()._compute_kl_logps  # type: ignore[misc]
        trainer: Any = self
        policy = stack.shown(trainer.model)
        if self.calculate_KL and policy not in self.step_logps:
            parts = (compute(model, trainer._prepare_inputs(one.batch)) for one in self.step_passes)
            self.step_logps[policy] = torch.cat(list(parts))
        return self.step_logps.get(policy)

    def with_known(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return a pass's batch with what is known of the reference's mismatched answers, if anything: the whole
        step's.
        """
        return inputs if self.step_known is None else {**inputs, "ref_KL_logps": self.step_known}
