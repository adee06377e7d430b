"""What of a document is written about, and in which pieces."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.data.build.records import LeftOut
from statllama.data.build.write.spec import PartSpec
from statllama.data.build.write.windows import Window, cut, windows
from tests.data.build.write.documents import TEXT, document, section

WORD = st.sampled_from(["a", "Mean", "$x$", "\\\\mu"])
SENTENCE = st.lists(WORD, min_size=1, max_size=20).map(lambda words: " ".join(words).capitalize() + ".")
PARAGRAPH = st.lists(SENTENCE, min_size=1, max_size=6).map(" ".join)


def spec(**fields: Any) -> PartSpec:
    return PartSpec.model_validate({"kind": "cloze", "min_words": 5, **fields})


@settings(max_examples=40)
@given(st.lists(PARAGRAPH, max_size=5).map("\n\n".join), st.integers(1, 60))
def test_no_word_is_lost_and_no_window_too_long(text: str, most: int) -> None:
    found = cut(text, most)
    assert " ".join(found).split() == text.split()
    assert all(0 < len(window.split()) <= most for window in found)
    if len(text.split()) <= most:
        assert len(found) <= 1


def test_cuts_are_at_ends_of_paragraphs_and_windows_about_equally_long() -> None:
    paragraphs = [f"Paragraph {i} " + "word " * 18 for i in range(6)]
    found = cut("\n\n".join(paragraphs), 100)
    assert [len(window.split()) for window in found] == [60, 60]
    assert found[0].split("\n\n") == [paragraph.strip() for paragraph in paragraphs[:3]]
    assert cut(TEXT, 25) == [
        "The median is the value that splits a sorted sample in half.",
        "It does not move when the largest value grows, so it is called robust. The mean moves with every value.",
        "For a skewed sample the two differ, and the difference says in which direction the sample leans. "
        "Reports of incomes therefore give the median.",
    ]


def test_what_is_left_out_is_told() -> None:
    given_ = document(
        "a",
        section("Too short."),
        section(kind="references", heading="References"),
        section(TEXT, "methods"),
        section(""),
    )
    found = list(windows(given_, spec(max_words=30)))
    assert [(each.reason, each.where) for each in found if isinstance(each, LeftOut)] == [
        ("fewer than 5 words", "file:a.md, section 1, window 1"),
        ("a section of a kind that is not written about", "file:a.md, section 2"),
        ("fewer than 5 words", "file:a.md, section 4"),
    ]
    kept = [each for each in found if isinstance(each, Window)]
    assert [each.id for each in kept] == ["file:a.md#2.0", "file:a.md#2.1"]
    assert " ".join(each.text for each in kept) == TEXT


def test_topics() -> None:
    about = document("a", topics=["median", "mean"])
    assert [type(each) for each in windows(about, spec(topics=["mean", "anova"]))] == [Window]
    (left,) = windows(about, spec(topics=["anova"]))
    assert isinstance(left, LeftOut) and left.reason == "about none of the topics" and left.detail == "median, mean"
    (left,) = windows(document("a"), spec(topics=["anova"]))
    assert isinstance(left, LeftOut) and left.detail == "no topic"
    (left,) = windows({**document("a"), "sections": []}, spec())
    assert isinstance(left, LeftOut) and left.reason == "a document without sections"


def test_where_a_window_comes_from() -> None:
    (window,) = windows(document("a", section(pages=[3, 4])), spec())
    assert isinstance(window, Window) and window.provenance == {
        "document": "file:a.md", "place": "a.md", "section": "Centre", "licence": "CC-BY-4.0", "pages": [3, 4],
    }  # fmt: skip
    unknown = document("b")
    del unknown["origin"]["licence"], unknown["origin"]["title"]
    (window,) = windows(unknown, spec())
    assert isinstance(window, Window) and "licence" not in window.provenance and window.title == ""
