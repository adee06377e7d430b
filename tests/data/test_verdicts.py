"""What is said of a source: each finding once, in words that fit its number."""

from __future__ import annotations

import numpy as np

from statllama.data.selection import SelectedSource, Selection
from statllama.data.survey import Survey
from statllama.data.verdicts import judge
from statllama.stages.sft import Spec

SPEC = Spec.model_validate({"name": "sft", "type": "sft", "data": [{"path": "a.jsonl"}]})


def said(kept: int = 100, copies: int = 0, faults: list[str] | None = None, **survey: object) -> list[str]:
    found = faults or []
    source = SelectedSource(
        "a.jsonl", 100, np.arange(kept), {}, Survey(rows=100, **survey), found, len(found)  # type: ignore[arg-type]
    )  # fmt: skip
    return [f"{v.level}: {v.text}" for v in judge(SPEC, Selection((source,), (), copies, ()), None)]


def test_clean_rows() -> None:
    assert said(scripts={"Latin": 100}, languages={"English": 98, "Italian": 2}) == []


def test_one_and_many() -> None:
    (one,) = said(oddities={"control characters": 1}, first={"control characters": "a.jsonl, row 3"})
    (many,) = said(oddities={"control characters": 4}, first={"control characters": "a.jsonl, row 3"})
    assert one == "warning: 1 row has control characters, first in a.jsonl, row 3"
    assert many.startswith("warning: 4 rows have")
    assert said(copies=1) == ["error: 1 row copies a question of a scored benchmark"]
    assert said(copies=2) == ["error: 2 rows copy a question of a scored benchmark"]


def test_errors_come_first() -> None:
    found = said(faults=["row 2: bad"], duplicates=50)
    assert found == ["error: 1 row cannot be used: row 2: bad", "warning: 50 of 100 rows repeat an earlier one"]
    assert said(kept=0) == ["error: none of 100 rows is left"]


def test_a_minority_is_named_but_a_second_language_is_not() -> None:
    (found,) = said(languages={"English": 90, "German": 10})
    assert "German (10)" in found and "(English)" in found
    assert said(languages={"English": 60, "German": 40}) == []
