"""Text that looks alike is the same once it is folded; what differs stays different."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.folding import folded


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Ｗｈａｔ ｉｓ １２％", "What is 12%"),  # full width
        ("𝐓𝐡𝐞 𝑚𝑒𝑎𝑛 𝟛", "The mean 3"),  # mathematical alphabets
        ("ﬁve eﬀects ①", "five effects 1"),
        ("me\u200ban, \u2060me\u200d\u00addi\ufeffan \u202eo\u202c", "mean, median o"),  # invisible
        ("Тhе mеаn оf", "The mean of"),  # Cyrillic
        ("Τhe ΜΕΑΝ οf νalues", "The MEAN of values"),  # Greek
        ("ꓮ ᎪᏴ ɡroup ıs", "a AB group is"),  # Lisu (without case), Cherokee, Latin
        ("me\u0301di\u0308a\u0327n, café, naïve, Łódź, ø", "median, cafe, naive, Lodz, o"),
        ("“don’t” ‘x’ don´t donʼt", "\"don't\" 'x' don't don't"),
        ("٣٤ ४५ 𝟗", "34 45 9"),
        ("3 − 2 × 4 ÷ 5", "3 - 2 * 4 / 5"),
        ("a\u00a0b\u2003c\u2028d", "a b c\nd"),
        ("tab\tand\nline\x00\x08", "tab\tand\nline"),
    ],
)
def test_what_looks_alike(text: str, plain: str) -> None:
    assert folded(text) == plain


@pytest.mark.parametrize("text", ["한국어 문장", "日本語のテキスト", "हिन्दी में", "1 l I 0 O rn m", "x_1^2 <= 3"])
def test_other_text_stays(text: str) -> None:
    assert folded(text) == text


def test_one_case_of_russian_is_not_another_word() -> None:
    for word in ("НАТО", "Вечер", "Кот", "Только", "Мир", "Гора"):
        assert folded(word).lower() == folded(word.lower())


@given(st.text(max_size=60))
def test_composed_and_decomposed_text_are_one_and_twice_is_once(text: str) -> None:
    assert folded(unicodedata.normalize("NFD", text)) == folded(unicodedata.normalize("NFC", text))
    assert folded(folded(text)) == folded(text)


@given(st.text(st.characters(max_codepoint=0x7F), max_size=60))
def test_ascii_keeps_all_that_is_seen(text: str) -> None:
    assert folded(text) == "".join(c for c in text if c.isprintable() or c.isspace())


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u05b0\u0591\u05b4"])
def test_a_flood_of_marks_takes_no_time(marks: str) -> None:
    start = time.process_time()
    assert folded("mean" + marks * 20_000 + " x")[:4] == "mean"
    assert time.process_time() - start < 1.0


def test_a_long_text_of_other_characters_is_folded_in_time_that_grows_with_it() -> None:
    began = time.perf_counter()
    folded("оценка “x” — " * 50_000)
    assert time.perf_counter() - began < 2
