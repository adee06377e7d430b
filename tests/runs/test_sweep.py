"""Grids and searches: their trials, what is trained once, what is pruned, and that a killed one goes on as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from statllama.config.sweep import Range, SearchSpec
from statllama.errors import Interrupted, RecipeError, UsageError
from statllama.report.study import render_study
from statllama.runs.reporting import Reporter
from statllama.runs.search import Seen, run_search, suggest
from statllama.runs.study import StudyResult, run_study
from statllama.runs.study_file import load_study
from statllama.runs.sweep import Trial, main_effects
from statllama.runs.variants import as_arguments, combinations, short_names, spoken
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import conversations, stage, write_jsonl
from tests.running import statllama
from tests.runs.test_seeds import Trained

RATE = "stages.sft.train.learning_rate"


@pytest.fixture
def study(tmp_path: Path, base_folder: Path) -> Callable[..., str]:
    """Writes a study of a recipe with a trunk and a stage on it, scored on a benchmark of 60 questions."""
    write_jsonl(tmp_path / "sft.jsonl", conversations(8))
    choice_task(tmp_path / "eval", "letters", 60)
    few = {"steps": 2, "learning_rate": 3e-2}
    body = {"name": "r", "base": {"model": str(base_folder), "quantization": "none"}}
    body |= {"stages": [stage("trunk", train=few), stage("sft", train=few)]}
    body |= {"evaluate": {"tasks": ["letters"], "micro_tokens": 1600}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(body, sort_keys=False))

    def write(**fields: Any) -> str:
        whole = {"name": "mine", "recipes": ["r.yaml"], "objective": "letters", **fields}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
        return str(tmp_path / "mine.yaml")

    return write


# ------------------------------------------------------------------ a grid


def test_a_grid_trains_what_its_trials_share_once(study: Callable[..., str], tmp_path: Path) -> None:
    file = study(grid={RATE: [1e-3, 3e-2], "stages.sft.train.seed": [1, 2]})
    trained, store = Trained(), Store(tmp_path / "w")
    result = run_study(load_study([file]), store, trained)
    assert trained.stages == ["trunk", "sft", "sft", "sft", "sft"]
    assert trained.pipelines[:2] == ["r.1: learning_rate 0.001, seed 1", "r.2: learning_rate 0.001, seed 2"]
    assert result.sweep is not None and [t.settings for t in result.sweep.trials] == list(
        combinations({RATE: (1e-3, 3e-2), "stages.sft.train.seed": (1, 2)})
    )
    scores = [result.every_score[trial.name]["sft"]["letters"].value for trial in result.sweep.trials]
    assert [trial.value for trial in result.sweep.trials] == scores
    assert result.sweep.best is not None and result.sweep.best.value == max(scores)
    took = [entry.manifest["metrics"]["seconds"] for entry in store.entries("results")]
    assert sum(trial.seconds for trial in result.sweep.trials) == pytest.approx(sum(took), abs=0.3), "the trunk once"
    assert json.loads(json.dumps(result.to_json()))["sweep"]["best"] == result.sweep.best.number
    assert "Trials, the best on letters first" in (page := render_study(result)) and "mathdefault" not in page


def test_main_effects_are_those_of_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    grid = list(combinations({"a": (1, 2, 3), "b": ("x", "y")}))
    values = rng.normal(size=len(grid))
    trials = [
        Trial(i, "", settings, "done", float(v)) for i, (settings, v) in enumerate(zip(grid, values, strict=True))
    ]
    shares = main_effects(trials)
    for field in ("a", "b"):
        groups = [values[[s[field] == level for s in grid]] for level in dict.fromkeys(s[field] for s in grid)]
        f = stats.f_oneway(*groups).statistic  # eta squared from F and its degrees of freedom
        between, within = len(groups) - 1, len(values) - len(groups)
        assert shares[field] == pytest.approx(f * between / (f * between + within))
    assert (
        main_effects(trials[:3]) == {}
        and main_effects([Trial(i, "", s, "done", 1.0) for i, s in enumerate(grid)]) == {}
    )


def test_fields_are_called_by_their_shortest_name() -> None:
    assert short_names(["stages.a.lora.r", "stages.b.lora.r", "x"]) == {
        "stages.a.lora.r": "a.lora.r",
        "stages.b.lora.r": "b.lora.r",
        "x": "x",
    }
    assert spoken({RATE: 1.234567e-4, "stages.sft.lora.layers": "2-3"}) == "learning_rate 0.0001235, layers 2-3"
    assert as_arguments({RATE: 1e-3, "a.b": ["q_proj", "k"]}) == f'--set {RATE}=0.001 --set a.b=\'["q_proj", "k"]\''


# ------------------------------------------------------------------ a search

SPACE = {RATE: Range(low=1e-4, high=1e-1, log=True), "stages.sft.lora.r": (2, 4)}


def seen_of(values: list[float], spec: SearchSpec) -> list[Seen]:
    """Trials as the search would choose them, with these scores."""
    seen: list[Seen] = []
    for i, value in enumerate(values, start=1):
        seen.append(Seen(Trial(i, f"r.{i}", suggest(spec, seen)[0], "done", value), {}))
    return seen


def test_a_suggestion_follows_from_the_seed_and_the_scores_alone() -> None:
    spec = SearchSpec(space=SPACE, trials=20)
    one, again = seen_of([0.1] * 12, spec), seen_of([0.1] * 12, spec)
    assert [s.trial.settings for s in one] == [s.trial.settings for s in again]
    other = seen_of([0.1] * 12, SearchSpec(space=SPACE, trials=20, seed=1))
    assert [s.trial.settings for s in one] != [s.trial.settings for s in other]
    for seen in one:
        rate = seen.trial.settings[RATE]
        assert (
            1e-4 <= rate <= 1e-1 and rate == float(f"{rate:.3g}") and seen.trial.settings["stages.sft.lora.r"] in (2, 4)
        )


def test_a_search_comes_closer_to_the_best_than_chance() -> None:
    def score(rate: float) -> float:
        return -abs(np.log10(rate) + 2)

    found: dict[str, list[float]] = {"tpe": [], "random": []}
    for sampler, best in found.items():
        for seed in range(4):
            spec = SearchSpec(space=SPACE, trials=40, sampler=sampler, seed=100 * seed)  # type: ignore[arg-type]
            seen: list[Seen] = []
            while len(seen) < 30:
                settings = suggest(spec, seen)[0]
                seen.append(Seen(Trial(len(seen) + 1, "", settings, "done", float(score(settings[RATE]))), {}))
            best.append(float(np.mean([one.trial.value for one in seen[15:]])))
    assert np.mean(found["tpe"]) > np.mean(found["random"]) + 0.2


class StopsAt(Trained):
    """Stops the run, as Ctrl-C does, once a trial's stage has begun."""

    def __init__(self, trial: int) -> None:
        super().__init__()
        self.trial = trial

    def pipeline(self, name: str, number: int, total: int) -> None:
        super().pipeline(name, number, total)
        if number == self.trial:
            raise Interrupted("stopped")


def test_a_search_that_was_stopped_goes_on_as_it_was(study: Callable[..., str], tmp_path: Path) -> None:
    space = {RATE: {"low": 1e-4, "high": 1e-1, "log": True}, "stages.sft.lora.r": [2, 4]}
    loaded = load_study([study(search={"space": space, "trials": 4})])

    def run(workspace: str, reporter: Reporter) -> StudyResult:
        return run_search(loaded, Store(tmp_path / workspace), reporter)

    whole, trained = run("whole", Reporter()), Trained()
    with pytest.raises(Interrupted):
        run("broken", StopsAt(3))
    broken = run("broken", trained)
    assert trained.stages == ["sft", "sft"], "trials 1 and 2 were there"
    assert broken.sweep is not None and whole.sweep is not None

    def told(result: StudyResult) -> list[Any]:
        assert result.sweep is not None
        return [(t.number, t.settings, t.value, t.state) for t in result.sweep.trials]

    assert told(broken) == told(whole)
    assert broken.sweep.matters == whole.sweep.matters


def test_a_failed_trial_does_not_end_the_search(study: Callable[..., str], tmp_path: Path) -> None:
    loaded = load_study([study(search={"space": {RATE: [1e-2, 1e30]}, "trials": 4, "sampler": "random"})])
    result = run_search(loaded, Store(tmp_path / "w"), Reporter())
    assert result.sweep is not None
    states = {trial.settings[RATE]: trial.state for trial in result.sweep.trials}
    assert states == {1e-2: "done", 1e30: "failed"}
    assert result.sweep.best is not None and result.sweep.best.settings[RATE] == 1e-2
    assert "loss nan" in next(t.why for t in result.sweep.trials if t.state == "failed")


class Validated(Trained):
    """Keeps at which step of which trial a stage was validated, and what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []
        self.notes: list[str] = []

    def step(self, event: Any) -> None:
        if "holdout_loss" in event.extra:
            self.steps.append((len(self.pipelines), event.step))

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_trial_below_the_median_is_pruned_and_stays_so(study: Callable[..., str], tmp_path: Path) -> None:
    """A rate so high that the stage unlearns what the others, at which hardly anything moves, keep."""
    fields = {"space": {RATE: [1e-5, 2e-5, 20.0]}, "trials": 7, "prune": True, "sampler": "random", "seed": 19}
    kept = ["stages.sft.data.0.holdout=0.25", "stages.sft.train.select={on: holdout, every: 1}"]
    loaded = load_study([study(search=fields, objective="holdout:sft")], kept)
    store, first = Store(tmp_path / "w"), Validated()
    result = run_search(loaded, store, first)
    assert result.sweep is not None
    pruned = [trial for trial in result.sweep.trials if trial.state == "pruned"]
    assert pruned == [t for t in result.sweep.trials if t.settings[RATE] == 20.0 and t.number > 5] != []
    assert all(trial.step == 1 for trial in pruned), "five trials are compared with"
    assert any("pruned at step 1" in note for note in first.notes)
    for trial in pruned:
        assert [step for number, step in first.steps if number == trial.number] in ([1], [])
    assert not list(store.listed("partial")), "nothing is left of it"
    again = Validated()
    second = run_search(loaded, store, again)
    assert again.stages == [] and again.steps == [] and second.to_json() == result.to_json()


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"grid": {RATE: [1e-3]}, "search": {"space": {RATE: [1, 2]}, "trials": 3}}, "not both"),
        ({"search": {"space": {RATE: [1e-3, 1e-2]}, "trials": 3}, "objective": "leters"}, "did you mean 'letters'"),
        ({"grid": {"stages.sft.data.0.holdout": [0.1, 0.2]}}, "scores on other rows cannot be compared"),
        ({"search": {"space": {RATE: [1e-3]}, "trials": 3}}, "one value alone"),
        ({"search": {"space": {RATE: {"low": 0.0, "high": 1.0, "log": True}}, "trials": 3}}, "logarithmic"),
        ({"search": {"space": {"stages.sft.train.rate": [1, 2]}, "trials": 3}}, "rate"),
        ({"search": {"space": {RATE: [1e-3, 1e-2]}, "trials": 3, "prune": True}}, "train.select"),
        ({"search": {"space": {RATE: [1e-3, 1e-2]}, "trials": 3}, "stage": "sfx"}, "'sft'"),
        ({}, "neither"),
    ],
)
def test_a_wrong_sweep_says_what_and_where(study: Callable[..., str], fields: dict[str, Any], said: str) -> None:
    with pytest.raises((RecipeError, UsageError)) as error:
        load_study([study(**fields)])
    assert said in str(error.value) and error.value.exit_code == 2


@pytest.mark.parametrize("field", ["stages.sft.train.max_length", "stages.sft.data.0.min_chars"])
def test_trials_that_cut_held_out_rows_otherwise_are_refused_before_anything_trains(
    study: Callable[..., str], field: str
) -> None:
    held = ["stages.sft.data.0.holdout=0.25"]
    with pytest.raises(RecipeError, match="cannot be compared"):
        load_study([study(grid={field: [8, 64]}, objective="holdout:sft")], held)
    search = {"space": {field: {"low": 8, "high": 64}}, "trials": 3}
    with pytest.raises(RecipeError, match="cannot be compared"):
        load_study([study(search=search, objective="holdout:sft")], held)
    load_study([study(grid={"stages.trunk.train.max_length": [16, 64]}, objective="letters")])


def test_a_grid_with_a_wrong_value_names_the_combination(study: Callable[..., str]) -> None:
    with pytest.raises(UsageError, match="steps -1") as error:
        load_study([study(grid={"stages.sft.train.steps": [2, -1]})])
    assert error.value.exit_code == 2


def test_many_runs_take_consent(study: Callable[..., str], tmp_path: Path) -> None:
    file = study(grid={"stages.sft.train.seed": list(range(500))}, seeds=2)
    said = statllama("study", file, "--workspace", "w", cwd=tmp_path)
    assert said.returncode == 2 and "makes 1,000 runs" in said.stderr and "--yes" in said.stderr
    assert not (tmp_path / "w").exists()
