"""The folder of a build: whole or not there, never in place of what a person made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statllama.config.built import wrong_with
from statllama.data.build.parts import document_row, is_current, part_row, require_ours, sweep, write_parts
from statllama.errors import UsageError

RECORD = {"build": "b", "settings": "s", "steps": []}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_and_record(tmp_path: Path) -> None:
    target = tmp_path / "p.built"
    made = write_parts(target, {"qa": iter([{"a": 1}, {"a": "é"}]), "none": iter([])}, RECORD)
    assert lines(target / "qa.jsonl") == [{"a": 1}, {"a": "é"}] and made["parts"]["qa"] == {"rows": 2}
    assert is_current(target, "b") == made and is_current(target, "other") is None
    assert wrong_with(str(target), "qa") is None
    assert [path.name for path in tmp_path.iterdir()] == ["p.built"]


def test_a_later_build_replaces_an_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "p.built"
    write_parts(target, {"qa": [{"a": 1}], "old": []}, RECORD)
    write_parts(target, {"qa": [{"a": 2}]}, RECORD)
    assert lines(target / "qa.jsonl") == [{"a": 2}] and not (target / "old.jsonl").exists()


@pytest.mark.parametrize("change", ["edited", "added", "foreign", "file"])
def test_what_a_person_made_stays(tmp_path: Path, change: str) -> None:
    target = tmp_path / "p.built"
    if change in ("edited", "added"):
        write_parts(target, {"qa": [{"a": 1}]}, RECORD)
        (target / ("qa.jsonl" if change == "edited" else "notes.txt")).write_text("mine")
    elif change == "foreign":
        target.mkdir()
        (target / "thesis.txt").write_text("mine")
    else:
        target.write_text("mine")
    with pytest.raises(UsageError):
        require_ours(target)
    with pytest.raises(UsageError):
        write_parts(target, {"qa": [{"a": 2}]}, RECORD)
    kept = target if change == "file" else next(p for p in target.iterdir() if p.read_text() == "mine")
    assert kept.read_text() == "mine"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "p.built"
    write_parts(target, {"qa": [{"a": 1}]}, RECORD)

    def broken():  # type: ignore[no-untyped-def]
        yield {"a": 2}
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        write_parts(target, {"qa": broken()}, RECORD)
    assert lines(target / "qa.jsonl") == [{"a": 1}] and [p.name for p in tmp_path.iterdir()] == ["p.built"]


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    target = tmp_path / "p.built"
    write_parts(target, {"qa": [{"a": 1}]}, RECORD)
    target.rename(tmp_path / ".p.built.old-1")
    (tmp_path / ".p.built.made-2").mkdir()
    sweep(target)
    assert lines(target / "qa.jsonl") == [{"a": 1}] and [p.name for p in tmp_path.iterdir()] == ["p.built"]


def test_what_a_row_says() -> None:
    origin = {"collector": "files", "place": "a.md", "title": "On means", "licence": "CC0-1.0"}
    sections = [{"heading": "Abstract", "level": 1, "kind": "abstract", "text": "Short."}]
    row = document_row({"id": "file:a.md", "origin": origin, "sections": sections})
    assert row["text"] == "Abstract\n\nShort." and row["title"] == "On means"
    assert row["provenance"] == {"document": "file:a.md", **origin}
    made = part_row({"row": {"question": "q", "answer": "a"}, "provenance": {"document": "d"}, "id": "1"})
    assert made == {"question": "q", "answer": "a", "provenance": {"document": "d"}}
