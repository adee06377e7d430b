"""What a source's texts look like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.survey import Survey, Surveyor, guess_language, has_long_run, script


def survey(*texts: str) -> Survey:
    surveyor = Surveyor()
    for i, text in enumerate(texts, start=1):
        surveyor.add(text, f"row {i}")
    return surveyor.finish()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the mean\ufffd", "replacement"),
        ("it\u00e2\u20ac\u2122s", "Latin-1"),
        ("caf\u00c3\u00a9", "Latin-1"),
        ("a\x07b", "control"),
        ("a\u200bb", "invisible"),
        ("<p>The mean</p>", "HTML"),
        ("x &amp; y", "HTML"),
        ("no" * 3 + "o" * 60, "in a row"),
        ("x" * 51, "in a row"),
        ("text " * 99 + "!" * 51 + " text" * 9, "in a row"),
    ],
)
def test_oddities(text: str, name: str) -> None:
    found = survey("Clean text.", text)
    (label,) = found.oddities
    assert name in label and found.oddities[label] == 1 and found.first[label] == "row 2"


@pytest.mark.parametrize(
    "text",
    [
        "P(X < 3) > 0.5 & p < 0.05",
        "r = -0.5 \u2248 \u00b11",
        "Stra\u00dfe, caf\u00e9, na\u00efve",
        "------ " * 20,
        "line\n\ttab\r\n",
    ],
)
def test_ordinary_text_is_not_odd(text: str) -> None:
    assert survey(text).oddities == {}


def test_duplicates_are_counted() -> None:
    found = survey("a", "b", "a", "a")
    assert (found.rows, found.duplicates) == (4, 2)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the mean", "Latin"),
        ("1 + 1 = 2", "none"),
        ("\u0441\u0440\u0435\u0434\u043d\u0435\u0435 \u0437\u043d\u0430\u0447\u0435\u043d\u0438\u0435", "Cyrillic"),
        ("\u5e73\u5747\u6570\u662f\u4ec0\u4e48 (mean)", "Cjk"),
        ("the Greek letters \u03bc and \u03c3", "Latin"),
    ],
)
def test_scripts(text: str, name: str) -> None:
    assert script(text) == name


def test_languages() -> None:
    english = (
        "The mean of a sample is the sum of the values divided by how many there are, and it is one number for all."
    )
    german = (
        "Der Mittelwert ist die Summe der Werte, geteilt durch ihre Anzahl, und er ist nicht mit dem Median "
        "zu verwechseln oder gleich."
    )
    french = (
        "La moyenne est la somme des valeurs et elle se calcule avec une division par le nombre de valeurs dans le "
        "tableau, pas plus."
    )
    assert [guess_language(t) for t in (english, german, french, "The mean.")] == ["English", "German", "French", None]
    assert survey(english, german, english).languages == {"English": 2, "German": 1}


def test_survives_json() -> None:
    found = survey("a", "\ufffd", "b")
    assert Survey.from_json(found.as_json()) == found


@given(before=st.integers(0, 120), length=st.integers(1, 120), after=st.integers(0, 60))
def test_a_long_run_is_found_wherever_it_is(before: int, length: int, after: int) -> None:
    text = "ab" * (before // 2) + "a" * (before % 2) + "z" * length + "cd" * (after // 2)
    assert has_long_run(text) == (length > 50)
