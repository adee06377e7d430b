"""Llama 1 to 3.3, and what was made of them or like them: SmolLM2, TinyLlama, Vicuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.model.architectures._record import Architecture

_VOCABULARY = 128_256  # of Llama 3, all versions
_ROPE_FACTORS = {32.0: "llama3.2", 8.0: "llama3.1"}  # 3.3 has that of 3.1


def licence(config: Mapping[str, Any]) -> str | None:
    """Tell the licence of a copy without name or card, by Llama 3's vocabulary and its RoPE scaling."""
    if config.get("vocab_size") != _VOCABULARY:
        return None
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type")) != "llama3":
        return "llama3"
    return _ROPE_FACTORS.get(float(rope.get("factor", 0)), "llama3.1")


ARCHITECTURE = Architecture(
    model_type="llama",
    causal="LlamaForCausalLM",
    gguf="llama",
    rotated=True,
    rope_types=("default", "linear", "llama3"),
    fixed={"hidden_act": ("silu", "swish"), "attention_bias": (False,), "mlp_bias": (False,)},
    licence=licence,
)
