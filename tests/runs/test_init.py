"""What `init` makes of files: how they are read, what is held out, and settings that follow from the rows."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.contamination import Question, Questions, plain
from statllama.data.examples import Conversation, Document, Message, Preference
from statllama.data.formats import parse_row
from statllama.data.ngrams import words
from statllama.data.suspects import STRONG, Resembling
from statllama.errors import DataError, NotFoundError, UsageError
from statllama.runs.init import benchmark
from statllama.runs.init.columns import mapping_of
from statllama.runs.init.draft import as_row, look
from statllama.runs.init.holdout import Split, split
from statllama.runs.init.pool import wanted_items
from statllama.runs.init.reading import read
from statllama.runs.init.settings import ChosenBase, stage_settings
from statllama.runs.init.survey import Found, Unit, pieces
from tests.conftest import conversations, judgements, preferences, write_jsonl

# ------------------------------------------------------------------ files as they come

TEXT = 'Frage;Antwort\nWas kostet das?;5 €\n"Heißt es „so“;\nja?";Ja\n'
AS_READ = [{"Frage": "Was kostet das?", "Antwort": "5 €"}, {"Frage": "Heißt es „so“;\nja?", "Antwort": "Ja"}]


@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with BOM"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_a_table_is_read_whatever_its_encoding(tmp_path: Path, codec: str, named: str) -> None:
    path = tmp_path / "faq.csv"
    path.write_bytes(TEXT.encode(codec))
    before = path.read_bytes()
    contents = read(path, tmp_path)
    assert [row for _, row in contents.rows] == AS_READ
    assert (contents.encoding, contents.delimiter) == (named, "semicolons")
    assert path.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["faq.csv"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_cells_survive_every_delimiter(tmp_path: Path, delimiter: str) -> None:
    """Against Python's own writer: cells hold every delimiter, quotes and line ends."""
    rows = [["question", "answer"], ['a, b; c | d\t"e"?', "line\nend"], ["plain?", "x"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(rows)
    path = tmp_path / ("x.tsv" if delimiter == "\t" else "x.csv")
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    found = [list(row.values()) for _, row in read(path, tmp_path).rows]
    assert found == rows[1:]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"question,answer\n", "a.csv: no rows"),
        ("a.csv", b"question;answer\nx;y\nbroken\n", "a.csv, row 2"),
        ("a.jsonl", b'{"question": "a?", "answer": "b"}\n{"question": \n', "a.jsonl, row 2 (line 2): not valid JSON"),
        ("a.jsonl", '{"question": "äöü?", "answer": "ßßß"}'.encode() + b"\n\xff", "not UTF-8: the byte at offset"),
        ("a.jsonl", b'{"x": 1}\n', "a.jsonl: no known format; columns found: x"),
        ("a.xlsx", b"PK", "unknown kind of file '.xlsx'"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        look([str(tmp_path / name)])
    assert said in error.value.message and error.value.remedy


def test_rows_that_cannot_be_used_are_set_aside_and_mixed_files_refused(tmp_path: Path) -> None:
    rows = [{"question": f"{i}?", "answer": "x"} for i in range(10)]
    path = write_jsonl(tmp_path / "a.jsonl", [*rows, {"question": "empty?", "answer": ""}])
    (found,) = look([str(path)]).found
    assert len(found.units) == 10 and [fault.row for fault in found.faults] == [11]
    write_jsonl(path, [*rows[:5], *({"text": "a document"} for _ in range(5))])
    with pytest.raises(DataError, match=r"a.jsonl: 5 of 10 rows cannot be used.*row 6: no column 'question'"):
        look([str(path)])


@pytest.mark.parametrize(
    ("name", "head", "row", "broken", "why"),
    [
        ("a.jsonl", "", '{"question": "%d?", "answer": "x"}', '{"question": ', "JSON: Expecting value at col"),
        ("a.jsonl", "", '{"question": "%d?", "answer": "x"}', '{"question": "\x01"}', "Invalid control character at c"),
        ("a.jsonl", "", '{"question": "%d?", "answer": "x"}', "null", "not an object but null"),
        ("a.csv", "question,answer", "%d?,x", "7?,x,more", "3 cells, not 2"),
        ("a.csv", "question;answer", "%d?;x", "7?", "1 cell, not 2"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_set_aside(
    tmp_path: Path, name: str, head: str, row: str, broken: str, why: str
) -> None:
    """The others keep their numbers; of more than a fifth the first is the error."""
    lines = [row % i for i in range(20)]
    lines[6] = broken
    (tmp_path / name).write_text("\n".join([*([head] if head else []), *lines]) + "\n")
    (found,) = look([str(tmp_path / name)]).found
    assert [unit.row for unit in found.units] == [i for i in range(1, 21) if i != 7]
    (fault,) = found.faults
    assert fault.row == 7 and why in fault.why and str(tmp_path) not in fault.why and fault.content
    assert not fault.why.startswith(("row", "(line"))
    lines[:5] = [broken] * 5
    (tmp_path / name).write_text("\n".join([*([head] if head else []), *lines]) + "\n")
    with pytest.raises(DataError, match=f"{name}, row 1.*{re.escape(why)}") as error:
        look([str(tmp_path / name)])
    assert error.value.remedy


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_without_names_of_columns_is_noted(tmp_path: Path, delimiter: str) -> None:
    rows = [[f"What is the meaning of word number {i}?", f"It is the meaning {i} of course"] for i in range(12)]
    path = tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv")
    for names, noted in (([], True), ([["question", "answer"]], False), ([["Frage (lang)", "Antwort"]], False)):
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, delimiter=delimiter).writerows([*names, *rows])
        try:
            said = " ".join(look([str(path)]).notes)
        except DataError as error:
            said = f"{error.message} {error.remedy}"
        assert ("looks like data: 'What is the meaning of word number 0?'" in said) is noted, said
        assert ("put a first line with names above it" in said) is noted


def test_files_named_twice_are_read_once_and_missing_ones_have_near_names(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", conversations(3))
    looked = look([str(path), str(tmp_path), str(path)])
    assert len(looked.found) == 1 and any("named twice" in note for note in looked.notes)
    with pytest.raises(NotFoundError, match=r"no such file or folder; did you mean .*rows.jsonl"):
        look([str(tmp_path / "row.jsonl")])
    (tmp_path / "scan.pdf").write_bytes(b"%PDF")
    assert any("scan.pdf: not read" in note for note in look([str(tmp_path)]).notes)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="an empty folder"):
        look([str(tmp_path / "none")])


# ------------------------------------------------------------------ which column is which

QUIZZES: list[list[dict[str, Any]]] = [
    [{"Question": "q?", "A": "one", "B": "two", "Correct": "B"}],
    [{"question": "q?", "option1": "one", "option2": "two", "answer": "2"}],
    [{"question": "q?", "choices": ["one", "two"], "answer": 1}],
    [{"question": "q?", "choices": {"text": ["one", "two"], "label": ["1", "2"]}, "answerKey": "2"}],
    [{"Frage": "q?", "Optionen": "one|two", "Antwort": "two"}],
    [{"question": "q?", "choices": '["one", "two"]', "answer": "B. "}],
]  # fmt: skip


@pytest.mark.parametrize("rows", QUIZZES)
def test_a_quiz_is_read_in_every_form(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    (found,) = look([str(write_jsonl(tmp_path / "quiz.jsonl", rows))]).found
    (unit,) = found.units
    assert (unit.stem, unit.choices, unit.right, unit.answer) == ("q?", ("A. one", "B. two"), 1, "B. two")
    assert found.quiz and unit.question == "q?\n\nA. one\nB. two"


def test_numbers_of_choices_count_from_0_where_one_is_0(tmp_path: Path) -> None:
    rows = [{"question": f"{i}?", "choices": ["x", "y", "z"], "answer": i} for i in (0, 1, 2)]
    (found,) = look([str(write_jsonl(tmp_path / "quiz.jsonl", rows))]).found
    assert [unit.right for unit in found.units] == [0, 1, 2]
    from_one = [{**row, "answer": row["answer"] + 1} for row in rows]
    (found,) = look([str(write_jsonl(tmp_path / "quiz.jsonl", from_one))]).found
    assert [unit.right for unit in found.units] == [0, 1, 2]


@pytest.mark.parametrize(
    ("row", "format", "use"),
    [
        ({"Frage": "Was?", "Antwort": "Das."}, "question_answer", "sft"),
        ({"Prompt text": "Why?", "Model output": "So."}, "question_answer", "sft"),
        ({"user question": "Why?", "good": "So.", "bad": "No."}, "preference", "dpo"),
        ({"prompt": "Why?", "completion": "So.", "label": "true"}, "judged", "kto"),
        ({"prompt": "1 + 1?", "answer": 2}, "prompt_answer", "sft"),
        ({"body": "A long story. " * 30}, "text", "cpt"),
    ],
)
def test_columns_are_guessed(tmp_path: Path, row: dict[str, Any], format: str, use: str) -> None:
    (found,) = look([str(write_jsonl(tmp_path / "x.jsonl", [row]))]).found
    assert (found.format, found.use) == (format, use)


def test_words_that_judge_are_read_as_labels(tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}?", "response": "x", "rating": ("good", "bad")[i % 2]} for i in range(4)]
    (found,) = look([str(write_jsonl(tmp_path / "x.jsonl", rows))]).found
    assert [unit.example.label for unit in found.units] == [True, False, True, False]  # type: ignore[union-attr]


def test_columns_that_the_user_names_are_taken(tmp_path: Path) -> None:
    rows = [{"x1": "sky", "x2": "blue", "x3": "of it"}]
    reading = mapping_of(rows, {"question": "x1", "answer": "x2"})
    assert reading is not None and reading.format == "question_answer" and reading.how == "given"
    with pytest.raises(UsageError, match="no column 'x9'"):
        mapping_of(rows, {"question": "x1", "answer": "x9"})
    with pytest.raises(UsageError, match="no format reads"):
        mapping_of(rows, {"questoin": "x1", "answer": "x2"})


@pytest.mark.parametrize("rows", [conversations(2), preferences(2), judgements(2)])
def test_a_copied_row_is_the_same_example(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    (found,) = look([str(write_jsonl(tmp_path / "x.jsonl", rows))]).found
    for unit in found.units:
        copy = json.loads(json.dumps(as_row(unit.example)))
        format = {"sft": "messages", "dpo": "preference", "kto": "judged"}[unit.use]
        assert parse_row(SourceSpec(path="x", format=format), copy, "x") == unit.example


# ------------------------------------------------------------------ what is held out


def unit(question: str, answer: str = "so", row: int = 1) -> Unit:
    example = Conversation((Message("user", question), Message("assistant", answer)))
    return Unit("x.jsonl", row, example, question, answer)


def divided(units: Sequence[Unit], asked: int | None = None) -> Split:
    return split(units, benchmark.forms(units), benchmark.benchmark_text, asked)


@cache
def bare(text: str) -> str:
    """A text without case, accents, punctuation and width: an independent notion of the same question."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join(re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c))))


SENTENCE = "how many boxes of red pens did the tall clerk at our shop sell to you last week before noon again"
WORDS = SENTENCE.split()
QUESTIONS = st.lists(st.sampled_from(WORDS), min_size=3, max_size=18).map(" ".join)
DISGUISES: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda text: f"  {text}?!",
    lambda text: text.replace("e", "é"),
    lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in text),
]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(QUESTIONS, st.sampled_from(DISGUISES), st.sampled_from(["one", "two"])), max_size=60),
    st.sampled_from([None, 1, 5]),
    st.randoms(use_true_random=False),
)
def test_no_held_out_question_is_trained_on(rows: list[Any], asked: int | None, draw: Any) -> None:
    units = [unit(disguise(question), answer, i) for i, (question, disguise, answer) in enumerate(rows, start=1)]
    found = divided(units, asked)
    everywhere = [*found.train, *found.held_out, *found.left_out]
    assert sorted(everywhere) == list(range(len(units)))  # every row once
    kept_out = {bare(units[row].question) for row in found.held_out}
    assert not kept_out & {bare(units[row].question) for row in found.train}
    items = [row for rows in found.items.values() for row in rows]
    assert len({bare(units[row].question) for row in items}) == len(items)
    shuffled = units.copy()
    draw.shuffle(shuffled)
    again = divided(shuffled, asked)
    asked_again = [bare(shuffled[row].question) for rows in again.items.values() for row in rows]
    assert Counter(asked_again) == Counter(bare(units[row].question) for row in items)  # whatever the order


def test_documents_that_hold_a_question_keep_it_from_being_asked() -> None:
    """A document that quotes a question word for word is trained on, so that question is not held out."""
    syllables = [f"{a}{b}{c}" for a in ("ba", "ko", "tri") for b in ("lu", "ne", "sa") for c in ("mi", "rod", "vex")]
    draw = random.Random(1)
    questions = [" ".join(draw.choice(syllables) + draw.choice("aeiou") for _ in range(14)) for _ in range(40)]
    units = [unit(question, row=i) for i, question in enumerate(questions, start=1)]
    first = divided(units, 5)
    (rows,) = first.items.values()
    quoted = units[rows[0]].question
    document = Unit("notes.md", 1, Document(f"We asked: {quoted}? Nobody knew."), "We asked ...")
    found = divided([*units, document], 5)
    held = {[*units, document][row].question for row in found.held_out}
    assert quoted not in held and len(units) in found.train


TEMPLATES = (
    "A farmer sells {} baskets of ripe pears at the market for {} dollars each, and pays {} dollars for a stall",
    "The train to the coast covers {} miles within {} hours although it stops {} times before the bridge near town",
    "Of {} patients in the clinical trial {} recovered after a treatment that lasted {} weeks under supervision",
)
ENDS = (
    "Find the total.",
    "How much remains afterwards?",
    "Give a 95% interval and say what the figure means to readers.",
)


def template_rows(count: int, own: int) -> list[Unit]:
    """Rows out of few templates with other numbers, and among them `own` that resemble nothing."""
    draw = random.Random(5)
    texts = [
        draw.choice(TEMPLATES).format(*(draw.randint(2, 9999) for _ in range(3))) + ". " + draw.choice(ENDS)
        for _ in range(count)
    ]
    texts += [" ".join("".join(draw.choices("abdegiklmnoprstu", k=6)) for _ in range(20)) for _ in range(own)]
    draw.shuffle(texts)
    return [unit(text, f"answer {i}", i) for i, text in enumerate(texts, start=1)]


def test_few_rows_are_compared_with_a_question_that_is_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of templates resemble each other all: one is enough for a question to go back. What is held out is searched
    for again, in all training rows, by each form of the search on its own.
    """
    compared = 0
    whole = Resembling._similarity

    def counting(self: Resembling, *arguments: Any) -> tuple[float, int, int]:
        nonlocal compared
        compared += 1
        return whole(self, *arguments)

    told: list[tuple[int, int]] = []
    units = template_rows(900, 60)
    monkeypatch.setattr(Resembling, "_similarity", counting)
    found = split(units, benchmark.forms(units), benchmark.benchmark_text, progress=lambda *counts: told.append(counts))
    assert compared < 10 * len(units), compared
    assert all(done <= total for done, total in told) and told[-1][0] == told[-1][1]
    monkeypatch.undo()
    held = [units[row] for rows in found.items.values() for row in rows]
    assert len(held) >= 10
    assert given_away(units, found) == []


def given_away(units: Sequence[Unit], found: Split) -> list[str]:
    """The training rows that give a held-out question away, by each form of `data check`'s search on its own."""
    held = [units[row] for rows in found.items.values() for row in rows]
    questions = [Question("init", i, benchmark.benchmark_text(each)) for i, each in enumerate(held)]
    index, resembling = Questions(questions), Resembling(questions)
    texts = [(units[row].where, plain(units[row].text)) for row in found.train]
    resembling.add(texts, [words(text) for _, text in texts])
    alike = [near.where for group in resembling.found() for near in group.nearest if near.similarity >= STRONG]
    return [where for where, text in texts if index.search(text, "")] + alike


def nonsense(draw: random.Random, count: int) -> list[str]:
    """So many words that no other text has."""
    return ["".join(draw.choices("abdegiklmnoprstu", k=6)) for _ in range(count)]


@st.composite
def alike_rows(draw: st.DrawFn) -> list[str]:
    """Questions out of templates, in which numbers differ, or one word too; some that are alone; some asked again."""
    seed = random.Random(draw(st.integers(0, 2**32)))
    kinds = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(6, 30), st.booleans()), max_size=12))
    texts = []
    for rows, length, other_word in kinds:
        template = nonsense(seed, length)
        places = seed.sample(range(length), min(length, 3))
        for _ in range(rows):
            said = list(template)
            for place in places:
                said[place] = str(seed.randint(2, 9999))
            if other_word:
                said[seed.randrange(length)] = seed.choice(template)
            texts.append(" ".join(said) + "?")
    alone = draw(st.integers(0, 40))
    texts += [" ".join(nonsense(seed, 16)) for _ in range(alone)]
    texts += seed.sample(texts, len(texts) // 10)
    seed.shuffle(texts)
    return texts


@settings(max_examples=12, deadline=None)
@given(alike_rows(), st.sampled_from([None, 3, 30]), st.randoms(use_true_random=False))
def test_kinds_of_question_are_held_out_whole(texts: list[str], asked: int | None, draw: Any) -> None:
    units = [unit(text, f"answer {i}", i) for i, text in enumerate(texts, start=1)]
    found = divided(units, asked)
    assert sorted([*found.train, *found.held_out, *found.left_out]) == list(range(len(units)))
    assert given_away(units, found) == []
    assert sum(map(len, found.items.values())) <= sum(found.wanted.values())
    alive = len(units) - len(found.left_out)
    assert found.kind_rows <= (0.2 if asked is None else 0.5) * alive and len(found.train) >= 0.4 * alive
    order = list(range(len(units)))
    draw.shuffle(order)
    again = divided([units[i] for i in order], asked)
    assert {texts[order[row]] for rows in again.items.values() for row in rows} == {
        texts[row] for rows in found.items.values() for row in rows
    }


def test_one_of_few_templates_is_held_out() -> None:
    """Of five templates at least one has a fifth of the rows or less; no row of it is trained on."""
    draw = random.Random(7)
    patterns = [" ".join(nonsense(draw, 15)) + " {} {} {}?" for _ in range(5)]
    texts = [patterns[i % 5].format(*(draw.randint(2, 9999) for _ in range(3))) for i in range(600)]
    units = [unit(text, f"answer {i}", i) for i, text in enumerate(texts, start=1)]
    found = divided(units)
    (rows,) = found.items.values()
    (kind,) = {texts[row].split()[0] for row in rows}
    assert len(rows) == 100 and found.kind_rows == 120 == len(found.held_out)
    assert set(found.kinds) == set(rows) and set(found.kinds.values()) == {0} and not found.short
    assert all(texts[row].split()[0] != kind for row in found.train)

    three = [each for each in units if each.question.split()[0] in {p.split()[0] for p in patterns[:3]}]
    none = divided(three)  # a third of the rows is too many to lose, unless the user asks for as many
    assert not none.items and none.short and none.more == 120 and len(none.train) == 360
    more = divided(three, none.more)
    assert sum(map(len, more.items.values())) == 120 and len(more.train) == 240


def test_questions_that_stand_alone_come_first_and_kinds_are_spread() -> None:
    units = template_rows(400, 400)
    found = divided(units)
    assert not found.kinds and sum(map(len, found.items.values())) == 100  # of 800
    draw = random.Random(3)
    small = [" ".join(nonsense(draw, 14)) + " {} {}?" for _ in range(100)]
    texts = [text.format(draw.randint(2, 9999), draw.randint(2, 9999)) for text in small for _ in range(10)]
    units = [unit(text, f"answer {i}", i) for i, text in enumerate(texts, start=1)]
    found = divided(units)
    assert len(found.kinds) == 100 == sum(found.wanted.values()) and len(set(found.kinds.values())) == 20
    assert Counter(Counter(found.kinds.values()).values()) == {5: 20} and found.kind_rows == 200


def test_documents_that_hold_all_questions_leave_training_where_they_are_few() -> None:
    draw = random.Random(2)
    texts = [" ".join(nonsense(draw, 14)) + "?" for _ in range(60)]
    units = [unit(text, f"answer {i}", i) for i, text in enumerate(texts, start=1)]
    book = Document("\n".join(texts))
    found = divided([*units, Unit("book.md", 1, book, book.text)])
    assert sum(map(len, found.items.values())) == 12 and "holds a held-out question" in found.left_out[60]
    pages = [Document(" ".join([*nonsense(draw, 30), text, *nonsense(draw, 30)])) for text in texts]
    found = divided(
        [*units, *(Unit("book.md", i, page, page.text) for i, page in enumerate(pages))]
    )  # half of all rows
    assert not found.items and not found.left_out and found.short


def test_a_benchmark_of_kinds_says_which_items_belong_together() -> None:
    units = [unit(f"question number {i} of all?", f"word {i}", i) for i in range(40)]
    kinds = {row: row // 4 for row in range(40)}
    made = benchmark.benchmarks("mine", units, {"answers": range(40)}, kinds=kinds)
    for each in made:
        assert [row["kind"] for row in each.items] == [f"kind {i // 4}" for i in range(40)]
        assert "  cluster: kind" in each.task and "of 10 kinds" in each.readme
    few = benchmark.benchmarks("mine", units, {"answers": range(40)}, kinds={row: row // 20 for row in range(40)})
    none = benchmark.benchmarks("mine", units, {"answers": range(40)})
    assert all("cluster" not in each.task and "kind" not in each.items[0] for each in (*few, *none))
    assert "of 2 kinds" in few[0].readme and "kinds" not in none[0].readme


def test_a_preference_about_a_held_out_question_is_held_out_too() -> None:
    questions = [f"tell us about {a} {b} {c}" for a in WORDS[:4] for b in WORDS[4:8] for c in WORDS[8:10]]
    units = [unit(q, row=i) for i, q in enumerate(questions, start=1)]
    pairs = [
        Unit("p.jsonl", i, Preference((Message("user", q),), "good one", "bad one"), q, "good one")
        for i, q in enumerate(questions, start=1)
    ]
    found = divided([*units, *pairs])
    both = [*units, *pairs]
    held = {both[row].question for row in found.held_out}
    assert held and not held & {both[row].question for row in found.train}


@pytest.mark.parametrize(("rows", "asked", "held"), [(3, None, 0), (9, None, 0), (10, None, 2), (9, 4, 4), (9, 8, 4)])
def test_how_many_are_held_out(rows: int, asked: int | None, held: int) -> None:
    assert wanted_items(rows, asked) == held


def test_pieces_join_to_the_document() -> None:
    text = "\n\n".join(f"paragraph {i} " + "word " * (i % 50) for i in range(100))
    cut = pieces(text, 500)
    assert "\n\n".join(cut) == text and len(cut) > 5


# ------------------------------------------------------------------ benchmarks


def test_an_answer_is_asked_in_the_form_that_suits_it() -> None:
    units = [unit(f"question number {i} of all?", f"word {i}") for i in range(20)]
    made = benchmark.benchmarks("mine", units, {"answers": range(20)})
    assert [each.name for each in made] == ["mine_exact", "mine_answers"]
    long = [unit(f"question number {i} of all?", "a long answer of many words that nobody repeats") for i in range(20)]
    assert [each.form for each in benchmark.benchmarks("mine", long, {"answers": range(20)})] == ["answers"]


def test_bytes_are_cut_between_words_and_characters() -> None:
    assert benchmark.cut_bytes("eins zwei drei", 10) == "eins zwei"
    assert benchmark.cut_bytes("ää" * 10, 5) == "ää"


# ------------------------------------------------------------------ settings

BASE = ChosenBase("unsloth/Llama-3.2-3B-Instruct", 3.2e9, 8192, None)


@pytest.mark.parametrize("use", ["cpt", "sft", "dpo", "kto"])
@pytest.mark.parametrize("rows", [1, 3, 60, 300, 5000, 100_000])
def test_settings_are_within_reason(use: Any, rows: int) -> None:
    counts = [40 + i % 300 for i in range(rows)]
    chosen = stage_settings(use, counts, BASE)
    assert chosen.batch_size >= 2 and chosen.epochs >= 1 and chosen.steps >= 1
    assert chosen.max_length == (512 if rows > 300 else chosen.max_length) and chosen.cut <= 0.02 * rows + 1
    assert chosen.warmup == 0 or chosen.steps >= 20
    assert 5e-6 <= chosen.learning_rate <= 1e-4


def test_found_says_what_stage_it_is_for(tmp_path: Path) -> None:
    found: Found = look([str(write_jsonl(tmp_path / "x.jsonl", conversations(3)))]).found[0]
    assert found.use == "sft" and len(found.units) == 3
