"""The state of a run while it goes on, as plain data: stages, figures by step, scores, and the time that is left.

`progress.RunProgress` keeps it from a run's events, `live` puts it on the disk, the terminal and the page show it. All
moments are seconds since 1970 on the clock of `time.time`, so that another process can tell how old they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from statllama.runs.subject import BASE
from statllama.runs.watch.fleet import Fleet, left_at_speed

POINTS = 200
"""Points that a stage's figures are kept at, at most: beyond it neighbours are averaged. Even."""
NOTES = 50
"""Notes that are kept: the newest."""

Doing = Literal["waiting", "cached", "training", "scoring", "done", "failed"]
Outcome = Literal["running", "finished", "stopped", "failed"]


@dataclass
class Series:
    """A stage's figures by step: `rows` of {"step": s, "loss": ...}, the last step of each with the means over it.

    Each row stands for `width` steps, the last one for `held` of them.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    width: int = 1
    held: int = 0

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Add a step's figures. Those that are not finite are left out, since JSON has none."""
        row = {"step": float(step)} | {name: value for name, value in figures.items() if math.isfinite(value)}
        if self.rows and self.held < self.width:
            self.rows[-1] = _mean(self.rows[-1], self.held, row, 1)
            self.held += 1
        else:
            self.rows.append(row)
            self.held = 1
        if len(self.rows) == POINTS and self.held == self.width:
            pairs = zip(self.rows[::2], self.rows[1::2], strict=True)
            self.rows = [_mean(one, 1, other, 1) for one, other in pairs]
            self.width, self.held = 2 * self.width, 2 * self.width

    def of(self, name: str) -> list[float | None]:
        """Return a figure at each row, None where it was not logged."""
        return [row.get(name) for row in self.rows]

    def names(self) -> list[str]:
        """Return the figures that were logged, without `step`."""
        return [name for name in dict.fromkeys(name for row in self.rows for name in row) if name != "step"]


def _mean(one: Mapping[str, float], n: int, other: Mapping[str, float], m: int) -> dict[str, float]:
    """Return the figures of n + m steps: means where both have them, at the later step."""
    both = {name: (n * one[name] + m * other[name]) / (n + m) for name in one if name in other}
    return {**one, **other, **both, "step": other["step"]}


@dataclass(frozen=True)
class PromptAnswer:
    """A stack's answer to one of the user's own prompts (`evaluate.prompts`)."""

    prompt: str
    text: str
    ended: bool = True
    """Whether it ended by itself; else it was cut at `evaluate.prompt_tokens`."""


@dataclass
class StageState:
    """One stage of the run."""

    name: str
    type: str
    doing: Doing = "waiting"
    step: int = 0
    steps: int | None = None
    """Optimizer steps in all. None where it is not known yet."""
    tokens: int | None = None
    """Tokens that all its steps train on. None where it is not known, as for completions that are yet to be made."""
    began: float | None = None
    """When its training began in this run."""
    at: float | None = None
    """When the newest step ended."""
    seconds: float | None = None
    """Training time of a finished stage."""
    eta_seconds: float | None = None
    """What was left of its training at the moment `at`."""
    tokens_per_second: float = 0.0
    memory_bytes: int = 0
    """Peak memory so far: of the GPU's allocator, or of the process where there is no GPU."""
    on_gpu: bool = False
    """Whether it is the GPU's."""
    series: Series = field(default_factory=Series)
    """`loss`, `grad_norm`, `learning_rate`, `tokens_per_second`, `memory_bytes`, and what its type logs: `rewards/...`,
    `reward`, `kl`, `drift`, ..."""
    drift_to_parent: float | None = None
    drift_to_base: float | None = None
    key: str = ""
    """What its result is stored under: 64 hex digits."""
    where: str = ""
    """The worker that trains it, or trained it: host and device. Empty for this process."""

    @property
    def open(self) -> bool:
        """Return whether some of its training is still to be done."""
        return self.doing in ("waiting", "training")


@dataclass(frozen=True)
class SeenScore:
    """A stack's score on a benchmark: shares from 0 to 1."""

    value: float
    stderr: float | None
    metric: str


@dataclass
class Activity:
    """The work under way."""

    kind: Literal["loading", "preparing", "generating", "training", "scoring", "validating", "writing", "waiting"]
    what: str
    """In words: a stage, `sft on gsm8k`, or what is loaded or waited for."""
    began: float
    done: int = 0
    total: int | None = None
    first: int = 0
    """`done` when it was first told: what an earlier run had done."""
    at: float = 0.0
    """When `done` was last told."""

    def left(self, now: float) -> float | None:
        """Return the seconds that are left at the speed so far. None where nothing was done yet."""
        return left_at_speed(self.done, self.first, self.total, self.began, self.at, now)


@dataclass(frozen=True)
class Eta:
    """The time that is left of a run."""

    seconds: float
    without: tuple[str, ...] = ()
    """Parts that are yet to come and whose time nothing tells: stages by name, and benchmarks."""
    basis: tuple[str, ...] = ()
    """Where the figures come from: `steps so far`, `forecast`, `tokens and the speed so far`, `scoring so far`."""


@dataclass
class RunState:
    """A whole run, so far."""

    name: str = ""
    description: str = ""
    outcome: Outcome = "running"
    error: str = ""
    """Why it failed or was stopped."""
    remedy: str = ""
    """What mends that, or goes on."""
    started: float = 0.0
    updated: float = 0.0
    """When the last event came."""
    stages: dict[str, StageState] = field(default_factory=dict)
    """In the order in which they run."""
    tasks: tuple[str, ...] = ()
    """Benchmarks that the base and each stage are scored on."""
    scores: dict[str, dict[str, SeenScore]] = field(default_factory=dict)
    """{stack: {benchmark: score}}; `base` comes first."""
    score_seconds: dict[str, float] = field(default_factory=dict)
    """{benchmark: seconds that the newest scoring of a whole stack took}."""
    answers: dict[str, tuple[PromptAnswer, ...]] = field(default_factory=dict)
    """{stack: its answers to the user's prompts}."""
    activity: Activity | None = None
    notes: list[str] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)
    """{stage: seconds that its training is forecast to take}."""
    fleet: Fleet | None = None
    """Workers that train and score for it, or did. None where this process does it all."""

    @property
    def workers(self) -> Fleet | None:
        """Return the workers that are at work for it now."""
        return self.fleet if self.fleet is not None and self.fleet.ended is None else None

    @property
    def goes_on(self) -> bool:
        """Return whether a run was planned and has not ended."""
        return bool(self.stages) and self.outcome == "running"

    @property
    def current(self) -> StageState | None:
        """Return the stage that is trained or scored now."""
        return next((s for s in self.stages.values() if s.doing in ("training", "scoring")), None)

    @property
    def trained(self) -> int:
        """Return the number of stages whose training has ended, here or earlier."""
        return sum(not stage.open and stage.doing != "failed" for stage in self.stages.values())

    # ------------------------------------------------------------------ the time that is left

    def stage_eta(self, name: str, now: float) -> tuple[float, str] | None:
        """Return the seconds of training that are left of a stage, and what they are known from. None where nothing
        tells.

        While it trains: what its own steps took. Before: its forecast, less what has passed; else its tokens over the
        speed seen in this run, of a stage of its type if there was one.
        """
        stage = self.stages[name]
        if not stage.open:
            return 0.0, ""
        if stage.eta_seconds is not None and stage.at is not None:
            return max(0.0, stage.eta_seconds - (now - stage.at)), "steps so far"
        passed = 0.0 if stage.began is None else now - stage.began
        if name in self.expected:
            return max(0.0, self.expected[name] - passed), "forecast"
        seen = [s for s in self.stages.values() if s.tokens_per_second > 0]
        alike = [s for s in seen if s.type == stage.type] or seen
        if stage.tokens is None or not alike:
            return None
        return max(0.0, stage.tokens / alike[-1].tokens_per_second - passed), "tokens and the speed so far"

    def eta(self, now: float) -> Eta:
        """Return what is left of the run: the training of all stages, and the scoring of the stacks that lack scores.

        A benchmark takes as long as it took for the stack before. What nothing is known of is named, not guessed.
        """
        if self.outcome != "running":
            return Eta(0.0)
        if self.workers is not None:
            return self.workers_eta(self.workers, now)
        seconds, without, basis = 0.0, list[str](), dict[str, None]()
        for name, stage in self.stages.items():
            left = self.stage_eta(name, now)
            if left is None:
                without.append(name)
            elif stage.open:
                seconds += left[0]
                basis[left[1]] = None
        for task, times in self._scorings().items():
            took = self.score_seconds.get(task)
            busy = self._left_of(task, now)
            known = took if took is not None else self._length_of(task)
            if known is None:
                without.append(task)
                continue
            waits = times - (busy is not None)
            seconds += waits * known + (busy or 0.0)
            basis["scoring so far"] = None
        return Eta(seconds, tuple(without), tuple(basis))

    @staticmethod
    def workers_eta(workers: Fleet, now: float) -> Eta:
        """Return what is left of the works of workers."""
        left = workers.left(now)
        without = ("what is not known yet",) if left is None or workers.at_least else ()
        return Eta(left or 0.0, without, () if left is None else ("workers",))

    def _scorings(self) -> dict[str, int]:
        """Return {benchmark: stacks that are to be scored on it}. A cached stage's scores are taken as known."""
        stacks = [name for name, stage in self.stages.items() if stage.doing not in ("cached", "failed")]
        stacks += [BASE] if stacks else []
        waiting = {task: sum(task not in self.scores.get(name, {}) for name in stacks) for task in self.tasks}
        return {task: number for task, number in waiting.items() if number}

    def _scored_now(self, task: str) -> Activity | None:
        now = self.activity
        return now if now is not None and now.kind == "scoring" and now.what.endswith(f" on {task}") else None

    def _left_of(self, task: str, now: float) -> float | None:
        """Return the seconds left of the scoring under way, if it is of this benchmark."""
        activity = self._scored_now(task)
        return None if activity is None else activity.left(now)

    def _length_of(self, task: str) -> float | None:
        """Return the seconds that a whole stack takes at the speed of the scoring under way, the first one."""
        activity = self._scored_now(task)
        if activity is None or not activity.total or activity.done <= activity.first:
            return None
        return activity.total * (activity.at - activity.began) / (activity.done - activity.first)

    # ------------------------------------------------------------------ JSON

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, some of them the state's own; `from_json` reads them back."""
        return {
            **vars(self),
            "stages": {n: {**vars(stage), "series": vars(stage.series)} for n, stage in self.stages.items()},
            "tasks": list(self.tasks),
            "scores": {n: {task: asdict(score) for task, score in found.items()} for n, found in self.scores.items()},
            "answers": {name: [asdict(answer) for answer in found] for name, found in self.answers.items()},
            "activity": None if self.activity is None else asdict(self.activity),
            "fleet": None if self.fleet is None else self.fleet.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the state that `to_json` wrote. KeyError, TypeError, AttributeError or ValueError for anything
        else.
        """
        stages = {
            name: StageState(**{**stage, "series": Series(**stage["series"])})
            for name, stage in value["stages"].items()
        }
        scores = {n: {t: SeenScore(**score) for t, score in found.items()} for n, found in value["scores"].items()}
        answers = {name: _answers(found) for name, found in value["answers"].items()}
        activity = None if value["activity"] is None else Activity(**value["activity"])
        fleet = None if value.get("fleet") is None else Fleet.from_json(value["fleet"])
        parts: dict[str, Any] = {
            "stages": stages,
            "scores": scores,
            "answers": answers,
            "activity": activity,
            "fleet": fleet,
        }
        return cls(**{**value, **parts, "tasks": tuple(value["tasks"])})


def _answers(found: Sequence[Mapping[str, Any]]) -> tuple[PromptAnswer, ...]:
    return tuple(PromptAnswer(**answer) for answer in found)


def newest(stage: StageState) -> Iterator[tuple[str, float]]:
    """Yield (name, value) of the newest figures of a stage, each as it was last logged."""
    for name in stage.series.names():
        yield name, next(value for value in reversed(stage.series.of(name)) if value is not None)
