"""Records of architectures against Transformers and PyPI's gguf; bases without one are refused wherever named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import transformers
import yaml

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import DEFAULT_MODULES
from statllama.errors import ModelError, RecipeError
from statllama.model import architectures, base_model
from statllama.model.architectures import architecture, architecture_of, from_gguf, read_architecture, supported
from statllama.model.base_model import load_base
from statllama.model.identity import base_identity
from statllama.model.layout import config_from_gguf, layout_of, read_layout
from statllama.recipe import load_recipe
from tests.conftest import stage
from tests.release.test_gguf import LLAMA3
from tests.small_models import ARCHITECTURES, make_model, save_model

LIST = "supported: llama, mistral, qwen2, qwen3"
FOREIGN = {"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}


def test_the_tests_know_all_architectures() -> None:
    assert tuple(ARCHITECTURES) == supported() == ("llama", "mistral", "qwen2", "qwen3")


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_record_is_what_transformers_builds(kind: str) -> None:
    """Every weight with its shape; the linear modules, and which of them have biases."""
    import torch

    record, model = architecture(kind), make_model(kind)
    assert getattr(transformers, record.causal) is type(model)
    layout = layout_of(model.config.to_dict(), "it")
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert {name: shape for _, name, shape in layout.tensors()} == wanted
    linear = {n.split(".", 3)[3]: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "." in n}
    assert linear.keys() == record.linear.keys()
    assert {name for name, module in linear.items() if module.bias is not None} == set(record.biased)
    assert set(DEFAULT_MODULES) <= set(record.modules)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_names_are_those_of_llama_cpps_converter(kind: str) -> None:
    """PyPI's gguf carries the converter's table of names."""
    record = architecture(kind)
    (arch,) = (one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == record.gguf)
    table = gguf.get_tensor_name_map(arch, 2)
    for ours, name, _ in layout_of(make_model(kind, tie_word_embeddings=False).config.to_dict(), "it").tensors():
        assert table.get_name(name, try_suffixes=(".weight", ".bias")) == ours
        assert record.gguf_name(name) == ours and record.hf_name(ours) == name
    assert record.hf_name("rope_freqs.weight") is None and record.gguf_name("model.layers.0.mlp.router") is None


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_order_of_rows_and_its_inverse(kind: str) -> None:
    layout = layout_of(make_model(kind).config.to_dict(), "it")
    for tensor in ("blk.0.attn_q.weight", "blk.1.attn_k.weight"):
        order, back = layout.rope_order(tensor), layout.hf_order(tensor)
        if kind.startswith("qwen"):
            assert order is back is None
        else:
            assert order is not None and back is not None
            assert order[:4].tolist() == [0, 8, 1, 9] and np.array_equal(order[back], np.arange(len(order)))
    assert layout.rope_order("blk.0.attn_v.weight") is None


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        *((kind, {}) for kind in ARCHITECTURES),
        ("llama", {"rope_parameters": LLAMA3, "head_dim": 32}),
        ("qwen3", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0}}),
    ],
)
def test_a_configuration_comes_back_from_metadata(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    save_model(kind, tmp_path, **changes)
    layout = read_layout(tmp_path)
    single = {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in layout.metadata().items()}
    body = config_from_gguf(single, "it", tied=layout.tied, factors=layout.rope_factors())
    back = layout_of(body, "it")
    assert back == replace(layout, architecture=from_gguf(layout.architecture.gguf, "it"))


def test_what_was_a_mistral_is_a_llama_in_gguf() -> None:
    assert from_gguf("llama", "it") is architecture("llama") is not architecture("mistral")
    with pytest.raises(ModelError, match=f"mistral; {LIST}"):
        from_gguf("mistral", "it")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (FOREIGN, f"the base has the architecture GemmaForCausalLM; {LIST}"),
        ({"model_type": "qwen3_moe"}, f"the base has the architecture qwen3_moe; {LIST}"),
        (
            {"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]},
            "LlamaForSequenceClassification",
        ),
        ({"model_type": ["llama"], "architectures": "x"}, LIST),
        ({}, f"the base names no architecture (`model_type`); {LIST}"),
    ],
)
def test_unknown_architectures(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError) as refused:
        architecture_of(config, "the base")
    assert says in refused.value.message and "architectures" in str(refused.value.remedy)


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json is missing or not JSON"):
        read_architecture(tmp_path)


# ------------------------------------------------------------------ where a base is named


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A sound folder of an architecture that has no record."""
    save_model("llama", tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps(config | FOREIGN))
    return tmp_path / "base"


def test_a_recipe_is_refused_when_it_is_loaded(foreign: Path, write_recipe: Callable[..., Path]) -> None:
    path = write_recipe([stage("one")], base={"model": str(foreign), "quantization": "none"})
    line = yaml.compose(path.read_text()).value[1][1].value[0][0].start_mark.line + 1
    with pytest.raises(RecipeError) as refused:
        load_recipe(path)
    (problem,) = refused.value.problems
    assert (problem.where, problem.line) == ("base.model", line)
    assert f"GemmaForCausalLM; {LIST}" in problem.message and problem.remedy
    assert load_recipe(path, check_files=False).name == "tiny"


def test_whatever_asks_what_a_base_is_refuses_it(foreign: Path, tmp_path: Path) -> None:
    """`eval`, `chat`, `plan`, `run` and `fetch` all ask `base_identity`, and nothing is loaded without `load_base`."""
    spec = BaseModelSpec(model=str(foreign), quantization="none")
    with pytest.raises(ModelError, match=f"{foreign} has the architecture GemmaForCausalLM; {LIST}"):
        base_identity(spec, tmp_path / "hashes.json")
    (foreign / "config.json").write_text(json.dumps({**FOREIGN, "vocab_size": 320, "hidden_size": 64}))
    with pytest.raises(ModelError, match=f"GemmaForCausalLM; {LIST}"):
        load_base(spec, {"model": {}, "tokenizer": {}}, "float32", 64, "transformers")


def test_unsloth_is_asked_only_for_what_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model("llama", tmp_path)
    slow = replace(architecture("llama"), unsloth=False)
    monkeypatch.setattr(base_model, "architecture_of", lambda config, where: slow)
    with pytest.raises(ModelError, match="Unsloth has no fused kernels for llama") as refused:
        load_base(BaseModelSpec(model=str(tmp_path)), {"model": {}, "tokenizer": {}}, "float32", 64, "unsloth")
    assert "STATLLAMA_BACKEND=transformers" in str(refused.value.remedy)


def test_windows_in_some_layers_are_not_for_unsloth(tmp_path: Path) -> None:
    """Its attention has the same window in all layers, or none."""
    layers = ["full_attention", "sliding_attention"]
    save_model("qwen2", tmp_path, use_sliding_window=True, sliding_window=4, layer_types=layers)
    with pytest.raises(ModelError, match="sliding window in some of its layers") as refused:
        load_base(BaseModelSpec(model=str(tmp_path)), {"model": {}, "tokenizer": {}}, "float32", 64, "unsloth")
    assert "STATLLAMA_BACKEND=transformers" in str(refused.value.remedy)


def test_a_file_is_all_that_an_architecture_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is put into the folder, and a base of it is accepted and laid out."""
    text = (Path(architectures.__file__).parent / "qwen3.py").read_text()
    text = text.replace('"qwen3"', '"olmo2"').replace("Qwen3ForCausalLM", "Olmo2ForCausalLM")
    (tmp_path / "olmo2.py").write_text(text)
    monkeypatch.setattr(architectures, "__path__", [*architectures.__path__, str(tmp_path)])
    supported.cache_clear()
    try:
        assert "olmo2" in supported()
        assert architecture_of({"model_type": "olmo2", "architectures": ["Olmo2ForCausalLM"]}, "it").gguf == "olmo2"
    finally:
        monkeypatch.undo()
        supported.cache_clear()
        architecture.cache_clear()
