"""The benchmark ap_statistics: reproducible, well formed, and clear of what recipes train on; and the glossary."""

from __future__ import annotations

import collections
import importlib.util
import json
from pathlib import Path
from typing import Any

import yaml

from statllama.benchmarks import find_tasks
from statllama.data.contamination import Questions, read_questions
from statllama.problems import rows
from tests.conftest import REPO

FOLDER = REPO / "eval" / "ap_statistics"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_script_writes_the_committed_bytes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_test", FOLDER / "make_test.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path / "test.jsonl")
    assert (tmp_path / "test.jsonl").read_bytes() == (FOLDER / "test.jsonl").read_bytes()


def test_items() -> None:
    items = lines(FOLDER / "test.jsonl")
    assert len({item["question"] for item in items}) == len(items) == 450
    for item in items:
        assert len(set(item["choices"])) == 4 == len(item["misconceptions"])
        assert [i for i, slip in enumerate(item["misconceptions"]) if slip is None] == [item["answer"]]
    topics = collections.Counter(item["topic"] for item in items)
    assert len(topics) == 9 and set(topics.values()) == {50}
    letters = collections.Counter(item["answer"] for item in items)
    assert max(letters.values()) - min(letters.values()) <= 1
    assert any(item["held_out"] for item in items)


def test_no_training_row_copies_an_item() -> None:
    index = Questions(read_questions(find_tasks(["ap_statistics"], [REPO / "eval"]).values()))
    for form in ("sft", "chat", "dpo"):
        texts = [(str(i), json.dumps(row)) for i, row in enumerate(rows(form, 2500, seed=11))]
        hits = [hit for start in range(0, len(texts), 256) for hit in index.search_batch(texts[start : start + 256])]
        assert not any(hits)


def test_task_file() -> None:
    task = yaml.safe_load((FOLDER / "ap_statistics.yaml").read_text())
    assert task["metadata"]["version"] == 2
    assert [metric["metric"] for metric in task["metric_list"]] == ["acc", "acc_norm"]


def test_glossary() -> None:
    glossary = lines(REPO / "recipes" / "data" / "glossary.jsonl")
    assert len({entry["term"] for entry in glossary}) == len(glossary) >= 200
    for entry in glossary:
        assert set(entry) == {"term", "description", "formula"}
        assert entry["description"].endswith(".") and entry["description"][0].isupper()
        assert 20 < len(entry["description"]) < 300
        assert "  " not in entry["description"] + entry["formula"]
