"""What a plan's stages need, on a device found or named: budgets, disk, advice, and how the command shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statllama.data.lengths import Lengths
from statllama.model.shape import Shape
from statllama.runs.forecast.disk import HEADERS, disk
from statllama.runs.forecast.remedies import least, remedies, smallest
from statllama.stages import stage_module
from statllama.store import Store
from statllama.train.fit import Place, Rows, largest_budget
from statllama.train.memory import GIB
from tests.conftest import stage
from tests.running import run, statllama
from tests.train.published import LLAMA_3B
from tests.train.test_memory import spec

Write = Callable[..., Path]


# ------------------------------------------------------------------ disk


def test_what_a_stage_writes_is_what_was_foreseen(write_recipe: Write, tmp_path: Path, base_folder: Path) -> None:
    from statllama.model.shape import read_shape

    recipe = write_recipe([stage("one", train={"steps": 3})])
    run(recipe, tmp_path / "w")
    (entry,) = Store(tmp_path / "w").entries("results")
    written = sum(path.stat().st_size for path in entry.path.rglob("*") if path.is_file())
    body = stage_module("sft").Spec.model_validate(stage("one", train={"steps": 3}))
    found = disk(read_shape(base_folder), body, 3)
    assert 0 < found.adapter - written < HEADERS


def test_checkpoints_by_hand() -> None:
    shape = Shape(2, 8, 16, 2, 1, 4, 10, tied=True, bias=False)
    numbers = 2 * 16 * (2 * (8 + 8) + 2 * (8 + 4) + 3 * (8 + 16))
    one = spec("sft", keep_checkpoints=2, checkpoint_every=10)
    assert disk(shape, one, 100).checkpoints == 3 * (numbers * (4 + 8) + HEADERS)  # one more while it is written
    assert disk(shape, one, 15).checkpoints == 2 * (numbers * (4 + 8) + HEADERS)
    assert disk(shape, spec("sft", optimizer="adamw_8bit"), 100).checkpoints < disk(shape, one, 100).checkpoints
    blend = stage_module("blend").Spec.model_validate({"name": "b", "type": "blend", "of": {"x": 1.0, "y": 1.0}})
    assert disk(shape, blend, 0, rank=16).most == 4 * numbers + HEADERS


def test_a_kept_state_is_one_checkpoint(write_recipe: Write, tmp_path: Path, base_folder: Path) -> None:
    """Which is published, and stays."""
    from statllama.model.shape import read_shape

    body = stage("one", train={"steps": 3, "schedule": "constant", "keep_state": True})
    run(write_recipe([body]), tmp_path / "w")
    (entry,) = Store(tmp_path / "w").entries("states")
    written = sum(path.stat().st_size for path in entry.path.rglob("*") if path.is_file())
    shape, kept = read_shape(base_folder), stage_module("sft").Spec.model_validate(body)
    assert 0 < disk(shape, kept, 3).state - written < HEADERS
    free = stage_module("sft").Spec.model_validate({**body, "train": {**body["train"], "keep_state": False}})
    assert disk(shape, kept, 3).most - disk(shape, free, 3).most == disk(shape, kept, 3).state


# ------------------------------------------------------------------ rows


def test_passes_are_of_the_rows_that_there_are() -> None:
    rows = Lengths(np.array([100, 900, 30, 500]), np.array([10, 10, 10, 10]))
    stage_ = spec("sft", batch=2, length=1024)
    known = Rows.of(stage_, rows, joined=False)
    assert known.longest == 900 and known.whole(stage_) == 1800
    assert [(one.tokens, one.length) for one in known.passes(stage_, 8192)] == [(1800, 900)]
    assert known.answers == pytest.approx(40 / 1530)
    assert {(one.tokens, one.alone) for one in known.passes(stage_, 950)} == {(900, False)}


# ------------------------------------------------------------------ advice


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_each_advice_alone_makes_it_fit_once_it_is_taken(kind: str) -> None:
    place = Place(backend="transformers", quantization="none")
    stage_ = spec(kind, length=2048, r=64, gradient_checkpointing=False)
    rows = Rows(2048)
    free = 8 * GIB
    found = remedies(LLAMA_3B, stage_, place, rows, free)
    assert found and (all(one.fits and one.worst <= free for one in found) or len(found) == 1)
    for one in found:
        changed, where, known = stage_, place, rows
        for setting in one.settings:
            key, value = setting.split("=")
            field = key.rpartition(".")[2]
            if field == "quantization":
                where = Place(backend="transformers", quantization="nf4")
            elif field == "r":
                changed = changed.model_copy(update={"lora": changed.lora.model_copy(update={"r": int(value)})})
            else:
                typed: Any = int(value) if value.isdigit() else value == "true" or value
                changed = changed.model_copy(update={"train": changed.train.model_copy(update={field: typed})})
                known = Rows(changed.train.max_length)
        assert least(LLAMA_3B, changed, where, known, free) == pytest.approx(one.worst)
        assert (largest_budget(LLAMA_3B, changed, free, where, known) > 0) is one.fits


def test_a_shorter_row_is_foreseen_with_the_larger_share_of_answers_that_it_may_have() -> None:
    """Where only prompts are cut, and the memory of the loss, which grows with the answers, is the peak."""
    place, free = Place(cuda=False, backend="transformers"), 7 * GIB
    stage_ = spec("dpo", r=4, length=512)

    def known(longest: int) -> Rows:
        return Rows.of(stage_, Lengths(np.array([longest]), np.array([512]), 2), joined=False)

    found = remedies(LLAMA_3B, stage_, place, known(512), free)
    (cut,) = [one for one in found if one.settings == ("stages.s.train.max_length=256",)]
    assert least(LLAMA_3B, stage_, place, known(256), free) <= cut.worst


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
@pytest.mark.parametrize(
    "place", [Place(), Place(backend="transformers"), Place(cuda=False, compute="float32")], ids=str
)
@pytest.mark.parametrize("free", [4, 140])
def test_the_smallest_device_fits_one_row_and_a_smaller_one_none(kind: str, place: Place, free: float) -> None:
    """Whatever device asks: Unsloth's loss takes more on a larger one."""
    one, rows = spec(kind, length=2048), Rows(2048)
    found = smallest(LLAMA_3B, one, place, rows, free * GIB)
    assert largest_budget(LLAMA_3B, one, 1.001 * found, place, rows) > 0
    assert largest_budget(LLAMA_3B, one, 0.999 * found, place, rows) == 0


def test_no_advice_where_it_fits_and_a_smaller_base_where_nothing_helps() -> None:
    stage_, place, rows = spec("sft"), Place(), Rows(1024)
    assert remedies(LLAMA_3B, stage_, place, rows, 24 * GIB) == ()
    (last,) = remedies(LLAMA_3B, stage_, place, rows, 2 * GIB)
    assert not last.fits and len(last.settings) >= 3


# ------------------------------------------------------------------ the command


def test_plan_shows_what_each_stage_needs(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe([stage("one"), stage("two", "dpo")])
    said = statllama("plan", recipe, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 0
    assert "Forecast for this computer's processor" in said.stdout
    rows = [line.split() for line in said.stdout.splitlines() if line.strip().startswith(("one", "two"))]
    assert ["yes" in row for row in rows[:2]] == [True, True]
    named = statllama("plan", recipe, "--on", "rtx 4090", "--workspace", tmp_path / "w", cwd=tmp_path)
    assert "Forecast for RTX 4090 (24 GiB), not measured" in named.stdout and "Unsloth" in named.stdout


def test_plan_says_what_would_make_a_stage_fit(write_recipe: Write, tmp_path: Path) -> None:
    from tests.train.test_schedule import LLAMA_3B as BODY

    large = tmp_path / "large"
    make_large(large, BODY)
    recipe = write_recipe([stage("one", train={"max_length": 64})], base={"model": str(large), "quantization": "nf4"})
    said = statllama("plan", recipe, "--on", "2GB", "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "one does not fit" in said.stdout and "take a smaller base" in said.stdout
    assert "GiB are free. Not even this makes it fit:\n" in said.stdout


def make_large(folder: Path, body: dict[str, Any]) -> None:
    """A folder that says it is a base of 3 B parameters and holds none of them: a plan reads no weights."""
    import json

    from safetensors.numpy import save_file

    from tests.conftest import make_tokenizer

    make_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(body))
    save_file({"x": np.zeros(4, dtype=np.float32)}, folder / "model.safetensors")


def test_an_unknown_card_is_a_mistake_that_is_told_before_anything_is_read(tmp_path: Path) -> None:
    said = statllama("plan", "quickstart", "--on", "RTX 9090", "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 2
    assert "no such card" in said.stderr and "RTX 5090" in said.stderr and not (tmp_path / "w").exists()


def test_a_study_is_planned_with_each_distinct_stage_once(write_recipe: Write, tmp_path: Path) -> None:
    import yaml

    one = write_recipe([stage("one"), stage("two")])
    body = yaml.safe_load(one.read_text())
    body["name"] = "other"
    body["stages"][1] = stage("three", "dpo")
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(body))
    (tmp_path / "all.study.yaml").write_text(yaml.safe_dump({"name": "all", "recipes": ["recipe.yaml", "other.yaml"]}))
    said = statllama("plan", "all.study.yaml", "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    rows = [line.split() for line in said.stdout.splitlines()]
    assert [row[0] for row in rows if row[1:2] in (["sft"], ["dpo"])] == ["one", "two", "three"]
    missing = statllama("plan", "all.study.yaml", "--until", "thre", "--workspace", tmp_path / "w", cwd=tmp_path)
    assert missing.returncode == 2 and "three" in missing.stderr
