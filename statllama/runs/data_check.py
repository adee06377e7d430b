"""Checks a recipe's data without training, for `statllama data check` and `data preview`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from statllama.config.source import SourceSpec
from statllama.config.stage import TrainingSpec
from statllama.data.encode import answered, asked
from statllama.data.formats import parse_row
from statllama.data.masking import Tokens
from statllama.data.prepare import choose_rows, prepare, settled
from statllama.data.questions import QuestionRules
from statllama.data.report import MixtureReport
from statllama.data.select import Guard, select, texts_at
from statllama.data.selection import Selection
from statllama.data.sources import rows, source_name
from statllama.data.tokenise import Prompt, Tokeniser
from statllama.data.verdicts import Verdict, judge
from statllama.errors import DataError, UsageError
from statllama.recipe import Recipe
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.stages import stage_module
from statllama.store import Store
from statllama.store.leases import working

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from statllama.data.holdout import Holdout


@dataclass(frozen=True)
class StageCheck:
    """A stage's data, as far as known. `selection`, `report`: None when the sources could not be read, or tokenised."""

    spec: TrainingSpec
    selection: Selection | None
    report: MixtureReport | None
    verdicts: tuple[Verdict, ...]
    formats: tuple[str, ...] = ()
    """Format of each source, recognised where the recipe says `auto`."""
    repeats: tuple[tuple[str, str, float], ...] = ()
    """(text left out, text that it repeats, similarity) of the first duplicates."""


@dataclass(frozen=True)
class HoldoutCheck:
    """A hold-out, as far as known. `holdout`: None when it cannot be read, or has nothing to score."""

    name: str
    sources: tuple[str, ...]
    holdout: Holdout | None
    fault: Verdict | None = None


@dataclass(frozen=True)
class Preview:
    """One row as the model sees it: a title and the tokens of each of its sequences (two for a preference)."""

    where: str
    format: str
    sequences: tuple[tuple[str, Tokens], ...]
    tokenizer: PreTrainedTokenizerBase


def check(recipe: Recipe, store: Store, reporter: Reporter, only: str | None = None) -> Iterator[StageCheck]:
    """Check the data of each stage (or of `only`): all faulty rows at once, then what the tokens look like."""
    if only is not None:
        recipe.training_stage(only)
    store.require_space(0)
    session = Session(recipe, store, reporter, StopSignal())
    for spec in recipe.trained:
        if only in (None, spec.name):
            with working(store):
                checked = _check_stage(session, spec)
            yield checked


def check_holdouts(recipe: Recipe, store: Store, reporter: Reporter) -> Iterator[HoldoutCheck]:
    """Check what the recipe holds out: all that its stacks will be scored on."""
    session = Session(recipe, store, reporter, StopSignal())
    for name in dict.fromkeys(held.name for held in recipe.held):
        sources = tuple(source_name(held.source) for held in recipe.held if held.name == name)
        try:
            with working(store):
                yield HoldoutCheck(name, sources, session.held.holdout(name))
        except DataError as error:
            yield HoldoutCheck(name, sources, None, Verdict("error", name, error.message, error.remedy or ""))


def _check_stage(session: Session, spec: TrainingSpec) -> StageCheck:
    root, guard = session.recipe.root, session.guard(spec)
    selection: Selection | None = None
    formats: tuple[str, ...] = ()
    try:
        sources = settled(spec.data, root, session.store.memory)
        formats = tuple(source.format for source in sources)
        selection = _choose(session, spec, sources, guard)
        if any(source.faulty or not len(source.kept) for source in selection.sources):
            return StageCheck(spec, selection, None, judge(spec, selection, None), formats)
        if selection.copies and guard.decontaminate == "stop":
            guard = replace(guard, decontaminate="ignore")  # they are reported; the rest is looked at all the same
        report = _tokenise(session, spec, guard)
        session.replay(spec)
    except DataError as error:
        found = () if selection is None else judge(spec, selection, None)
        fault = Verdict("error", "all sources", error.message, error.remedy or "")
        return StageCheck(spec, selection, None, (fault, *found), formats)
    repeats = _repeats(selection, sources, root)
    return StageCheck(spec, selection, report, judge(spec, selection, report), formats, repeats)


def _choose(session: Session, spec: TrainingSpec, sources: tuple[SourceSpec, ...], guard: Guard) -> Selection:
    """Choose rows as a run does, but collect faulty rows where a run stops at the first."""
    root = session.recipe.root
    with session.reporter.preparing(spec.name) as progress:
        try:
            return choose_rows(
                sources,
                root=root,
                guard=guard,
                cache=session.store.root,
                progress=progress,
                note=session.reporter.note,
            )
        except DataError:
            with TemporaryDirectory(prefix="statllama-") as folder:
                guard = replace(guard, held=None)  # a faulty row stops it
                return select(sources, root, guard=guard, scratch=Path(folder), collect_faults=True, progress=progress)


def _tokenise(session: Session, spec: TrainingSpec, guard: Guard) -> MixtureReport:
    with session.reporter.preparing(spec.name) as progress:
        return prepare(
            stage_module(spec.type).DATA_KIND, spec.data, root=session.recipe.root, tokenizer=session.loaded.tokenizer,
            cache=session.store.root, guard=guard, progress=progress, note=session.reporter.note, **spec.data_options,
        ).report  # fmt: skip


def _repeats(selection: Selection, sources: tuple[SourceSpec, ...], root: Path) -> tuple[tuple[str, str, float], ...]:
    repeats = selection.repeats[:5]
    places = [place for r in repeats for place in ((r.source, r.row), (r.of_source, r.of_row))]
    found = texts_at(sources, root, places)
    return tuple((found[r.source, r.row], found[r.of_source, r.of_row], r.similarity) for r in repeats)


def preview(recipe: Recipe, store: Store, stage: str | None, source: int, row: int) -> Preview:
    """Return the row `row` (from 1) of source `source` (from 1) of a stage (the first one), tokenised and masked.

    UsageError when there is no such stage, source or row.
    """
    spec = recipe.trained[0] if stage is None else recipe.training_stage(stage)
    if not 1 <= source <= len(spec.data):
        names = "; ".join(f"{i}: {source_name(s)}" for i, s in enumerate(spec.data, start=1))
        raise UsageError(f"stage {spec.name} has no source {source}; it has {names}")
    store.require_space(0)
    (chosen,) = settled([spec.data[source - 1]], recipe.root, store.memory)
    session = Session(recipe, store, Reporter(), StopSignal())
    tokeniser = Tokeniser(
        session.loaded.tokenizer,
        train_on=spec.train_on,  # type: ignore[attr-defined]
        max_length=spec.train.max_length,
    )
    return _row(chosen, recipe.root, row, tokeniser, spec.data_options.get("questions"))


def preview_generated(recipe: Recipe, store: Store, stage: str | None, row: int) -> Preview:
    """Return the row `row` (from 1) of what a model wrote for a stage (the first that replays such) to replay.

    UsageError when it replays none, when they are not written yet, and for no such row.
    """
    writing = [spec.name for spec in recipe.trained if spec.generated is not None]
    name = stage or next(iter(writing), recipe.trained[0].name)
    if name not in writing:
        recipe.training_stage(name)
        raise UsageError(
            f"stage {name} replays no generations; stages that do: {', '.join(writing) or 'none'}",
            remedy="give it `replay: {generations: {count: 200}}`",
        )
    planned = next(one for one in plan(recipe, store) if one.spec.name == name)
    session, spec = Session(recipe, store, Reporter(), StopSignal()), planned.spec
    assert isinstance(spec, TrainingSpec) and spec.replay is not None
    entry = session.replays.generations.find(spec, planned.below)
    if entry is None:
        raise UsageError(
            f"the generations that stage {name} replays are not written yet", remedy="statllama run RECIPE writes them"
        )
    train_on = spec.replay.train_on or spec.train_on  # type: ignore[attr-defined]
    tokeniser = Tokeniser(session.loaded.tokenizer, train_on=train_on, max_length=spec.train.max_length)
    return _row(session.replays.generations.source(entry), recipe.root, row, tokeniser, None)


def _row(source: SourceSpec, root: Path, row: int, tokeniser: Tokeniser, rules: QuestionRules | None) -> Preview:
    """Return the row `row` (from 1) of a settled source, tokenised; as a question where there are `rules`."""
    total = 0
    for total, (where, values) in enumerate(rows(source, root), start=1):
        if total == row:
            example = parse_row(source, values, where)
            if rules is not None:
                example = asked(example, rules, where)
            (sequences,) = tokeniser.encode([(where, example)])
            return Preview(where, source.format, tuple(_titled(sequences)), tokeniser.tokenizer)
    raise UsageError(f"{source_name(source)} has {total:,} rows, no row {row}")


def _titled(sequences: object) -> Iterator[tuple[str, Tokens]]:
    assert isinstance(sequences, list)
    for number, sequence in enumerate(sequences, start=1):
        if isinstance(sequence, Tokens):
            yield ("" if len(sequences) == 1 else f"piece {number} of {len(sequences)}"), sequence
            continue
        if isinstance(sequence, Prompt):
            columns = ", ".join(f"{name}: {value!r}" for name, value in sequence.question.columns.items())
            yield f"prompt (for the rewards: {columns or 'nothing'})", Tokens(sequence.ids, [False] * len(sequence.ids))
            continue
        yield from answered(sequence)
