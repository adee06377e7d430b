"""Which rows may be used: filters, benchmark questions and duplicates, through `prepare`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.config.benchmarks import find_tasks
from statllama.config.source import SourceSpec
from statllama.data.prepare import Prepared, choose_rows, prepare
from statllama.data.select import Guard, select, texts_at
from statllama.data.selection import COPIES, REPEATS
from statllama.errors import DataError
from tests.conftest import write_jsonl
from tests.data.conftest import marked
from tests.data.test_contamination import BAKER, benchmark

ROWS = [{"text": f"the {word} of {i}", "level": i, "tags": ["easy" if i % 2 else "hard"]}
        for i, word in enumerate(["mean", "mode", "range", "mean", "mean"])]  # fmt: skip


def make(folder: Path, tokenizer: Any, *sources: SourceSpec, kind: Any = "documents", **options: Any) -> Prepared:
    settings_: dict[str, Any] = {"train_on": "all", "max_length": 64, "packing": False, "seed": 3, "cache": None}
    return prepare(kind, sources, root=folder, tokenizer=tokenizer, **{**settings_, **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "text.jsonl", ROWS)
    return tmp_path


def text(**fields: Any) -> SourceSpec:
    return SourceSpec(path="text.jsonl", format="text", **fields)


@pytest.mark.parametrize(
    ("fields", "rows", "dropped"),
    [
        ({"where": {"text": "mean"}}, [0, 3, 4], {"`where`: text does not match": 2}),
        ({"where": {"text": "mean", "level": "^[34]$"}}, [3, 4], None),
        ({"where": {"tags": "easy"}}, [1, 3], {"`where`: tags does not match": 3}),
        ({"min_chars": 14}, [2], {"shorter than 14 characters": 4}),
        ({"max_chars": 13}, [0, 1, 3, 4], {"longer than 13 characters": 1}),
    ],
)
def test_filters(
    folder: Path, tokenizer: Any, fields: dict[str, Any], rows: list[int], dropped: dict[str, int] | None
) -> None:
    prepared = make(folder, tokenizer, text(**fields))
    (chosen,) = prepared.selection.sources
    assert chosen.read == 5 and chosen.kept.tolist() == rows
    assert dropped is None or chosen.dropped == dropped
    assert sum(chosen.dropped.values()) == 5 - len(rows)
    assert prepared.report.sources[0].rows_used == len(rows)
    trained = sorted(marked(tokenizer, row) for row in prepared.dataset)
    assert [t.split("⟦")[1].split("<|")[0] for t in trained] == sorted(ROWS[i]["text"] for i in rows)  # type: ignore[type-var]


def test_filter_on_a_column_that_is_not_there(folder: Path, tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"row 1.*no column 'topic'.*columns found: text, level, tags"):
        make(folder, tokenizer, text(where={"topic": "x"}))


def test_filters_that_leave_nothing(folder: Path, tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"none of its 5 rows is usable.*text does not match: 5"):
        make(folder, tokenizer, text(where={"text": "variance"}))


def test_limit_counts_what_the_filter_left(folder: Path, tokenizer: Any) -> None:
    prepared = make(folder, tokenizer, text(where={"text": "mean"}, limit=2, repeat=3))
    assert prepared.report.sources[0].rows_used == 6


def test_duplicates_across_sources(folder: Path, tokenizer: Any) -> None:
    write_jsonl(folder / "more.jsonl", [{"text": "The  mode of 1"}, {"text": "the variance"}, {"text": "the variance"}])
    more = SourceSpec(path="more.jsonl", format="text")
    prepared = make(folder, tokenizer, text(), more, guard=Guard(deduplicate="exact"))
    first, second = prepared.selection.sources
    assert (first.kept.tolist(), second.kept.tolist()) == ([0, 1, 2, 3, 4], [1])
    assert second.dropped == {REPEATS: 2}
    repeats = prepared.selection.repeats
    assert [(r.source, r.row, r.of_source, r.of_row) for r in repeats] == [(1, 0, 0, 1), (1, 2, 1, 1)]
    shown = texts_at([text(), more], folder, [(1, 0), (0, 1)])
    assert shown == {(1, 0): "The  mode of 1", (0, 1): "the mode of 1"}
    plain = make(folder, tokenizer, text(), more)
    assert plain.report.examples == 8 and prepared.report.examples == 6


@pytest.fixture
def exam(tmp_path: Path) -> tuple[Any, ...]:
    return tuple(find_tasks(["exam"], [benchmark(tmp_path / "eval")]).values())


def chat(folder: Path, *questions: str) -> SourceSpec:
    rows = [{"prompt": q, "completion": "It is 56 dollars."} for q in questions]
    write_jsonl(folder / "chat.jsonl", rows)
    return SourceSpec(path="chat.jsonl", format="prompt_completion")


def test_a_copied_question_stops(folder: Path, tokenizer: Any, exam: tuple[Any, ...]) -> None:
    source = chat(folder, "What is the mean?", BAKER.replace("48", "50"))
    stop = Guard(decontaminate="stop", tasks=exam)
    for cache in (None, folder / "work", folder / "work"):  # the third time from what was kept
        with pytest.raises(DataError, match=r"1 row copies a question.*\n.*row 2 copies question 1 of exam") as caught:
            make(folder, tokenizer, source, kind="conversations", guard=stop, cache=cache)
        assert "50 rolls" in caught.value.message and "48 rolls" in caught.value.message


def test_a_copied_question_is_dropped_or_left(folder: Path, tokenizer: Any, exam: tuple[Any, ...]) -> None:
    source = chat(folder, "What is the mean?", BAKER, BAKER.replace("48", "50"))
    dropped = make(folder, tokenizer, source, kind="conversations", guard=Guard(decontaminate="drop", tasks=exam))
    assert dropped.selection.sources[0].dropped == {COPIES: 2} and dropped.report.examples == 1
    assert [hit.question.number for hit in dropped.selection.hits] == [1, 1]
    left = make(folder, tokenizer, source, kind="conversations", guard=Guard(decontaminate="ignore", tasks=exam))
    assert left.report.examples == 3 and not left.selection.hits


def test_what_is_kept_follows_the_benchmark(folder: Path, tokenizer: Any, exam: tuple[Any, ...]) -> None:
    """The tokenised rows do not depend on a benchmark that finds nothing, and a changed benchmark is looked at anew."""
    source, work = chat(folder, "What is the mean?", "What is the mode?"), folder / "work"
    stop = Guard(decontaminate="stop", tasks=exam)
    make(folder, tokenizer, source, kind="conversations", guard=stop, cache=work)
    make(folder, tokenizer, source, kind="conversations", cache=work)
    kinds = [json.loads(file.read_text())["what"] for file in work.glob("cache/*/manifest.json")]
    assert sorted(kinds) == ["chosen rows", "chosen rows", "tokenised data"]
    copied = {"question": "What is the mode? It is 56 dollars.", "choices": ["1", "2"], "answer": 0}
    write_jsonl(folder / "eval" / "exam" / "test.jsonl", [copied])
    again = Guard(decontaminate="stop", tasks=exam)
    with pytest.raises(DataError, match="copies question 1 of exam"):
        make(folder, tokenizer, source, kind="conversations", guard=again, cache=work)


def test_faults_are_collected_when_asked(folder: Path) -> None:
    write_jsonl(folder / "text.jsonl", [{"text": "a"}, {"text": " "}, {"words": "b"}, {"text": "c"}])
    with pytest.raises(DataError, match="row 2"):
        select([text()], folder, guard=Guard(), scratch=folder / "scratch")
    found = select([text()], folder, guard=Guard(), scratch=folder / "scratch", collect_faults=True).sources[0]
    assert found.kept.tolist() == [0, 3] and found.faulty == 2
    assert ["row 2" in found.faults[0], "row 3" in found.faults[1]] == [True, True]


def flipped(file: Path) -> None:
    """Change the last bit of a file, with its size and its modification time as they were."""
    times, content = file.stat(), bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("name", ["kept-0.npy", "selection.json"])
@pytest.mark.parametrize("harm", [flipped, Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-3])])
def test_a_damaged_record_of_chosen_rows_is_made_again(name: str, harm: Callable[[Path], object], folder: Path) -> None:
    work, notes = folder / "work", list[str]()
    sound = choose_rows([text()], root=folder, guard=Guard(), cache=work)
    (file,) = work.glob(f"cache/*/{name}")
    good = file.read_bytes()
    harm(file)
    again = choose_rows([text()], root=folder, guard=Guard(), cache=work, note=notes.append)
    assert again.digest() == sound.digest() and again.as_json() == sound.as_json()
    assert file.read_bytes() == good
    (note,) = notes
    assert name in note and "made again" in note
    choose_rows([text()], root=folder, guard=Guard(), cache=work, note=notes.append)
    assert len(notes) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(words=st.lists(st.sampled_from(["mean", "mode", "range"]), min_size=1, max_size=30), data=st.data())
def test_every_row_is_kept_or_counted(tmp_path: Path, words: list[str], data: st.DataObject) -> None:
    write_jsonl(tmp_path / "text.jsonl", [{"text": word} for word in words])
    source = text(where={"text": data.draw(st.sampled_from(["m", "mean|range", "."]))})
    mode: Any = data.draw(st.sampled_from(["none", "exact", "near"]))
    (found,) = select([source], tmp_path, guard=Guard(deduplicate=mode), scratch=tmp_path / "scratch").sources
    assert found.read == len(words) == len(found.kept) + sum(found.dropped.values())
    assert np.all(np.diff(found.kept) > 0)


def test_filters_on_whole_rows_and_on_columns_that_some_rows_lack(folder: Path, tokenizer: Any) -> None:
    asked, answered = {"role": "user", "content": "what is the mean"}, {"role": "assistant", "content": "average"}
    write_jsonl(folder / "turns.jsonl", [{"0": asked, "1": answered}, {"0": {**asked, "content": "a"}, "1": answered}])
    turns = SourceSpec(path="turns.jsonl", format="turns", min_chars=12)
    assert make(folder, tokenizer, turns, kind="conversations").selection.sources[0].kept.tolist() == [0]
    write_jsonl(folder / "some.jsonl", [{"text": "a b", "topic": "means"}, {"text": "c d"}])
    some = SourceSpec(path="some.jsonl", format="text", where={"topic": "."})
    (chosen,) = make(folder, tokenizer, some).selection.sources
    assert chosen.kept.tolist() == [0] and sum(chosen.dropped.values()) == 1


def test_a_copy_elsewhere_is_named_where_it_lies(folder: Path, tokenizer: Any, exam: tuple[Any, ...]) -> None:
    source = chat(folder, "What is the mean?", BAKER)
    (folder / "other").mkdir()
    (folder / "other" / "chat.jsonl").write_bytes((folder / "chat.jsonl").read_bytes())
    for place in (folder, folder / "other"):
        with pytest.raises(DataError) as caught:
            make(place, tokenizer, source, kind="conversations", cache=folder / "work",
                 guard=Guard(decontaminate="stop", tasks=exam))  # fmt: skip
        assert f"{place / 'chat.jsonl'}, row 2" in caught.value.message
