"""The scorecard: paired changes against the base and the parent, refused where the items differ."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from statllama.errors import EvaluationError
from statllama.evaluation.clusters import clustered_error, sums_of
from statllama.evaluation.paired import paired_change
from statllama.evaluation.scorecard import compare_scores, scorecard
from statllama.evaluation.scores import TaskScore


def task_score(items: list[float], task: str = "stats", ids: list[str] | None = None) -> TaskScore:
    return TaskScore(
        task=task,
        version="1",
        metric="acc",
        value=math.fsum(items) / len(items),
        stderr=clustered_error(items, sums_of(items, None)),
        items=tuple(items),
        item_ids=tuple(ids or [f"item{i}" for i in range(len(items))]),
        n=len(items),
        total=len(items),
        truncated=0,
        seconds=0.5,
    )


def test_scores_of_other_items_are_not_compared() -> None:
    score = task_score([1, 0, 1])
    with pytest.raises(EvaluationError, match="item 2 is a different question"):
        compare_scores(score, task_score([1, 0, 1], ids=["item0", "other", "item2"]))
    with pytest.raises(EvaluationError, match="n is 3 and 2"):
        compare_scores(score, task_score([1, 0]))
    with pytest.raises(EvaluationError, match="metric is 'acc' and 'exact_match'"):
        compare_scores(score, replace(score, metric="exact_match"))
    with pytest.raises(EvaluationError, match="task is 'stats' and 'general'"):
        compare_scores(score, replace(score, task="general"))


def test_scorecard_compares_with_base_and_parent() -> None:
    base, tuned, last = [0.0] * 10, [1.0] * 8 + [0.0] * 2, [1.0] * 9 + [0.0]
    card = scorecard(
        [
            ("base", None, [task_score(base), task_score(tuned, "general")]),
            ("sft", "base", [task_score(tuned), task_score(base, "general")]),
            ("dpo", "sft", [task_score(last), task_score(base, "general")]),
        ]
    )
    assert card.tasks == ("stats", "general")
    assert [row.name for row in card.rows] == ["base", "sft", "dpo"]
    first, middle, final = (row.cells for row in card.rows)
    assert first[0].from_base is None and first[0].from_parent is None
    assert middle[0].from_base is not None and middle[0].from_base is middle[0].from_parent
    assert final[0].from_base is not None and final[0].from_parent is not None
    assert middle[0].from_base.change == paired_change(base, tuned, tests=6)
    assert final[0].from_base.change == paired_change(base, last, tests=6)
    assert final[0].from_parent.change == paired_change(tuned, last, tests=6)
    assert final[0].value == 0.9
    data = json.loads(json.dumps(card.to_json()))
    assert data["rows"][1]["cells"][0]["from_base"]["verdict"] == "better"
    assert data["rows"][1]["cells"][1]["from_base"]["verdict"] == "worse"
    assert data["rows"][2]["cells"][0]["from_parent"]["verdict"] == "no evidence of a difference"
    assert data["rows"][0]["cells"][0]["from_base"] is None
    assert data["rows"][2]["cells"][0]["from_base"]["change"]["gained"] == 9


def test_the_changes_of_a_scorecard_are_one_family() -> None:
    """Two benchmarks, sft against the base, dpo against both: six changes."""
    base, six, eight = [0.0] * 10, [1.0] * 5 + [0.0] * 5, [1.0] * 8 + [0.0] * 2
    card = scorecard(
        [
            ("base", None, [task_score(base), task_score(base, "general")]),
            ("sft", "base", [task_score(six), task_score(base, "general")]),
            ("dpo", "sft", [task_score(eight), task_score(base, "general")]),
        ]
    )
    assert card.tests == 6
    sft, dpo = card.rows[1].cells[0], card.rows[2].cells[0]
    assert sft.from_base is not None and dpo.from_base is not None
    assert 0.5**5 < sft.from_base.change.p < 0.05
    assert sft.from_base.p_adjusted == pytest.approx(6 * sft.from_base.change.p)
    assert sft.from_base.verdict == "no evidence of a difference"
    assert dpo.from_base.change.p == pytest.approx(0.5**8) and dpo.from_base.p_adjusted == pytest.approx(6 * 0.5**8)
    assert dpo.from_base.verdict == "better"


def test_scorecard_refuses_what_does_not_fit() -> None:
    score = task_score([1, 0])
    with pytest.raises(EvaluationError, match="needs scores"):
        scorecard([])
    with pytest.raises(EvaluationError, match="sft is scored on"):
        scorecard([("base", None, [score]), ("sft", "base", [])])
    with pytest.raises(EvaluationError, match="parent 'cpt'"):
        scorecard([("base", None, [score]), ("sft", "cpt", [score])])
    with pytest.raises(EvaluationError, match="twice"):
        scorecard([("base", None, [score]), ("base", "base", [score])])
