"""The tokenizer as GGUF metadata: pieces, their types, merges, special ids and the name of the pre-tokenizer.

llama.cpp has no regular expressions of its own in a file: `tokenizer.ggml.pre` names one of those compiled into it, and
whether a word that is a piece already is merged further comes with the name. So the name is derived from the
tokenizer's rules, and rules that no name stands for are an error. Keys and types as in llama.cpp's converter
(`conversion/base.py`, `_set_vocab_gpt2`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from statllama.errors import ExportError

LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PRE_TOKENIZERS = {
    (LLAMA3_WORDS, True): "llama-bpe",
    (LLAMA3_WORDS, False): "smaug-bpe",
    (GPT2_WORDS, False): "gpt-2",
}
"""(expression that cuts text into words, whether a word that is a piece is left as it is): llama.cpp's name."""

_REMEDY = "export the adapter and the merged weights, which keep the tokenizer as it is"


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about the tokenizer. `tokens` and `types` have one entry a row of the embedding."""

    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    """gguf.TokenType."""
    merges: tuple[str, ...]
    special: Mapping[str, int]
    """Ids of bos, eos, eot and pad, where the tokenizer has them."""
    add_bos: bool
    add_eos: bool

    def write(self, writer: gguf.GGUFWriter, chat_template: str | None) -> None:
        """Put it, and the template, into the file's metadata."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(list(self.tokens))
        writer.add_token_types(list(self.types))
        writer.add_token_merges(list(self.merges))
        for name, token in self.special.items():
            writer.add_uint32(f"tokenizer.ggml.{ID_KEYS[name]}", token)
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(self.add_eos)
        writer.add_add_space_prefix(False)
        if chat_template is not None:
            writer.add_chat_template(chat_template)


ID_KEYS = {"bos": "bos_token_id", "eos": "eos_token_id", "eot": "eot_token_id", "pad": "padding_token_id"}


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The tokenizer of a folder, as Transformers loads it, for an embedding of `rows` rows.

    Rows without a piece become unused tokens. ExportError for a tokenizer that llama.cpp would not follow, or one with
    more pieces than the embedding has rows.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # Transformers and tokenizers each raise their own
        raise ExportError(f"{folder}: the tokenizer cannot be loaded: {str(error).splitlines()[0]}") from error
    if not tokenizer.is_fast:
        raise ExportError(f"{folder}: the tokenizer has no tokenizer.json, which GGUF is written from", remedy=_REMEDY)
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    pieces = {i: piece for piece, i in tokenizer.get_vocab().items()}
    if pieces and max(pieces) >= rows:
        beyond = max(pieces)
        raise ExportError(
            f"{folder}: the tokenizer has token {beyond} ({pieces[beyond]!r}), the embedding has {rows} rows",
            remedy="take the tokenizer that belongs to the base, or resize the base's embedding to it before training",
        )
    pre = pre_tokenizer_name(rules, str(folder))
    added = {t["id"]: t for t in rules["added_tokens"]}
    _require_plain(added.values(), str(folder))
    ids = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    ids["eot"] = tokenizer.get_vocab().get("<|eot_id|>")
    around = tokenizer.encode("a")
    return Vocabulary(
        pre=pre,
        tokens=tuple(pieces.get(i, f"[PAD{i}]") for i in range(rows)),
        types=tuple(int(_type(i, pieces, added)) for i in range(rows)),
        merges=tuple(m if isinstance(m, str) else " ".join(m) for m in rules["model"]["merges"]),
        special={name: ids[name] for name in ID_KEYS if ids[name] is not None},
        add_bos=ids["bos"] is not None and around[0] == ids["bos"],
        add_eos=ids["eos"] is not None and around[-1] == ids["eos"],
    )


def pre_tokenizer_name(rules: Mapping[str, Any], where: str) -> str:
    """llama.cpp's name for the rules of a tokenizer.json. ExportError says which rule has none."""
    model = rules["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or (rules["decoder"] or {}).get("type") != "ByteLevel":
        raise _unknown(where, f"{model['type']} with decoder {rules['decoder']}", "byte-level BPE")
    odd = [k for k in ("continuing_subword_prefix", "end_of_word_suffix", "dropout") if model.get(k)]
    if odd:
        raise _unknown(where, f"BPE with {odd[0]}={model[odd[0]]!r}", "BPE without it")
    if rules["normalizer"] is not None:
        raise _unknown(where, f"the normaliser {json.dumps(rules['normalizer'])}", "none")
    words = _words(rules["pre_tokenizer"] or {})
    key = (words, bool(model.get("ignore_merges")))
    if key not in PRE_TOKENIZERS:
        found = f"the pre-tokenizer {json.dumps(rules['pre_tokenizer'])} with ignore_merges={key[1]}"
        raise _unknown(where, found, "those of Llama 3 (llama-bpe, smaug-bpe) and GPT-2 (gpt-2)")
    return PRE_TOKENIZERS[key]


def _words(pre: Mapping[str, Any]) -> str | None:
    """The expression that cuts text into words; None for any other arrangement than Llama 3's and GPT-2's."""
    match pre.get("pretokenizers", [pre]):
        case [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}]:
            return GPT2_WORDS
        case [
            {"type": "Split", "pattern": {"Regex": str(words)}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ]:
            return words
    return None


def _type(token: int, pieces: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> gguf.TokenType:
    """What llama.cpp does with a token: control tokens are not shown, user-defined ones are found in any text."""
    if token not in pieces:
        return gguf.TokenType.UNUSED
    if token not in added:
        return gguf.TokenType.NORMAL
    return gguf.TokenType.CONTROL if added[token]["special"] else gguf.TokenType.USER_DEFINED


def _require_plain(added: Iterable[Mapping[str, Any]], where: str) -> None:
    """llama.cpp finds an added token as it is written: not with the space beside it, nor as a whole word alone."""
    for token in added:
        if flags := [flag for flag in ("lstrip", "rstrip", "single_word") if token.get(flag)]:
            raise _unknown(where, f"the added token {token['content']!r} with {flags[0]}", "added tokens without")


def _unknown(where: str, found: str, allowed: str) -> ExportError:
    return ExportError(
        f"{where}: GGUF cannot hold this tokenizer: llama.cpp has no rule like {found}; it has: {allowed}",
        remedy=_REMEDY,
    )
