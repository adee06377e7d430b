"""The type of an architecture's record: what the rest of statllama asks about a base model's architecture."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

EMBEDDING, HEAD, LAST_NORM = "model.embed_tokens", "lm_head", "model.norm"
OUTSIDE = {EMBEDDING: "token_embd", LAST_NORM: "output_norm", HEAD: "output"}
"""Modules outside the layers in Transformers, and in GGUF."""
LINEAR = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def no_licence(config: Mapping[str, Any]) -> str | None:
    """Tell nothing of a licence: most architectures say nothing about who gave the weights."""
    return None


@dataclass(frozen=True)
class Architecture:
    """One architecture. `statllama/model/architectures/<model_type>.py` has it as `ARCHITECTURE`."""

    model_type: str
    """Transformers' name, in config.json: `qwen2`. The module's name, too."""
    causal: str
    """Transformers' class of the language model: `Qwen2ForCausalLM`."""
    gguf: str
    """llama.cpp's name for what computes it, `general.architecture` of a GGUF file."""
    rotated: bool
    """Whether GGUF has the rows of q and k in another order: llama.cpp turns pairs of neighbouring numbers in some
    architectures (`LLAMA_ROPE_TYPE_NORM` of `llama_model_rope_type`), where Transformers turns the first half of a head
    with the second."""
    rope_types: tuple[str, ...]
    """Values of `rope_parameters.rope_type` that llama.cpp computes for it."""
    fixed: Mapping[str, tuple[Any, ...]]
    """Fields of config.json with the values that a GGUF file can hold; others are refused there."""
    linear: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(LINEAR))
    """A layer's linear modules in Transformers, and in GGUF: those that LoRA adapts and Unsloth fuses."""
    norms: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(NORMS))
    """A layer's norms in Transformers, and in GGUF."""
    head_norms: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The norms over each head's numbers, as wide as a head."""
    biased: tuple[str, ...] = ()
    """Linear modules that have a bias. It is never trained."""
    defaults: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Sizes that Transformers fills in where config.json leaves them out, other than Llama's: as many kv heads as
    heads, and heads that share the width."""
    unsloth: bool = True
    """Whether Unsloth has fused kernels for it."""
    shared_rows: bool = True
    """Whether its attention sees what a mask of (batch, 1, queries, keys) says, and positions that start again: then
    the continuations of one context share a row when they are scored (`evaluation/shared_context.py`)."""
    licence: Callable[[Mapping[str, Any]], str | None] = no_licence
    """Which licence a base has whose name, card and files do not say: from its config.json, as the hub names it."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Return the last names of the linear modules: `q_proj`, ..., `down_proj`."""
        return tuple(name.rpartition(".")[2] for name in self.linear)

    @property
    def within_layer(self) -> dict[str, str]:
        """Return all modules of a layer in Transformers, and in GGUF."""
        return {**self.norms, **self.head_norms, **self.linear}

    def hf_name(self, tensor: str) -> str | None:
        """Return a GGUF tensor's name in Transformers: `model.layers.3.self_attn.q_proj.bias` for `blk.3.attn_q.bias`.

        None when there is none, as for `rope_freqs.weight`.
        """
        inside = {ours: module for module, ours in self.within_layer.items()}
        outside = {f"{ours}.weight": f"{module}.weight" for module, ours in OUTSIDE.items()}
        match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", tensor)
        if match and match[2] in inside:
            return f"model.layers.{match[1]}.{inside[match[2]]}.{match[3]}"
        return outside.get(tensor)

    def gguf_name(self, tensor: str) -> str | None:
        """Return a tensor's name in GGUF, or a module's: `blk.3.attn_q` for `model.layers.3.self_attn.q_proj`.

        None for one that GGUF has no place for.
        """
        module, end = tensor, ""
        for last in (".weight", ".bias"):
            if tensor.endswith(last):
                module, end = tensor.removesuffix(last), last
        if module in OUTSIDE:
            return f"{OUTSIDE[module]}{end}"
        match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
        if match and match[2] in self.within_layer:
            return f"blk.{match[1]}.{self.within_layer[match[2]]}{end}"
        return None
