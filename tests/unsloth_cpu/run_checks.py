"""Memory that runs out, 8-bit optimizers, and a whole recipe through `statllama.runs.runner`."""

from __future__ import annotations

import gc
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from torch import Tensor

from statllama.errors import Interrupted
from statllama.evaluation import drift
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.store import Store
from statllama.store.files import read_json
from tests.conftest import conversations, preferences, stage, write_jsonl
from tests.unsloth_cpu.common import check
from tests.unsloth_cpu.world import World, difference, job, rows, train


@check
def out_of_memory_backs_off(world: World) -> None:
    """When memory runs out, the step is taken again in smaller passes, to the same end."""
    base = world.base("nf4")
    few, many = (2, 16) if world.gpu else (1, 4)
    length = world.max_length if world.gpu else 6
    data = rows(world, [length] * many)
    sizes = {"steps": 1, "batch_size": many, "learning_rate": 1e-3}
    small, right = train(job(world, base, "small", data, micro_tokens=few * length, **sizes))
    notes: list[str] = []
    work = job(world, base, "large", data, micro_tokens=many * length, notes=notes, **sizes)

    def run(micro: int) -> None:
        train(job(world, base, "measure", data, micro_tokens=micro * length, **sizes))

    with memory_between(world, few, many, run):
        outcome, got = train(work)
    world.note(f"{notes}; peak {outcome.peak_memory_bytes / 2**20:.0f} MiB")
    assert notes, "memory did not run out"
    assert outcome.micro_tokens < many * length
    assert abs(outcome.history[0]["loss"] - small.history[0]["loss"]) < world.loss_tolerance
    assert difference(got, right) < world.adapter_tolerance
    base.check_unchanged()


@contextmanager
def memory_between(world: World, few: int, many: int, run: Callable[[int], None]) -> Iterator[None]:
    """Memory for `few` rows and not for `many`: a limit on CUDA's allocator, else an error from the embedding."""
    if not world.gpu:
        with _refusing(few):
            yield
        return
    peaks = []
    for micro in (few, many):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        run(micro)
        peaks.append(torch.cuda.max_memory_reserved())
    world.note(f"{few} rows reserve {peaks[0] / 2**20:.0f} MiB, {many} rows {peaks[1] / 2**20:.0f} MiB")
    assert peaks[1] > 1.2 * peaks[0], peaks
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(sum(peaks) / 2 / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@contextmanager
def _refusing(rows_allowed: int) -> Iterator[None]:
    forward = torch.nn.Embedding.forward

    def small(self: Any, ids: Tensor) -> Tensor:
        if ids.shape[0] > rows_allowed:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return forward(self, ids)

    torch.nn.Embedding.forward = small  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Embedding.forward = forward  # type: ignore[method-assign]


@check
def eight_bit_optimizers(world: World) -> None:
    """bitsandbytes' 8-bit AdamW trains the float32 slice about as torch's AdamW does, and resumes. On CUDA alone."""
    base = world.base("nf4")
    size = world.max_length // 2
    data = rows(world, [size, size + 3, size + 1, size + 2])
    sizes = {"steps": 2, "batch_size": 2, "checkpoint_every": 1, "learning_rate": 1e-3}
    plain, right = train(job(world, base, "adamw_torch", data, **sizes))
    for name in ("adamw_8bit", "paged_adamw_8bit"):
        optimizer = name if world.gpu else "adamw_torch"
        outcome, got = train(job(world, base, name, data, optimizer=optimizer, **sizes))
        error = difference(got, right)
        world.note(f"{name}: adapters differ by {error:.1e}, last losses {outcome.history[-1]['loss']:.5f}")
        assert abs(outcome.history[-1]["loss"] - plain.history[-1]["loss"]) < world.loss_tolerance
        assert error < world.adapter_tolerance
        steps = iter((True,))
        try:
            train(job(world, base, name, data, optimizer=optimizer, stop_requested=lambda s=steps: next(s), **sizes))
        except Interrupted:
            pass
        resumed, again = train(job(world, base, name, data, optimizer=optimizer, **sizes), fresh=False)
        assert resumed.resumed_from == 1
        assert difference(again, got) < world.adapter_tolerance


@check
def recipe_runs(world: World) -> None:
    """`runner.run`: sft, then dpo on top, a score of the base and of each stack; the second run trains nothing."""
    folder = world.folder / "recipe"
    shutil.rmtree(folder, ignore_errors=True)
    recipe = load_recipe(write_recipe(world, folder))
    store = Store(folder / "workspace")
    reporter = Losses()
    all_rows = drift.rows_for
    few = 1 if world.gpu else 40  # Triton's interpreter takes minutes for all probe texts
    with patch.object(drift, "rows_for", lambda base: all_rows(base)[::few]):
        result = runner.run(recipe, store, reporter)
    world.note(", ".join(f"{stage} {step}: {loss:.4f}" for stage, step, loss in reporter.steps))
    assert set(result.results) == {"first", "second"}
    assert abs(next(loss for stage, _, loss in reporter.steps if stage == "second") - math.log(2)) < 0.02
    assert result.scorecard is not None
    for path in result.results.values():
        manifest = read_json(path / "manifest.json")
        assert manifest["backend"] == "unsloth"
        assert all(math.isfinite(h["loss"]) for h in read_json(path / "history.json"))
    again = Losses()
    runner.run(recipe, store, again)
    assert not again.steps


class Losses(Reporter):
    """Remembers the steps."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, float]] = []

    def step(self, event: Any) -> None:
        """Keep (stage, step, loss)."""
        self.steps.append((event.stage, event.step, event.loss))


def write_recipe(world: World, folder: Path) -> Path:
    """A recipe of two small stages and a benchmark of two questions, with its data."""
    write_jsonl(folder / "sft.jsonl", conversations(8))
    write_jsonl(folder / "dpo.jsonl", preferences(4))
    task = {
        "task": "two_questions",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "question",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    items = [{"question": f"define {i}", "choices": ["mean", "mode"], "answer": i} for i in range(2)]
    write_jsonl(folder / "eval" / "two_questions" / "test.jsonl", items)
    text = yaml.safe_dump(task, sort_keys=False)
    (folder / "eval" / "two_questions" / "two_questions.yaml").write_text(text, encoding="utf-8")
    size = 4 if world.gpu else 1
    train_spec = {"steps": 1 + size // 2, "batch_size": size, "micro_tokens": 64, "max_length": 128}
    stages = [
        stage("first", "sft", train={**train_spec, "packing": True, "gradient_checkpointing": True}),
        stage("second", "dpo", train=train_spec, lora={"r": 2, "target_modules": ["q_proj", "v_proj"]}),
    ]
    body = {
        "name": "small",
        "base": {"model": str(world.model_folder()), "quantization": "nf4"},
        "evaluate": {"tasks": ["two_questions"], "max_length": 128, "micro_tokens": 512},
        "stages": stages,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return folder / "recipe.yaml"
