"""A search: trials chosen one after the other by what the earlier ones scored, with Optuna.

Nothing is kept of a search but what its trials left in the workspace: the next trial follows from the seed and from the
scores so far, so the same command goes on after a kill, and chooses what it would have chosen. Of a trial that was
pruned, which publishes no result, a record of where and why is among the scores.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statllama.config.sweep import Range, SearchSpec
from statllama.errors import StatllamaError, TrainingError, UsageError
from statllama.evaluation.chosen import WORDS, is_better
from statllama.recipe import Recipe
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter, Reporters
from statllama.runs.study import StudyResult, run_study
from statllama.runs.study_file import Study
from statllama.runs.sweep import Sweep, Trial, training_seconds
from statllama.runs.variants import Settings, spoken
from statllama.store import Store
from statllama.store.canonical import digest
from statllama.store.files import read_json

if TYPE_CHECKING:
    import optuna

    from statllama.train.job import StepEvent

DIGITS = 3
"""Significant digits of a number that is drawn from a range."""
RANDOM = 10
"""Trials at the start that are drawn at random."""
TO_COMPARE = 5
"""Finished trials that pruning waits for."""
Validated = Mapping[int, float]
"""{step: what a stage was validated at, higher is better}"""


@dataclass(frozen=True)
class Seen:
    """A trial, and what it was validated at while it trained."""

    trial: Trial
    validated: Validated


def require_optuna() -> None:
    """Raise UsageError without Optuna."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UsageError(
            "a search needs Optuna, which is not installed", remedy="pip install 'statllama[search]'"
        ) from None


def run_search(
    study: Study, store: Store, reporter: Reporter, *, wait: bool = True, executor: RayExecutor | None = None
) -> StudyResult:
    """Run the trials of a study's search and compare those that ended; the result's `sweep` has them all.

    Interrupted when the user stops it: the same command goes on. UsageError without Optuna. `executor`: see
    `run_study`; workers share the trials that are chosen together.
    """
    require_optuna()
    spec = study.spec.search
    assert spec is not None
    if executor is not None and spec.prune:
        raise UsageError(
            "`search.prune` looks at a trial while it trains here: leave --executor out, or `prune: false`"
        )
    seen: list[Seen] = []
    counted: set[str] = set()
    while len(seen) < spec.trials:
        first = len(seen) + 1
        asked = suggest(spec, seen)
        recipes = [study.variant(settings, first + i) for i, settings in enumerate(asked)]
        seen += _batch(study, recipes, asked, seen, store, reporter, wait, executor, counted)
    trials = tuple(one.trial for one in seen)
    if not (ended := [trial for trial in trials if trial.state == "done"]):
        errors = {trial.name: StatllamaError(trial.why or "pruned") for trial in trials}
        return StudyResult(study, {}, {}, (), errors, None, (), Sweep(study.objective, study.stage, "", trials))
    whole = study.of_variants([study.variant(t.settings, t.number) for t in ended], [t.settings for t in ended])
    result = run_study(whole, store, Reporter(), wait=wait)
    shares, by = matters(spec, seen)
    assert result.sweep is not None
    return replace(result, sweep=replace(result.sweep, trials=trials, matters=shares, by=by))


def _batch(
    study: Study,
    recipes: Sequence[Recipe],
    asked: Sequence[Settings],
    seen: Sequence[Seen],
    store: Store,
    reporter: Reporter,
    wait: bool,
    executor: RayExecutor | None,
    counted: set[str],
) -> list[Seen]:
    """Run the trials that are chosen together. `counted`: stages whose seconds an earlier trial has."""
    first, spec = len(seen) + 1, study.spec.search
    assert spec is not None
    rule = digest([spec.model_dump(mode="json"), [[dict(one.trial.settings), one.trial.value] for one in seen]])
    known = _known(store, rule) if spec.prune else None
    if known is not None:
        step, value = known
        reporter.pipeline(f"{recipes[0].name}: {spoken(asked[0])}", first, spec.trials)
        reporter.note(_words(step))
        return [Seen(Trial(first, recipes[0].name, asked[0], "pruned", value, (), step), {})]
    watcher = _Trials(reporter, first, spec.trials, dict(zip((r.name for r in recipes), asked, strict=True)))
    if spec.prune:
        watcher.prune = _Pruning(study.stage, spec, seen)
    batch = study.of_variants(recipes, asked)
    result = run_study(batch, store, watcher, wait=wait, executor=executor)
    assert result.sweep is not None
    found = []
    for number, trial in enumerate(result.sweep.trials, start=first):
        pruned = watcher.prune.at if watcher.prune is not None else None
        if pruned is not None:
            trial = replace(trial, state="pruned", step=pruned[0], value=pruned[1], seconds=0.0, why="")
            _keep_pruned(store, recipes[0], study.stage, rule, trial)
        subject = result.subjects.get(trial.name)
        keys = {} if subject is None else {stage.name: stage.key for stage in subject.stages}
        if subject is not None and pruned is None:
            trial = replace(trial, seconds=round(training_seconds(subject, counted, store), 1))
        found.append(Seen(replace(trial, number=number), _validated(store, keys.get(study.stage, ""))))
    return found


# ------------------------------------------------------------------ what Optuna is asked


def suggest(spec: SearchSpec, seen: Sequence[Seen]) -> list[Settings]:
    """Return the values of the next trials: as many as are chosen together."""
    study = _study(spec, seen)
    count = min(spec.together, spec.trials - len(seen))
    return [_settings(spec, study.ask(_distributions(spec)).params) for _ in range(count)]


def matters(spec: SearchSpec, seen: Sequence[Seen]) -> tuple[dict[str, float], str]:
    """Return {field: share of the variance that it accounts for} by functional ANOVA, and how that was found."""
    import optuna

    if sum(one.trial.state == "done" for one in seen) < max(4, len(spec.space) + 1):
        return {}, ""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=spec.seed)
    try:
        with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
            found = optuna.importance.get_param_importances(_study(spec, seen), evaluator=evaluator, normalize=False)
    except (RuntimeError, ValueError):  # all trials scored the same
        return {}, ""
    shares = {name: round(float(found[name]), 6) for name in spec.space if name in found}
    return shares, "functional ANOVA on a random forest (Hutter et al. 2014), main effects"


def _study(spec: SearchSpec, seen: Sequence[Seen]) -> optuna.Study:
    """Return Optuna's study of the trials so far. Its sampler draws anew for each number of trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = int(np.random.SeedSequence([spec.seed, len(seen)]).generate_state(1)[0])
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if spec.sampler == "tpe":
        liar = spec.together > 1
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM, constant_liar=liar)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=TO_COMPARE)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    states = optuna.trial.TrialState
    named = {"done": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
    for one in seen:
        trial = one.trial
        steps = dict(one.validated)
        if trial.step is not None and trial.value is not None:
            steps = {trial.step: trial.value}
        study.add_trial(
            optuna.trial.create_trial(
                state=named[trial.state],
                params=_params(spec, trial.settings),
                distributions=_distributions(spec),
                value=trial.value if trial.state == "done" else None,
                intermediate_values=steps,
            )
        )
    return study


def _distributions(spec: SearchSpec) -> dict[str, Any]:
    import optuna

    found: dict[str, Any] = {}
    for name, values in spec.space.items():
        if not isinstance(values, Range):
            found[name] = optuna.distributions.CategoricalDistribution(range(len(values)))
        elif values.whole:
            found[name] = optuna.distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
        else:
            found[name] = optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)
    return found


def _settings(spec: SearchSpec, params: Mapping[str, Any]) -> Settings:
    """Return a trial's values: of a list the one meant, of a range the number with few digits."""
    found = {}
    for name, values in spec.space.items():
        if not isinstance(values, Range):
            found[name] = values[params[name]]
        elif values.whole:
            found[name] = int(params[name])
        else:
            found[name] = min(max(float(f"{params[name]:.{DIGITS}g}"), values.low), values.high)
    return found


def _params(spec: SearchSpec, settings: Settings) -> dict[str, Any]:
    return {
        name: settings[name] if isinstance(values, Range) else values.index(settings[name])
        for name, values in spec.space.items()
    }


# ------------------------------------------------------------------ pruning


class _Pruning:
    """Whether the trial under way is to be ended, by what its stage is validated at."""

    def __init__(self, stage: str, spec: SearchSpec, seen: Sequence[Seen]) -> None:
        self.stage = stage
        self.at: tuple[int, float] | None = None
        """Step and validation at which it was ended."""
        self._trial = _study(spec, seen).ask()

    def look(self, event: StepEvent) -> None:
        """Raise TrainingError where the validation is worse than the median of the earlier trials at that step."""
        figures = [figure for figure in WORDS if figure in event.extra]
        if event.stage != self.stage or not figures or event.step >= event.total:
            return
        value = _higher(figures[0], event.extra[figures[0]])
        self._trial.report(value, event.step)
        if self._trial.should_prune():
            self.at = event.step, value
            raise TrainingError(_words(event.step))


def _words(step: int) -> str:
    return f"pruned at step {step}: worse than the median of the earlier trials at that step"


def _higher(figure: str, value: float) -> float:
    """Return a validation's figure so that higher is better."""
    return value if is_better(figure, 1.0, 0.0) else -value


class _Trials(Reporters):
    """Tells of a trial by its number and its values, and looks at it as it trains."""

    prune: _Pruning | None = None

    def __init__(self, inner: Reporter, first: int, total: int, settings: Mapping[str, Settings]) -> None:
        super().__init__(inner)
        self.inner, self._first, self._total, self._of = inner, first, total, settings

    def pipeline(self, name: str, number: int, total: int) -> None:
        self.inner.pipeline(name, self._first + number - 1, self._total)

    def step(self, event: StepEvent) -> None:
        self.inner.step(event)
        if self.prune is not None:
            self.prune.look(event)

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        if self.prune is not None and self.prune.at is not None:
            self.inner.note(_words(self.prune.at[0]))
        else:
            self.inner.pipeline_failed(name, error)


def _validated(store: Store, key: str) -> Validated:
    """Return what a published stage was validated at while it trained."""
    entry = store.find("results", key) if key else None
    history: Any = read_json(entry.path / "history.json") if entry is not None else None
    found = {}
    for record in history or ():
        for figure in WORDS:
            if figure in record:
                found[int(record["step"])] = _higher(figure, float(record[figure]))
    return found


def _keep_pruned(store: Store, recipe: Recipe, stage: str, rule: str, trial: Trial) -> None:
    """Keep where a trial was pruned, which is where it always will be after the trials before it, and take away what
    its stage left to resume from.
    """
    planned = plan(recipe, store)
    key, base = digest({"pruned": rule}), planned[0].material["base"]
    about = {"kind": "pruned", "name": trial.name, "protocol": {"pruned": rule, "stack": [], "base": base}}
    with store.hold("scores", key):
        if store.find("scores", key) is None:
            store.partial("scores", key, about)
            store.fresh_out("scores", key)
            body = {"step": trial.step, "value": trial.value, "settings": dict(trial.settings)}
            store.publish("scores", key, {**about, "pruned": body})
    for one in planned:
        if one.spec.name == stage and one.entry is None:
            store.discard_partial("results", one.key)


def _known(store: Store, rule: str) -> tuple[int, float] | None:
    entry = store.find("scores", digest({"pruned": rule}))
    return None if entry is None else (int(entry.manifest["pruned"]["step"]), float(entry.manifest["pruned"]["value"]))
