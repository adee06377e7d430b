"""The releases that a recipe asks for, as part of its run: which are due, where they go, and what becomes of them.

How one is made is known above, in `release/`: `Maker` is what this room asks of it, and `release.of_recipe` gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from statllama.config.release import ReleaseSpec
from statllama.errors import Interrupted, StatllamaError, StoreError
from statllama.evaluation.held_score import HeldTask
from statllama.recipe import Recipe
from statllama.runs.house.inventory import size
from statllama.runs.loaded import Loaded
from statllama.runs.plan import PlannedStage, record_of
from statllama.runs.reporting import Reporter
from statllama.runs.subject import StackRef, Subject, scaled, subject_of
from statllama.store import Store
from statllama.store.canonical import digest

if TYPE_CHECKING:
    from statllama.runs.forecast.forecast import StageForecast


class Maker(Protocol):
    """Makes releases. It travels to workers, so it holds nothing."""

    def require(self, recipe: Recipe) -> None:
        """Raise RecipeError for words in `forms` that mean nothing."""
        ...

    def forms(self, spec: ReleaseSpec) -> tuple[str, ...]:
        """Return the forms in words: `merged (bf16)`."""
        ...

    def of_what(self, subject: Subject, stack: StackRef, spec: ReleaseSpec) -> Mapping[str, Any]:
        """Return what tells this release from others, as plain JSON."""
        ...

    def stands(self, out: Path, what: Mapping[str, Any]) -> bool:
        """Return whether it lies there. UsageError for a folder that holds anything else."""
        ...

    def withheld(self, out: Path) -> Sequence[str]:
        """Return the names of what a release that lies there was to hold, and failed."""
        ...

    def prepare(self, ask: Ask, loaded: Loaded) -> None:
        """Have the workspace hold the written and verified forms, as the entry `ask.key` of the kind `releases`."""
        ...

    def publish(self, ask: Ask, loaded: Loaded) -> Made:
        """Make it, of what was prepared where that is there. ExportError when nothing can be published."""
        ...

    def require_possible(self, ask: Ask, store: Store) -> None:
        """Raise UsageError or ExportError for what cannot be made, as far as that shows before its stage is trained."""
        ...

    def bytes(self, ask: Ask, adapters: float, store: Store) -> float | None:
        """Return about how large it will be; None where the base's files are not here. `adapters`: bytes of those of
        its stack.
        """
        ...


@dataclass(frozen=True)
class Ask:
    """A release to make. Plain data: it travels to workers."""

    spec: ReleaseSpec
    record: Mapping[str, Any]
    """Of the run: see `plan.record_of`."""
    what: Mapping[str, Any]
    """What tells it from others: see `Maker.of_what`."""
    maker: Maker

    @property
    def key(self) -> str:
        """Return the key of what is prepared of it."""
        return digest(self.what)

    def prepare(self, loaded: Loaded) -> None:
        """Have the workspace hold what takes long of it."""
        self.maker.prepare(self, loaded)

    def subject(self, store: Store) -> tuple[Subject, StackRef]:
        """Return what it is of, once it is trained."""
        return stack_of(self.record, self.spec, store)


@dataclass(frozen=True)
class Made:
    """A release that was published."""

    folder: Path
    verified: str
    """What it holds, in words, and how many checks that passed."""
    notes: tuple[str, ...] = ()
    incomplete: StatllamaError | None = None
    """The error of forms that are withheld."""


@dataclass(frozen=True)
class AheadRelease:
    """What `plan` says of a release."""

    stage: str
    out: Path
    forms: tuple[str, ...]
    bytes: float | None
    """About, while it is to be made; None where the base's files are not here."""
    stands: bool
    """Whether it lies there already."""


@dataclass
class Releases:
    """The releases of one run."""

    recipe: Recipe
    store: Store
    reporter: Reporter
    maker: Maker | None
    """None makes none."""
    held: Sequence[HeldTask] = ()
    """The recipe's hold-outs, once they are known."""
    made: dict[str, Path] = field(default_factory=dict)
    """{folder as the recipe names it: where it lies}"""
    failed: dict[str, StatllamaError] = field(default_factory=dict)
    """{key of what was to be prepared: why it could not be}"""
    errors: list[StatllamaError] = field(default_factory=list)

    def check(self, planned: Sequence[PlannedStage]) -> None:
        """Raise, before anything trains, RecipeError for wrong forms, UsageError for a folder that is taken, and what
        would keep a release from being made, as far as that shows now.
        """
        if self.maker is None or not self.recipe.release:
            return
        self.maker.require(self.recipe)
        for stage in planned:
            for spec in self._of(stage):
                ask, _ = self._ask(stage, planned, spec)
                if not ask.maker.stands(spec.folder, ask.what):
                    ask.maker.require_possible(ask, self.store)

    def ahead(self, planned: Sequence[PlannedStage], needs: Mapping[str, StageForecast]) -> Iterator[AheadRelease]:
        """Yield the releases of planned stages. `needs`: forecasts of these and of all below."""
        names = {one.key: one.spec.name for one in planned}
        for stage in planned:
            for spec in self._of(stage):
                ask, stack = self._ask(stage, planned, spec)
                there = ask.maker.stands(spec.folder, ask.what)
                below = sum(needs[names[key]].disk.adapter for key in stack.keys if names.get(key) in needs)
                bytes_ = size(spec.folder) if there else ask.maker.bytes(ask, below, self.store)
                yield AheadRelease(stage.spec.name, spec.folder, ask.maker.forms(spec), bytes_, there)

    def asks(self, stage: PlannedStage, planned: Sequence[PlannedStage]) -> Iterator[tuple[Ask, StackRef]]:
        """Yield what workers are still to prepare of a stage that no gate leaves out."""
        for spec in self._of(stage) if not stage.left_out else ():
            try:
                ask, stack = self._ask(stage, planned, spec)
                done = self.store.find("releases", ask.key) is not None or ask.key in self.failed
                done = done or ask.maker.stands(spec.folder, ask.what)
            except Interrupted:
                raise
            except StatllamaError:
                continue  # `make` tells it
            if not done:
                yield ask, stack

    def make(self, stage: PlannedStage, planned: Sequence[PlannedStage], loaded: Loaded) -> None:
        """Make the releases of a trained stage. An error of one is told, and raised by `end`: the run goes on."""
        for spec in self._of(stage):
            name = stage.spec.name
            if stage.left_out:
                self.reporter.note(f"no release of {name} is made: {stage.left_out}")
                continue
            try:
                self._make(name, self._ask(stage, planned, spec)[0], loaded)
            except Interrupted:
                raise
            except StatllamaError as error:
                self._fail(name, error)

    def end(self) -> None:
        """Raise the first error of a release, if there is one."""
        for error in self.errors:
            raise error

    def _make(self, name: str, ask: Ask, loaded: Loaded) -> None:
        out = ask.spec.folder
        if ask.maker.stands(out, ask.what):
            self.reporter.released(name, out, "cached")
            if missing := ask.maker.withheld(out):
                self.reporter.note(f"{out} is without what failed its checks: {', '.join(missing)}")
        elif ask.key in self.failed:
            raise self.failed[ask.key]
        else:
            self.reporter.releasing(name, out)
            made = ask.maker.publish(ask, loaded)
            self.reporter.released(name, made.folder, made.verified)
            for note in made.notes:
                self.reporter.note(f"release of {name}: {note}")
            if made.incomplete is not None:
                self._fail(name, made.incomplete)
        self.made[str(ask.spec.out)] = out
        self._clear(ask.key)

    def _clear(self, key: str) -> None:
        """Delete what workers have left of a release that lies where it is to, unless one is at it."""
        with suppress(StoreError):
            if self.store.find("releases", key) is not None:
                self.store.discard("releases", key)
            if any(path.name.startswith(f"releases-{key}") for path in self.store.listed("partial")):
                self.store.discard_partial("releases", key)

    def _fail(self, name: str, error: StatllamaError) -> None:
        self.errors.append(error)
        self.reporter.note(f"release of {name}: {error.message}")

    def _of(self, stage: PlannedStage) -> Iterator[ReleaseSpec]:
        if self.maker is not None:
            yield from (spec for spec in self.recipe.release if spec.stage == stage.spec.name)

    def _ask(self, stage: PlannedStage, planned: Sequence[PlannedStage], spec: ReleaseSpec) -> tuple[Ask, StackRef]:
        assert self.maker is not None
        subject, stack = self._planned(stage, planned, spec)
        return Ask(spec, subject.record, self.maker.of_what(subject, stack, spec), self.maker), stack

    def _planned(
        self, stage: PlannedStage, planned: Sequence[PlannedStage], spec: ReleaseSpec
    ) -> tuple[Subject, StackRef]:
        subject = subject_of(record_of(self.recipe, planned, self.held), self.store)
        return subject, _with_factors(subject, stage.stack, spec, {one.spec.name: one.key for one in planned})


def stack_of(record: Mapping[str, Any], spec: ReleaseSpec, store: Store) -> tuple[Subject, StackRef]:
    """Return what a run's record tells of, and the trained stack that is to be released of it."""
    subject = subject_of(record, store)
    keys = {stage.name: stage.key for stage in subject.stages}
    return subject, _with_factors(subject, subject.stack(str(spec.stage)), spec, keys)


def _with_factors(subject: Subject, stack: StackRef, spec: ReleaseSpec, keys: Mapping[str, str]) -> StackRef:
    factors = {keys[name]: factor for name, factor in spec.scale.items()}
    return scaled(subject, stack, factors) if factors else stack
