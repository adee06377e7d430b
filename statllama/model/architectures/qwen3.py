"""Qwen 3, the dense models. It norms each head of q and k, and a head's width is a number of its own."""

from __future__ import annotations

from statllama.model.architectures._record import Architecture

ARCHITECTURE = Architecture(
    model_type="qwen3",
    causal="Qwen3ForCausalLM",
    gguf="qwen3",
    rotated=False,
    rope_types=("default", "linear"),
    fixed={"hidden_act": ("silu", "swish"), "attention_bias": (False,)},
    head_norms={"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"},
    defaults={"num_key_value_heads": 32, "head_dim": 128},
)
