"""The heaviest pass of a stage is tried before its first step: memory fails then, and nothing of it is learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.data.lengths import Lengths
from statllama.errors import TrainingError
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.store import Store
from statllama.train import activations, training
from statllama.train.trainer import StageTrainer
from tests.conftest import stage, write_jsonl
from tests.running import Recorder, adapter_bytes, losses, run
from tests.train.test_step import unequal

torch.set_num_threads(1)
Write = Callable[..., Path]
LORA = {"dropout": 0.1}  # draws random numbers in every pass


def recipe_of(kind: str, write_recipe: Write, folder: Path) -> Path:
    train = {"steps": 4, "batch_size": 8, "micro_tokens": 400, "max_length": 160, "learning_rate": 3e-3}
    if kind == "grpo":
        write_jsonl(
            folder / "grpo.jsonl", [{"prompt": f"{'what is ' * (i % 4 + 1)}{i}", "answer": "7"} for i in range(9)]
        )
        more: dict[str, Any] = {"generations": 4, "max_completion_length": 24, "beta": 0.1}
        rewards = [{"name": "length", "target": 4, "unit": "words"}]
        return write_recipe([stage("one", kind, train=train, lora=LORA, rewards=rewards, **more)])
    path = write_recipe([stage("one", kind, train=train, lora=LORA)])
    unequal(kind, folder)
    return path


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: the heaviest pass is tried."""
    monkeypatch.setattr(training, "tight", lambda job: True)


@pytest.mark.parametrize("kind", ["cpt", "sft", "dpo", "kto", "grpo"])
def test_nothing_of_the_trial_is_learned(kind: str, write_recipe: Write, tmp_path: Path, monkeypatch: Any) -> None:
    """Bit for bit the adapter and the losses of a run without it, under dropout, with figures and tokens."""
    path = recipe_of(kind, write_recipe, tmp_path)
    plain = run(path, tmp_path / "plain")["one"]
    tried: list[int] = []
    take = StageTrainer._take
    monkeypatch.setattr(training, "tight", lambda job: True)
    monkeypatch.setattr(
        StageTrainer,
        "_take",
        lambda self, model, passes: (tried.append(passes[0].tokens), take(self, model, passes))[1],
    )
    other = run(path, tmp_path / "tried")["one"]
    assert adapter_bytes(other) == adapter_bytes(plain)
    assert (other / "history.json").read_bytes() == (plain / "history.json").read_bytes()
    assert losses(other) == losses(plain)
    assert len(tried) in (5, 6), "one pass, or two where the most tokens are not the most attention"
    ours, theirs = (Store(tmp_path / name).find("results", plain.name) for name in ("tried", "plain"))
    assert ours is not None and theirs is not None
    assert ours.manifest["metrics"]["tokens"] == theirs.manifest["metrics"]["tokens"]


def test_memory_fails_before_the_first_step(
    forced: None, write_recipe: Write, tmp_path: Path, monkeypatch: Any
) -> None:
    """A pass above 200 tokens has no memory: the budget is halved before step 1, and no step is taken again."""
    path = recipe_of("sft", write_recipe, tmp_path)
    step, failed = StageTrainer.pass_step, []

    def short(self: Any, model: Any, batch: Any, counted: Any) -> Any:
        if batch["input_ids"].numel() > 200:
            failed.append(self.state.global_step)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, model, batch, counted)

    monkeypatch.setattr(StageTrainer, "pass_step", short)
    told = Recorder()
    result = run(path, tmp_path / "w", reporter=told)["one"]
    assert failed and set(failed) == {0}
    assert len(losses(result)) == 4
    entry = Store(tmp_path / "w").find("results", result.name)
    assert entry is not None and entry.manifest["metrics"]["micro_tokens"] <= 200
    assert any("out of memory in a forward pass" in note for note in told.notes)


def test_a_row_that_never_fits_is_told_at_once(
    forced: None, write_recipe: Write, tmp_path: Path, monkeypatch: Any
) -> None:
    path = recipe_of("dpo", write_recipe, tmp_path)

    def never(self: Any, model: Any, batch: Any, counted: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(StageTrainer, "pass_step", never)
    with pytest.raises(TrainingError, match="a single row or pair"):
        run(path, tmp_path / "w")


def test_other_errors_pass(forced: None, write_recipe: Write, tmp_path: Path, monkeypatch: Any) -> None:
    path = recipe_of("sft", write_recipe, tmp_path)

    def wrong(self: Any, model: Any, batch: Any, counted: Any) -> Any:
        raise RuntimeError("a fault of another kind")

    monkeypatch.setattr(StageTrainer, "pass_step", wrong)
    with pytest.raises(RuntimeError, match="another kind"):
        runner.run(load_recipe(path), Store(tmp_path / "w"), Recorder())


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 600), min_size=1, max_size=12),
    st.integers(1, 3000),
    st.integers(1, 6),
    st.sampled_from([1, 2]),
)
def test_no_pass_of_neighbours_is_heavier(sizes: list[int], budget: int, batch: int, rows: int) -> None:
    """By trying every run of neighbours by length that a step could put into one pass."""
    found = Lengths(np.array(sizes), np.array(sizes), rows).heaviest(budget, batch)
    order = sorted(sizes, reverse=True)

    def fits(group: list[int]) -> bool:
        return len(group) <= batch and (len(group) == 1 or len(group) * rows * group[0] <= budget)

    runs = [order[i:j] for i in range(len(order)) for j in range(i + 1, len(order) + 1) if fits(order[i:j])]
    groups = [sorted((sizes[i] for i in group), reverse=True) for group in found]
    assert all(fits(group) for group in groups)
    assert max(len(g) * g[0] for g in groups) == max(len(g) * g[0] for g in runs)
    assert max(len(g) * g[0] ** 2 for g in groups) == max(len(g) * g[0] ** 2 for g in runs)


def test_on_a_cpu_only_where_memory_is_near_its_end(monkeypatch: Any) -> None:
    from tests.train.test_schedule import LLAMA_3B, job_of

    if torch.cuda.is_available():
        pytest.skip("it is always tried on a GPU")
    job = job_of(LLAMA_3B, [], micro_tokens=8192)
    kept = 4 * 2048 * 28 * 3072 * 2  # bytes of the layers' inputs alone: far less than a pass keeps
    for free, expected in ((1000 * kept, False), (kept, True)):
        monkeypatch.setattr(activations, "available", lambda free=free: free)
        assert activations.tight(job) is expected
