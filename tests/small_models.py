"""Small random bases of every architecture, and a tokenizer by Qwen's rules. No architecture's record is asked here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import SIZES, WORDS, make_tokenizer

CHATML = (
    "{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None, "tie_word_embeddings": False, "num_key_value_heads": 1},
    "qwen2": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    "qwen3": {"head_dim": 32},  # 4 heads of 32 in a width of 64: a number of its own
}
"""{architecture: how its base differs from `SIZES`}."""
ROWS = 328
"""Rows of the embedding: for any of the tokenizers here, and some without a piece."""


def make_model(model_type: str, vocabulary: int = ROWS, seed: int = 0, **changes: Any) -> Any:
    """A random base in float32. Biases and norms are random too: as they are made, leaving one out would not show."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    settings = {"vocab_size": vocabulary, **SIZES, **ARCHITECTURES[model_type], **changes}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings), dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def make_qwen_tokenizer() -> Any:
    """Byte-level BPE of about 300 tokens as Qwen 2.5's: its words, NFC, ChatML, and no BOS."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    rules = Qwen2Tokenizer().backend_tokenizer
    trained = Tokenizer(models.BPE())
    trained.normalizer, trained.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=310, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([" ".join(WORDS)] * 20, trainer)
    body = json.loads(trained.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=body["vocab"], merges=[tuple(merge) for merge in body["merges"]], eos_token="<|im_end|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.add_tokens(["<think>", "</think>"])  # plain added tokens, as in Qwen 3
    tokenizer.chat_template = CHATML
    return tokenizer


def save_model(model_type: str, folder: Path, **changes: Any) -> Any:
    """Save a random base with the tokenizer that bases of its kind have; returns the model."""
    tokenizer = make_qwen_tokenizer() if model_type.startswith("qwen") else make_tokenizer()
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    model = make_model(model_type, **{**ids, "pad_token_id": tokenizer.pad_token_id, **changes})
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
