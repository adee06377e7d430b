"""Lines that repeat over documents or sections, and publishers' notices."""

from __future__ import annotations

import pytest

from statllama.data.build.clean import boilerplate
from statllama.data.build.clean.boilerplate import NOTICE, REPEATED, Boilerplate
from statllama.data.build.clean.spec import BoilerplateSpec, LengthSpec
from statllama.data.build.records import Json
from tests.data.build.clean.writing import MORE, PROSE, document, outcomes, reasons, row, section

ANY = LengthSpec(section=None, document=None)
FOOT = "Journal of Worked Examples, volume {}, page {}"


def step(length: LengthSpec = ANY, **fields: object) -> Boilerplate:
    return Boilerplate(BoilerplateSpec(**fields), length)


def test_a_line_of_many_documents_goes_whatever_its_numbers() -> None:
    own = [f"Text {letter} of its own kind." for letter in "abcdefghij"]
    given = [document(f"d{i}", f"{own[i]}\n{FOOT.format(i, 10 * i)}\nMore of {i}.") for i in range(10)]
    kept, lost = outcomes(step(), given)
    assert kept[3]["sections"][0]["text"] == "Text d of its own kind.\nMore of 3."
    assert reasons(lost) == [(REPEATED, f"d{i}, section 1") for i in range(10)]
    assert lost[3].detail == "1: Journal of Worked Examples, volume 3, page 30"
    assert outcomes(step(), given[:9])[1] == []  # nine are fewer than ten


def test_the_share_of_all_documents_counts_too() -> None:
    line, own = "A line of ten documents here.\n", [f"Line {letter} stands alone." for letter in "abcdefghijklmnopqrst"]
    given = [document(f"d{i}", line * (i < 10) + own[i]) for i in range(20)]
    assert len(outcomes(step(share=0.5), given)[1]) == 10
    assert outcomes(step(share=0.6), given)[1] == []


def test_a_line_that_is_often_in_one_document_alone_is_counted_once_there() -> None:
    given = [document("a", "A line that is here again.\n" * 30), document("b", PROSE), document("c", MORE)]
    assert outcomes(step(documents=2, sections=None), given)[1] == []


def test_running_heads_of_one_document_go() -> None:
    parts = [section(f"On the theory of tests\nPart {i} begins: {'abcde'[i]}.", f"Part {i}") for i in range(5)]
    kept, lost = outcomes(step(), [document("d", *parts)])
    assert [part["text"] for part in kept[0]["sections"]] == [f"Part {i} begins: {'abcde'[i]}." for i in range(5)]
    assert [reason for reason, _ in reasons(lost)] == [REPEATED] * 5
    assert outcomes(step(sections=6), [document("d", *parts)])[1] == []


@pytest.mark.parametrize(
    "line", ["Solution", "10 | 20 | 30 | 40", "P(X > 3) = 1 - P(X < 3) - 0.2", "The proof is here"]
)
def test_short_lines_formulas_and_tables_are_no_boilerplate(line: str) -> None:
    given = [document(f"d{i}", f"{line}\nText {'abcdefghijkl'[i]} of its own.") for i in range(12)]
    assert outcomes(step(least_words=5), given)[1] == []


@pytest.mark.parametrize(
    "line",
    [
        "Downloaded from https://www.journal.org/article/12 by guest on 3 March 2021",
        "© 2020 The Authors. Published by Example Press.",
        "Copyright 2019 by the author(s).",
        "All rights reserved. No part of this work may be reproduced.",
        "This is an open access article distributed under the terms of the Creative Commons Attribution License.",
        "This article is licensed under a Creative Commons Attribution 4.0 International License.",
        "Publisher's Note Springer Nature remains neutral with regard to jurisdictional claims in published maps.",
        "Received 3 March 2020; accepted 4 May 2021",
        "arXiv:2601.09718v1 [stat.ME] 14 Jan 2026",
        "Preprint submitted to Journal of Worked Examples",
        "ISSN 1234-567X",
        "doi: 10.1000/182",
        "The authors declare that they have no conflicts of interest.",
    ],
)
def test_publishers_notices_go(line: str) -> None:
    kept, lost = outcomes(step(), [document("d", f"{PROSE}\n{line}\n\n{MORE}")])
    assert reasons(lost) == [(NOTICE, "d, section 1")] and lost[0].detail == f"1: {line}"
    assert kept[0]["sections"][0]["text"] == f"{PROSE}\n\n{MORE}"
    assert outcomes(step(notices=False), [document("d", line)])[1] == []


@pytest.mark.parametrize(
    "line",
    [
        "The data can be downloaded from the page of the book, and were received in March.",
        "Copyright law changed the number of books, as the table shows.",
        "We received 30 answers in May and 40 in June.",
        "Accepted values lie between 3 and 5.",
        "The open access movement grew by 5 % a year.",
        "Published results are too often significant.",
    ],
)
def test_what_is_no_notice_stays(line: str) -> None:
    assert outcomes(step(), [document("d", line)])[1] == []


def test_what_is_too_short_without_its_boilerplate_goes() -> None:
    foot = "This line stands at the foot of every page of the journal, whatever the article on the page is about."
    given: list[Json] = [
        document(f"d{i}", section(foot, "Notice"), section(f"{PROSE}\n\n{MORE}", "Text")) for i in range(9)
    ]
    given.append(document("d9", section(foot, "Notice")))
    kept, lost = outcomes(step(LengthSpec()), given)
    assert [[part["heading"] for part in each["sections"]] for each in kept] == [["Text"]] * 9
    assert ("document: no text stays", "d9") in reasons(lost) and len(lost) == 11


def test_memory_does_not_grow_with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines share a place in the tables, counts are too high, never too low, and the second pass is exact."""
    given = [
        document(f"d{i}", f"Line {'abcdefghijkl'[i]} of its own here.\nA line of all documents here.")
        for i in range(12)
    ]
    before = outcomes(step(), given)
    monkeypatch.setattr(boilerplate, "PLACES", 2)
    assert outcomes(step(), given) == before


def test_rows_stay_as_they_are() -> None:
    given = [row(f"r{i}", text="The same line of all rows is here.") for i in range(12)]
    assert outcomes(step(), given) == (given, [])
