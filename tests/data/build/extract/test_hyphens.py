"""Words that a line end has cut in two: joined as they were."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.data.build.extract.characters import plain, tidy
from statllama.data.build.extract.hyphens import joined, words_of

WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=12)


@settings(max_examples=40)
@given(st.lists(WORD, min_size=3, max_size=12, unique=True), st.data())
def test_a_cut_word_is_whole_again(words: list[str], data: st.DataObject) -> None:
    """Any word, cut anywhere, is the word again: no half of it is a word of the text."""
    which = data.draw(st.integers(0, len(words) - 1))
    at = data.draw(st.integers(1, len(words[which]) - 1))
    first = " ".join([*words[:which], words[which][:at] + "-"])
    second = " ".join([words[which][at:], *words[which + 1 :]])
    assert joined(first, second, words_of([first, second])) == " ".join(words)


@settings(max_examples=40)
@given(st.lists(WORD, min_size=3, max_size=8, unique=True), st.data())
def test_a_compound_that_the_text_has_elsewhere_keeps_its_hyphen(words: list[str], data: st.DataObject) -> None:
    compound = f"{words[0]}-{words[1]}"
    first, second = f"{words[2]} {words[0]}-", " ".join([words[1], *words[3:]])
    lines = [first, second, f"elsewhere {compound} stands"]
    assert joined(first, second, words_of(lines)) == " ".join([words[2], compound, *words[3:]])


@settings(max_examples=50)
@given(st.text("abc -", max_size=20), st.text("abc -", max_size=20))
def test_no_letter_is_lost(first: str, second: str) -> None:
    whole = joined(first, second, words_of([first, second]))
    assert [c for c in whole if c.isalpha()] == [c for c in first + second if c.isalpha()]


@pytest.mark.parametrize(
    ("first", "second", "words", "whole"),
    [
        ("the esti-", "mator", set(), "the estimator"),
        ("a well-", "known fact", {"well", "known"}, "a well-known fact"),
        ("over-", "all", {"over", "all", "overall"}, "overall"),
        ("Kullback-", "Leibler", set(), "Kullback-Leibler"),
        ("COVID-", "19", set(), "COVID-19"),
        ("INTRO-", "DUCTION", set(), "INTRODUCTION"),
        ("x -", "y", set(), "x - y"),
        ("and/", "or", set(), "and/or"),
        ("soft\u00ad", "ware", {"soft", "ware"}, "software"),
        ("plain", "words", set(), "plain words"),
    ],
)
def test_by_example(first: str, second: str, words: set[str], whole: str) -> None:
    assert joined(first, second, words) == whole


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ("e\ufb03cient \ufb01t", "efficient fit"),
        ("na\u00a8ive, Erd\u02ddos", "naïve, Erd\u02ddos"),
        ("\u02c6\u03b2", "β̂"),
        ("don\u00b4t", "don\u00b4t"),
        ("𝑥 ∼ 𝑁", "x ∼ N"),
        ("x²", "x²"),
        ("a\u00a0b\u2009c\u200b", "a b c"),
        ("\ue123 \ud800", "\ufffd \ufffd"),
        ("cafe\u0301", "café"),
    ],
)
def test_characters(odd: str, shown: str) -> None:
    assert plain(odd) == shown


@settings(max_examples=40)
@given(st.text(max_size=30))
def test_tidy_text_stays_as_it_is_and_is_text(text: str) -> None:
    once = tidy(text)
    assert tidy(once) == once
    once.encode("utf-8")
