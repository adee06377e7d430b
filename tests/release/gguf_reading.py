"""What a GGUF file holds, read by PyPI's gguf alone, and a model's tensors as GGUF should have them, by definition."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import gguf
import numpy as np

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}
ROTATED = ("llama", "mistral")
"""Architectures in which llama.cpp turns neighbouring rows with one another (`llama_model_rope_type`)."""


def metadata(path: Path) -> dict[str, Any]:
    """{key: value} of everything that is not a tensor."""
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def raw(path: Path) -> dict[str, tuple[str, np.ndarray[Any, Any]]]:
    """{tensor: (type, its bytes or numbers)}."""
    return {t.name: (t.tensor_type.name, np.array(t.data)) for t in gguf.GGUFReader(path).tensors}


def numbers(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """{tensor: its numbers in float32}, dequantised."""
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def swap(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of q or k in llama.cpp's order: in each head, those that are turned together side by side."""
    width = len(rows) // heads
    order = [
        head * width + side * (width // 2) + i for head in range(heads) for i in range(width // 2) for side in (0, 1)
    ]
    return rows[order]


def expected(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """{tensor in GGUF: numbers} of a model in Transformers, but for RoPE factors."""
    state = {name: value.detach().float().numpy() for name, value in model.state_dict().items()}
    config = model.config
    found = {"token_embd.weight": state["model.embed_tokens.weight"], "output_norm.weight": state["model.norm.weight"]}
    if not config.tie_word_embeddings:
        found["output.weight"] = state["lm_head.weight"]
    for layer in range(config.num_hidden_layers):
        for (theirs, ours), end in product(NAMES.items(), ("weight", "bias")):
            rows = state.get(f"model.layers.{layer}.{theirs}.{end}")
            if rows is None:
                continue
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(ours)
            if heads and config.model_type in ROTATED:
                rows = swap(rows, heads)
            found[f"blk.{layer}.{ours}.{end}"] = rows
    return found
