"""The Llama architecture in GGUF: names and order of the tensors, hyperparameters, RoPE factors; all else is refused.

llama.cpp turns pairs of neighbouring numbers where Transformers turns the first half of a head with the second, so the
rows of q and k are reordered (`rope_order`). Names and keys as in llama.cpp's converter (`conversion/llama.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from statllama.errors import ExportError
from statllama.release.weights import read_config

MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""A layer's linear modules in Transformers, and in GGUF."""
NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
EMBEDDING, HEAD, LAST_NORM = "model.embed_tokens", "lm_head", "model.norm"
ROPE_TYPES = ("default", "linear", "llama3")

_REMEDY = "export the adapter or the merged weights, which hold any base"


@dataclass(frozen=True)
class Llama:
    """The sizes of a Llama, and its RoPE."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_width: int
    positions: int
    vocabulary: int
    """Rows of the embedding."""
    epsilon: float
    rope: Mapping[str, Any]
    """`rope_type`, `rope_theta` and the type's own parameters, as in Transformers' config."""
    tied: bool
    """Whether the embedding is the head, too."""

    def tensors(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """(name in GGUF, name in Transformers, shape (out, in)) of every weight, in the order of the file."""
        width, kv = self.width, self.kv_heads * self.head_width
        query, inner = self.heads * self.head_width, self.feed_forward
        shapes = dict(zip(MODULES, ((query, width), (kv, width), (kv, width), (width, query)), strict=False))
        shapes |= {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
        yield "token_embd.weight", f"{EMBEDDING}.weight", (self.vocabulary, width)
        for layer in range(self.layers):
            for norm, name in NORMS.items():
                yield f"blk.{layer}.{name}.weight", f"model.layers.{layer}.{norm}.weight", (width,)
            for module, name in MODULES.items():
                yield f"blk.{layer}.{name}.weight", f"model.layers.{layer}.{module}.weight", shapes[module]
        yield "output_norm.weight", f"{LAST_NORM}.weight", (width,)
        if not self.tied:
            yield "output.weight", f"{HEAD}.weight", (self.vocabulary, width)

    def rope_order(self, name: str) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        """Which of Transformers' rows each row of a q or k tensor is in GGUF; None for tensors in the same order."""
        heads = self.heads if ".attn_q." in name else self.kv_heads if ".attn_k." in name else 0
        if not heads:
            return None
        rows = np.arange(heads * self.head_width)
        return rows.reshape(heads, 2, self.head_width // 2).swapaxes(1, 2).reshape(-1)

    def rope_factors(self) -> np.ndarray[Any, np.dtype[np.float32]] | None:
        """What llama3 scaling divides each frequency by, (head_width / 2,); None without that scaling.

        Low frequencies by `factor`, high ones by 1, those between smoothly
        (https://arxiv.org/abs/2407.21783; `_compute_llama3_parameters` in Transformers).
        """
        rope = self.rope
        if rope["rope_type"] != "llama3":
            return None
        half = np.arange(0, self.head_width, 2, dtype=np.float32) / np.float32(self.head_width)
        waves = 2 * math.pi * np.float32(rope["rope_theta"]) ** half
        low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
        smooth = np.clip((old / waves - low) / (high - low), 0, 1)
        return np.asarray(1 / ((1 - smooth) / rope["factor"] + smooth), dtype=np.float32)

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Put the hyperparameters into the file's metadata."""
        writer.add_vocab_size(self.vocabulary)
        writer.add_context_length(self.positions)
        writer.add_embedding_length(self.width)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.feed_forward)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_width)
        writer.add_value_length(self.head_width)
        writer.add_rope_dimension_count(self.head_width)
        writer.add_rope_freq_base(self.rope["rope_theta"])
        writer.add_layer_norm_rms_eps(self.epsilon)
        if self.rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(self.rope["factor"])


def read_llama(folder: Path) -> Llama:
    """The sizes in a folder's config.json. ExportError for what llama.cpp's Llama does not compute."""
    body = read_config(folder)
    architecture = (body.get("architectures") or [body.get("model_type")])[0]
    if architecture not in ("LlamaForCausalLM", "llama") or body.get("model_type") != "llama":
        raise _refuse(folder, f"the architecture {architecture}", "LlamaForCausalLM")
    from transformers import LlamaConfig  # it knows the defaults, and RoPE as older configs have it

    try:
        config = LlamaConfig.from_dict(body)
    except Exception as error:  # each strict field raises its own
        raise ExportError(f"{folder}: config.json is not one of a Llama: {str(error).splitlines()[0]}") from error
    rope = dict(config.rope_parameters)
    if rope["rope_type"] not in ROPE_TYPES:
        raise _refuse(folder, f"RoPE of type {rope['rope_type']}", ", ".join(ROPE_TYPES))
    if config.hidden_act not in ("silu", "swish"):
        raise _refuse(folder, f"the activation {config.hidden_act}", "silu")
    for bias in ("attention_bias", "mlp_bias"):
        if getattr(config, bias):
            raise _refuse(folder, f"{bias}=true", f"{bias}=false")
    if config.head_dim % 2 or config.num_attention_heads % config.num_key_value_heads:
        sizes = f"{config.num_attention_heads} heads of {config.head_dim} and {config.num_key_value_heads} kv heads"
        raise _refuse(folder, sizes, "an even head_dim, and heads in groups of one kv head each")
    return Llama(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        feed_forward=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_width=config.head_dim,
        positions=config.max_position_embeddings,
        vocabulary=config.vocab_size,
        epsilon=config.rms_norm_eps,
        rope=rope,
        tied=config.tie_word_embeddings,
    )


def module_name(module: str) -> str | None:
    """`blk.3.attn_q` for `model.layers.3.self_attn.q_proj`, `output` for `lm_head`; None for what GGUF has no name."""
    if module == HEAD:
        return "output"
    match module.split(".", 3):
        case ["model", "layers", layer, rest] if layer.isdigit() and rest in MODULES:
            return f"blk.{layer}.{MODULES[rest]}"
    return None


def _refuse(folder: Path, found: str, allowed: str) -> ExportError:
    return ExportError(f"{folder}: GGUF cannot hold this base: it has {found}; allowed: {allowed}", remedy=_REMEDY)
