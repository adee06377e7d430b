"""Rows that a reward can grade: a question, and an answer that is a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.data.build.records import Json
from statllama.rewards.completions import final_answer
from statllama.rewards.quantities import read_quantity


def graded(row: Mapping[str, Any]) -> Json | None:
    """Return a row of the format `prompt_answer` for a `grpo` stage; None where the answer is no number.

    A conversation is graded by its only exchange; of a worked answer what is behind `Answer:` counts.
    """
    columns = row["row"]
    found = _exchange(columns)
    if found is None:
        return None
    prompt, said = found
    answer = final_answer(said) or said
    if read_quantity(answer) is None:
        return None
    return {**row, "format": "prompt_answer", "row": {"prompt": prompt, "answer": answer.strip()}}


def _exchange(columns: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return question and answer of a row, as text."""
    if isinstance(columns.get("question"), str) and isinstance(columns.get("answer"), str):
        return columns["question"], columns["answer"]
    turns = [turn for turn in columns.get("messages") or () if turn.get("role") != "system"]
    if [turn.get("role") for turn in turns] == ["user", "assistant"]:
        return turns[0]["content"], turns[1]["content"]
    if isinstance(columns.get("prompt"), str) and isinstance(columns.get("completion"), str):
        return columns["prompt"], columns["completion"]
    return None
