"""A base is what its files say: tensors that are missing, extra or of another shape stop the load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from statllama.config.base_model import BaseModelSpec
from statllama.errors import ModelError
from statllama.model.base_model import load_base
from statllama.model.identity import base_identity
from tests.conftest import make_llama, make_tokenizer

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def load(folder: Path, tmp_path: Path, quantization: str = "none") -> Any:
    spec = BaseModelSpec(model=str(folder), quantization=quantization)  # type: ignore[arg-type]
    return load_base(spec, base_identity(spec, tmp_path / "memory.json"), "auto", 64, "transformers")


def drop(*names: str) -> Change:
    def change(weights: dict[str, Any], config: dict[str, Any]) -> None:
        for name in names:
            del weights[name]

    return change


def configure(**fields: Any) -> Change:
    return lambda weights, config: config.update(fields)


def add(weights: dict[str, Any], config: dict[str, Any]) -> None:
    weights["model.layers.0.mlp.extra.weight"] = weights["model.norm.weight"].clone()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("model.layers.1.mlp.up_proj.weight"), "1 tensor missing: model.layers.1.mlp.up_proj.weight"),
        (drop("model.norm.weight"), "1 tensor missing: model.norm.weight"),
        (configure(num_hidden_layers=3), "9 tensors missing: model.layers.2.input_layernorm.weight"),
        (configure(num_hidden_layers=1), "9 tensors not in its configuration: model.layers.1.input_layernorm.weight"),
        (add, "1 tensor not in its configuration: model.layers.0.mlp.extra.weight"),
        (configure(intermediate_size=96), "another shape: model.layers.0.mlp.down_proj.weight: [64, 128] instead of"),
        (configure(tie_word_embeddings=False), "1 tensor missing: lm_head.weight"),
        (configure(attention_bias=True), "8 tensors missing: model.layers.0.self_attn.k_proj.bias"),
    ],
)  # fmt: skip
def test_a_base_that_its_configuration_does_not_fit(
    change: Change, said: str, base_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(base_folder, tmp_path / "base")
    weights, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    change(weights, config)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as caught:
        load(folder, tmp_path)
    assert "is not what its config.json says" in caught.value.message
    assert said in caught.value.message
    assert "config.json" in str(caught.value.remedy)


@pytest.mark.parametrize("kind", ["tied", "untied", "sharded", "tied, with a head", "quantised"])
def test_a_whole_base_is_loaded(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    tokenizer = make_tokenizer()
    model = make_llama(len(tokenizer), tie_word_embeddings=kind != "untied")
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder, max_shard_size="100KB" if kind == "sharded" else "1GB")
    if kind == "tied, with a head":
        weights = load_file(folder / "model.safetensors")
        weights |= {
            "lm_head.weight": weights["model.embed_tokens.weight"].clone(),
            "model.layers.0.self_attn.rotary_emb.inv_freq": weights["model.norm.weight"].clone(),
        }
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if kind == "quantised":
        load(folder, tmp_path, "nf4").model.save_pretrained(folder)
    assert load(folder, tmp_path, "nf4" if kind == "quantised" else "none").model.num_parameters()


def test_a_shard_that_is_missing_or_cut(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    make_llama(len(tokenizer)).save_pretrained(folder, max_shard_size="100KB")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:200])
    with pytest.raises(ModelError, match=f"{shard.name} cannot be read"):
        load(folder, tmp_path)
    shard.unlink()
    with pytest.raises(ModelError, match=f"names {shard.name}, which is missing"):
        load(folder, tmp_path)
