"""The committed training and benchmark files: reproducible, well formed, and kept apart."""

from __future__ import annotations

import collections
import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "recipes/data/definitions.jsonl",
    "recipes/data/problems_sft.jsonl",
    "recipes/data/problems_dpo.jsonl",
    "recipes/data/problems_dtft.jsonl",
    "eval/statistics_mc/test.jsonl",
)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_data", ROOT / "recipes/data/make_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_writes_the_committed_bytes(script: ModuleType, tmp_path: Path) -> None:
    script.main(["--out", str(tmp_path)])
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), (
            f"{name} is out of date: run python recipes/data/make_data.py"
        )
        assert (ROOT / name).stat().st_size < 2_500_000
    shutil.rmtree(tmp_path)


def test_sizes() -> None:
    assert [len(rows(name)) for name in NAMES[1:]] == [3000, 1500, 1000, 405]


def test_glossary() -> None:
    glossary = rows("recipes/data/glossary.jsonl")
    assert len({entry["term"] for entry in glossary}) == len(glossary) >= 200
    for entry in glossary:
        assert set(entry) == {"term", "description", "formula"}
        assert entry["description"].endswith(".")
        assert entry["description"][0].isupper()
        assert 20 < len(entry["description"]) < 300
        assert "  " not in entry["description"] + entry["formula"]


@pytest.mark.parametrize("name", [NAMES[0], NAMES[1], NAMES[3]])
def test_chat_rows(name: str) -> None:
    for row in rows(name):
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert all(message["content"].strip() == message["content"] != "" for message in row["messages"])


@pytest.mark.parametrize("name", NAMES[1:4])
def test_no_question_twice(name: str) -> None:
    questions = [json.dumps(row.get("prompt") or row["messages"][0]) for row in rows(name)]
    assert len(set(questions)) == len(questions)


def test_preference_rows() -> None:
    for row in rows(NAMES[2]):
        assert set(row) == {"prompt", "chosen", "rejected"}
        assert row["chosen"] != row["rejected"]


def test_short_answers_are_short() -> None:
    lengths = [len(row["messages"][1]["content"]) for row in rows(NAMES[3])]
    assert sum(lengths) / len(lengths) < 200
    assert max(lengths) < 500


def test_benchmark_items() -> None:
    items = rows(NAMES[4])
    assert len({item["question"] for item in items}) == len(items)
    for item in items:
        assert set(item) == {"question", "choices", "answer", "topic", "kind"}
        assert len(set(item["choices"])) == 4
    topics = collections.Counter(item["topic"] for item in items)
    assert len(topics) == 9
    assert set(topics.values()) == {45}
    letters = collections.Counter(item["answer"] for item in items)
    assert max(letters.values()) - min(letters.values()) <= 1


def test_no_benchmark_item_in_the_training_files() -> None:
    def mask(text: str) -> str:
        return re.sub(r"\d+(?:\.\d+)?", "#", text)

    trained = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in NAMES[:4])
    masked = mask(trained)
    for item in rows(NAMES[4]):
        question = json.dumps(item["question"], ensure_ascii=False)[1:-1]
        assert question not in trained
        assert mask(question) not in masked


def test_task_file() -> None:
    folder = ROOT / "eval/statistics_mc"
    task = yaml.safe_load((folder / "statistics_mc.yaml").read_text())
    assert task["task"] == folder.name
    assert (folder / task["dataset_kwargs"]["data_files"]["test"]).exists()
    assert task["output_type"] == "multiple_choice"
    assert task["doc_to_choice"] == list("ABCD")
    assert [metric["metric"] for metric in task["metric_list"]] == ["acc", "acc_norm"]
    assert task["metadata"]["version"] == 1
    assert (folder / "README.md").exists()
