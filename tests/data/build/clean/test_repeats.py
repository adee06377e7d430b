"""Documents, sections and rows that repeat an earlier one."""

from __future__ import annotations

import pytest

from statllama.data.build.clean.repeats import Repeats
from tests.data.build.clean.writing import MORE, PROSE, document, outcomes, reasons, row, section

WHOLE = f"{PROSE} {MORE}"
NEAR = WHOLE.replace("t distribution", "normal distribution")  # 5 of about 110 runs of five words change


def other(name: str) -> str:
    return " ".join(f"{name}{i} is word {name} {i} of a text on its own topic," for i in range(12))


def test_documents_that_repeat_go_and_the_first_stays() -> None:
    given = [
        document("a", WHOLE),
        document("b", other("b")),
        document("c", WHOLE.upper()),
        document("d", NEAR),
    ]
    kept, lost = outcomes(Repeats("near"), given)
    assert kept == given[:2]
    assert reasons(lost) == [
        ("document: repeats an earlier one", "c"),
        ("document: nearly repeats an earlier one", "d"),
    ]
    assert lost[0].detail == "a, similarity 1" and lost[1].detail.startswith("a, similarity 0.9")
    assert [each["id"] for each in outcomes(Repeats("exact"), given)[0]] == ["a", "b", "d"]


def test_sections_that_repeat_go_and_the_rest_stays() -> None:
    preface = section(WHOLE, "Preface")
    given = [
        document("a", preface, section(other("a"), "One")),
        document("b", preface, section(other("b"), "Two")),
        document("c", section(other("c"), "Three"), section(f"{other('c')}", "Again")),
    ]
    kept, lost = outcomes(Repeats("near"), given)
    assert [[part["heading"] for part in each["sections"]] for each in kept] == [["Preface", "One"], ["Two"], ["Three"]]
    assert [(left.where, left.detail) for left in lost] == [
        ("b, section 1: Preface", "a, section 1: Preface, similarity 1"),
        ("c, section 2: Again", "c, section 1: Three, similarity 1"),
    ]


def test_sections_of_a_document_that_goes_do_not_count() -> None:
    """Else both would go: the document for its likeness, and then the section that it has in common with another."""
    given = [document("a", WHOLE), document("b", section(NEAR, "B")), document("c", section(other("c")), section(NEAR))]
    _, lost = outcomes(Repeats("near"), given)
    assert reasons(lost) == [
        ("document: nearly repeats an earlier one", "b"),
        ("section: nearly repeats an earlier one", "c, section 2"),
    ]
    assert lost[1].detail.startswith("a, section 1")


def test_a_document_whose_sections_all_repeat_goes() -> None:
    given = [document("a", WHOLE), document("b", other("b")), document("c", WHOLE, other("b"))]
    kept, lost = outcomes(Repeats("exact"), given)
    assert [each["id"] for each in kept] == ["a", "b"] and reasons(lost)[-1] == ("document: no text stays", "c")


@pytest.mark.parametrize("mode", ["exact", "near"])
def test_rows_that_repeat_go(mode: str) -> None:
    given = [row("a", prompt=PROSE, completion=MORE), row("b", prompt="What is 2 + 3?", completion="5")]
    given += [row("c", prompt=PROSE, completion=MORE), row("d", prompt="What is 2 + 4?", completion="6")]
    kept, lost = outcomes(Repeats(mode), given)  # type: ignore[arg-type]
    assert [each["id"] for each in kept] == ["a", "b", "d"]
    assert reasons(lost) == [("row: repeats an earlier one", "c")]


def test_empty_sections_do_not_repeat_each_other() -> None:
    given = [document(name, section("", "Chapter"), section(other(name))) for name in "abc"]
    assert outcomes(Repeats("near"), given) == (given, [])
