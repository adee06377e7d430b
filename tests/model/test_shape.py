"""A base's shape from its config.json, against the model that Transformers builds of it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from statllama.errors import ModelError
from statllama.model.architectures import architecture, supported
from statllama.model.shape import read_shape, shape_of
from tests.conftest import REPO
from tests.small_models import make_model

SMALL = {"hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 8}


@pytest.mark.parametrize("model_type", supported())
def test_it_counts_the_parameters_of_the_model(model_type: str) -> None:
    model = make_model(model_type)
    shape = shape_of(model.config.to_dict() | {"architectures": None}, "base")
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    linear = {n: m for n, m in model.model.layers[0].named_modules() if n in architecture(model_type).linear}
    assert shape.matrices == {n.rpartition(".")[2]: (m.in_features, m.out_features) for n, m in linear.items()}
    assert shape.linear_parameters == 2 * sum(m.weight.numel() for m in linear.values())


@pytest.mark.parametrize("model_type", supported())
def test_sizes_that_config_json_leaves_out_are_what_transformers_fills_in(model_type: str) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config: Any = {"model_type": model_type, "vocab_size": 300, **SMALL}
    filled = CONFIG_MAPPING[model_type].from_dict(dict(config))
    shape = shape_of(config, "base")
    head = getattr(filled, "head_dim", None) or filled.hidden_size // filled.num_attention_heads
    assert (shape.kv_heads, shape.head_dim, shape.tied) == (
        filled.num_key_value_heads, head, filled.tie_word_embeddings,
    )  # fmt: skip


def test_a_slice_has_rank_times_both_sides_of_each_module() -> None:
    shape = read_shape(REPO / "recipes/quickstart/base")
    assert shape.slice_parameters(16, ["q_proj", "down_proj"]) == 4 * 16 * ((256 + 256) + (704 + 256))


@pytest.mark.parametrize(("field", "value"), [("hidden_size", None), ("num_hidden_layers", 0), ("vocab_size", "32k")])
def test_a_size_that_is_missing_or_no_number_is_named(field: str, value: object) -> None:
    config = {"model_type": "llama", "vocab_size": 300, **SMALL, field: value}
    with pytest.raises(ModelError, match=f"base: `{field}` in config.json is {value!r}"):
        shape_of(config, "base")


def test_an_unknown_architecture_and_a_folder_without_a_config_are_named(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match="has the architecture gpt2; supported: llama"):
        shape_of({"model_type": "gpt2"}, "base")
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        read_shape(tmp_path)


def test_it_loads_no_torch() -> None:
    code = "import statllama.model.shape, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0
