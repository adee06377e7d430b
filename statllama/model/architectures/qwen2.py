"""Qwen 2 and 2.5, and the models distilled into them. Its q, k and v have biases."""

from __future__ import annotations

from statllama.model.architectures._record import Architecture

ARCHITECTURE = Architecture(
    model_type="qwen2",
    causal="Qwen2ForCausalLM",
    gguf="qwen2",
    rotated=False,
    rope_types=("default", "linear"),
    fixed={"hidden_act": ("silu", "swish")},
    biased=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    defaults={"num_key_value_heads": 32},
)
