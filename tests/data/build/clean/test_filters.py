"""The rules on each record by itself: what falls, what stays, and what is said of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.clean.benchmarks import benchmarks_of
from statllama.data.build.clean.filters import Filters
from statllama.data.build.clean.sections import without
from statllama.data.build.clean.spec import CleanSpec
from statllama.data.build.records import text_of
from statllama.data.ngrams import words
from statllama.errors import DataError
from tests.data.build.clean.test_language import LANGUAGES
from tests.data.build.clean.writing import MORE, PROSE, document, outcomes, reasons, row, section

QUESTION = (
    "A farmer has 12 rows of apple trees with 15 trees in each row, and every tree gives 40 apples in 2 good years. "
    "How many of the apples does the farmer pick in 3 good years if 5 of the trees give none at all?"
)


def filters(root: Path | None = None, **fields: Any) -> Filters:
    spec = CleanSpec(**({"contamination": "ignore"} if root is None else {}) | fields)
    return Filters(spec, benchmarks_of(spec, root or Path()))


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A folder with a benchmark of three questions, and a file with two others for it."""
    folder = tmp_path / "eval" / "farm"
    folder.mkdir(parents=True)
    mine = [QUESTION, "Which of these is a measure of spread in a sample?", "What is 2 + 3?"]
    (folder / "farm.jsonl").write_text("".join(json.dumps({"question": q, "answer": "a"}) + "\n" for q in mine))
    (folder / "farm.yaml").write_text(
        "task: farm\ndataset_path: json\ndataset_kwargs: {data_files: {test: farm.jsonl}}\ntest_split: test\n"
        "doc_to_text: '{{question}}'\ndoc_to_target: answer\n"
    )
    (tmp_path / "own.jsonl").write_text(json.dumps({"question": MORE[:200], "answer": "b"}) + "\n")
    return tmp_path


def test_good_text_goes_through_unchanged() -> None:
    records = [document("d", section(PROSE, "One"), section(MORE, "Two", 2)), row("r", prompt=PROSE, completion=MORE)]
    assert outcomes(filters(), records) == (records, [])


def test_sections_fall_one_by_one_and_the_document_stays() -> None:
    record = document(
        "d",
        section(PROSE, "Introduction"),
        section("[1] A. Lee, 1999.", "References", kind="references"),
        section("We thank all.", "Acknowledgements", kind="acknowledgements"),
        section("Too short to learn from.", "Note"),
        section(LANGUAGES["fr"], "Résumé"),
        section("The same line of many words stands here.\n" * 20, "Noise"),
        section(MORE, "Conclusion"),
    )
    kept, lost = outcomes(filters(), [record])
    assert [part["heading"] for part in kept[0]["sections"]] == ["Introduction", "Conclusion"]
    assert [(left.reason, left.where, left.detail) for left in lost] == [
        ("section: references", "d, section 2: References", ""),
        ("section: acknowledgements", "d, section 3: Acknowledgements", ""),
        ("section: fewer than 20 words", "d, section 4: Note", "5 words"),
        ("section: language is not en", "d, section 5: Résumé", lost[3].detail),
        ("section: more than 0.4 of the lines repeat others", "d, section 6: Noise", "0.95"),
    ]
    assert lost[3].detail.startswith("fr with ")
    assert outcomes(filters(drop_sections=[]), [record])[1][0].reason == "section: fewer than 20 words"


def test_a_heading_stays_where_a_section_below_it_does() -> None:
    short = section("In short.", "Chapter 2", 1)
    record = document(
        "d",
        section("", "Chapter 1", 1),
        section(f"{PROSE} {MORE}", "Part 1.1", 2),
        short,
        section("Nothing.", "Part 2.1", 2),
        section("", "Chapter 3", 1),
    )
    kept, lost = outcomes(filters(), [record])
    assert [part["heading"] for part in kept[0]["sections"]] == ["Chapter 1", "Part 1.1"]
    assert [left.where for left in lost] == ["d, section 3: Chapter 2", "d, section 4: Part 2.1"]
    record["sections"][3]["text"] = MORE
    kept, lost = outcomes(filters(), [record])
    assert kept[0]["sections"][2] == {**short, "text": ""} and len(lost) == 1


def test_documents_fall_whole() -> None:
    german = document("de", section(LANGUAGES["de"]), section(PROSE[:150]), section(LANGUAGES["de"]))
    bits = document("bits", *(section(LANGUAGES["es"][i : i + 60]) for i in range(0, 180, 60)))
    little = document("little", PROSE[:240])
    nothing = document("nothing", section("[1] A. Lee", "References", kind="references"))
    kept, lost = outcomes(filters(length={"section": 5}), [german, bits, little, nothing])
    assert kept == [] and reasons(lost) == [
        ("document: language is not en", "de"),
        ("document: language is not en", "bits"),
        ("document: fewer than 50 words", "little"),
        ("section: references", "nothing, section 1: References"),
        ("document: no text stays", "nothing"),
    ]
    assert [each["id"] for each in outcomes(filters(language="de", quality=None), [german])[0]] == ["de"]
    assert outcomes(filters(language=None, quality=None, length={"document": None}), [german, little])[0] == [german, little]


def test_lengths_have_two_ends() -> None:
    assert (len(words(PROSE)), len(words(MORE))) == (63, 63)
    bounds = {"most_section": 62, "most_document": 120, "most_row": 60}
    record = document("d", PROSE, MORE, PROSE[:150], LANGUAGES["en"][150:])
    lost = outcomes(filters(length=bounds), [record])[1]
    assert [(left.reason, left.where) for left in lost] == [
        ("section: more than 62 words", f"d, section {i}") for i in (1, 2)
    ]
    lost = outcomes(filters(length={"most_document": 125}), [document("d", PROSE, MORE)])[1]
    assert [(left.reason, left.detail) for left in lost] == [("document: more than 125 words", "126 words")]
    assert reasons(outcomes(filters(length=bounds), [row("r", text=f"{PROSE} {MORE}"), row("s", text="no")])[1]) == [
        ("row: more than 60 words", "r"),
        ("row: fewer than 3 words", "s"),
    ]


def test_rows_are_judged_text_by_text() -> None:
    rows = [
        row("good", messages=[{"role": "user", "content": PROSE}, {"role": "assistant", "content": f"{PROSE} {MORE}"}]),
        row("loop", prompt=PROSE, chosen=MORE, rejected="I think so. " * 30),
        row("french", prompt=LANGUAGES["fr"], completion=LANGUAGES["fr"]),
    ]
    kept, lost = outcomes(filters(), rows)
    assert kept == rows[:1]
    assert [left.where for left in lost] == ["loop", "french"] and lost[0].record == rows[1]
    assert lost[1].reason == "row: language is not en"


def test_personal_data_are_replaced_in_texts_alone() -> None:
    record = document("d", section(f"{PROSE} Write to ann@uni-ulm.de or bob@uni-ulm.de. {MORE}", "By ann@uni-ulm.de"))
    record["origin"]["authors"] = ["ann@uni-ulm.de"]
    talk = [
        {"role": "user", "content": "Who is at 134.60.1.111?"},
        {"role": "assistant", "content": "Nobody is there."},
    ]
    kept, lost = outcomes(filters(), [record, row("r", messages=talk, note="ann@uni-ulm.de")])
    assert kept[0]["sections"][0]["heading"] == "By [EMAIL]" and "[EMAIL] or [EMAIL]" in text_of(kept[0])
    assert kept[0]["origin"] == record["origin"] and kept[1]["row"]["note"] == "[EMAIL]"
    assert kept[1]["row"]["messages"][0] == {"role": "user", "content": "Who is at [IP]?"}
    assert [(left.reason, left.detail) for left in lost] == [
        ("replaced: e-mail address", "3 of it"),
        ("replaced: IP address", "1 of it"),
        ("replaced: e-mail address", "1 of it"),
    ]
    assert "ann@" in json.dumps(record)  # what was given is as it was


def test_personal_data_can_drop_or_stay() -> None:
    record = document("d", f"{PROSE} Write to ann@uni-ulm.de.", MORE)
    kept, lost = outcomes(filters(pii="drop"), [record, row("r", text="Write to ann@uni-ulm.de today.")])
    assert len(kept) == 1 and [part["text"] for part in kept[0]["sections"]] == [MORE]
    assert reasons(lost) == [
        ("section: personal data: e-mail address", "d, section 1"),
        ("row: personal data: e-mail address", "r"),
    ]
    assert "ann@" not in json.dumps([left.as_json() for left in lost])  # nor does what is left out keep them
    assert outcomes(filters(pii="keep"), [record]) == ([record], [])
    assert outcomes(filters(pii_kinds=["phone"]), [record]) == ([record], [])


def test_copies_of_questions_go_with_the_question_named(asked: Path) -> None:
    other = re.sub(r"\d+", lambda number: str(int(number[0]) + 7), QUESTION)
    record = document("d", PROSE, f"It is easy.\n\n{QUESTION}\n\nSo say it.", f"A sum. {other}", MORE)
    rows = [row("r", prompt="What is 2 + 3?", completion="5"), row("s", prompt="What is 2 + 4?", completion="It is 6.")]
    kept, lost = outcomes(filters(asked, tasks=["farm"]), [record, *rows])
    assert [part["text"] for part in kept[0]["sections"]] == [PROSE, MORE] and [each["id"] for each in kept] == [
        "d",
        "s",
    ]
    assert reasons(lost) == [
        ("section: copies a benchmark question", "d, section 2"),
        ("section: copies a benchmark question", "d, section 3"),
        ("row: copies a benchmark question", "r"),
    ]
    assert lost[0].detail.startswith("question 1 of farm (13 words in a row are the same, 100%): ")
    assert lost[1].detail.startswith("question 1 of farm (the same except for numbers and names")
    assert lost[2].detail.startswith("question 3 of farm (the whole question, 100%)")
    assert len(outcomes(filters(asked, contamination="ignore"), [record])[0][0]["sections"]) == 4


REWORDED = (
    "In an orchard the apple trees stand in 9 rows of 11. Each tree of the farmer gives 30 apples a year. How many "
    "apples does she pick in that year, where every eighth tree gives none? " + MORE
)


def test_suspects_stay_and_are_noted(asked: Path) -> None:
    records = [document("d", PROSE, section(REWORDED, "Orchard")), row("r", prompt=REWORDED, completion="yes")]
    kept, lost = outcomes(filters(asked, tasks=["farm"]), records)
    assert lost == [] and kept[0]["sections"] == records[0]["sections"] and kept[1]["row"] == records[1]["row"]
    (found,) = kept[0]["checks"]["suspects"]
    assert found["benchmark"] == "farm" and found["question"] == 1 and found["where"] == "d, section 2: Orchard"
    assert 0.26 <= found["similarity"] < 1 and "orchard" in found["passage"]
    assert kept[1]["provenance"]["checks"]["suspects"][0]["where"] == "r"
    assert outcomes(filters(asked, tasks=["farm"], suspects=False), records) == (records, [])


def test_questions_of_a_file_of_the_users(asked: Path) -> None:
    step = filters(asked, tasks=["farm"], benchmarks={"farm": "own.jsonl"})
    kept, lost = outcomes(step, [document("d", PROSE, QUESTION, MORE)])
    assert [part["text"] for part in kept[0]["sections"]] == [PROSE, QUESTION]
    assert lost[0].where == "d, section 3"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": ["farn"]}, "`clean.tasks`: no benchmark 'farn'.*farm"),
        ({"tasks": ["farm"], "benchmarks": {"gsm8k": "x.jsonl"}}, "no benchmark 'gsm8k' is looked for"),
        ({"tasks": ["farm"], "benchmarks": {"farm": "none.jsonl"}}, "`clean.benchmarks.farm`: no such file"),
        ({"tasks": ["farm"], "benchmarks": {"farm": {"train": "own.jsonl"}}}, "has no split 'train'"),
    ],
)
def test_wrong_benchmarks_are_told_before_anything_runs(asked: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, ValueError), match=message):
        filters(asked, **fields)


def test_questions_that_cannot_be_read_are_told_with_what_to_write(asked: Path) -> None:
    (asked / "own.jsonl").write_text("{broken\n")
    step = filters(asked, tasks=["farm"], benchmarks={"farm": "own.jsonl"})
    with pytest.raises(DataError, match="benchmark farm: its questions cannot be read") as error:
        step.plan(lambda: iter(()))
    assert "benchmarks: {" in str(error.value.remedy)


LEVELS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["keep", "drop", "bare"])), max_size=12)


@given(LEVELS)
def test_what_stays_is_in_its_order_and_no_bare_heading_stands_alone(parts: list[tuple[int, str]]) -> None:
    sections = [section(f"text {i}", f"heading {i}", level) for i, (level, _) in enumerate(parts)]
    gone = {i for i, (_, fate) in enumerate(parts) if fate == "drop"}
    bare = {i for i, (_, fate) in enumerate(parts) if fate == "bare"}
    kept = without(sections, gone, bare)
    numbers = [int(part["heading"].split()[1]) for part in kept]
    assert numbers == sorted(numbers) and [i for i in numbers if i not in bare] == sorted(
        set(range(len(parts))) - gone - bare
    )
    for place, number in enumerate(numbers):
        if number in bare:
            assert kept[place]["text"] == "" and kept[place + 1]["level"] > kept[place]["level"]
