"""GRPO with one ratio for a whole completion (GSPO), and with cut completions masked: against plain TRL, the papers'
definitions, and themselves under other budgets.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import trl

from statllama.errors import TrainingError
from statllama.model.base_model import Base
from statllama.stages import _rollouts
from tests.stages.test_grpo import SLOW, base, log_probs, make_job, parents, pays, ragged, spec, train, varied

__all__ = ["base", "parents", "pays"]  # fixtures

torch.set_num_threads(1)
Step = dict[str, Any]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Of each step: TRL's own loss of all its completions in one batch, with the norm of its gradient, and the
    paper's of those that are not masked.
    """
    seen: list[Step] = []
    take = _rollouts.RolloutTrainer._take

    def spy(self: Any, model: Any, passes: Any) -> Any:
        (whole,), figures = self._buffered_inputs, self._metrics["train"]
        before = {name: list(values) for name, values in figures.items()}
        loss = trl.GRPOTrainer._compute_loss(self, model, whole)
        counts = whole["completion_mask"].any(1)
        step: Step = {"loss": float(loss), "norm": norm(loss, model), "count": counts.tolist(), "gspo": 0.0}
        if counts.any() and self._spec.importance_sampling_level == "sequence":
            part = {n: v[counts] if torch.is_tensor(v) and v.ndim else v for n, v in whole.items()}
            value = gspo(self._spec, log_probs(model, part), part) * float(counts.float().mean())
            step |= {"gspo": float(value), "gspo norm": norm(value, model)}
        seen.append(step)
        figures.clear()
        figures.update(before)
        return take(self, model, passes)

    monkeypatch.setattr(_rollouts.RolloutTrainer, "_take", spy)
    return seen


def norm(loss: torch.Tensor, model: Any) -> float:
    weights = [p for p in model.parameters() if p.requires_grad]
    return math.sqrt(sum(float(g.square().sum()) for g in torch.autograd.grad(loss, weights)))


def gspo(found: Any, logs: torch.Tensor, batch: Step) -> torch.Tensor:
    """arXiv 2507.18071, equations 5 and 7, with the KL estimate of arXiv 2402.03300, equation 4; row by row."""
    losses = []
    for new, old, ref, mask, advantage in zip(
        logs, batch["old_per_token_logps"], batch["ref_per_token_logps"], batch["completion_mask"].bool(),
        batch["advantages"], strict=True,
    ):  # fmt: skip
        ratio = (new - old)[mask].mean().exp()
        clipped = ratio.clamp(1 - found.epsilon, 1 + (found.epsilon_high or found.epsilon))
        kl = ((ref - new).exp() - (ref - new) - 1)[mask].mean()
        losses.append(found.beta * kl - torch.min(ratio * advantage, clipped * advantage))
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    ("level", "loss", "masked"),
    [
        pytest.param("sequence", "grpo", False, marks=SLOW),
        ("sequence", "grpo", True),
        pytest.param("token", "grpo", True, marks=SLOW),
        ("token", "dapo", True),
        pytest.param("token", "dr_grpo", True, marks=SLOW),
    ],
)
def test_any_budget_takes_plain_trls_step(
    level: str, loss: str, masked: bool, base: Base, parents: Any, tmp_path: Path, pays: Any, plain: list[Step]
) -> None:
    """Loss and gradient of each step, on completions of now and of a step before, some of them clipped and cut."""
    pays(varied)
    fields: dict[str, Any] = {"importance_sampling_level": level, "loss": loss, "mask_truncated_completions": masked}
    fields |= {"iterations": 2, "max_completion_length": 90, "epsilon": 0.01, "epsilon_high": 0.012, "beta": 0.3}
    adapters, clipped = [], []
    for budget in (8192, 1):
        del plain[:]
        training_ = {"steps": 4, "batch_size": 12, "max_length": 160, "micro_tokens": budget, "adam_epsilon": 1e-4}
        job = make_job(base, tmp_path / str(budget), spec(train=training_, **fields), parents=parents, rows=ragged(7))
        outcome, adapter = train(job)
        adapters.append(adapter)
        for entry, wanted in zip(outcome.history, plain, strict=True):
            assert entry["loss"] == pytest.approx(wanted["loss"], rel=2e-4, abs=2e-6)
            assert entry["grad_norm"] == pytest.approx(wanted["norm"], rel=2e-4)
            assert all(math.isfinite(value) for value in entry.values())
            if level == "sequence":
                assert wanted["gspo"] == pytest.approx(wanted["loss"], rel=2e-4, abs=2e-6)
                assert wanted["gspo norm"] == pytest.approx(wanted["norm"], rel=2e-4)
        if masked:
            assert 0 < sum(map(sum, (one["count"] for one in plain))) < 48
        assert any(entry["clip_ratio/region_mean"] > 0 for entry in outcome.history)
        clipped.append([entry["clip_ratio/region_mean"] for entry in outcome.history])
        assert clipped[-1] == pytest.approx(clipped[0], abs=1e-6)
    names = [name for name in adapters[0] if "lora_B" in name]
    for other in adapters[1:]:
        assert max(float((other[n] - adapters[0][n]).norm() / adapters[0][n].norm()) for n in names) < 1e-5


def test_a_step_of_cut_completions_alone_has_a_loss_of_0(
    base: Base, parents: Any, tmp_path: Path, pays: Any, plain: list[Step]
) -> None:
    """Its gradient is 0, as TRL's is, so momentum goes on; a note says how many prompts taught nothing, and why."""
    pays(varied)
    found, notes = [], list[str]()
    for budget in (8192, 30):
        del plain[:], notes[:]
        training_ = {"steps": 12, "batch_size": 2, "micro_tokens": budget, "adam_epsilon": 1e-4, "weight_decay": 0.1}
        fields = {"generations": 2, "max_completion_length": 9, "mask_truncated_completions": True}
        job = make_job(base, tmp_path / str(budget), spec(train=training_, **fields), on_note=notes.append)
        found.append(train(job))
    outcome, adapter = found[0]
    empty = [not any(one["count"]) for one in plain]
    assert empty[0] and 0 < sum(empty) < 12
    for entry, wanted, nothing in zip(outcome.history, plain, empty, strict=True):
        assert entry["loss"] == pytest.approx(wanted["loss"], rel=2e-4, abs=2e-6)
        assert entry["grad_norm"] == pytest.approx(wanted["norm"], rel=2e-4)
        assert not nothing or entry["loss"] == entry["grad_norm"] == 0
        assert all(math.isfinite(value) for value in entry.values())
    assert "all 2 completions of a prompt were cut at `max_completion_length` 9 and are masked" in notes[0]
    assert "(1 of 1 prompts so far)" in notes[0] and any("(4 of " in note for note in notes)
    other = found[1][1]
    names = [name for name in adapter if "lora_B" in name]
    assert max(float((other[n] - adapter[n]).norm() / adapter[n].norm()) for n in names) < 1e-5


def test_a_stage_whose_completions_are_all_cut_says_so(base: Base, tmp_path: Path, pays: Any) -> None:
    pays(varied)
    notes: list[str] = []
    fields = {"max_completion_length": 2, "mask_truncated_completions": True, "train": {"steps": 2, "seed": 1}}
    job = make_job(base, tmp_path, spec(**fields), on_note=notes.append)
    with pytest.raises(TrainingError, match="get different rewards and reach their end, so it learned nothing"):
        train(job)
    assert len(notes) == 1 and "(2 of 2 prompts so far): raise `max_completion_length`" in notes[0]
