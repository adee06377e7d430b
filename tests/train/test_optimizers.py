"""Optimizers other than AdamW, and LoRA+: against plain TRL, a run that was cut short, and the state's real size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.errors import TrainingError
from statllama.evaluation.drift import divergences, rows_for
from statllama.model.adapter import load_adapter
from statllama.model.base_model import scoring
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.stages import stage_module
from statllama.store import Store
from statllama.train import preflight, training
from statllama.train.memory import state_bytes
from tests.conftest import conversations, stage
from tests.reference import relative
from tests.running import Recorder, adapter_bytes, losses, recipe_of, run
from tests.train.test_parity import SEED, conversational, curve, load, order_of, plain_arguments, plain_lora

torch.set_num_threads(1)
Write = Callable[..., Path]

SLOW = {"learning_rate": 1e-3, "seed": SEED, "batch_size": 4, "micro_tokens": 10**6, "max_length": 96, "steps": 6}
OURS: dict[str, dict[str, Any]] = {
    "lion": {"train": {"optimizer": "lion", "adam_betas": [0.9, 0.99], "weight_decay": 0.1}},
    "adafactor": {"train": {"optimizer": "adafactor", "weight_decay": 0.1}},
    "schedule_free_adamw": {
        "train": {"optimizer": "schedule_free_adamw", "schedule": "constant", "adam_betas": [0.8, 0.99]}
    },
    "plus": {"train": {"weight_decay": 0.1, "warmup": 2, "learning_rate": 2e-4}, "lora": {"plus_ratio": 8.0}},
}
PLAIN: dict[str, dict[str, Any]] = {
    "lion": {"optim": "lion_32bit", "adam_beta2": 0.99, "weight_decay": 0.1},
    "adafactor": {"optim": "adafactor", "weight_decay": 0.1},
    "schedule_free_adamw": {
        "optim": "schedule_free_adamw", "lr_scheduler_type": "constant", "adam_beta1": 0.8, "adam_beta2": 0.99,
        "weight_decay": 0.0,
    },
    "plus": {"weight_decay": 0.1, "warmup_steps": 2, "learning_rate": 2e-4},
}  # fmt: skip


def kinds() -> list[Any]:
    """Their names; without its package the schedule-free one is skipped."""
    missing = preflight.find_spec("schedulefree") is None
    skip = pytest.mark.skipif(missing, reason="needs schedulefree")
    return [pytest.param(name, marks=skip if name.startswith("schedule") else ()) for name in OURS]


def one(name: str, **train: Any) -> dict[str, Any]:
    """A stage of 6 steps with an optimizer."""
    return stage("one", lora=OURS[name].get("lora", {}), train={**SLOW, **OURS[name]["train"], **train})


@pytest.mark.parametrize("name", kinds())
def test_it_is_trls(name: str, write_recipe: Write, base_folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    """Losses and weights are those of a plain SFTTrainer with Transformers' optimizer, or PEFT's for LoRA+."""
    import trl
    from datasets import Dataset
    from peft.optimizers import create_loraplus_optimizer
    from transformers import set_seed

    lora = {"r": 5, "alpha": 12, "dropout": 0.1, **OURS[name].get("lora", {})}
    path = write_recipe([{**one(name, max_grad_norm=0.7), "lora": lora}])
    result = run(path, tmp_path / "w")["one"]
    rows = conversations(48)
    ids = [tokenizer.apply_chat_template(r["messages"], tokenize=True, return_dict=False) for r in rows]
    data = [conversational(rows[i]) for i in order_of(path, tmp_path / "w", "input_ids", ids)]
    set_seed(SEED)
    settings = {**plain_arguments(tmp_path), "max_steps": 6, "learning_rate": 1e-3, "warmup_steps": 0}
    config = trl.SFTConfig(**{**settings, "lr_scheduler_type": "linear", **PLAIN[name]}, max_length=96)
    trainer = trl.SFTTrainer(
        load(base_folder), args=config, train_dataset=Dataset.from_list(data), processing_class=tokenizer,
        peft_config=plain_lora(),
    )  # fmt: skip
    if name == "plus":
        made = create_loraplus_optimizer(
            trainer.model, torch.optim.AdamW, lr=2e-4, loraplus_lr_ratio=8.0, loraplus_weight_decay=0.1
        )
        trainer.optimizer = made
    wanted = curve(trainer)
    if name.startswith("schedule"):
        trainer.optimizer.eval()
    assert losses(result) == pytest.approx(wanted, abs=2e-5)
    assert wanted[0] - wanted[-1] > 0.05
    saved = load_file(result / "adapter_model.safetensors")
    for key, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            assert relative(saved[key.replace(".default", "")], parameter.detach()) < 2e-4, key


class Cut(Recorder):
    """A run that fails right after a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._last = step

    def step(self, event: Any) -> None:
        super().step(event)
        if event.step == self._last:
            raise RuntimeError("cut")


def held_tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors of an optimizer's state; bitsandbytes' are a layer deeper."""
    if torch.is_tensor(state):
        yield state
    elif not isinstance(state, str | float | int | None):
        for value in state.values() if isinstance(state, dict) else state:
            yield from held_tensors(value)


@pytest.mark.parametrize("name", kinds())
def test_a_run_that_was_cut_ends_with_the_same_bits(name: str, write_recipe: Write, tmp_path: Path) -> None:
    """Cut after a checkpoint in the middle; its state has the size that is forecast."""
    path = write_recipe([{**one(name), "drift": {"max": 100.0, "every": 2}}])
    whole = run(path, tmp_path / "whole")["one"]
    with pytest.raises(RuntimeError, match="cut"):
        run(path, tmp_path / "w", reporter=Cut(5))
    (state,) = (tmp_path / "w").rglob("checkpoint-4/optimizer.pt")
    numbers = sum(t.numel() for t in load_file(state.parent / "adapter_model.safetensors").values())
    held = torch.load(state, weights_only=True)["state"].values()
    size = sum(4 * tensor.numel() for tensor in held_tensors(held) if tensor.ndim)
    kind = OURS[name]["train"].get("optimizer", "adamw_torch")
    assert size / numbers == pytest.approx(state_bytes(kind, 4), rel=0.1 if kind == "adafactor" else 1e-9)
    reporter = Recorder()
    resumed = run(path, tmp_path / "w", reporter=reporter)["one"]
    assert "resuming from the checkpoint of step 4" in reporter.notes
    assert adapter_bytes(resumed) == adapter_bytes(whole) and losses(resumed) == losses(whole)


@pytest.mark.parametrize("name", kinds()[2:3])
def test_what_is_measured_and_published_is_the_average(
    name: str, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drift at the last step is the published adapter's; measuring changes no bit, nor does a checkpoint, nor a run
    that was cut between the last checkpoint and its end.
    """
    measured = write_recipe([{**one(name), "drift": {"max": 100.0, "every": 3}}])
    result = run(measured, tmp_path / "w")["one"]
    drift = json.loads((result / "history.json").read_text())[-1]["drift"]
    session = runner.Session(recipe_of(measured), Store(tmp_path / "w"), Reporter(), StopSignal())
    base, adapter = session.loaded.base("float32"), load_adapter(result)
    with scoring(base, [adapter]) as model:
        from statllama.model import stack

        found = divergences(model, rows_for(base), [lambda: stack.up_to(model, 0)])[0]
    assert drift == pytest.approx(found, rel=1e-6)
    plain = run(write_recipe([one(name, checkpoint_every=4)]), tmp_path / "plain")["one"]
    assert adapter_bytes(plain) == adapter_bytes(result)
    with monkeypatch.context() as patch:
        patch.setattr(training, "_save_slice", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "recipe.yaml", tmp_path / "late")
    assert adapter_bytes(run(tmp_path / "recipe.yaml", tmp_path / "late")["one"]) == adapter_bytes(result)


def test_a_ratio_of_one_changes_no_bit(write_recipe: Write, tmp_path: Path) -> None:
    bits = [
        adapter_bytes(run(write_recipe([stage("one", lora=lora)]), tmp_path / f"w{len(lora)}")["one"])
        for lora in ({}, {"plus_ratio": 1.0})
    ]
    assert bits[0] == bits[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "lion", "adam_epsilon": 1e-6}, "`adam_epsilon` is set, and `optimizer: lion` has none"),
        ({"optimizer": "adafactor", "adam_betas": [0.9, 0.95]}, "`adam_betas` is set, and `optimizer: adafactor` has"),
        ({"optimizer": "adafactor", "adam_epsilon": 1e-6}, "`adam_epsilon` is set"),
        ({"optimizer": "schedule_free_adamw"}, "wants `schedule: constant`, with a warm-up or without; got `linear`"),
        ({"optimizer": "schedule_free_adamw", "schedule": "constant", "adam_betas": [0.0, 0.9]}, "which is 0"),
    ],
    ids=str,
)
def test_settings_that_an_optimizer_does_not_have(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSpec(**fields)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("inf")])
def test_a_ratio_that_is_none(ratio: float) -> None:
    with pytest.raises(ValidationError):
        LoraSpec(plus_ratio=ratio)


def test_a_missing_package_is_said_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    spec = stage_module("sft").Spec.model_validate(one("schedule_free_adamw"))
    with pytest.raises(TrainingError, match="needs the package schedulefree") as caught:
        preflight.require_optimizer(spec)
    assert caught.value.remedy == "pip install 'statllama[schedulefree]'"
