"""The state of a run from its events: what each event does to it, its figures by step, and the time that is left."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from statllama.data.report import MixtureReport, SourceReport
from statllama.errors import Interrupted, StatllamaError, TrainingError, UsageError
from statllama.evaluation.scores import Drift
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.reporting import Reporter, Reporters
from statllama.runs.watch.progress import RunProgress, tokens_of
from statllama.runs.watch.run_state import POINTS, PromptAnswer, RunState, Series
from statllama.store import Store
from statllama.train.job import StepEvent
from tests.conftest import stage

STAGES = ("cpt", "sft", "dpo")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> RunProgress:
    """A run of three stages, none of them trained, scored on one benchmark."""
    made = RunProgress(clock=clock)
    evaluate = SimpleNamespace(tasks=("quiz",))
    recipe: Any = SimpleNamespace(name="gardener", description="Plants.", evaluate=evaluate, benchmarks=("quiz",))
    made.planned(recipe, [SimpleNamespace(spec=SimpleNamespace(name=n, type=n), key=n, entry=None) for n in STAGES])
    return made


def spec_of(name: str, rows: int = 100, batch: int = 10) -> Any:
    """What `tokens_of` and `training` read of a stage."""
    return SimpleNamespace(name=name, type=name, train=SimpleNamespace(batch_size=batch), rows_per_epoch=lambda n: n)


def mixture(tokens: int, supervised: int = 1, rows: int = 100) -> MixtureReport:
    return MixtureReport((SourceReport("a", rows, rows, rows, tokens, supervised, 0, {}, ""),), rows, 1.0)


def step(stage: str, number: int, total: int, eta: float, speed: float = 200.0, **extra: float) -> StepEvent:
    return StepEvent(stage, number, total, 2.0 / number, 0.5, 1e-4, speed, eta, 7 * 2**20, extra)


def published(steps: int, seconds: float, tokens: int) -> Any:
    return SimpleNamespace(key="0" * 64, manifest={"metrics": {"steps": steps, "seconds": seconds, "tokens": tokens}})


def test_a_run_from_its_events(progress: RunProgress, clock: Clock) -> None:
    """A short run, worked by hand: what each event leaves in the state."""
    state = progress.state
    with progress.scoring("base", "quiz") as advance:
        assert state.activity is not None and state.activity.what == "base on quiz"
        advance(0, 40, "quiz")
        clock.now += 20
        advance(20, 40, "quiz")
        assert state.activity.left(clock.now) == 20  # one second an item, twenty items
        clock.now += 20
        advance(40, 40, "quiz")
    assert state.score_seconds == {"quiz": 40}
    progress.scored("base", SimpleNamespace(task="quiz", value=0.25, stderr=0.1, metric="acc"))  # type: ignore[arg-type]
    with progress.training(spec_of("cpt"), mixture(1000), 20):
        assert state.stages["cpt"].doing == "training" and state.current is state.stages["cpt"]
        progress.step(step("cpt", 1, 20, float("nan"), 0.0))
        assert state.stages["cpt"].eta_seconds is None
        progress.step(step("cpt", 2, 20, 36.0, **{"rewards/margins": 0.5}))
    progress.stage_finished("cpt", published(20, 41.0, 2000))
    progress.drifted("cpt", Drift(0.1, 0.2, 10))
    progress.answered("cpt", [PromptAnswer("Why?", "Because.")])
    progress.note("a note")
    cpt = state.stages["cpt"]
    assert (cpt.doing, cpt.seconds, cpt.drift_to_base, state.trained) == ("done", 41.0, 0.2, 1)
    assert cpt.series.of("loss") == [2.0, 1.0] and cpt.series.of("rewards/margins") == [None, 0.5]
    assert state.scores["base"]["quiz"].value == 0.25 and state.notes == ["a note"]
    assert state.answers["cpt"][0].text == "Because."
    progress.finished(SimpleNamespace(), {}, None)  # type: ignore[arg-type]
    assert state.outcome == "finished" and state.eta(clock.now).seconds == 0


def test_the_time_that_is_left(progress: RunProgress, clock: Clock) -> None:
    """Steps so far for the stage that trains; forecast, else tokens over the speed seen, for those that wait."""
    state = progress.state
    for name, tokens in (("cpt", 4000), ("sft", 3000), ("dpo", 600)):
        progress.sized(spec_of(name), mixture(tokens), 10)
    progress.scored("base", SimpleNamespace(task="quiz", value=0.2, stderr=None, metric="acc"))  # type: ignore[arg-type]
    unknown = state.eta(clock.now)
    assert unknown.without == ("cpt", "sft", "dpo", "quiz") and unknown.seconds == 0
    progress.forecast({"sft": 50.0, "dpo": float("nan")})
    with progress.training(spec_of("cpt"), mixture(4000), 10):
        progress.step(step("cpt", 2, 10, 16.0, speed=200.0))
        clock.now += 4
        assert state.stage_eta("cpt", clock.now) == (12.0, "steps so far")
        assert state.stage_eta("sft", clock.now) == (50.0, "forecast")
        assert state.stage_eta("dpo", clock.now) == (600 / 200.0, "tokens and the speed so far")
        state.score_seconds["quiz"] = 7.0
        eta = state.eta(clock.now)  # and three stacks are yet to be scored
        assert eta.seconds == pytest.approx(12 + 50 + 3 + 3 * 7) and eta.without == ()
        assert eta.basis == ("steps so far", "forecast", "tokens and the speed so far", "scoring so far")
        clock.now += 100  # a step takes longer than all before: never below 0
        assert state.stage_eta("cpt", clock.now) == (0.0, "steps so far")
    progress.stage_finished("cpt", published(10, 20.0, 4000))
    with progress.training(spec_of("sft"), mixture(3000), 10):
        clock.now += 20  # no step has ended: the forecast counts down
        assert state.stage_eta("sft", clock.now) == (30.0, "forecast")


def test_the_first_scoring_tells_of_the_others(progress: RunProgress, clock: Clock) -> None:
    """While the base is scored, its speed is that of the stacks that come."""
    progress.forecast(dict.fromkeys(STAGES, 10.0))
    with progress.scoring("base", "quiz") as advance:
        advance(0, 10, "quiz")
        clock.now += 5
        advance(5, 10, "quiz")
        assert progress.state.eta(clock.now).seconds == pytest.approx(3 * 10 + 5 + 3 * 10)


def test_a_scoring_that_goes_on_from_an_earlier_run_tells_nothing_of_its_length(
    progress: RunProgress, clock: Clock
) -> None:
    with progress.scoring("base", "quiz") as advance:
        advance(38, 40, "quiz")
        clock.now += 1
        advance(40, 40, "quiz")
    assert progress.state.score_seconds == {}


def test_tokens_of_a_stage() -> None:
    """Worked: 100 rows of 50 tokens, batches of 10, 25 steps: 2.5 epochs."""
    assert tokens_of(spec_of("sft"), mixture(5000), 25) == 12500
    assert tokens_of(spec_of("grpo"), mixture(5000, supervised=0), 25) is None  # prompts: completions come later


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(TrainingError("loss nan", remedy="lower it"), "failed"), (Interrupted("by a signal", remedy="again"), "stopped")],
)
def test_a_run_that_ends_early(progress: RunProgress, error: StatllamaError, outcome: str) -> None:
    with pytest.raises(type(error)), progress.training(spec_of("sft"), mixture(10), 5):
        raise error
    progress.failed(error)
    state = progress.state
    assert (state.outcome, state.stages["sft"].doing, state.stages["dpo"].doing) == (outcome, "failed", "waiting")
    assert (state.error, state.remedy, state.activity) == (error.message, error.remedy, None)


def test_a_series_is_bounded_and_keeps_the_means() -> None:
    """The mean over all steps is the mean over the rows, each of its width; the last step stays the last."""
    series, total = Series(), 4 * POINTS + 37
    for number in range(1, total + 1):
        series.add(number, {"loss": float(number), "nan": float("nan")})
        assert len(series.rows) <= POINTS and series.rows[-1]["step"] == number
    weights = [series.width] * (len(series.rows) - 1) + [series.held]
    assert sum(weights) == total
    mean = sum(w * float(row["loss"]) for w, row in zip(weights, series.rows, strict=True)) / total
    assert mean == pytest.approx((total + 1) / 2) and series.names() == ["loss"]


def test_the_state_survives_json(progress: RunProgress, clock: Clock) -> None:
    with progress.training(spec_of("sft"), mixture(10), 5):
        progress.step(step("sft", 1, 5, 4.0, reward=0.5))
        progress.answered("base", [PromptAnswer("a", "b", ended=False)])
        text = json.dumps(progress.state.to_json(), allow_nan=False)
        assert RunState.from_json(json.loads(text)) == progress.state


def test_all_reporters_get_every_event() -> None:
    """`Reporters` overrides each event of `Reporter`, with its arguments."""
    events = {n: f for n, f in vars(Reporter).items() if callable(f) and not n.startswith("_")}
    for name, event in events.items():
        own = vars(Reporters).get(name)
        assert own is not None, f"Reporters hands on no {name}"
        assert inspect.signature(own) == inspect.signature(event), name


def test_reporters_share_callbacks() -> None:
    """A callback reaches those that want one; without any, none is given."""
    seen: list[tuple[str, int]] = []

    class Listening(Reporter):
        def __init__(self, name: str) -> None:
            self.name = name

        def scoring(self, name: str, task: str) -> Any:
            from contextlib import nullcontext

            return nullcontext(lambda done, total, _: seen.append((self.name, done)))

    with Reporters(Reporter(), Reporter()).scoring("base", "quiz") as none:
        assert none is None
    with Reporters(Listening("a"), Reporter(), Listening("b")).scoring("base", "quiz") as advance:
        assert advance is not None
        advance(3, 5, "quiz")
    assert seen == [("a", 3), ("b", 3)]


def test_the_state_of_a_real_run(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """A run that trains, then one whose stages are cached; and one that fails tells so."""
    store, first, again = Store(tmp_path / "w"), RunProgress(), RunProgress()
    recipe = load_recipe(write_recipe([stage("a", train={"steps": 3}), stage("b", "dpo", train={"steps": 2})]))
    sizes: list[int | None] = []
    first.changed = lambda soon: sizes.append(first.state.stages["b"].tokens if first.state.stages else None)
    runner.run(recipe, store, Reporters(first, Reporter()))
    state = first.state
    assert state.outcome == "finished" and state.stages["a"].drift_to_base is not None
    assert [(s.doing, s.step, s.steps) for s in state.stages.values()] == [("done", 3, 3), ("done", 2, 2)]
    assert len(state.stages["a"].series.of("loss")) == 3 and state.stages["a"].memory_bytes > 2**20
    assert {"rewards/margins", "rewards/accuracies"} <= set(state.stages["b"].series.names())
    told = next(size for size in sizes if size is not None)  # before it trained: two batches of four rows of the mean
    assert told == pytest.approx(state.stages["b"].tokens, rel=0.2)
    assert RunState.from_json(json.loads(json.dumps(state.to_json()))) == state
    runner.run(recipe, store, again)
    assert [s.doing for s in again.state.stages.values()] == ["cached", "cached"]
    with pytest.raises(UsageError, match="no stage"):
        runner.run(recipe, store, again, until="nowhere")
    assert again.state.outcome == "failed" and "no stage" in again.state.error
