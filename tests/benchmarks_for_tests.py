"""Small benchmarks in lm-eval's format, written beside a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.conftest import WORDS, write_jsonl


def _write(folder: Path, name: str, rows: list[dict[str, Any]], **config: Any) -> Path:
    path = folder / name / f"{name}.yaml"
    write_jsonl(path.parent / "test.jsonl", rows)
    body = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
        "test_split": "test",
        "metadata": {"version": 1.0},
        **config,
    }
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return path


def choice_task(folder: Path, name: str, count: int) -> Path:
    """`count` questions with four words each to choose from, in three topics."""
    rows = [
        {
            "question": f"which word is number {i}?",
            "choices": [WORDS[(i * 5 + k * 3) % len(WORDS)] for k in range(4)],
            "answer": i % 4,
            "topic": f"topic {i % 3}",
        }
        for i in range(count)
    ]
    return _write(
        folder,
        name,
        rows,
        output_type="multiple_choice",
        doc_to_text="question",
        doc_to_choice="choices",
        doc_to_target="answer",
        metric_list=[{"metric": "acc"}],
    )


def reply_task(folder: Path, name: str, count: int) -> Path:
    """`count` questions that are answered in up to 6 tokens."""
    rows = [{"question": f"say the number {i}", "answer": str(i)} for i in range(count)]
    return _write(
        folder,
        name,
        rows,
        output_type="generate_until",
        doc_to_text="question",
        doc_to_target="answer",
        generation_kwargs={"until": ["\n\n\n"], "max_gen_toks": 6, "do_sample": False},
        metric_list=[{"metric": "exact_match"}],
    )
