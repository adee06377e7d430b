"""benchmarks/choices_only.py: what is left of a prompt, and both scores of a small model against plain arithmetic."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import UsageError
from tests.conftest import REPO

ITEMS = 24


@pytest.fixture
def choices_only(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import choices_only

    return choices_only


def test_the_question_goes_and_the_rest_of_the_prompt_stays(choices_only: Any) -> None:
    mmlu = "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nAnswer:"
    assert choices_only.without_question(mmlu) == "A. {{choices[0]}}\nB. {{choices[1]}}\nAnswer:"
    story = "Read: {{ story }}\nQuestion: {{ question }}\nAnswer:"
    assert choices_only.without_question(story) == "Read: {{ story }}\nAnswer:"
    for template in ("question", "{{question}}", "{{story}}\nAnswer:", "{% if question %}{{question}}{% endif %}\nA:"):
        with pytest.raises(UsageError, match="no lines of their own for the question"):
            choices_only.without_question(template)


def clustered(values: list[float], groups: list[str]) -> float:
    """The standard error of a mean of clusters, in points, as its definition has it."""
    mean, sums = sum(values) / len(values), defaultdict(float)
    for value, group in zip(values, groups, strict=True):
        sums[group] += value - mean
    return 100 * math.sqrt(sum(s * s for s in sums.values()) * len(sums) / (len(sums) - 1)) / len(values)


def test_a_small_model(
    choices_only: Any,
    base_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from statllama.runs.targets import find_subject
    from statllama.store import Store

    arguments = ["choices_only.py", str(base_folder), "--limit", str(ITEMS), "--workspace", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    choices_only.main()
    told = json.loads(capsys.readouterr().out)

    store = Store(tmp_path)  # the scores are there: nothing is asked again
    subject = find_subject(str(base_folder), store).evaluated({"tasks": ["ap_statistics"], "limit": ITEMS})
    whole, alone = choices_only.scores(subject, store)
    lines = (REPO / "eval" / "ap_statistics" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:ITEMS]
    items = [json.loads(line) for line in lines]
    for item, with_it, without in zip(items, whole.samples, alone.samples, strict=True):
        assert item["question"] in with_it["question"]
        options = "".join(f"{letter}. {text}\n" for letter, text in zip("ABCD", item["choices"], strict=True))
        assert without["question"] == f"{options}Answer:"
        assert item["question"] not in without["prompt"]
    for name, score in (("with_question", whole), ("choices_only", alone)):
        right = [float(s["prediction"] == item["answer"]) for s, item in zip(score.samples, items, strict=True)]
        assert told[name]["right_percent"] == pytest.approx(100 * sum(right) / ITEMS, abs=0.05)
        error = clustered(right, [item["kind"] for item in items])
        assert told[name]["stderr_points"] == pytest.approx(error, abs=0.051)
    assert told["chance_percent"] == 25.0 and told["blind_baseline"]["value"] == 0.255
    gap = told["with_question"]["right_percent"] - told["choices_only"]["right_percent"]
    assert told["question_adds"]["points"] == pytest.approx(gap, abs=0.11)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("ap_stat", "did you mean 'ap_statistics'"),
        ("gsm8k", "not multiple choice"),
        ("quickstart_stats", "put {{question}}"),
    ],
)
def test_what_cannot_be_asked(
    choices_only: Any,
    base_folder: Path,
    task: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["choices_only.py", str(base_folder), "--task", task])
    with pytest.raises(SystemExit) as left:
        choices_only.main()
    assert left.value.code == 2
    assert message in capsys.readouterr().err
