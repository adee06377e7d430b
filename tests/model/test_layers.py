"""`lora.layers`: a slice on some decoder layers, against PEFT's own `layers_to_transform`."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import ValidationError
from safetensors.torch import load_file

from statllama.config.lora import LoraSpec
from statllama.errors import ModelError, TrainingError
from statllama.model import stack
from statllama.model.adapter import load_adapter
from statllama.model.shape import shape_of
from statllama.runs.forecast.disk import disk
from statllama.stages import stage_module
from tests.conftest import make_llama, stage
from tests.reference import logits, merged, randomise, relative, some_ids
from tests.running import run, statllama

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base() -> Any:
    return make_llama(96, hidden_size=32, intermediate_size=48, num_hidden_layers=4)


def plain(base: Any, layers: list[int], seed: int) -> Any:
    """A fresh LoRA of rank 4 on some layers, made by PEFT alone."""
    torch.manual_seed(seed)
    modules = ["q_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=modules, layers_to_transform=layers, task_type="CAUSAL_LM")
    return get_peft_model(copy.deepcopy(base), config)


def spec(layers: Any) -> LoraSpec:
    return LoraSpec.model_validate({"r": 4, "alpha": 8, "target_modules": ["q_proj", "down_proj"], "layers": layers})


@pytest.mark.parametrize(
    ("value", "layers"),
    [(3, (3,)), ("1-3", (1, 2, 3)), ([3, "0-1"], (0, 1, 3)), ([0, 12], (0, 12)), (None, None)],
)
def test_numbers_and_ranges(value: Any, layers: tuple[int, ...] | None) -> None:
    assert spec(value).layers == layers


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3-1", "got '3-1'"),
        ([], "at least 1 item"),
        ([1, "0-2"], "layer 1 is listed twice"),
        (-1, "got -1"),
        (1.5, "got 1.5"),
        (["0", 2], "got '0'"),
        ([True], "got True"),
        ("all", "should be numbers from 0 and ranges such as 12-23"),
    ],
)
def test_what_is_no_layer(value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(value)


def test_a_slice_on_some_layers_is_pefts(base: Any, tmp_path: Path) -> None:
    """On a parent with other layers: the start bit for bit, gradients, and the file as plain PEFT loads it."""
    below = plain(base, [0, 1], 1)
    randomise(below, 1)
    below.save_pretrained(tmp_path / "parent")
    ours = stack.attach(copy.deepcopy(base), spec([1, 3]), [load_adapter(tmp_path / "parent")], 7)
    theirs = plain(merged(base, [(tmp_path / "parent", 2.0)]), [1, 3], 7)
    new, wanted = stack.trainable(ours), stack.trainable(theirs)
    assert new.keys() == wanted.keys() and len(new) == 2 * 2 * 2
    assert all(torch.equal(new[name], wanted[name]) for name in wanted)
    ids = some_ids(96)
    for model in (ours, theirs):
        randomise(model, 3)
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
    for name, parameter in new.items():
        assert relative(parameter.grad, wanted[name].grad) < 1e-5, name  # type: ignore[arg-type]
    stack.save_adapter(ours, spec([1, 3]), "base", tmp_path / "new")
    config = json.loads((tmp_path / "new" / "adapter_config.json").read_text())
    assert (config["layers_to_transform"], config["target_modules"]) == ([1, 3], ["down_proj", "q_proj"])
    loaded = PeftModel.from_pretrained(merged(base, [(tmp_path / "parent", 2.0)]), tmp_path / "new")
    assert {name for name, _ in loaded.named_parameters() if "lora" in name} == set(wanted)
    assert relative(logits(loaded, ids), logits(ours, ids)) < 5e-6


def test_a_layer_that_the_base_has_not(base: Any) -> None:
    with pytest.raises(ModelError, match=r"no layer 4 with .*; its layers are 0 to 3"):
        stack.attach(copy.deepcopy(base), spec("2-4"), [], 7)


def test_stages_of_other_layers_and_what_becomes_of_them(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Trained, blended and exported; each adapter as PEFT loads it, and only what was to train was written."""
    path = write_recipe(
        [
            stage("low", lora={"layers": [0]}, train={"steps": 2}),
            stage("high", lora={"layers": "1-1"}, train={"steps": 2}, parents=["low"]),
            stage("other", lora={"layers": [1]}, train={"steps": 2, "seed": 1}, parents=["low"]),
            {"name": "both", "type": "blend", "of": {"high": 1, "other": 1}, "parents": ["low"]},
        ]
    )
    found = run(path, tmp_path / "w")
    for name, layer in {"low": 0, "high": 1, "other": 1, "both": 1}.items():
        tensors = load_file(found[name] / "adapter_model.safetensors")
        assert len(tensors) == 14 and all(f".layers.{layer}." in tensor for tensor in tensors)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # PEFT warns of what a file lacks
            PeftModel.from_pretrained(make_llama(320), found[name])
    said = statllama(
        *("export", "tiny", "--out", "out", "--workspace", "w", "--stage", "both"),
        *("--adapter", "--merged", "f32", "--gguf-lora"),
        cwd=tmp_path,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_it_is_said_before_anything_trains(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    path = write_recipe([stage("one"), stage("two", lora={"layers": [0, 2]})])
    with pytest.raises(TrainingError, match=r"stage two: lora\.layers has layer 2, but the base has 2 layers, 0 to 1"):
        run(path, tmp_path / "w")
    assert not list((tmp_path / "w" / "results").glob("*/adapter_model.safetensors"))
    said = statllama("plan", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert "lora.layers has layer 2" in said.stdout + said.stderr


def test_the_forecast_of_the_disk_counts_them(base: Any) -> None:
    shape = shape_of(base.config.to_dict(), "it")
    sizes = []
    for layers in (None, [1]):
        body = stage("one", lora={"layers": layers} if layers else {})
        sizes.append(disk(shape, stage_module("sft").Spec.model_validate(body), 6))
    header = 64 * 1024
    assert (sizes[0].adapter - header) == 4 * (sizes[1].adapter - header)
