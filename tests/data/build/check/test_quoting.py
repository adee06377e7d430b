"""Quotations: word for word, nearly, and made up. The window is held to a brute-force edit distance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.check.quoting import pieces, place, window, words

TEXT = (
    "It is widely known that the sample mean is an unbiased estima-\ntor of the population mean, with p\u2009<\u2009.05 "
    "(n = 1,250). We did not reject the null hypothesis. The “slope” was −0.30, 95% CI −0.5 to −0.1."
)


@pytest.mark.parametrize(
    "quote",
    [
        "the sample mean is an unbiased estimator of the population mean",
        "The Sample Mean is an UNBIASED estimator",
        "with p < 0.05 (n = 1250)",
        'the "slope" was -0.3',
        "It is widely known ... We did not reject the null hypothesis",
        "it is widely known that [...] slope was −0.30",
        "We didn't reject the null hypothesis",
    ],
)
def test_the_same_words(quote: str) -> None:
    found = place(quote, words(TEXT))
    assert found.similarity == 1.0 and found.same_facts


@pytest.mark.parametrize(
    ("quote", "similarity", "same_facts"),
    [
        ("the sample mean was an unbiased estimator of the population mean", 10 / 11, True),
        ("with p > 0.05 (n = 1250). We did not reject the null hypothesis", 12 / 13, False),
        ("with p < 0.05 (n = 1251). We did not reject the null hypothesis", 12 / 13, False),
        ("We did reject the null hypothesis. The slope was -0.3", 9 / 10, False),
        ('The "slope" was 0.30, 95% CI −0.5 to −0.1', 7 / 8, False),
        ("We did not reject ... It is widely known", 0.0, None),  # the other order
    ],
)
def test_other_words(quote: str, similarity: float, same_facts: bool | None) -> None:
    found = place(quote, words(TEXT))
    assert found.similarity == pytest.approx(similarity, abs=0.06)
    assert same_facts is None or found.same_facts == same_facts


def test_made_up_words_are_far() -> None:
    assert place("Bootstrapping was invented by Efron in 1979 to estimate variability", words(TEXT)).similarity < 0.4
    assert place("", words(TEXT)).similarity == place("a b c", []).similarity == 0.0
    assert pieces("...") == []


def distance(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Levenshtein's, by its definition."""

    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (one[i - 1] != other[j - 1]))

    return of(len(one), len(other))


LETTERS = st.lists(st.sampled_from("abc"), min_size=1, max_size=7)


@given(LETTERS, LETTERS)
def test_no_stretch_is_nearer(quote: Sequence[str], text: Sequence[str]) -> None:
    similarity, start, end = window(quote, text)
    best = min(distance(tuple(quote), tuple(text[i:j])) for i in range(len(text)) for j in range(i + 1, len(text) + 1))
    assert similarity == pytest.approx(max(0.0, 1 - best / len(quote)))
    assert distance(tuple(quote), tuple(text[start:end])) == best


@given(st.lists(st.sampled_from(["mean", "of", "3.5", "<", "not", "data"]), min_size=6, max_size=30), st.data())
def test_a_stretch_of_the_text_is_found(text: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 3))
    quote = " ".join(text[start : start + 5])
    found = place(quote, words(" ".join(text)))
    assert found.similarity == 1.0 and found.same_facts
