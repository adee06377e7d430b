"""How llama.cpp cuts text into words before byte-level BPE: its names for rules, and the rules of a tokenizer.json.

llama.cpp has no rules of its own in a file: `tokenizer.ggml.pre` names some that are compiled into it
(`llm_tokenizer_bpe` in `src/llama-vocab.cpp`), and whether a word that is a piece already is merged further comes with
the name. So a tokenizer goes into GGUF when its rules have a name here, and only names here can be read back.

Refused: SentencePiece, with pieces for bytes (Llama 2, TinyLlama, Mistral 7B): it is another kind of vocabulary.
Tekken (Mistral Nemo): llama.cpp's expression for it knows upper and lower case of ASCII alone. Loads no torch.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from statllama.errors import ModelError, near

GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    """Return the bytes as letters; with `use_regex`, GPT-2's words first."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _split(words: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, _bytes(use_regex=False)]}


_DIGITS = {"type": "Digits", "individual_digits": True}


@dataclass(frozen=True)
class Rules:
    """What a name stands for, as tokenizer.json has it."""

    pre_tokenizer: Mapping[str, Any]
    ignore_merges: bool
    """Whether a word that is a piece is left as it is."""
    normalizer: Mapping[str, Any] | None = None
    """llama.cpp has none: token ids agree for text that is in its form already (`normal`)."""


PRE_TOKENIZERS: Mapping[str, Rules] = MappingProxyType(
    {
        "llama-bpe": Rules(_split(LLAMA3_WORDS), True),
        "smaug-bpe": Rules(_split(LLAMA3_WORDS), False),
        "gpt-2": Rules(_bytes(use_regex=True), False),
        "smollm": Rules({"type": "Sequence", "pretokenizers": [_DIGITS, _bytes(use_regex=True)]}, False),
        "qwen2": Rules(_split(QWEN2_WORDS), False, {"type": "NFC"}),
    }
)
"""{llama.cpp's name: the rules}."""
ALIASES: Mapping[str, str] = MappingProxyType(
    {"llama3": "llama-bpe", "llama-v3": "llama-bpe", "deepseek-r1-qwen": "qwen2"}
)
"""llama.cpp's other names for the same rules."""


def rules_of(name: object, where: str) -> Rules:
    """Return the rules that a GGUF file names in `tokenizer.ggml.pre`. ModelError with the list for another name."""
    known = ALIASES.get(str(name), str(name))
    if known in PRE_TOKENIZERS:
        return PRE_TOKENIZERS[known]
    raise ModelError(
        f"{where}: the tokenizer's rules are {name!r} (tokenizer.ggml.pre), which cannot be read; "
        f"{near(str(name), PRE_TOKENIZERS)}",
        remedy="take a base whose tokenizer has one of these rules",
    )


def name_of(rules: Mapping[str, Any], where: str) -> str:
    """Return llama.cpp's name for the rules of a parsed tokenizer.json. ModelError says which rule has none."""
    model = rules["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or (rules["decoder"] or {}).get("type") != "ByteLevel":
        found = f"{model['type']} with decoder {rules['decoder']}"
        raise _unknown(where, found, "byte-level BPE, as Llama 3, Qwen and GPT-2 have; not SentencePiece")
    odd = [k for k in ("continuing_subword_prefix", "end_of_word_suffix", "dropout") if model.get(k)]
    if odd:
        raise _unknown(where, f"BPE with {odd[0]}={model[odd[0]]!r}", "BPE without it")
    steps, ignore, normalizer = _steps(rules["pre_tokenizer"]), bool(model.get("ignore_merges")), rules["normalizer"]
    same = {
        name: r for name, r in PRE_TOKENIZERS.items() if (_steps(r.pre_tokenizer), r.ignore_merges) == (steps, ignore)
    }
    if not same:
        found = f"the pre-tokenizer {json.dumps(rules['pre_tokenizer'])} with ignore_merges={ignore}"
        raise _unknown(where, found, f"those of {', '.join(PRE_TOKENIZERS)}")
    for name, known in same.items():
        if normalizer is None or normalizer == known.normalizer:
            return name
    raise _unknown(where, f"the normaliser {json.dumps(normalizer)}", "none")


def normal(text: str, rules: Mapping[str, Any]) -> str:
    """Bring a text into the form that a tokenizer.json's rules bring it into first: llama.cpp takes it as it comes."""
    return unicodedata.normalize("NFC", text) if rules.get("normalizer") == {"type": "NFC"} else text


def _steps(pre: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a pre-tokenizer's parts in order, without what bears on no id."""
    parts = (pre or {}).get("pretokenizers", [pre or {}])
    return [{key: value for key, value in part.items() if key != "trim_offsets"} for part in parts]


def _unknown(where: str, found: str, allowed: str) -> ModelError:
    return ModelError(
        f"{where}: GGUF cannot hold this tokenizer: llama.cpp has no rule like {found}; it has: {allowed}"
    )
