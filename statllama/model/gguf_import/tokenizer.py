"""The tokenizer of a GGUF file as Transformers' files: tokenizer.json, tokenizer_config.json, the chat template.

The judge is llama.cpp: ids of any text are those that it makes of the file. So what the file leaves out is what
llama.cpp takes for it (`src/llama-vocab.cpp`, `llama_vocab::impl::load`). Transformers' own reader of GGUF files is no
model: it knows one rule for all byte-level tokenizers, and drops SmolLM2's digits and its end of a turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import TokenType

from statllama.errors import ModelError
from statllama.model.pre_tokenizers import ALIASES, Rules, rules_of
from statllama.store.files import translate_os_errors

BEGINS_TEXTS = ("llama-bpe",)
"""Rules with which llama.cpp puts BOS before a text when a file does not say whether."""
ENDS = (
    *("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>"),
    *("</s>", "<eos>", "[EOS]", "<EOT>", "[EOT]", "<end_of_utterance>"),
)
"""Control tokens at which llama.cpp ends a reply because of their names."""
SPECIAL = {"bos": "bos_token_id", "eos": "eos_token_id", "unk": "unknown_token_id", "pad": "padding_token_id"}
"""{Transformers' name of a special token: GGUF's}."""

_KEY = "tokenizer.ggml."
_ADDED = (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)  # found in a text before it is cut into words
_AGAIN = "get another file of the model: the metadata of this one does not fit together"


@dataclass(frozen=True)
class Tokenizer:
    """A file's tokenizer, in Transformers' terms."""

    rules: Rules
    pieces: Mapping[str, int]
    """{piece: id} of all tokens but the unused ones, which fill rows of the embedding."""
    added: Mapping[int, bool]
    """{id: whether it is special} of the tokens that are found in a text before it is cut into words."""
    merges: tuple[tuple[str, str], ...]
    special: Mapping[str, int]
    """Ids by Transformers' names: bos, eos, and where the file has them unk and pad."""
    ends: tuple[int, ...]
    """Ids at which a reply ends, that of eos first."""
    add_bos: bool
    add_eos: bool
    chat_template: str | None

    def write(self, folder: Path, positions: int) -> None:
        """Write Transformers' files into a folder. `positions`: tokens that the model takes at most."""
        from tokenizers import Tokenizer as Backend
        from transformers import PreTrainedTokenizerFast

        names = {i: piece for piece, i in self.pieces.items()}
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Backend.from_str(json.dumps(self.body())),
            model_max_length=positions,
            clean_up_tokenization_spaces=False,
            **{f"{name}_token": names[i] for name, i in self.special.items()},
        )
        if self.chat_template is not None:
            tokenizer.chat_template = self.chat_template
        with translate_os_errors(folder):
            tokenizer.save_pretrained(folder)

    def body(self) -> dict[str, Any]:
        """Make the content of tokenizer.json.

        Added tokens at the end of the vocabulary are in the list of added tokens alone, as Llama 3 and Qwen have them;
        those among the pieces are in both, as GPT-2 has them: else `tokenizers` would give them other ids.
        """
        last = max((i for i in self.pieces.values() if i not in self.added), default=-1)
        vocabulary = {piece: i for piece, i in self.pieces.items() if i <= last}
        if len(vocabulary) + sum(i > last for i in self.added) != max(self.pieces.values()) + 1:  # ids are left out
            vocabulary = dict(self.pieces)
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_added(i, piece, self.added[i]) for piece, i in self.pieces.items() if i in self.added],
            "normalizer": self.rules.normalizer,
            "pre_tokenizer": self.rules.pre_tokenizer,
            "post_processor": self._around(),
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": self.rules.ignore_merges,
                "vocab": vocabulary,
                "merges": [list(pair) for pair in self.merges],
            },
        }

    def _around(self) -> dict[str, Any] | None:
        """Make what puts BOS before a text, EOS after it, or both; None when nothing does."""
        if not self.add_bos and not self.add_eos:
            return None
        names = {i: piece for piece, i in self.pieces.items()}
        before, after = [names[self.special["bos"]]] * self.add_bos, [names[self.special["eos"]]] * self.add_eos

        def one(sequence: str, number: int) -> list[dict[str, Any]]:
            return [
                *({"SpecialToken": {"id": piece, "type_id": number}} for piece in before),
                {"Sequence": {"id": sequence, "type_id": number}},
                *({"SpecialToken": {"id": piece, "type_id": number}} for piece in after),
            ]

        return {
            "type": "TemplateProcessing",
            "single": one("A", 0),
            "pair": [*one("A", 0), *one("B", 1)],
            "special_tokens": {
                piece: {"id": piece, "ids": [self.pieces[piece]], "tokens": [piece]} for piece in {*before, *after}
            },
        }


def read_tokenizer(fields: Mapping[str, Any], where: str, rows: int) -> Tokenizer:
    """Read the tokenizer from a file's metadata. `rows`: of the embedding.

    ModelError for one that is not byte-level BPE, has rules that are not known, or does not fit together.
    """
    kind, name = fields.get(f"{_KEY}model"), fields.get(f"{_KEY}pre")
    if kind != "gpt2":
        said = {"llama": "SentencePiece (llama)"}.get(str(kind), repr(kind))
        raise ModelError(
            f"{where}: the tokenizer is {said}; allowed: byte-level BPE (gpt2)",
            remedy="import a model with such a tokenizer: Llama 3, SmolLM2, Qwen2, Qwen3",
        )
    rules = rules_of(name, where)
    if fields.get(f"{_KEY}add_space_prefix") is True:
        raise ModelError(f"{where}: {_KEY}add_space_prefix is true, which no byte-level tokenizer has", remedy=_AGAIN)
    tokens = _texts(fields, "tokens", where)
    if len(tokens) != rows:
        raise ModelError(f"{where}: {len(tokens):,} tokens for an embedding of {rows:,} rows", remedy=_AGAIN)
    types = fields.get(f"{_KEY}token_type", [int(TokenType.NORMAL)] * len(tokens))
    if not isinstance(types, list) or len(types) != len(tokens):
        raise ModelError(f"{where}: {len(tokens):,} tokens, and another number of {_KEY}token_type", remedy=_AGAIN)
    pieces = _pieces(tokens, types, where)
    special = dict(_special(fields, pieces, tokens, where))
    add_bos, add_eos = (_flag(fields, f"add_{end}_token", where) for end in ("bos", "eos"))
    if add_bos is None:
        add_bos = ALIASES.get(str(name), name) in BEGINS_TEXTS
    if add_bos and "bos" not in special:
        raise ModelError(f"{where}: texts begin with BOS, and no {_KEY}bos_token_id says which it is", remedy=_AGAIN)
    template = fields.get("tokenizer.chat_template")
    return Tokenizer(
        rules=rules,
        pieces=pieces,
        added={i: types[i] != TokenType.USER_DEFINED for i in pieces.values() if types[i] in _ADDED},
        merges=tuple(_merges(fields, pieces, where)),
        special=special,
        ends=tuple(_ends(fields, special["eos"], tokens, types)),
        add_bos=add_bos,
        add_eos=bool(add_eos),
        chat_template=template if isinstance(template, str) and template else None,
    )


def _texts(fields: Mapping[str, Any], key: str, where: str) -> list[str]:
    found = fields.get(f"{_KEY}{key}")
    if not isinstance(found, list) or not found or not isinstance(found[0], str):
        raise ModelError(f"{where}: {_KEY}{key} is missing or no list of texts", remedy=_AGAIN)
    return found


def _pieces(tokens: list[str], types: list[Any], where: str) -> dict[str, int]:
    """Map pieces to ids, without the unused ones."""
    pieces: dict[str, int] = {}
    for i, (piece, type_) in enumerate(zip(tokens, types, strict=True)):
        if type_ == TokenType.UNUSED:
            continue
        if type_ == TokenType.BYTE:
            raise ModelError(f"{where}: token {i} stands for a byte, as in SentencePiece alone", remedy=_AGAIN)
        if not piece or piece in pieces:
            also = f"token {pieces[piece]} is {piece!r} too" if piece else "it is empty"
            raise ModelError(f"{where}: token {i} cannot be told from others: {also}", remedy=_AGAIN)
        pieces[piece] = i
    if not pieces:
        raise ModelError(f"{where}: all {len(tokens):,} tokens are unused", remedy=_AGAIN)
    return pieces


def _merges(fields: Mapping[str, Any], pieces: Mapping[str, int], where: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of pieces in the order in which they are merged, each once."""
    seen = set()
    for i, merge in enumerate(_texts(fields, "merges", where)):
        cut = merge.find(" ", 1)  # as llama.cpp cuts it
        left, right = merge[:cut], merge[cut + 1 :]
        for piece in (left, right, left + right):
            if cut < 0 or piece not in pieces:
                problem = f"merge {i}, {merge!r}, takes or makes {piece!r}, which is no token"
                raise ModelError(f"{where}: {problem}", remedy=_AGAIN)
        if (left, right) not in seen:
            seen.add((left, right))
            yield left, right


def _special(
    fields: Mapping[str, Any], pieces: Mapping[str, int], tokens: list[str], where: str
) -> Iterator[tuple[str, int]]:
    """Yield (Transformers' name, id) of each special token that the file names; eos must be among them."""
    for name, key in SPECIAL.items():
        token = fields.get(f"{_KEY}{key}")
        if token is None:
            if name == "eos":
                raise ModelError(
                    f"{where}: no {_KEY}{key} says which token ends a text",
                    remedy="say it in a copy: `gguf-new-metadata --special-token eos TOKEN FILE COPY`",
                )
            continue
        known = isinstance(token, int) and not isinstance(token, bool) and 0 <= token < len(tokens)
        if known and name in ("unk", "pad") and tokens[token] not in pieces:
            continue  # an unused row: a model can do without them
        if not known or pieces.get(tokens[token]) != token:
            problem = f"{_KEY}{key} is {token!r}, and the file has no such token"
            raise ModelError(f"{where}: {problem}", remedy=_AGAIN)
        yield name, token


def _ends(fields: Mapping[str, Any], eos: int, tokens: list[str], types: list[Any]) -> Iterator[int]:
    """Yield the ids at which llama.cpp ends a reply: those that the file names, then those known by their text."""
    named = [eos, *(fields.get(f"{_KEY}{key}_token_id") for key in ("eot", "eom"))]
    known = [i for i, piece in enumerate(tokens) if piece in ENDS and types[i] == TokenType.CONTROL]
    yield from dict.fromkeys(i for i in (*named, *known) if isinstance(i, int) and i < len(tokens))


def _flag(fields: Mapping[str, Any], key: str, where: str) -> bool | None:
    found = fields.get(f"{_KEY}{key}")
    if found is not None and not isinstance(found, bool):
        raise ModelError(f"{where}: {_KEY}{key} is {found!r} instead of true or false", remedy=_AGAIN)
    return found


def _added(token: int, piece: str, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": piece, **flags, "special": special}
