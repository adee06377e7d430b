"""Around the training loop: time over several attempts, numbers that are not finite, one GPU, a late signal."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.data.budget import out_of_memory
from statllama.errors import Interrupted, TrainingError
from statllama.model import stack
from statllama.model.factor import Factor
from statllama.runs.reporting import Reporter
from statllama.stages import dpo
from statllama.train import training
from statllama.train.trainer import StageTrainer, _save_slice, _Watcher
from tests.conftest import make_tokenizer, stage
from tests.running import Recorder, adapter_bytes, run

torch.set_num_threads(1)
Write = Callable[..., Path]


class Slow(Recorder):
    """Spends time after every step, and breaks off after one of them."""

    def __init__(self, seconds: float = 0.0, stop: int = -1) -> None:
        super().__init__()
        self.seconds, self.stop = seconds, stop

    def step(self, event: Any) -> None:
        super().step(event)
        time.sleep(self.seconds)
        if event.step == self.stop:
            raise ConnectionError("a crash")


def metrics(result: Path) -> dict[str, Any]:
    return dict(json.loads((result / "manifest.json").read_text())["metrics"])


def test_seconds_are_those_of_all_attempts(write_recipe: Write, tmp_path: Path) -> None:
    """Two broken attempts of 2 checkpointed steps each, then an unhindered one."""
    path, workspace = write_recipe([stage("one")]), tmp_path / "w"
    for stop in (3, 5):
        with pytest.raises(ConnectionError):
            run(path, workspace, reporter=Slow(1.0, stop))
    clocks = [json.loads(p.read_text())["seconds"] for p in workspace.glob("partial/*/checkpoints/*/clock.json")]
    assert 2.0 < min(clocks) < max(clocks) - 2.0
    started = time.monotonic()
    result = run(path, workspace)["one"]
    last = time.monotonic() - started
    assert metrics(result)["resumed_from"] == 4
    assert max(clocks) < metrics(result)["seconds"] < max(clocks) + last
    assert adapter_bytes(result) == adapter_bytes(run(path, tmp_path / "whole")["one"])


def test_a_finished_checkpoint_keeps_its_seconds(write_recipe: Write, tmp_path: Path) -> None:
    """Killed between the last step and the publishing: nothing is trained again, and the time is not forgotten."""
    path, workspace = write_recipe([stage("one")]), tmp_path / "w"
    real = _save_slice

    def fail(job: Any, model: Any, folder: Path) -> None:
        if folder.name == "out":
            raise ConnectionError
        real(job, model, folder)

    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(training, "_save_slice", fail)
        with pytest.raises(ConnectionError):
            run(path, workspace, reporter=Slow(0.3))
    again = Recorder()
    result = run(path, workspace, reporter=again)["one"]
    assert not again.steps
    assert metrics(result)["seconds"] > 6 * 0.3


def test_infinite_weights_are_never_saved(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last optimizer step spoils them: no loss comes after it to tell. The checkpoint before it stays."""
    real = _Watcher.on_step_end

    def spoil(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == state.max_steps:
            next(iter(stack.trainable(self.trainer.model).values())).data[0, 0] = math.inf
        real(self, args, state, control, **kwargs)

    monkeypatch.setattr(_Watcher, "on_step_end", spoil)
    path, workspace = write_recipe([stage("one")]), tmp_path / "w"
    with pytest.raises(TrainingError, match="not finite after an optimizer step") as caught:
        run(path, workspace)
    assert "--set stages.one.train.learning_rate=0.0025" in str(caught.value)
    assert not list(workspace.glob("results/*"))
    assert {p.parent.name for p in workspace.glob("partial/*/checkpoints/*/sealed.json")} == {
        "checkpoint-2",
        "checkpoint-4",
    }


def test_a_skipped_step_of_float16_is_no_infinity_in_the_history() -> None:
    log = [{"loss": 2.0, "grad_norm": math.inf, "step": 1}, {"loss": 1.5, "grad_norm": 3, "step": 2}, {"runtime": 1}]
    assert training._history(log) == [{"loss": 2.0, "step": 1.0}, {"loss": 1.5, "grad_norm": 3.0, "step": 2.0}]


@pytest.mark.parametrize("packing", [False, True])
def test_all_tokens_are_counted_where_the_pad_token_also_ends_a_text(
    packing: bool, write_recipe: Write, base_folder: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(base_folder, base)
    tokenizer = make_tokenizer()
    tokenizer.pad_token = "<|end_of_text|>"
    tokenizer.save_pretrained(base)
    train = {"steps": None, "epochs": 1.0, "max_length": 200, "packing": packing}
    model = {"model": str(base), "quantization": "none"}
    result = run(write_recipe([stage("one", "cpt", train=train)], base=model), tmp_path / "w")["one"]
    assert metrics(result)["tokens"] == json.loads((result / "manifest.json").read_text())["data"]["tokens"]


def test_two_visible_gpus_do_not_double_the_batch(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainingArguments

    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 2))
    with pytest.raises(TrainingError, match="one GPU") as caught:
        run(write_recipe([stage("one")]), tmp_path / "w")
    assert "a step of 4 rows would be one of 8" in str(caught.value)
    assert "CUDA_VISIBLE_DEVICES=0" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        torch.OutOfMemoryError("any"),
        MemoryError(),
    ],
    ids=str,
)
def test_what_is_out_of_memory(error: Exception) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(RuntimeError("CUDA error: an illegal memory access"))


def test_a_signal_in_the_last_step_stops_before_the_next_stage(write_recipe: Write, tmp_path: Path) -> None:
    """The stage that it came too late for is published; nothing more is scored or trained."""

    class Signal(Reporter):
        def step(self, event: Any) -> None:
            assert event.stage == "one"
            if event.step == event.total:
                os.kill(os.getpid(), signal.SIGINT)

    path, workspace = write_recipe([stage("one"), stage("two")]), tmp_path / "w"
    with pytest.raises(Interrupted, match="finished work is kept"):
        run(path, workspace, reporter=Signal())
    assert len(list(workspace.glob("results/*/manifest.json"))) == 1
    assert not list(workspace.glob("partial/*"))


def test_a_resumed_run_asserts_its_reference_too(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the parents alone: the new slice, which has moved by then, is as it was after the check."""
    path, workspace = write_recipe([stage("one"), stage("two", "dpo", lora={"dropout": 0.1})]), tmp_path / "w"
    with pytest.raises(ConnectionError):
        run(path, workspace, reporter=_StopAt("two", 3))
    real, checked = dpo.check_reference, []

    def check(trainer: Any, model: Any, *args: Any) -> None:
        before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
        real(trainer, model, *args)
        assert all(map(torch.equal, before, (p for p in model.parameters() if p.requires_grad)))
        checked.append(trainer.state.global_step)

    monkeypatch.setattr(dpo, "check_reference", check)
    got = run(path, workspace)["two"]
    assert set(checked) == {2}
    assert adapter_bytes(got) == adapter_bytes(run(path, tmp_path / "whole")["two"])


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_a_bare_base_as_reference_is_found_in_16_bits_too(
    kind: str, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also below a gentle stage, whose effect is smaller than what bfloat16 rounds."""
    small = {"precision": "bfloat16", "learning_rate": 1e-6, "steps": 2}
    path = write_recipe([stage("one", train=small), stage("two", kind, train=small)])
    monkeypatch.setattr(stack, "refer_to_parents", lambda model: None)
    with pytest.raises(TrainingError, match="did not read the 1 adapters below the new one"):
        run(path, tmp_path / "w")
    monkeypatch.undo()
    real = stack.refer_to_parents

    def another(model: Any) -> None:
        """One bit of the reference is not the parent's."""
        real(model)
        with torch.no_grad():
            next(m for m in model.modules() if isinstance(m, Factor)).frozen.view(torch.int16)[0, 0] ^= 1

    monkeypatch.setattr(stack, "refer_to_parents", another)
    with pytest.raises(TrainingError, match="the model does not show the 1 adapters of the stack below"):
        run(path, tmp_path / "w")
    monkeypatch.undo()
    assert set(run(path, tmp_path / "w")) == {"one", "two"}


@pytest.mark.parametrize("kind", ["cpt", "sft", "dpo", "kto"])
def test_parents_without_effect_stop_the_run(
    kind: str, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a library whose kernels read the trained Parameter alone."""
    path = write_recipe([stage("one"), stage("two", kind)])

    def alone(factor: Factor, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, factor.weight if factor.new is None else factor.new)

    monkeypatch.setattr(Factor, "forward", alone)
    with pytest.raises(TrainingError, match="the adapters of the stages below change no prediction while it trains"):
        run(path, tmp_path / "w")


class _StopAt(Reporter):
    def __init__(self, stage: str, step: int) -> None:
        self.place = (stage, step)

    def step(self, event: Any) -> None:
        if (event.stage, event.step) == self.place:
            raise ConnectionError


def test_a_reference_that_is_wrong_after_a_resume_stops_the_run(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, workspace = write_recipe([stage("one"), stage("two", "dpo")]), tmp_path / "w"
    with pytest.raises(ConnectionError):
        run(path, workspace, reporter=_StopAt("two", 3))
    monkeypatch.setattr(stack, "refer_to_parents", lambda model: None)
    with pytest.raises(TrainingError, match="the reference is not the parent stack"):
        run(path, workspace)


def test_the_first_batch_is_checked_in_every_attempt(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each, also after a resume."""
    path, workspace = write_recipe([stage("one", train={"micro_tokens": 10_000})]), tmp_path / "w"
    real, steps = StageTrainer._check_batch, []

    def check(self: Any, inputs: Any) -> None:
        real(self, inputs)
        steps.append(self.state.global_step)

    monkeypatch.setattr(StageTrainer, "_check_batch", check)
    with pytest.raises(ConnectionError):
        run(path, workspace, reporter=_StopAt("one", 3))
    run(path, workspace)
    assert steps == [0, 2]
