"""The tokenizer as GGUF metadata: pieces, their types, merges, special ids and the name of the pre-tokenizer.

Rules that llama.cpp has no name for (`model/pre_tokenizers.py`) are an error. Keys and types as in llama.cpp's
converter (`conversion/base.py`, `_set_vocab_gpt2`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from statllama.errors import ExportError
from statllama.model.pre_tokenizers import name_of
from statllama.release.gguf_layout import refused_as

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


END_OF_TURN = ("<|eot_id|>", "<|im_end|>")
"""Pieces that end a turn in Llama 3's and in ChatML's templates: llama.cpp ends a reply there."""
ID_KEYS = {"bos": "bos_token_id", "eos": "eos_token_id", "eot": "eot_token_id", "pad": "padding_token_id"}


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """Return the tokenizer of a folder, as Transformers loads it, for an embedding of `rows` rows.

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
    with refused_as(_REMEDY):
        pre = name_of(rules, str(folder))
    added = {t["id"]: t for t in rules["added_tokens"]}
    _require_plain(added.values(), str(folder))
    ids = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    ids["eot"] = next((i for piece in END_OF_TURN if (i := tokenizer.get_vocab().get(piece)) is not None), None)
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


def _type(token: int, pieces: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> gguf.TokenType:
    """Return llama.cpp's type of a token: control tokens are not shown, user-defined ones are found in any text."""
    if token not in pieces:
        return gguf.TokenType.UNUSED
    if token not in added:
        return gguf.TokenType.NORMAL
    return gguf.TokenType.CONTROL if added[token]["special"] else gguf.TokenType.USER_DEFINED


def _require_plain(added: Iterable[Mapping[str, Any]], where: str) -> None:
    """Refuse added tokens that take a space or match whole words: llama.cpp finds them only as written."""
    for token in added:
        if flags := [flag for flag in ("lstrip", "rstrip", "single_word") if token.get(flag)]:
            raise ExportError(
                f"{where}: GGUF cannot hold this tokenizer: llama.cpp has no rule like the added token "
                f"{token['content']!r} with {flags[0]}; it has: added tokens without",
                remedy=_REMEDY,
            )
