"""Tokenises long texts several times faster than the tokenizer itself, with the same ids.

Byte-level BPE (Llama 3, GPT-2, Qwen) splits a text by a regular expression and then encodes each piece by itself. Text
repeats its words, so each different piece is given to the tokenizer once and its ids are remembered. Python's `re` does
the splitting; where it could differ from the tokenizer's own (other white space, a newer Unicode), the tokenizer is
asked: every character is probed at its first use, and a text with one that differs is left to the tokenizer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
REMEMBERED = 1 << 20  # pieces
LONGEST = 64  # characters of a piece that is remembered: longer ones are rarely met twice
PROBES = ("{c}", "a{c}b", " {c}", "{c} x", "1{c}2", "{c}{c}", "\n{c}\n", "'{c}", ".{c}.", "A{c}'s")


class WordCache(dict[str, tuple[int, ...]]):
    """Piece -> ids. `rule`: the tokenizer's splitting expression. Make one with `word_cache`."""

    def __init__(self, backend: Any, rule: str) -> None:
        super().__init__()
        self._backend = backend
        self._rule = rule
        self._known = set(map(chr, range(128)))
        self._pattern = pattern(rule, self._known)
        self._different = {c for c in self._known if not self._agrees(c)}
        added = {token.content for token in backend.get_added_tokens_decoder().values()}
        self._added = re.compile("|".join(map(re.escape, sorted(added, key=len, reverse=True))) or r"(?!)")

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = tuple(self._backend.encode(piece, add_special_tokens=False).ids)
        if len(piece) <= LONGEST and len(self) < REMEMBERED:
            self[piece] = ids
        return ids

    def encode(self, text: str) -> Ids:
        """Return the tokenizer's ids of the text, without special tokens, int32 (n,)."""
        characters = set(text)
        if new := characters - self._known:
            self._known |= new
            self._pattern = pattern(self._rule, self._known)
            self._different.update(c for c in new if not self._agrees(c))
        if characters.isdisjoint(self._different) and not self._added.search(text):
            return np.fromiter(self._joined(text), dtype=np.int32)
        return np.asarray(self._backend.encode(text, add_special_tokens=False).ids, dtype=np.int32)

    def _joined(self, text: str) -> Iterable[int]:
        return chain.from_iterable(map(self.__getitem__, self._pattern.findall(text)))

    def _agrees(self, character: str) -> bool:
        """Return whether texts with the character are split as the tokenizer splits them."""
        probes = (probe.replace("{c}", character) for probe in PROBES)
        return all(
            list(self._joined(probe)) == self._backend.encode(probe, add_special_tokens=False).ids for probe in probes
        )


def word_cache(backend: Any) -> WordCache | None:
    """Return the word cache of a `tokenizers.Tokenizer`; None when it does not split text in one of the known ways."""
    described = json.loads(backend.to_str())
    model = described["model"]
    parts = (described.get("pre_tokenizer") or {}).get("pretokenizers", [])
    if described.get("normalizer") is not None or model["type"] != "BPE" or model.get("dropout") or len(parts) != 2:
        return None
    split, level = parts
    plain_split = split.get("type") == "Split" and split.get("behavior") == "Isolated" and not split.get("invert")
    plain_bytes = level.get("type") == "ByteLevel" and not level["add_prefix_space"] and not level["use_regex"]
    rule = split.get("pattern", {}).get("Regex")
    if not (plain_split and plain_bytes and rule):
        return None
    try:
        return WordCache(backend, rule)
    except re.error:  # a rule that Python's `re` has no words for
        return None


def pattern(rule: str, characters: Iterable[str]) -> re.Pattern[str]:
    """Return the rule in Python's dialect, right for texts of these characters alone: small sets are what makes `re`
    fast.

    `\\p{L}` and `\\p{N}` become the letters and numbers among the characters; what the rule leaves over is a piece too.
    """
    kinds: dict[str, list[str]] = {"L": [], "N": []}
    for character in sorted(characters):
        kinds.get(unicodedata.category(character)[0], []).append(re.escape(character))

    def translated(found: re.Match[str]) -> str:
        inside = re.sub(r"\\p\{([LN])\}", lambda kind: "".join(kinds[kind[1]]), found[0])
        return inside if inside.startswith("[") else f"[{inside}]"

    python = re.sub(r"\[(?:[^\]\\]|\\.)*\]|\\p\{[LN]\}", translated, rule)
    if r"\p" in python:
        raise re.error("a category that is not known here")
    return re.compile(f"{python}|.", re.DOTALL)
