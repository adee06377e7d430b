"""A command's TARGET: a recipe, a run in the workspace, or a model. Loads no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statllama.config.base_model import BaseModelSpec
from statllama.config.evaluate import EvaluateSpec
from statllama.config.shipped import SHIPPED, located, located_base, readable, shipped_bases, shipped_recipes
from statllama.errors import NotFoundError, UsageError, near
from statllama.model.identity import base_identity
from statllama.model.precision import compute_type
from statllama.recipe import Recipe, load_recipe
from statllama.runs.plan import held_before, plan, record_of
from statllama.runs.subject import StackRef, Subject, factors_of, scaled, subject_of
from statllama.runs.watch.live import path_of
from statllama.store import Store


def find_subject(target: str, store: Store, overrides: Sequence[str] = ()) -> Subject:
    """Return the subject that `target` names: a recipe file, a run in the workspace, a shipped recipe, a release with
    merged weights, a model's folder, a shipped base, a hub id, in this order. NotFoundError with near matches when it
    is none of them.

    Overrides other than `evaluate.*` need a recipe file or a shipped recipe.
    """
    runs = store.runs()
    expanded = located(target, Path())
    known = target.removeprefix(SHIPPED) in shipped_recipes()
    if os.path.isfile(expanded) or (target not in runs and known):
        return _of_recipe(load_recipe(target, overrides, check_files=False), store)
    if target in runs:
        return subject_of(runs[target], store).evaluated({}, overrides)
    if os.path.isfile(os.path.join(expanded, "merged", "config.json")):  # a release
        return _of_model(os.path.join(expanded, "merged"), store).evaluated({}, overrides)
    folder = os.path.isdir(expanded)
    if folder and os.path.isfile(os.path.join(expanded, "adapter_config.json")):
        raise UsageError(
            f"{target} is an adapter, not a model", remedy="name the run that trained it, or merge it into a model"
        )
    if folder or target.count("/") == 1:
        return _of_model(located_base(target, Path()), store).evaluated({}, overrides)
    names = [*runs, *shipped_recipes(), *shipped_bases()]
    raise NotFoundError(
        f"{target!r} is not a recipe file, a run in {store.root}, a folder or a hub id: {near(target, names)}",
        remedy="`statllama status` lists the runs",
    )


def name_of_run(target: str, store: Store) -> str:
    """Return the name of the run that `target` names: a run that the workspace tells of, or that of a recipe."""
    if path_of(store, target).is_file() or target in store.runs():
        return target
    if os.path.isfile(os.path.expanduser(target)) or target in shipped_recipes():
        return load_recipe(target, check_files=False).name
    return target


def recorded_recipe(target: str, store: Store) -> Mapping[str, Any] | None:
    """Return the record of the run that `target` names; None when it names a recipe, or nothing here."""
    if os.path.isfile(os.path.expanduser(target)) or target in shipped_recipes():
        return None
    return store.runs().get(target)


def _of_recipe(recipe: Recipe, store: Store) -> Subject:
    return subject_of(record_of(recipe, plan(recipe, store), held_before(store, recipe.name)), store)


def _of_model(model: str, store: Store) -> Subject:
    spec = BaseModelSpec(model=model, quantization="none")
    identity = base_identity(spec, store.memory)
    ships = readable(model)
    name = ships if ships != model or not os.path.isabs(model) else Path(model).name
    return Subject(name, spec, identity, EvaluateSpec(), Path(), "auto", compute_type("auto"))


def chosen_stack(
    target: str, store: Store, stage: str | None, scale: Sequence[str] | None, overrides: Sequence[str] | None
) -> tuple[Subject, StackRef]:
    """Return the subject and the stack that `TARGET[:STAGE]`, `--stage` and `--scale` name together."""
    name, given = split_stage(target)
    subject = find_subject(name, store, overrides or ())
    stack = subject.stack(stage or given or subject.last)
    factors = factors_of(subject, scale or ())
    return subject, scaled(subject, stack, factors) if factors else stack


def split_stage(target: str) -> tuple[str, str | None]:
    """Return `RUN:STAGE` as (RUN, STAGE); a target without a stage has None. Neither a drive letter nor `shipped` is a
    run.
    """
    head, colon, stage = target.rpartition(":")
    other = f"{head}:" == SHIPPED or (os.name == "nt" and len(head) == 1)
    return (head, stage) if colon and not other and not set(stage) & set("/\\") else (target, None)
