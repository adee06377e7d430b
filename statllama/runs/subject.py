"""The subject of an evaluation: a base model with the stages trained on it. Loads no torch.

A run leaves its record in the workspace, so that it can be scored, compared and reported without the recipe file.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from statllama.config import overrides as command_line
from statllama.config.base_model import BaseModelSpec
from statllama.config.evaluate import EvaluateSpec
from statllama.config.field_errors import problems_of
from statllama.config.shipped import SHIPPED, located
from statllama.errors import RecipeError, StoreError, UsageError, near
from statllama.evaluation.held_score import HeldTask, task_name
from statllama.store import Entry, Store

BASE = "base"


@dataclass(frozen=True)
class StackRef:
    """The stacked adapters, by the keys of their results, and the factor on each one's update."""

    name: str
    """`base`, or the name of the last stage."""
    parent: str | None
    """Name of the stack compared as its parent; None for the base."""
    keys: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    """A factor for each key; empty: 1 for all."""

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Return (key, factor) of the adapters that have an effect: a factor of 0 is an adapter left out."""
        scales = self.scales or (1.0,) * len(self.keys)
        return tuple((key, scale) for key, scale in zip(self.keys, scales, strict=True) if scale)

    @property
    def identity(self) -> list[str | list[object]]:
        """Return the key material of a score: equal for stacks that are equal in effect."""
        return [key if scale == 1 else [key, float(scale)] for key, scale in self.parts]

    def scaled(self, name: str, factors: Mapping[str, float]) -> StackRef:
        """Return this stack with other factors on some keys, as a child of this one."""
        before = dict(zip(self.keys, self.scales or (1.0,) * len(self.keys), strict=True))
        return StackRef(name, self.name, self.keys, tuple(factors.get(key, before[key]) for key in self.keys))


def parent_stack(parents: Sequence[str], below: tuple[str, ...], stacks: Mapping[str, StackRef]) -> StackRef:
    """Return the whole stack that a stage is trained on: what "parent" means wherever it is compared.

    `below`: the keys of that stack; `stacks`: {name: stack} of the stages before. It bears the name of the stage whose
    stack it is. One that no stage ends, since the stage stands on several, bears the names of all: `left + right`.
    """
    if not below:
        return StackRef(BASE, None)
    for name in (*reversed(parents), *stacks):
        if name in stacks and stacks[name].keys == below:
            return stacks[name]
    return StackRef(" + ".join(parents), BASE, below)


@dataclass(frozen=True)
class TrainedStage:
    """A stage of a run: its key and the keys of the stack below it. `entry` is None when it is not trained."""

    name: str
    type: str
    parents: tuple[str, ...]
    """Names of the stages that it was trained on, nearest last; none: the base."""
    key: str
    below: tuple[str, ...]
    entry: Entry | None
    left_out: str = ""
    """The gate that it broke, so that later stages were not trained on it. Empty otherwise."""
    flaw: str = ""
    """Which file of its result is missing or damaged, by its size. Empty when none is."""
    selects_on: tuple[str, ...] = ()
    """What its best step, or a blend's scale, was chosen on, as a scorecard names it. Empty where nothing was."""
    siblings: tuple[str, ...] = ()
    """The stages that a blend combines."""


@dataclass(frozen=True)
class Subject:
    """A base model and the stages trained on it, in an order in which parents come first."""

    name: str
    base: BaseModelSpec
    identity: Mapping[str, Any]
    evaluate: EvaluateSpec
    root: Path
    """Folder that relative files of `evaluate` refer to."""
    precision: str
    """What it is loaded in: a stage's `train.precision`, so `auto` is what suits the machine that loads it."""
    compute: str
    """Compute type of the scores of its run, whatever machine this is: see `precision.compute_type`."""
    stages: tuple[TrainedStage, ...] = ()
    description: str = ""
    held: tuple[HeldTask, ...] = ()
    """The hold-outs that its stacks are scored on."""
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The run's whole record; empty for a model."""

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Return the names of all that its stacks are scored on: benchmarks, then hold-outs."""
        return (*self.evaluate.tasks, *(task.name for task in self.held))

    @property
    def domain(self) -> tuple[str, ...]:
        """Return those of `benchmarks` that its stages are meant to raise: as `evaluate.domain` says, or the first
        benchmark and the hold-outs of its stages.
        """
        if self.evaluate.domain is not None:
            return self.evaluate.domain
        own = {task_name(stage.name) for stage in self.stages}
        return (*self.evaluate.tasks[:1], *(task.name for task in self.held if task.name in own))

    @property
    def trained(self) -> tuple[TrainedStage, ...]:
        """Return the stages whose result is in the workspace."""
        return tuple(stage for stage in self.stages if stage.entry is not None)

    @property
    def again(self) -> str:
        """Return the command that runs it again: an earlier record (`gardener@1`) is run from its recipe."""
        if "@" not in self.name:
            return f"statllama run {self.name}"
        given = [word for override in self.record.get("overrides", ()) for word in ("--set", str(override))]
        return shlex.join(["statllama", "run", str(self.record.get("recipe")), *given])

    def stage(self, name: str) -> TrainedStage:
        """Return the trained stage of that name; UsageError for an unknown or untrained one, StoreError for a damaged
        one.
        """
        for stage in self.stages:
            if stage.name == name:
                if stage.flaw:
                    raise StoreError(
                        f"the result of stage {name!r} of {self.name!r} is not sound: {stage.flaw}",
                        remedy=f"make it again: {self.again}",
                    )
                if stage.entry is None:
                    raise UsageError(f"stage {name!r} of {self.name!r} is not trained", remedy=f"run it: {self.again}")
                return stage
        names = [BASE, *(stage.name for stage in self.stages)]
        raise UsageError(f"{self.name!r} has no stage {name!r}: {near(name, names)}")

    def stack(self, name: str) -> StackRef:
        """Return the stack of a stage, or the bare base (`base`)."""
        if name == BASE:
            return StackRef(BASE, None)
        self.stage(name)
        return self._stacks[name]

    def stacks(self) -> tuple[StackRef, ...]:
        """Return the bare base, then the stack of each trained stage, each after the stack that it is trained on."""
        return self.with_parents([stage.name for stage in self.trained])

    def with_parents(self, names: Iterable[str]) -> tuple[StackRef, ...]:
        """Return the bare base, then the stacks of stages; before one that stands on several, those together."""
        found = {BASE: StackRef(BASE, None)}
        for name in names:
            stack = self.stack(name)
            parent = self.parent(stack)
            if parent.name not in self._stacks:
                found.setdefault(parent.name, parent)
            found[name] = stack
        return tuple(found.values())

    def comparisons(self) -> Iterator[tuple[StackRef, StackRef]]:
        """Yield (before, after) of the run's comparisons, trained or not: each stack with the base and with what it is
        trained on, the stack of several parents together too. Some are yielded twice.
        """
        base = StackRef(BASE, None)
        for stage in self.stages:
            stack, parent = self._stacks[stage.name], parent_stack(stage.parents, stage.below, self._stacks)
            yield from ((base, stack), (parent, stack))
            if parent.keys:
                yield base, parent

    def parent(self, stack: StackRef) -> StackRef:
        """Return the stack that a stage's stack is trained on."""
        stage = self.stage(stack.name)
        return parent_stack(stage.parents, stage.below, self._stacks)

    @cached_property
    def _stacks(self) -> dict[str, StackRef]:
        """{stage: its stack}."""
        found: dict[str, StackRef] = {}
        for stage in self.stages:
            parent = parent_stack(stage.parents, stage.below, found)
            found[stage.name] = StackRef(stage.name, parent.name, (*stage.below, stage.key))
        return found

    def selected_on(self, stack: StackRef) -> dict[str, tuple[str, ...]]:
        """Return {benchmark: the stages in the stack whose best step or scale was chosen on it}: its scores are no
        tests.
        """
        waiting = [stage.name for stage in self.stages if stage.key in stack.keys]
        stages, found = {stage.name: stage for stage in self.stages}, dict[str, dict[str, None]]()
        while waiting:
            stage = stages.get(waiting.pop(0))
            if stage is not None:
                waiting += stage.siblings
                for task in stage.selects_on:
                    found.setdefault(task, {})[stage.name] = None
        return {task: tuple(names) for task, names in found.items()}

    def selected(self, stacks: Iterable[StackRef]) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return {stack: `selected_on`}."""
        return {stack.name: self.selected_on(stack) for stack in stacks}

    @property
    def last(self) -> str:
        """Return the name of the last stage that was trained and not left out; `base` when there is none."""
        return next((stage.name for stage in reversed(self.trained) if not stage.left_out), BASE)

    def evaluated(self, changes: Mapping[str, Any], overrides: Sequence[str] = ()) -> Subject:
        """Return the subject with other evaluation settings: `changes` of fields, then `evaluate.KEY=VALUE` overrides.

        Gates and data of benchmarks that are no longer scored go; so do hold-outs where tasks are chosen, unless they
        are among them. UsageError and RecipeError as for a recipe.
        """
        changes, held = dict(changes), self.held
        if "tasks" in changes:
            held = tuple(task for task in self.held if task.name in changes["tasks"])
            changes["tasks"] = [task for task in changes["tasks"] if task not in {task.name for task in held}]
        data: dict[str, Any] = {"evaluate": self.evaluate.model_dump(mode="json") | dict(changes)}
        for override in overrides:
            if not override.startswith("evaluate."):
                raise UsageError(
                    f"--set {override!r}: trained runs take only fields of `evaluate`",
                    remedy="give the recipe file instead of the name of the run",
                )
            command_line.apply(data, override, {})
        spec = data["evaluate"]
        tasks = spec.get("tasks")
        kept = {*(tasks or ()), *(task.name for task in held)}
        for name in ("gates", "data"):
            if isinstance(tasks, list | tuple) and name not in changes:
                spec[name] = {task: value for task, value in spec.get(name, {}).items() if task in kept}
        try:
            return replace(self, evaluate=EvaluateSpec.model_validate(spec), held=held)
        except ValidationError as error:
            problems = problems_of(error, ("evaluate",), {}, EvaluateSpec.model_fields)
            raise RecipeError("evaluation settings", problems) from None


def subject_of(record: Mapping[str, Any], store: Store) -> Subject:
    """Return the subject that a run's record describes. StoreError for a record of another shape."""
    try:
        stages = tuple(
            TrainedStage(
                name,
                stage["type"],
                tuple(stage["parents"]),
                stage["key"],
                tuple(stage["below"]),
                entry := store.find("results", stage["key"]),
                stage.get("left_out", ""),
                (store.flaw(entry, contents=False) if entry else None) or "",
                _chosen_on(stage, entry),
                tuple(stage.get("siblings", ())),
            )
            for name in record["order"]
            if (stage := record["stages"].get(name)) is not None
        )
        return Subject(
            name=record["name"],
            base=BaseModelSpec.model_validate(_here(record["base"])),
            identity=record["identity"],
            evaluate=EvaluateSpec.model_validate(record["evaluate"]),
            root=Path(record["root"]),
            precision=record["precision"],
            compute=record["compute"],
            stages=stages,
            description=record["description"],
            held=tuple(HeldTask(**held) for held in record.get("holdouts", ())),
            record=record,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the record of this run is damaged or of another version ({type(error).__name__}: {error})",
            remedy="run the recipe again; stages with the keys that it has now are not trained again",
        ) from error


def _chosen_on(stage: Mapping[str, Any], entry: Entry | None) -> tuple[str, ...]:
    """Return what a recorded stage was chosen on; earlier records have one name."""
    if entry is None or not {"selected", "scaled"} & set(entry.manifest.get("metrics", ())):
        return ()
    on = stage.get("selects_on") or ()
    return (on,) if isinstance(on, str) else tuple(on)


def _here(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded base with what ships (`shipped:...`) where it lies on this machine."""
    return {k: located(v, Path()) if str(v).startswith(SHIPPED) else v for k, v in base.items()}


def chosen_stacks(subject: Subject, stages: Sequence[str], factors: Mapping[str, float]) -> list[StackRef]:
    """Return the bare base, the stacks of `stages` (none named: of all trained ones), and with `factors` the last of
    them with these adapters scaled.

    UsageError when an adapter to be scaled is not in that stack.
    """
    names = [name for name in stages if name != BASE] or [stage.name for stage in subject.trained]
    order = [stage.name for stage in subject.stages]
    for name in names:
        subject.stage(name)
    stacks = list(subject.with_parents(sorted(set(names), key=order.index)))
    if stages and set(stages) == {BASE}:
        stacks = stacks[:1]
    if factors:
        whole = subject.stack(stages[-1] if stages else subject.last)
        stacks = [s for s in stacks if s.name in (BASE, whole.name)] if not stages else stacks
        if whole.name not in [s.name for s in stacks]:
            stacks.append(whole)
        stacks.append(scaled(subject, whole, factors))
    return stacks


def factors_of(subject: Subject, given: Sequence[str]) -> dict[str, float]:
    """Return {key: factor} of `STAGE=FACTOR` texts. UsageError for an unknown stage or a factor that is not a finite
    number.
    """
    factors = {}
    for text in given:
        name, sign, value = text.partition("=")
        try:
            factor = float(value)
        except ValueError:
            factor = math.nan
        if not sign or not math.isfinite(factor):
            raise UsageError(f"--scale {text!r}: expected STAGE=FACTOR, as in --scale dpo=0.5")
        factors[subject.stage(name).key] = factor
    return factors


def scaled(subject: Subject, stack: StackRef, factors: Mapping[str, float]) -> StackRef:
    """Return the stack with the updates of some adapters multiplied, named after that: `dpo (sft x 0.5)`."""
    names = {stage.key: stage.name for stage in subject.stages}
    for key in factors:
        if key not in stack.keys:
            within = [names[k] for k in stack.keys]
            raise UsageError(f"stage {names[key]!r} is not in the stack of {stack.name}: {near(names[key], within)}")
    words = ", ".join(f"{names[key]} x {factor:g}" for key, factor in factors.items())
    return stack.scaled(f"{stack.name} ({words})", factors)
