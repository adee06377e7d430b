"""Mistral 7B and Nemo. Computed as a Llama is, but for the sliding window that some configurations have.

llama.cpp runs it as `llama`, whose attention has no window: a base whose window is shorter than its context cannot be
written as GGUF. Nor can the tokenizers of Mistral AI's own models (SentencePiece, and Tekken, whose rules llama.cpp
only approximates): see `model/pre_tokenizers.py`.
"""

from __future__ import annotations

from statllama.model.architectures._record import Architecture

ARCHITECTURE = Architecture(
    model_type="mistral",
    causal="MistralForCausalLM",
    gguf="llama",
    rotated=True,
    rope_types=("default", "linear", "llama3"),
    fixed={"hidden_act": ("silu", "swish")},
    defaults={"num_key_value_heads": 8},
)
