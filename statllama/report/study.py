"""The page of a study: all pipelines' scores, beside each other and the paper's, and the significant differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from statllama.evaluation.meaning import floors, notes, sentences
from statllama.evaluation.paired import Judged
from statllama.evaluation.repeated import RecipeContrast
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.unit import Unit
from statllama.report import charts, tables, words
from statllama.report.data import Benchmark, Delta, Score, estimate_of
from statllama.report.frontier import FrontierPart, frontier_part
from statllama.report.page import environment, save
from statllama.report.sweep import SweepPart, sweep_part
from statllama.report.tables import Cell, Table
from statllama.runs.subject import BASE
from statllama.store.versions import __version__

if TYPE_CHECKING:
    from statllama.runs.study import StudyResult


@dataclass(frozen=True)
class StudyPage:
    """The page's contents."""

    name: str
    description: str
    summary: str
    picture: Markup | None
    scores: Table
    comparison: Table | None
    recipes: tuple[Table, ...]
    """Verdicts on the recipes, over all runs, a table each benchmark; none without several runs."""
    recipes_note: str
    reference: str
    failed: tuple[tuple[str, str], ...]
    version: str = __version__
    frontier: FrontierPart | None = None
    sweep: SweepPart | None = None
    """Of a grid or search with an objective."""
    held_against: tuple[str, ...] = ()
    """Chance and blind baseline of each benchmark, and what scores on it cannot mean."""


def render_study(result: StudyResult) -> str:
    """Return the page as HTML. The same result gives the same text."""
    return environment().get_template("study.html.jinja").render(page=page_of(result), version=__version__)


def write_study(result: StudyResult, path: Path) -> None:
    """Write the page. UsageError, StoreError: see `page.save`."""
    save(render_study(result), path)


def page_of(result: StudyResult) -> StudyPage:
    """Return the page's contents."""
    keys = {stage.key for subject in result.subjects.values() for stage in subject.stages}
    stages = sum(len(subject.stages) for subject in result.subjects.values())
    own = sum(recipe.name in result.subjects for recipe in result.study.recipes)
    runs = f" in {words.several(result.study.spec.seeds, 'run')} each" if result.study.spec.seeds else ""
    summary = (
        f"{words.several(len(result.pipelines), 'pipeline')} of {words.several(own, 'recipe')}{runs}: "
        f"{words.several(stages, 'stage')}, of which {len(keys):,} are different and were trained once each."
    )
    compared = result.comparison
    return StudyPage(
        name=result.study.spec.name,
        description=result.study.spec.description,
        summary=summary,
        picture=charts.scores(tuple(_benchmarks(result))),
        scores=_scores(result),
        comparison=None if compared is None else _comparison(result),
        recipes=_recipes(result.contrasts, compared.reference) if compared else (),
        recipes_note=words.over_runs(result.contrasts) if result.contrasts else "",
        reference=compared.reference if compared else "",
        failed=tuple((name, error.message) for name, error in result.failed.items()),
        held_against=tuple(_held_against(result)),
        frontier=frontier_part(result.frontier) if result.frontier else None,
        sweep=sweep_part(result.sweep) if result.sweep else None,
    )


def _benchmarks(result: StudyResult) -> Iterator[Benchmark]:
    """Yield, for each benchmark, the base of the first recipe, then the last stack of each pipeline."""
    for task in result.tasks:
        rows: list[Score] = []
        first: TaskScore | None = None
        for pipeline in result.pipelines:
            stacks = result.scores.get(pipeline.recipe.name, {})
            base, last = stacks.get(BASE, {}).get(task), stacks.get(pipeline.last, {}).get(task)
            if first is None and base is not None:
                first = base
                rows.append(_score(BASE, base))
            if last is not None and first is not None:
                rows.append(_score(pipeline.name, last))
        if first is not None:
            yield Benchmark(task, first.metric, first.version, tuple(rows))


def _score(name: str, found: TaskScore) -> Score:
    return Score(name, estimate_of(found), found.n, found.total, found.truncated)


def _scores(result: StudyResult) -> Table:
    """Return every stack's score on every benchmark, recipe by recipe, with the paper's beside it."""
    tasks, named = result.tasks, result.in_paper
    columns = ["stack", *(name for task in tasks for name in (task, *(["paper"] if task in named else [])))]
    rows: list[tuple[str | Cell, ...]] = []
    for recipe, stacks in result.scores.items():
        for stack, scores in stacks.items():
            cells: list[str | Cell] = []
            for task in tasks:
                found = scores.get(task)
                cells.append(Cell(words.DASH) if found is None else _cell(found))
                if task in named:
                    figure = result.paper(recipe, stack, task)
                    cells.append(words.DASH if figure is None else f"{figure:.2f} %")
            rows.append((f"{recipe}: {stack}", *cells))
    held = [score for stacks in result.scores.values() for scores in stacks.values() for score in scores.values()]
    losses = " (losses in nats per token)" if any(score.unit.loss for score in held) else ""
    return tables.table(f"Scores in per cent{losses}, with 95 % intervals", columns, rows)


def _held_against(result: StudyResult) -> Iterator[str]:
    """Yield what the scores on each benchmark are to be held against, and the notes on them."""
    subjects = {name: (subject, subject.stacks()) for name, subject in result.subjects.items()}
    selected = {
        f"{name}: {s.name}": subject.selected_on(s) for name, (subject, found) in subjects.items() for s in found
    }
    for task in result.tasks:
        scores = {
            f"{recipe}: {stack}": found[task]
            for recipe, stacks in result.scores.items()
            for stack, found in stacks.items()
            if task in found
        }
        first = next(iter(scores.values()))
        if known := floors(first.chance, first.blind):
            yield f"{task}, in per cent: {known}."
        yield from sentences(notes(scores, None, selected))


def _cell(score: TaskScore) -> Cell:
    found = estimate_of(score)
    return Cell(words.scored(found), below=(words.interval(found),))


def _comparison(result: StudyResult) -> Table:
    """Return every pipeline's change from the reference."""
    compared = result.comparison
    assert compared is not None
    found = {
        (c.other, c.task): Delta(compared.reference, c.overall.change, c.overall.p_adjusted, c.overall.verdict, c.unit)
        for c in compared.contrasts
    }
    tasks = [task for task in result.tasks if (compared.others[0], task) in found]
    rows: list[tuple[str | Cell, ...]] = [
        (other, *(tables.change(found[other, task]) for task in tasks)) for other in compared.others
    ]
    losses = " (of losses in nats per token)" if any(c.unit.loss for c in compared.contrasts) else ""
    what = f"Change from {compared.reference}, in percentage points{losses}"
    return tables.table(what, ("pipeline", *tasks), rows)


def _delta(against: str, judged: Judged) -> Delta:
    return Delta(against, judged.change, judged.p_adjusted, judged.verdict)


def _recipes(contrasts: Sequence[RecipeContrast], reference: str) -> tuple[Table, ...]:
    """Return every recipe's change from the reference over all runs, and its verdict beside that on the checkpoint."""
    columns = ("pipeline", "score", "change", "items", "runs", "recipe", "checkpoint")
    found = []
    for task in dict.fromkeys(contrast.task for contrast in contrasts):
        of_task = [contrast for contrast in contrasts if contrast.task == task]
        first = of_task[0]
        before = _over_runs(first.before, first.before_sd, first.unit)
        base: tuple[str | Cell, ...] = (reference, before, *[Cell(words.DASH)] * 5)
        caption = f"{task}: change from {reference} over the runs, in {first.unit.of_changes_in_full}"
        found.append(tables.table(caption, columns, [base, *map(_recipe, of_task)]))
    return tuple(found)


def _recipe(contrast: RecipeContrast) -> tuple[str | Cell, ...]:
    change, spread, unit = contrast.recipe.change, contrast.spread, contrast.unit
    return (
        contrast.other,
        _over_runs(contrast.after, contrast.after_sd, unit),
        Cell(words.points(change.difference, unit), below=(words.points_interval(change, unit),)),
        words.DASH if spread is None else unit.figure(spread.of_items),
        words.DASH if spread is None else unit.figure(spread.of_runs),
        _verdict(contrast.recipe),
        _verdict(contrast.checkpoint),
    )


def _over_runs(mean: float, deviation: float | None, unit: Unit) -> Cell:
    text = unit.spoken(mean) if unit.loss else words.percent(100 * mean)
    return Cell(text, below=() if deviation is None else (f"± {unit.figure(deviation)}",))


def _verdict(judged: Judged) -> Cell:
    return Cell(words.shown(judged), words.kind(_delta("", judged)), (f"p {words.p_equals(judged.p_adjusted)}",))
