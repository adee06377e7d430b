"""A study's frontier: its points are the scorecards' changes, its picture has them, and wrong names are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.errors import RecipeError
from statllama.report.study import render_study
from statllama.runs.reporting import Reporter
from statllama.runs.study import run_study
from statllama.runs.study_file import load_study
from statllama.store import Store
from tests.conftest import conversations, stage, write_jsonl

FRONTIER = {"gain": "holdout:sets", "kept": "holdout:other", "ladder": ["r:gentle", "r:strong"]}


def write(folder: Path, base: Path, **fields: Any) -> str:
    write_jsonl(folder / "sft.jsonl", conversations(12))
    for name, part in (("sets", slice(12, 18)), ("other", slice(18, 30))):
        write_jsonl(folder / f"{name}.jsonl", conversations(30)[part])
    stages = [
        stage(name, parents="base", train={"steps": 2, "learning_rate": rate})
        for name, rate in (("gentle", 1e-3), ("strong", 3e-2), ("one", 1e-2))
    ]
    holdouts = {name: {"path": f"{name}.jsonl"} for name in ("sets", "other")}
    body = {"name": "r", "base": {"model": str(base), "quantization": "none"}, "stages": stages}
    (folder / "r.yaml").write_text(yaml.safe_dump({**body, "evaluate": {"holdouts": holdouts}}, sort_keys=False))
    study = {"name": "mine", "recipes": ["r.yaml"], "reference": "base", "frontier": FRONTIER, **fields}
    (folder / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return str(folder / "mine.yaml")


def test_a_point_is_the_change_of_the_scores(tmp_path: Path, base_folder: Path) -> None:
    result = run_study(load_study([write(tmp_path, base_folder, seeds=2)]), Store(tmp_path / "w"), Reporter())
    assert result.frontier is not None and [p.name for p in result.frontier.points] == ["r:gentle", "r:strong", "r:one"]
    for point in result.frontier.points:
        last = point.name.removeprefix("r:")
        runs = [result.every_score["r"], result.every_score["r.run2"]]
        gains, kept = (
            [run[last][task].value - run["base"][task].value for run in runs]
            for task in ("holdout:sets", "holdout:other")
        )
        assert point.gain == pytest.approx(sum(gains) / 2) and point.forgotten == pytest.approx(-sum(kept) / 2)
        assert point.gain_low < point.gain < point.gain_high and point.runs == 2
    assert len(result.frontier.saved) + len(result.frontier.out_of_reach) == 1
    page = render_study(result)
    assert "Gained and forgotten" in page and "r:one" in page
    assert result.to_json()["frontier"]["of"] == FRONTIER


@pytest.mark.parametrize(
    ("change", "said"),
    [({"ladder": ["r:gentl"]}, "did you mean 'r:gentle'"), ({"kept": "holdout:othr"}, "did you mean 'holdout:other'")],
)
def test_a_wrong_name_is_told(tmp_path: Path, base_folder: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_study([write(tmp_path, base_folder, frontier={**FRONTIER, **change})])
    assert said in str(error.value) and "line" in str(error.value)


def test_recipes_that_hold_out_other_rows_are_refused_before_anything_trains(tmp_path: Path, base_folder: Path) -> None:
    file = write(tmp_path, base_folder)
    other = yaml.safe_load((tmp_path / "r.yaml").read_text())
    other |= {"name": "q", "evaluate": {"holdouts": {n: {"path": "other.jsonl"} for n in ("sets", "other")}}}
    (tmp_path / "q.yaml").write_text(yaml.safe_dump(other))
    study = yaml.safe_load(Path(file).read_text()) | {"recipes": ["r.yaml", "q.yaml"]}
    Path(file).write_text(yaml.safe_dump(study))
    with pytest.raises(RecipeError, match="hold out other rows") as error:
        load_study([file])
    assert "same `evaluate.holdouts`" in str(error.value)


def test_a_recipe_that_extends_another_holds_out_the_same_rows(tmp_path: Path, base_folder: Path) -> None:
    file = write(tmp_path, base_folder)
    (tmp_path / "q.yaml").write_text("{name: q, extends: r.yaml, keep: [one]}")
    study = yaml.safe_load(Path(file).read_text()) | {"recipes": ["r.yaml", "q.yaml"]}
    Path(file).write_text(yaml.safe_dump(study))
    assert load_study([file]).spec.frontier is not None
