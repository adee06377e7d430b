"""Items that lm-eval would score as wrong for every model are refused, with file, row and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.config.benchmarks import BenchmarkError, TaskFile, find_tasks
from statllama.evaluation.items import make_task
from tests.conftest import REPO, write_jsonl

ITEM: dict[str, Any] = {"question": "Which is larger?", "choices": ["0.1", "0.2", "0.3", "0.4", "0.5"], "answer": "E"}
BOTH = ("ap_statistics", "ap_statistics_generate")


def items(n: int, **changes: Any) -> list[dict[str, Any]]:
    """`n` sound items, the last one changed; None takes a column out."""
    rows = [{"id": f"own-{i}", **ITEM, "question": f"Which of these {i} is larger?"} for i in range(n)]
    rows[-1] = {key: value for key, value in (rows[-1] | changes).items() if value is not None}
    return rows


def made(task: TaskFile, limit: int | None = None) -> Any:
    from lm_eval.api.task import ConfigurableTask

    config = json.loads(json.dumps(task.config))
    config["dataset_kwargs"]["cache_dir"] = str(task.files[0].parent / "cache")
    return make_task(task, ConfigurableTask, config, limit)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """What is said of a benchmark on a file (rows or text), once it is clear that it names the file."""

    def say(rows: list[dict[str, Any]] | str, name: str = "ap_statistics", limit: int | None = None) -> str:
        file = tmp_path / "items.jsonl"
        file.write_text(rows) if isinstance(rows, str) else write_jsonl(file, rows)
        task = find_tasks([name], [REPO / "eval"], {name: str(file)})[name]
        with pytest.raises(BenchmarkError) as caught:
            made(task, limit)
        text = str(caught.value)
        assert text.startswith(f"{name}: {file}") and caught.value.remedy and caught.value.exit_code == 2
        return text.replace(str(file), "FILE")

    return say


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("place", [1, 3])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, "there is no `question`"),
        ({"choices": None}, "there is no `choices`"),
        ({"answer": None}, "there is no `answer`"),
        ({"choices": "0.1, 0.2"}, "the choices are not a list of texts: '0.1, 0.2'"),
        ({"choices": "abc"}, "the choices are not a list of texts: 'abc'"),
        ({"choices": ["a", "", "c"], "answer": 0}, "the choices are not a list of texts: ['a', '', 'c']"),
        ({"choices": [], "answer": 0}, "too few choices: []"),
        ({"choices": ["a"], "answer": 0}, "too few choices: ['A']"),
        ({"choices": list("abcdefg"), "answer": 0}, "there are 7 choices, and letters for 6"),
        ({"answer": "F"}, "the answer 'F' is not one of the 5 choices"),
        ({"answer": "e"}, "the answer 'e' is not one of the 5 choices"),
        ({"answer": "0.5"}, "the answer '0.5' is not one of the 5 choices"),
        ({"answer": 5}, "the answer 5 is not one of the 5 choices"),
        ({"answer": -1}, "the answer -1 is not one of the 5 choices"),
        ({"answer": 1.5}, "the answer 1.5 is not one of the 5 choices"),
        ({"answer": True}, "the answer True is not one of the 5 choices"),
        ({"answer": ["A"]}, "`doc_to_target` fails: TypeError"),
        (
            {"choices": ["1", "0.50", "2", "0.5", "3"], "answer": "B"},
            "two right choices: choice 4 is '0.5', and choice 2, the answer, says the same",
        ),
        ({"choices": ["by  chance.", "by chance", "by design"], "answer": 1}, "two right choices: choice 1 is"),
    ],
)
def test_one_wrong_row(
    refused: Callable[..., str], name: str, place: int, changes: dict[str, Any], message: str
) -> None:
    said = refused(items(place, **changes), name)
    assert f"{name}: FILE, row {place}: {message}" in said
    if "is not one of" in message:
        assert "allowed: an index from 0 to 4, or one of ['A', 'B', 'C', 'D', 'E']" in said
    if "there is no" in message:
        assert f"{name}.yaml takes" in said


def test_texts_in_some_rows_and_numbers_in_others(tmp_path: Path, refused: Callable[..., str]) -> None:
    """`datasets` then turns "0.50" into 0.5 in all rows: refused, though the row that it names looks right."""
    said = refused(items(3, choices=[1, 2, 3], answer="A"))
    assert "row 1: the choices are not a list of texts: [0.1, 0.2, 0.3" in said
    assert "a text in some rows and a number in others" in said
    file = write_jsonl(tmp_path / "items.jsonl", items(3, choices=["0.50", "1.0", "2"], answer=2))
    task = made(find_tasks([BOTH[0]], [REPO / "eval"], {BOTH[0]: str(file)})[BOTH[0]])
    assert [task.doc_to_target(doc) for doc in task.eval_docs] == [4, 4, 2]
    assert task.eval_docs[2]["choices"] == ["0.50", "1.0", "2"]


def test_wrong_choices_may_be_alike(tmp_path: Path) -> None:
    """They are no second right answer; nor are letters that differ in their case, or a set and a bound."""
    for choices, answer in ((["1", "1", "2"], 2), (["AA", "Aa", "aa"], 1), (["x > 1", "x < 1", "1"], 2)):
        file = write_jsonl(tmp_path / "items.jsonl", items(2, choices=choices, answer=answer))
        made(find_tasks([BOTH[0]], [REPO / "eval"], {BOTH[0]: str(file)})[BOTH[0]])


def test_two_rows_with_one_id(refused: Callable[..., str]) -> None:
    rows = items(4, id="own-1")
    assert "row 4: has the `id` of row 2: 'own-1'" in refused(rows)


@pytest.mark.parametrize("name", BOTH)
def test_a_row_twice(refused: Callable[..., str], name: str) -> None:
    rows = [{key: value for key, value in row.items() if key != "id"} for row in items(5)]
    said = refused([*rows, rows[1]], name)
    assert "row 6: is row 2 again: all columns are equal" in said and "remove one of the two" in said


@pytest.mark.parametrize("text", ["\n", "\n\n\n", "[]", " "])
@pytest.mark.parametrize("name", BOTH)
def test_a_file_without_items(refused: Callable[..., str], text: str, name: str) -> None:
    assert "FILE: it holds no items\n  -> a row has question, choices, answer" in refused(text, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(ITEM) + '\n{"question": \n', "row 2: is not JSON"),
        ("(Which is larger?)", "row 1: is not JSON"),
        ("\xff", "row 1: is not JSON"),
    ],
)
def test_a_file_that_is_no_json(refused: Callable[..., str], text: str, message: str) -> None:
    assert message in refused(text)


def test_rows_that_are_no_objects(refused: Callable[..., str]) -> None:
    assert "row 1: is not a JSON object" in refused('"text"\n')
    assert "row 1: there is no `choices`" in refused("[1, 2]\n")


def test_only_the_items_that_are_asked(tmp_path: Path, refused: Callable[..., str]) -> None:
    rows = items(3, answer="F")
    assert "row 3" in refused(rows, limit=3)
    task = find_tasks([BOTH[0]], [REPO / "eval"], {BOTH[0]: str(tmp_path / "items.jsonl")})[BOTH[0]]
    assert len(made(task, limit=2).eval_docs) == 3


@pytest.mark.parametrize("choices", [list("abc"), list("abcd"), list("abcde"), list("abcdef")])
@pytest.mark.parametrize("answer", [0, 2, "A", "C"])
@pytest.mark.parametrize("name", BOTH)
def test_sound_items_pass(tmp_path: Path, name: str, choices: list[str], answer: int | str) -> None:
    file = write_jsonl(tmp_path / "items.jsonl", items(3, choices=choices, answer=answer))
    task = made(find_tasks([name], [REPO / "eval"], {name: str(file)})[name])
    doc = task.eval_docs[2]
    assert task.doc_to_choice(doc) == list("ABCDEF")[: len(choices)]
    assert task.doc_to_target(doc) == {"A": 0, "C": 2}.get(answer, answer)  # type: ignore[call-overload]


def test_csv_says_why_it_has_no_choices(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text('question,choices,answer\nWhich?,"[""a"", ""b"", ""c""]",A\n')
    with pytest.raises(BenchmarkError, match=r"items\.csv, row 1: the choices are not a list of texts") as caught:
        made(find_tasks([BOTH[0]], [REPO / "eval"], {BOTH[0]: str(file)})[BOTH[0]])
    assert "a .csv cell cannot hold a list: use .jsonl, .json or .parquet" in str(caught.value)


def test_a_broken_parquet_file(tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(BenchmarkError, match=r"items\.parquet: cannot be read: .*Parquet"):
        made(find_tasks([BOTH[0]], [REPO / "eval"], {BOTH[0]: str(file)})[BOTH[0]])


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("gsm8k", [{"question": "1 + 1?", "answer": "#### 2"}, {"question": "1 + 2?", "answer": " "}],
         "row 2: the answer is empty: ' '"),
        ("gsm8k", [{"question": "1 + 1?", "answer": "#### 2"}, {"question": None, "answer": "#### 2"}],
         "row 2: there is no `question`"),
        ("arc_challenge", [{"question": "?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "E"}],
         "row 1: `doc_to_target` fails: ValueError: 'E' is not in list"),
        ("arc_challenge", [{"question": None, "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}],
         "row 1: there is no `question`"),
        ("mmlu_high_school_statistics", [{"question": "?", "choices": list("abcde"), "answer": 0}],
         "row 1: there are 5 choices, and letters for 4"),
        ("mmlu_high_school_statistics", [{"question": "?", "choices": list("abc"), "answer": 0}],
         "row 1: there are 3 choices, and letters for 4"),
        ("mmlu_high_school_statistics", [{"question": "?", "choices": list("abcd"), "answer": 4}],
         "row 1: the answer 4 is not one of the 4 choices"),
        ("quickstart_stats", [{"question": "?", "choices": ["a", "b"], "answer": None}], "row 1: there is no `answer`"),
        ("quickstart_stats", [{"question": None, "choices": ["a", "b"], "answer": 0}], "row 1: there is no `question`"),
    ],
)  # fmt: skip
def test_other_benchmarks(tmp_path: Path, name: str, rows: list[dict[str, Any]], message: str) -> None:
    file = str(write_jsonl(tmp_path / f"{name}.jsonl", rows))
    place = {"test": file, "train": file} if name == "gsm8k" else file
    with pytest.raises(BenchmarkError, match=re.escape(f"{file}, {message}")):
        made(find_tasks([name], [REPO / "eval"], {name: place})[name])


def own_task(folder: Path, rows: list[dict[str, Any]], **fields: Any) -> TaskFile:
    """A user's own multiple-choice benchmark."""
    config = {
        "task": "own", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": ["a.jsonl", "b.jsonl"]}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "question", "doc_to_choice": "choices",
        "doc_to_target": "answer", "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    write_jsonl(folder / "own" / "a.jsonl", rows[:1])
    write_jsonl(folder / "own" / "b.jsonl", rows[1:])
    (folder / "own" / "own.yaml").write_text(yaml.safe_dump(config | fields))
    return find_tasks(["own"], [folder])["own"]


def test_a_value_that_the_template_asks_for_may_be_missing(tmp_path: Path) -> None:
    rows = [
        {"question": "Which?", "passage": "None of it.", "choices": ["a", "b"], "answer": "b"},
        {"question": "Which one?", "passage": None, "choices": ["a", "b"], "answer": "a"},
    ]
    guarded = "{% if passage %}{{passage}}\n{% endif %}{{question}}"
    assert made(own_task(tmp_path, rows, doc_to_text=guarded)).eval_docs[1]["passage"] is None
    with pytest.raises(BenchmarkError, match=r"own: .*a\.jsonl, .*b\.jsonl, row 2: there is no `passage`"):
        made(own_task(tmp_path, rows, doc_to_text="{{passage}}\n{{question}}"))


def test_forms_of_choices_that_lm_eval_knows(tmp_path: Path) -> None:
    rows = [
        {"question": f"{i}?", "choices": [{"text": "a"}, {"text": "b"}], "answer": 1, "label": "b"} for i in range(2)
    ]
    listed = "{{choices|map(attribute='text')|list}}"
    assert made(own_task(tmp_path, rows, doc_to_choice=listed)).OUTPUT_TYPE == "multiple_choice"
    assert made(own_task(tmp_path, rows, doc_to_choice=listed, doc_to_target="label")).eval_docs.num_rows == 2
    several = [{**row, "answer": [0, 1]} for row in rows]
    assert made(own_task(tmp_path, several, doc_to_choice=listed)).multiple_target == 2


def test_a_published_dataset_may_repeat_itself(tmp_path: Path) -> None:
    """Nobody could mend it, and comparisons pair by place."""
    from dataclasses import replace

    from statllama.evaluation.items import check_items

    file = write_jsonl(tmp_path / "items.jsonl", items(2))
    task = find_tasks([BOTH[0]], [REPO / "eval"], {BOTH[0]: str(file)})[BOTH[0]]
    loaded, docs = made(task), [*items(2), *items(2)]
    with pytest.raises(BenchmarkError, match="row 3"):
        check_items(task, loaded, docs)
    hub = replace(task, config={**task.config, "dataset_path": "owner/name"})
    check_items(hub, loaded, docs)
    with pytest.raises(BenchmarkError, match="row 4: the answer 'F'"):
        check_items(hub, loaded, [*docs[:3], {**docs[3], "answer": "F"}])
