"""Folders, globs, documents and generated problems as sources."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import statllama.problems as problems
from statllama.config.source import ProblemsSpec, SourceSpec
from statllama.data.files import local_files
from statllama.data.sources import fingerprint, resolved, rows, source_name
from statllama.errors import DataError
from tests.data.test_sources import zst


def source(path: str, **fields: Any) -> SourceSpec:
    return SourceSpec(path=path, **{"format": "text", **fields})


def texts(folder: Path, path: str) -> list[str]:
    return [row["text"] for _, row in rows(source(path), folder)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Rows a to h in files of several kinds, with others around them."""
    folder = tmp_path / "corpus"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "1.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (folder / "2.json").write_text('[{"text": "c"}]')
    (folder / "3.csv.gz").write_bytes(gzip.compress(b"text\nd\n"))
    (folder / "deep" / "4.txt").write_text("e")
    (folder / "deep" / "er" / "5.MD.zst").write_bytes(zst(b"# f"))
    (folder / "deep" / "er" / "6.json").write_text('{"text": "g"}')
    for name in (".hidden/x.jsonl", ".7.jsonl", "8.pdf", "LICENSE", "9.jsonl.lock"):
        (folder / name).write_text("not data")
    return tmp_path


def test_folder_is_all_its_data_files_in_order(corpus: Path) -> None:
    assert texts(corpus, "corpus") == ["a", "b", "c", "d", "e", "# f", "g"]
    assert texts(corpus, "corpus/") == texts(corpus, str(corpus / "corpus"))
    names = [file.name for file in local_files(source("corpus"), corpus)]
    assert names == ["1.jsonl", "2.json", "3.csv.gz", "deep/4.txt", "deep/er/5.MD.zst", "deep/er/6.json"]
    places = [where for where, _ in rows(source("corpus"), corpus)]
    assert places[1] == f"{corpus}/corpus/1.jsonl, row 2"
    assert places[-1] == f"{corpus}/corpus/deep/er/6.json, row 1"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("corpus/*.json*", None),
        ("corpus/[12].json*", ["a", "b", "c"]),
        ("corpus/**/*.json", ["c", "g"]),
        ("*/deep/*.txt", ["e"]),
        ("corpus/**/5.*", ["# f"]),
    ],
)
def test_glob_is_every_file_that_matches(corpus: Path, pattern: str, expected: list[str] | None) -> None:
    if expected is None:  # also 9.jsonl.lock, which is no data: a pattern means what it says
        with pytest.raises(DataError, match=r"9\.jsonl\.lock: unknown extension '\.lock'"):
            texts(corpus, pattern)
    else:
        assert texts(corpus, pattern) == texts(Path("/nowhere"), f"{corpus}/{pattern}") == expected


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "x[1].txt").write_text("a")
    assert texts(tmp_path, "x[1].txt") == ["a"]


def test_folder_and_glob_without_data_are_explained(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no data file in this folder \(\.csv, \.json, .*\.zst\)"):
        texts(tmp_path, "empty")
    with pytest.raises(DataError, match=r"no file matches .*/\*\.csv"):
        texts(tmp_path, "*.csv")


def test_document_has_its_text_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(b"\xef\xbb\xbf# Mean\r\n\r\nThe sum over n.\r\n")
    ((where, row),) = rows(source("notes.md", format="auto"), tmp_path)
    assert row == {"text": "# Mean\n\nThe sum over n.\n", "source": "notes.md"}
    assert where == f"{tmp_path}/notes.md, row 1"
    assert resolved(source("notes.md", format="auto"), tmp_path).format == "text"


def test_one_object_in_a_json_file_is_one_row(tmp_path: Path) -> None:
    paper = {"Introduction": "Samples vary.", "Methods": "We drew 100."}
    (tmp_path / "paper.json").write_text(json.dumps(paper, indent=1))
    assert [row for _, row in rows(source("paper.json", format="sections"), tmp_path)] == [paper]


def test_fingerprint_is_names_and_bytes_wherever_they_lie(corpus: Path) -> None:
    folder, pattern = fingerprint(source("corpus"), corpus), fingerprint(source("corpus/deep/**/*.*"), corpus)
    shutil.copytree(corpus / "corpus", corpus / "elsewhere" / "copy")
    assert fingerprint(source("elsewhere/copy"), corpus) == folder
    assert fingerprint(source("elsewhere/copy/deep/**/*.*"), corpus) == pattern
    assert fingerprint(source("corpus/1.jsonl"), corpus) == hashlib.sha256(
        (corpus / "corpus" / "1.jsonl").read_bytes()
    ).hexdigest()  # fmt: skip
    changed = {folder}
    (corpus / "corpus" / "8.pdf").write_text("still no data")
    assert fingerprint(source("corpus"), corpus) == folder
    for change in ("more", "rename", "edit"):
        if change == "more":
            (corpus / "corpus" / "10.txt").write_text("h")
        elif change == "rename":
            (corpus / "corpus" / "10.txt").rename(corpus / "corpus" / "11.txt")
        else:
            (corpus / "corpus" / "11.txt").write_text("i")
        changed.add(fingerprint(source("corpus"), corpus))
    assert len(changed) == 4


def test_many_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    for i in range(500):
        (tmp_path / f"{i:03}.txt").write_text(str(i))
    assert texts(tmp_path, str(tmp_path)) == [str(i) for i in range(500)]


def test_parquet_does_not_keep_what_it_has_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([{"text": f"{i} {'mean ' * 4000}"} for i in range(50)])
    with pq.ParquetWriter(tmp_path / "x.parquet", table.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(20):
            writer.write_table(table)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in rows(source("x.parquet"), tmp_path)]
    assert len(held) == 1000
    assert max(held) < 6 * table.nbytes  # the file is 20 times as large


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_a_folder_have_the_same_columns(tmp_path: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(name: str, row: dict[str, str]) -> None:
        if kind == "csv":
            (tmp_path / f"{name}.csv").write_text("{}\n{}\n".format(",".join(row), ",".join(row.values())))
        else:
            pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"{name}.parquet")

    write("a", {"instruction": "i", "input": "x", "output": "o"})
    write("b", {"output": "o", "input": "x", "instruction": "i"})
    folder = source(str(tmp_path), format="auto")
    assert len(list(rows(folder, tmp_path))) == 2
    write("c", {"instruction": "i", "inputs": "x", "output": "o"})  # `input` is optional, so a format would not miss it
    with pytest.raises(DataError, match=rf"c\.{kind}, row 1: columns inputs, instruction, output, but those of .*a\."):
        list(rows(folder, tmp_path))


def test_a_file_of_a_folder_without_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(DataError, match=r"b\.json: no rows"):
        texts(tmp_path, str(tmp_path))


needs_rows = pytest.mark.skipif(not hasattr(problems, "rows"), reason="needs generated rows")


@needs_rows
@pytest.mark.parametrize(("form", "format"), [("sft", "messages"), ("dpo", "preference")])
def test_problems_are_rows(form: Any, format: str) -> None:
    spec = SourceSpec(problems=ProblemsSpec(count=30, form=form, seed=3))
    assert source_name(spec) == f"problems:{form} (30)"
    assert resolved(spec, Path()).format == format
    first = list(rows(spec, Path()))
    assert first == list(rows(spec, Path()))
    assert len(first) == 30
    assert first[4][0] == f"problems:{form} (30), row 5"


@needs_rows
def test_fingerprint_of_problems_is_how_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"count": 6},
        {"seed": 1},
        {"form": "dpo"},
        {"difficulty": [1]},
        {"math": "latex"},
    ]
    specs = [SourceSpec(problems=ProblemsSpec(**{"count": 5, **change})) for change in changes]
    prints = {fingerprint(spec, Path()) for spec in specs}
    assert len(prints) == 6
    monkeypatch.setattr(problems, "PROBLEMS_VERSION", -1)
    assert fingerprint(SourceSpec(problems=ProblemsSpec(count=5)), Path()) not in prints


@needs_rows
def test_unknown_topic_is_explained() -> None:
    spec = SourceSpec(problems=ProblemsSpec(count=5, topics=["proportion"]))
    with pytest.raises(DataError, match=r"problems:sft \(5\): .*did you mean"):
        list(rows(spec, Path()))
