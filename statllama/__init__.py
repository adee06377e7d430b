"""Train a domain specialist out of a small Llama: one recipe, stacked QLoRA adapters, honest scores.

>>> import statllama
>>> run = statllama.run("quickstart", "workspace")     # train what is not trained yet, score base and stages
>>> run.to_pandas()                                    # the scorecard as a frame; a notebook shows it by itself
>>> statllama.load("quickstart", "workspace").ask("What is the median?")

Each function takes a name or a path and a workspace, and nothing else is needed. The workspace is a folder; without
one it is STATLLAMA_WORKSPACE, or `workspace` in the current folder, as on the command line. A function prints nothing
unless `progress=True`, and raises the errors of `statllama.errors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from statllama import errors
    from statllama.recipe import Recipe, load_recipe
    from statllama.release.api import Formats, Released
    from statllama.runs.api import Named, Overrides, Words
    from statllama.runs.reporting import Reporter
    from statllama.runs.results import Compared, Plan, Run, Scores
    from statllama.runs.specialist import Specialist
    from statllama.store.versions import __version__

__all__ = ["__version__", "compare", "errors", "evaluate", "export", "load", "load_recipe", "plan", "run"]


def run(
    recipe: Named | Recipe,
    workspace: Named | None = None,
    *,
    overrides: Overrides = None,
    until: str | None = None,
    wait: bool = True,
    trust_local_code: bool = False,
    executor: Literal["local", "ray"] | None = None,
    address: str | None = None,
    workers: int | None = None,
    mirror: str | None = None,
    progress: bool | Reporter | None = None,
) -> Run:
    """Train every stage that is not trained yet, score the base and each stack, make the releases that the recipe asks
    for.

    `recipe`: a YAML file, the name of a shipped recipe, or what `load_recipe` returned. `overrides`:
    `"stages.sft.train.steps=20"`, a list of such texts, or `{"stages.sft.train.steps": 20}`. `until`: stop after this
    stage. `wait`: for another process that trains the same stage, or raise StoreError. `trust_local_code`: run rewards
    that lie beside the recipe. `mirror`: URL of an object store (`"s3://bucket/folder"`) from which results are fetched
    before a stage is trained, and to which they are pushed; None: STATLLAMA_MIRROR. `executor`: `ray` trains and scores
    on workers beside each other, on the cluster at `address` or on this machine, `workers` of them at most; default: as
    the command. `progress`: True prints as the
    command does.

    In the main thread SIGINT and SIGTERM end the run after the step (Interrupted), and the same call goes on. Raises
    RecipeError, DataError, ModelError, StoreError, TrainingError, EvaluationError; GateBroken when a stage cost more
    than a gate allows; once all else is done, ExportError when a form of a release failed its checks.
    """
    from statllama.release.of_recipe import ReleaseMaker
    from statllama.runs import api

    chosen = (executor, address, workers)
    how = (until, wait, trust_local_code, mirror, chosen)
    return api.run(recipe, workspace, overrides, *how, _reporter(progress), ReleaseMaker())


def plan(
    recipe: Named | Recipe,
    workspace: Named | None = None,
    *,
    overrides: Overrides = None,
    until: str | None = None,
    on: str | None = None,
    calibrate: bool = False,
    mirror: str | None = None,
    progress: bool | Reporter | None = None,
) -> Plan:
    """Return which stages would run and why, with examples, tokens, steps, memory and seconds. `benchmarks` of it is
    the smallest change that each benchmark can show, `time` how long each part takes, `needs` the memory, the token
    budget that fits and the disk of each stage, `advice` what would stop or spoil it. Trains nothing.

    Prepares the data of the stages that would run and keeps them in the workspace, as the command does. `on`: forecast
    for a GPU, `"RTX 4090"` or `"12GB"`, in place of this machine. `calibrate`: first measure this machine, by a few
    real steps of each type of stage. `mirror`: as in `run`; what it has need not be trained.
    """
    from statllama.release.of_recipe import ReleaseMaker
    from statllama.runs import api

    how = (until, on, calibrate, mirror)
    return api.plan(recipe, workspace, overrides, *how, _reporter(progress), ReleaseMaker())


def evaluate(
    target: Named,
    workspace: Named | None = None,
    *,
    stage: Words = None,
    tasks: Words = None,
    data: Mapping[str, Any] | None = None,
    limit: int | None = None,
    scale: Mapping[str, float] | None = None,
    overrides: Overrides = None,
    mirror: str | None = None,
    progress: bool | Reporter | None = None,
) -> Scores:
    """Score a run's base and stages, or any other model, on benchmarks. What was scored before is not scored again.

    `target`: a run (`"quickstart"`, `"quickstart:sft"`), its recipe, a release, a model's folder or hub id. `stage`:
    only these, or `base`. `tasks`: benchmarks in place of the recipe's. `data`: `{task: file}` or
    `{task: {split: file}}`. `limit`: the first so many items. `scale`: `{stage: factor}`, also score the last of the
    stacks with these adapters scaled. `overrides`: of `evaluate.*`. `mirror`: as in `run`, for scores.

    Raises NotFoundError for an unknown name or a workspace without it, UsageError for an unfinished run (name a `stage`
    then), EvaluationError.
    """
    from statllama.runs import api

    return api.evaluate(target, workspace, stage, tasks, data, limit, scale, overrides, mirror, _reporter(progress))


def compare(models: Named | Sequence[Named], workspace: Named | None = None) -> Compared:
    """Compare scored models with the first of them, item by item. Loads no model: score first, with `evaluate`.

    `models`: several targets as `evaluate` takes them, each with the stack of its last stage (`["a", "b:sft"]`); or one
    run, whose stages are compared with its base. Raises NotFoundError, UsageError where nothing is scored or the run is
    not finished, IncomparableError for scores that were made in different ways.
    """
    from statllama.runs import api

    return api.compare(models, workspace)


def export(
    target: Named,
    workspace: Named | None = None,
    *,
    out: Named | None = None,
    formats: Formats | None = None,
    stage: str | None = None,
    scale: Mapping[str, float] | None = None,
    name: str | None = None,
    force: bool = False,
    progress: bool | Reporter | None = None,
) -> Released:
    """Release a stage: write each format, verify it against the trained stack, and only then put it in place.

    `out`: a folder to make; None: RUN-STAGE in the current folder. `formats`: the command's options without dashes
    (`"gguf=q8_0"`, `["adapter", "merged=f16"]`, `{"gguf": ["q8_0", "q4_k_m"]}`); None: the adapter and merged weights
    in bf16. `stage`: None is the last. `name`: of the release. `force`: publish what failed its checks too.

    Raises UsageError when `out` exists or a format is unknown; ExportError when a format fails its checks: what passed
    is published all the same, and the message names the rest and what to take instead.
    """
    from statllama.release import api

    return api.export(target, workspace, out, formats, stage, scale, name, force, _reporter(progress))


def load(
    target: Named,
    workspace: Named | None = None,
    *,
    stage: str | None = None,
    scale: Mapping[str, float] | None = None,
    progress: bool | Reporter | None = None,
) -> Specialist:
    """Load the base with a run's stack on it: `model, tokenizer = load("quickstart")`, or `load(...).ask("...")`.

    `target`: as `evaluate` takes it. `stage`: whose stack; None is the last, `base` the bare base. `scale`:
    `{stage: factor}` on its adapters. Raises NotFoundError, UsageError for an unfinished run without a `stage`,
    ModelError, StoreError for a damaged adapter.
    """
    from statllama.runs import api

    return api.load(target, workspace, stage, scale, _reporter(progress))


def _reporter(progress: bool | Reporter | None) -> Reporter:
    """Return what a function tells its progress to: nobody, the terminal, or the caller's own."""
    from statllama.runs.reporting import Reporter

    if progress is True:
        from statllama.cli.console.run import ConsoleReporter

        return ConsoleReporter()
    return progress or Reporter()


_HOMES = {"__version__": "statllama.store.versions", "load_recipe": "statllama.recipe"}


if not TYPE_CHECKING:  # else a type checker takes any name for one that is here

    def __getattr__(name: str) -> Any:
        """Load what is not defined here when it is first asked for: `import statllama` stays instant."""
        if name == "errors":
            return import_module("statllama.errors")
        if name not in _HOMES:
            raise AttributeError(f"module 'statllama' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
