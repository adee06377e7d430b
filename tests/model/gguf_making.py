"""Small bases of every architecture and tokenizer, as GGUF files made by the exporter, and copies that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from statllama.model.pre_tokenizers import PRE_TOKENIZERS
from statllama.release.gguf import write_gguf
from statllama.release.source import Source

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEXTS = (
    "The mean of 3, 15 and 123456 is it's not I'LL they're 10 100 1000 2024 2025 x1y22z333 ",
    "def f(x):\n\treturn x ** 2\n\n\n    indented   text  \r\n end \u00a0 \u3000",
    "Größe naïve Быстрая лиса 平均値は合計 e\u0301 a\u0308 😀👍 ½ ٣٤٥ ① don't won't 'tis",
)
SIZES = {
    "vocab_size": 700,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.08,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama3": ("llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "untied": ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 1, "head_dim": 32, "rms_norm_eps": 1e-5}),
    "linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    "mistral": ("mistral", {"sliding_window": None, "tie_word_embeddings": False}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen3": ("qwen3", {"tie_word_embeddings": False, "head_dim": 32}),
}


def make_model(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    """A random model of `MODELS`; its norms and biases are random, too."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, changes = MODELS[name]
    torch.manual_seed(seed)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SIZES, **ids, **changes}))
    with torch.no_grad():
        for parameter in (p for n, p in model.named_parameters() if n.endswith(("norm.weight", ".bias"))):
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.to(dtype)


def make_rules(name: str, first: bool = True, add_bos: bool = False) -> Any:
    """A byte-level tokenizer with the rules of `PRE_TOKENIZERS`, trained on `TEXTS`; special tokens first, or last."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    rules = PRE_TOKENIZERS[name]
    empty = json.loads(Tokenizer(models.BPE()).to_str())
    empty["model"]["ignore_merges"] = rules.ignore_merges
    empty |= {"pre_tokenizer": rules.pre_tokenizer, "normalizer": rules.normalizer}
    tokenizer = Tokenizer.from_str(json.dumps(empty))
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special if first else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(TEXTS) * 5, trainer)
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    bos = tokenizer.token_to_id(SPECIAL[1])
    if add_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{SPECIAL[1]} $A", pair=f"{SPECIAL[1]} $A {SPECIAL[1]} $B", special_tokens=[(SPECIAL[1], bos)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[0],
        chat_template=TEMPLATE,
    )


def write_model(folder: Path, kind: str, name: str = "llama3", tokenizer: Any = None, **options: Any) -> Path:
    """Save a base of `MODELS` into `folder`/base, and its GGUF of a type of `mixture.KINDS`, which is returned."""
    base = folder / "base"
    model = make_model(name, **options)
    tokenizer = tokenizer or make_rules("qwen2" if name.startswith("qwen") else "gpt-2")
    special = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    for config in (model.config, model.generation_config):
        config.update({f"{key}_token_id": value for key, value in special.items()})
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    path = folder / f"{name}-{kind}.gguf"
    write_gguf(Source(name, base, base, tokenizer.chat_template, (), ()), path, kind)
    return path


Numbers = np.ndarray[Any, Any]


def rewrite(
    source: Path,
    target: Path,
    changes: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
    tensors: Callable[[str, Numbers], tuple[str, Numbers] | None] = lambda name, data: (name, data),
) -> Path:
    """Copy a GGUF file of floats with other metadata (`changes`, and keys left out) and other tensors.

    `tensors`: name and numbers to the new ones, or None to leave the tensor out. A new value keeps its key's type; a
    new key gets that of its value.
    """
    reader = gguf.GGUFReader(source)
    changes = dict(changes or {})
    writer = gguf.GGUFWriter(target, str(changes.pop("general.architecture", "llama")))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in without or name == "general.architecture":
            continue
        value = changes.pop(name, field.contents())
        sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], sub)
    for name, value in changes.items():
        writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    for one in reader.tensors:
        made = tensors(one.name, np.array(one.data))
        if made is not None:
            writer.add_tensor(made[0], made[1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
