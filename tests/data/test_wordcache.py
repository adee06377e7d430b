"""The word cache gives the tokenizer's own ids, whatever the text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.shipped import shipped_root
from statllama.data.wordcache import WordCache, pattern, word_cache


def ids(backend: Any, text: str) -> list[int]:
    return list(backend.encode(text, add_special_tokens=False).ids)


@pytest.fixture(scope="module")
def quickstart() -> tuple[Any, WordCache]:
    """The quickstart's tokenizer: Llama 3's splitting rule, a vocabulary of its own."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(shipped_root() / "recipes" / "quickstart" / "base" / "tokenizer.json"))
    cache = word_cache(backend)
    assert cache is not None
    return backend, cache


TRICKY = [
    "",
    " ",
    "It's 12345 o'clock\n\n\n  and I'LL go.\t\tEnd   ",
    "R\u00b2 = 0.5, \u03c3 \u2248 \u00bd, na\u00efve \u017ft 's'\u017f",
    "a\u00a0b\u2003c\u3000d\u200be\x1cf\x85g",
    "\u5e73\u5747\u6570 \u0441\u0440\u0435\u0434\u043d\u0435\u0435 \u0660\u0661\u0662\u0663",
    "\U0001f600\U0001f469\u200d\U0001f52c",
    "a <|eot_id|> b <|begin_of_text|>",
    "\r\n\r\nx\r y" * 3,
    "w" * 5000,
]


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts(quickstart: tuple[Any, WordCache], text: str) -> None:
    backend, cache = quickstart
    assert cache.encode(text).tolist() == ids(backend, text)


@given(st.text(max_size=60))
def test_any_text(quickstart: tuple[Any, WordCache], text: str) -> None:
    backend, cache = quickstart
    assert cache.encode(text).tolist() == ids(backend, text)


def test_llama3_on_real_text(shared_data: Path, llama3: Any) -> None:
    cache = word_cache(llama3.backend_tokenizer)
    assert cache is not None
    for name in ("stats_corpus_openstax.jsonl", "stats_corpus_openintro.jsonl"):
        for line in (shared_data / name).read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["text"]
            assert cache.encode(text).tolist() == ids(llama3.backend_tokenizer, text)


def test_llama3_on_characters_from_everywhere(llama3: Any) -> None:
    cache, draw = word_cache(llama3.backend_tokenizer), random.Random(0)
    assert cache is not None
    for _ in range(500):
        text = "".join(
            chr(draw.choice([draw.randrange(32, 127), draw.randrange(0xD7FF), draw.randrange(0x10000, 0x1FFFF)]))
            for _ in range(draw.randrange(1, 20))
        )
        assert cache.encode(text).tolist() == ids(llama3.backend_tokenizer, text)


def test_other_kinds_of_tokenizer_are_left_alone(tokenizer: Any) -> None:
    """The tests' own one splits by ByteLevel's built-in rule."""
    assert word_cache(tokenizer.backend_tokenizer) is None


def test_what_the_rule_leaves_over_is_a_piece() -> None:
    assert pattern(r"\p{L}+|[^\p{L}\p{N}]", map(chr, range(128))).findall("ab1 2") == ["ab", "1", " ", "2"]
