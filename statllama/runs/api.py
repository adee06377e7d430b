"""What `import statllama` offers on a workspace: run, plan, evaluate, compare, load. Prints nothing, loads no torch.

The same work as the commands of these names, on the same workspaces, with the same keys and scores. A name that means
nothing, a workspace that is not there and a run that is not finished are errors before anything is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from statllama.config.shipped import located, shipped_recipes
from statllama.errors import NotFoundError, UsageError, near
from statllama.recipe import Recipe, load_recipe
from statllama.runs import attribution, runner
from statllama.runs.cluster.fill import chosen_executor
from statllama.runs.family import Family, compare_scored
from statllama.runs.forecast.calibrate import require_here
from statllama.runs.forecast.device import found_device, named_device
from statllama.runs.loaded import Loaded
from statllama.runs.mirroring import mirror_url, mirrored
from statllama.runs.prospect import prospects
from statllama.runs.releasing import Maker
from statllama.runs.reporting import Reporter
from statllama.runs.results import Compared, Plan, Run, Scores
from statllama.runs.scorer import open_scorer, scoring_here
from statllama.runs.signals import StopSignal
from statllama.runs.specialist import Specialist
from statllama.runs.subject import BASE, StackRef, Subject, chosen_stacks, factors_of, scaled
from statllama.runs.tables import place
from statllama.runs.targets import find_subject, split_stage
from statllama.store import Store

Named = str | os.PathLike[str]
"""A name or a path."""
Overrides = str | Sequence[str] | Mapping[str, Any] | None
"""`"stages.sft.train.steps=20"`, several of them, or `{"stages.sft.train.steps": 20}`, nested or dotted."""
Words = str | Sequence[str] | None
"""One word, or several."""


def run(
    recipe: Named | Recipe,
    workspace: Named | None,
    overrides: Overrides,
    until: str | None,
    wait: bool,
    trust_local_code: bool,
    mirror: str | None,
    executor: tuple[str | None, str | None, int | None],
    reporter: Reporter,
    maker: Maker,
) -> Run:
    """Do the work of `statllama.run`. `executor`: see `chosen_executor`."""
    loaded = _recipe(recipe, overrides)
    if trust_local_code:
        loaded = loaded.model_copy(update={"trust_local_code": True})
    chosen = chosen_executor(*executor, [loaded])
    with mirrored(open_store(workspace), mirror_url(mirror), reporter) as store:
        result = runner.run(loaded, store, reporter, until=until, wait=wait, executor=chosen, maker=maker)
    entries = {name: store.find("results", folder.name) for name, folder in result.results.items()}
    metrics = {name: entry.manifest["metrics"] for name, entry in entries.items() if entry is not None}
    scores = None if result.scorecard is None else Scores(loaded.name, result.scorecard)
    return Run(loaded.name, store.root, result.results, metrics, scores, tuple(result.releases.values()))


def plan(
    recipe: Named | Recipe,
    workspace: Named | None,
    overrides: Overrides,
    until: str | None,
    on: str | None,
    calibrate: bool,
    mirror: str | None,
    reporter: Reporter,
    maker: Maker,
) -> Plan:
    """Do the work of `statllama.plan`."""
    loaded = _recipe(recipe, overrides)
    device = found_device() if on is None else named_device(on)
    if calibrate:
        require_here(device)
    with mirrored(open_store(workspace), mirror_url(mirror), reporter, preview=True) as store:
        (ahead,) = prospects([loaded], store, reporter, device, until=until, measure=calibrate, maker=maker)
    return Plan(ahead, store.root)


def evaluate(
    target: Named,
    workspace: Named | None,
    stage: Words,
    tasks: Words,
    data: Mapping[str, Any] | None,
    limit: int | None,
    scale: Mapping[str, float] | None,
    overrides: Overrides,
    mirror: str | None,
    reporter: Reporter,
) -> Scores:
    """Do the work of `statllama.evaluate`."""
    name, given = split_stage(os.fspath(target))
    stages = [*([given] if given else []), *_words(stage)]
    store = open_store(workspace)
    subject = find_trained(name, store, stages, override_texts(overrides))
    changes: dict[str, Any] = {} if limit is None else {"limit": limit}
    if tasks:
        changes["tasks"] = list(dict.fromkeys(_words(tasks)))
    if data:
        changes["data"] = {**subject.evaluate.data, **{task: _files(files) for task, files in data.items()}}
    subject = subject.evaluated(changes) if changes else subject
    stacks = chosen_stacks(subject, stages, factors_of(subject, _factors(scale)))
    with (
        mirrored(store, mirror_url(mirror), reporter) as workplace,
        StopSignal(),
        scoring_here(store, subject),
    ):
        card, _ = attribution.evaluate(
            open_scorer(subject, workplace, reporter), stacks, Family.of(subject), subject.selected(stacks)
        )
    return Scores(subject.name, card)


def compare(models: Named | Sequence[Named], workspace: Named | None) -> Compared:
    """Do the work of `statllama.compare`."""
    from statllama.evaluation.compare import require_different

    names = [os.fspath(models)] if isinstance(models, str | os.PathLike) else [os.fspath(model) for model in models]
    if len(names) != 1:
        require_different(names)
    store, wanted = open_store(workspace), list[tuple[str, Subject, StackRef]]()
    for name in names:
        target, stage = split_stage(name)
        subject = find_trained(target, store, [stage] if stage else ())
        if len(names) > 1:
            wanted.append((name, subject, subject.stack(stage or subject.last)))
        else:
            stacks = subject.stacks() if stage is None else (subject.stack(BASE), subject.stack(stage))
            wanted += [(f"{target}:{stack.name}", subject, stack) for stack in stacks]
    return Compared(compare_scored(store, wanted))


def load(
    target: Named, workspace: Named | None, stage: str | None, scale: Mapping[str, float] | None, reporter: Reporter
) -> Specialist:
    """Do the work of `statllama.load`."""
    store = open_store(workspace)
    subject, stack = find_stack(target, store, stage, scale)
    loaded = Loaded(subject.base, subject.identity, store, reporter, subject.evaluate.max_length)
    return Specialist.load(subject, stack, loaded)


def open_store(workspace: Named | None) -> Store:
    """Return the workspace: None means STATLLAMA_WORKSPACE, or `workspace` in the current folder. Creates nothing."""
    named = workspace if workspace is not None else os.environ.get("STATLLAMA_WORKSPACE") or "workspace"
    return Store(Path(named).expanduser())


def find_stack(
    target: Named, store: Store, stage: str | None, scale: Mapping[str, float] | None
) -> tuple[Subject, StackRef]:
    """Return what is named and one of its stacks: that of `stage`, of `RUN:STAGE`, or of the last stage."""
    name, given = split_stage(os.fspath(target))
    chosen = stage or given
    subject = find_trained(name, store, [chosen] if chosen else ())
    stack = subject.stack(chosen or subject.last)
    factors = factors_of(subject, _factors(scale))
    return subject, scaled(subject, stack, factors) if factors else stack


def find_trained(target: str, store: Store, stages: Sequence[str], overrides: Sequence[str] = ()) -> Subject:
    """Return what `target` names. NotFoundError when it is nothing, or a run while the workspace holds none.

    UsageError for a run that is not finished, unless `stages` names what of it is wanted.
    """
    if stages != [BASE] and not _is_model(target) and not store.runs():
        there = "holds no run" if store.root.is_dir() else "does not exist"
        is_recipe = target in shipped_recipes() or os.path.isfile(os.path.expanduser(target))
        known = f"train it: statllama.run({target!r}, {place(store.root)!r})"
        unknown = f"give a recipe: {near(target, shipped_recipes())}"
        raise NotFoundError(
            f"no run {target!r}: the workspace {store.root} {there}",
            remedy=f"name the workspace that holds it, or {known if is_recipe else unknown}",
        )
    subject = find_subject(target, store, overrides)
    trained = [stage.name for stage in subject.trained]
    missing = [name for name in subject.record.get("order", ()) if name not in trained]
    finish = f"finish it: statllama.run({target!r}, {place(store.root)!r})"
    for name in stages:
        if name in missing:
            raise UsageError(f"stage {name!r} of {subject.name!r} is not trained", remedy=finish)
    if missing and not stages:
        raise UsageError(
            f"the run {subject.name!r} is not finished: {', '.join(missing)} not trained",
            remedy=finish + (f"; or name a trained stage: stage={trained[-1]!r}" if trained else ""),
        )
    return subject


def _is_model(target: str) -> bool:
    """Return whether `target` is a folder or looks like a hub id: no run, so it needs no workspace."""
    path = os.path.expanduser(target)
    hub = target.count("/") == 1 and target not in shipped_recipes() and not target.endswith((".yaml", ".yml"))
    return os.path.isdir(path) or (hub and not os.path.isfile(path))


def _recipe(recipe: Named | Recipe, overrides: Overrides) -> Recipe:
    if not isinstance(recipe, Recipe):
        return load_recipe(os.fspath(recipe), override_texts(overrides))
    if overrides:
        raise UsageError("a loaded recipe takes no overrides", remedy="give them to load_recipe")
    return recipe


def override_texts(overrides: Overrides) -> list[str]:
    """Return overrides as the command line's `--set` takes them. UsageError for a value that no recipe can hold."""
    if isinstance(overrides, Mapping):
        return [f"{key}={_value(key, value)}" for key, value in _flat(overrides)]
    return _words(overrides)


def _flat(nested: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value): a filled mapping sets its fields and leaves those beside them."""
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _value(key: str, value: Any) -> str:
    """Return a value as JSON, which YAML reads as the same value."""
    try:
        return json.dumps(value, default=os.fspath, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError):
        raise UsageError(
            f"overrides[{key!r}]: a recipe cannot hold {value!r}", remedy="give numbers, texts, lists, mappings or None"
        ) from None


def _words(given: Words) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _factors(scale: Mapping[str, float] | None) -> list[str]:
    return [f"{stage}={factor}" for stage, factor in (scale or {}).items()]


def _files(files: Any) -> Any:
    """Return a benchmark's file, or its files by split, as absolute paths: a recipe's are relative to its folder."""
    if isinstance(files, Mapping):
        return {split: _files(file) for split, file in files.items()}
    return located(os.fspath(files), Path()) if isinstance(files, str | os.PathLike) else files
