"""What a GGUF file could not hold as it was trained: a clear message, and no file."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file

from statllama.errors import ExportError, StatllamaError, StoreError
from statllama.model.adapter import Adapter, Slice
from statllama.release.gguf import write_gguf
from statllama.release.gguf_lora import write_gguf_loras
from tests.release.making import save_base, source_of

Q0 = "model.layers.0.self_attn.q_proj"
GEMMA = {"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}
MISTRAL = {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 256}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    save_base(tmp_path / "base")
    return tmp_path / "base"


def refused(base: Path, kind: str = "f16", **changes: Any) -> str:
    """The message for a source on `base`; nothing may be left."""
    target = base.parent / "a.gguf"
    with pytest.raises(ExportError) as found:
        write_gguf(replace(source_of(base), **changes), target, kind)
    assert not target.exists() and found.value.exit_code == 1
    return str(found.value)


def edit(base: Path, **fields: Any) -> None:
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps(config | fields), encoding="utf-8")


def weights(base: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(base / "model.safetensors")
    change(tensors)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (GEMMA, "GemmaForCausalLM; supported: llama, mistral, qwen2, qwen3"),
        (MISTRAL | {"sliding_window": 256}, "a sliding window of 256 tokens in a context of 512; allowed: none"),
        (QWEN2, "asks for model.layers.0.self_attn.q_proj.bias of shape (64,), the weights have none"),
        (QWEN2 | {"rope_parameters": YARN}, "RoPE of type yarn; allowed: default, linear"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
        ({"rope_parameters": YARN}, "RoPE of type yarn; allowed: default, linear, llama3"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_parameters": None}, "RoPE of type dynamic"),
        ({"hidden_act": "gelu"}, "hidden_act=gelu; allowed: hidden_act=silu"),
        ({"attention_bias": True}, "attention_bias=true"),
        ({"mlp_bias": True}, "mlp_bias=true"),
        ({"head_dim": 15}, "heads of 15"),
        ({"head_dim": 32}, "config.json asks for model.layers.0.self_attn.q_proj.weight of shape (128, 64)"),
        ({"num_key_value_heads": 4}, "self_attn.k_proj.weight of shape (64, 64), the weights have (32, 64)"),
        ({"vocab_size": 400}, "embed_tokens.weight of shape (400, 64)"),
        ({"num_hidden_layers": 3}, "model.layers.2.input_layernorm.weight of shape (64,), the weights have none"),
        ({"num_hidden_layers": 1}, "has no place for model.layers.1."),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantised (bitsandbytes)"),
        ({"tie_word_embeddings": False}, "asks for lm_head.weight"),
        ({"hidden_size": "many"}, "config.json is not one of a LlamaForCausalLM"),
    ],
)  # fmt: skip
def test_configs(fields: dict[str, Any], says: str, base: Path) -> None:
    edit(base, **fields)
    assert says in refused(base)


def test_a_tied_head_that_differs(base: Path) -> None:
    weights(base, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    write_gguf(source_of(base), base.parent / "same.gguf", "f16")
    weights(base, lambda t: t["lm_head.weight"][319].mul_(1.001))
    assert "config.json ties lm_head.weight to model.embed_tokens.weight, and they differ" in refused(base)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_numbers(value: float, base: Path) -> None:
    weights(base, lambda t: t["model.layers.1.mlp.up_proj.weight"][100].fill_(value))
    assert "model.layers.1.mlp.up_proj.weight holds NaN or infinity" in refused(base, "f32")


def test_overflow_of_float16(base: Path) -> None:
    weights(base, lambda t: t[f"{Q0}.weight"][0, 0].fill_(70_000.0))
    assert f"{Q0}.weight holds 7e+04, and F16 ends at 65504" in refused(base, "f16")
    assert "Q8_0 ends at 65504" in refused(base, "q8_0")
    assert "choose bf16 or f32" in refused(base, "f16")
    write_gguf(source_of(base), base.parent / "b.gguf", "bf16")


@pytest.mark.parametrize("value", [float("nan"), 3e38])
def test_a_stage_that_diverged(value: float, base: Path) -> None:
    part = Slice(torch.ones(1, 64), torch.ones(64, 1), 2.0)  # 2 x 3e38 is beyond float32
    part.B[3] = value
    assert "NaN or infinity" in refused(base, adapters=(Adapter({Q0: part}),), stages=("sft",))


@pytest.mark.parametrize(
    ("module", "shape"),
    [(Q0, (64, 32)), (Q0, (32, 64)), ("model.layers.7.self_attn.q_proj", (64, 64)), ("other", (4, 4))],
)
def test_adapters_of_another_base(module: str, shape: tuple[int, int], base: Path) -> None:
    adapter = Adapter({module: Slice(torch.ones(2, shape[1]), torch.ones(shape[0], 2), 1.0)})
    changes = {"adapters": (adapter,), "stages": ("sft",)}
    assert "'sft'" in refused(base, **changes) and module in refused(base, **changes)
    with pytest.raises(ExportError, match="'sft'"):
        write_gguf_loras(replace(source_of(base), **changes), base.parent)
    assert not list(base.parent.glob("*.gguf"))


def test_an_adapter_on_the_embedding(base: Path) -> None:
    adapter = Adapter({"model.embed_tokens": Slice(torch.ones(2, 64), torch.ones(320, 2), 1.0)})
    assert "model.embed_tokens" in refused(base, adapters=(adapter,), stages=("sft",))


def test_a_lora_on_the_head_of_a_tied_base(base: Path) -> None:
    """The whole model can be written, with a head of its own; a LoRA on a tensor that is not there cannot be loaded."""
    adapter = Adapter({"lm_head": Slice(torch.ones(2, 64), torch.ones(320, 2), 1.0)})
    source = replace(source_of(base), adapters=(adapter,), stages=("sft",))
    with pytest.raises(ExportError, match="tied to the embedding"):
        write_gguf_loras(source, base.parent)
    with pytest.raises(ExportError, match="the base alone"):
        write_gguf_loras(source_of(base), base.parent)
    assert not list(base.parent.glob("*.gguf"))


def test_a_vocabulary_larger_than_the_embedding(base: Path) -> None:
    edit(base, vocab_size=300)
    weights(base, lambda t: t.update({"model.embed_tokens.weight": t["model.embed_tokens.weight"][:300].clone()}))
    assert "the tokenizer has token 319" in refused(base)


def test_no_base(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"config\.json is missing"):
        write_gguf(source_of(tmp_path), tmp_path / "a.gguf", "f16")


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), StoreError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_nothing_is_left_of_a_file_that_failed(
    at: int, error: BaseException, raised: type[BaseException], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the header, and among the tensors."""
    target, calls = base.parent / "a.gguf", []
    padding = gguf.GGUFWriter.write_padding

    def fails(self: Any, file: Any, *rest: Any) -> None:
        calls.append(file)
        if len(calls) > at:
            assert target.exists()
            raise error
        padding(self, file, *rest)

    monkeypatch.setattr(gguf.GGUFWriter, "write_padding", fails)
    with pytest.raises(raised) as found:
        write_gguf(source_of(base), target, "f32")
    assert not target.exists() and calls[0].closed
    assert raised is KeyboardInterrupt or isinstance(found.value, StatllamaError)
