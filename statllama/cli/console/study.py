"""Prints a study: its pipelines as they run, and at the end one table of all scores with the paper's beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from statllama.cli.console.frame import Part
from statllama.cli.console.run import ConsoleReporter, stack_plan
from statllama.cli.console.scores import _coloured, change_cells, print_comparison
from statllama.cli.console.sweep import print_sweep
from statllama.cli.console.terminal import Out, figure, new_table, plain, print_error, print_table
from statllama.errors import StatllamaError
from statllama.evaluation.unit import Unit
from statllama.report import words
from statllama.report.data import estimate_of
from statllama.report.frontier import sentences
from statllama.runs.study import StudyResult

if TYPE_CHECKING:
    from statllama.config.stage import TrainingSpec
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.evaluation.repeated import RecipeContrast
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import TaskScore
    from statllama.recipe import Recipe
    from statllama.runs.plan import PlannedStage


class StudyReporter(ConsoleReporter):
    """Says of each pipeline what is new in it: what an earlier one has trained and scored is not said again."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[tuple[str, ...]] = set()
        self._known: dict[str, str] = {}

    def pipeline(self, name: str, number: int, total: int) -> None:
        self.part = Part(number, total)
        Out.print(f"[bold]{plain(name)}[/] ({number} of {total})")

    def pipeline_failed(self, name: str, error: StatllamaError) -> None:
        self.hide()
        print_error(error)
        Out.print(f"  [red]{plain(name)} failed; the others go on[/]")

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        if self._unheard(f"{spec.name} {report}"):  # workers do all pipelines' works: shared stages are checked in each
            super().data_ready(spec, report, findings)

    def note(self, text: str) -> None:
        if self.part is not None or self.fleet.whole.first is not None or self._unheard(text):
            super().note(text)

    def _unheard(self, what: str) -> bool:
        fresh = (what,) not in self._said
        self._said.add((what,))
        return fresh

    def say_plan(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        self._known = {stage.spec.name: stage.key for stage in stages}
        cached = sum(stage.cached and stage.key not in self.trained_by_workers for stage in stages)
        Out.print(f"  {stack_plan(stages)}" + (f" ({cached} of {len(stages)} trained already)" if cached else ""))

    def is_news(self, name: str, what: str) -> bool:
        said = (self._known.get(name, name), what)
        fresh = said not in self._said and what != "cached"
        self._said.add(said)
        return fresh

    def say_end(self, results: Mapping[str, Path], card: Scorecard | None) -> None:
        pass


def print_study(result: StudyResult) -> None:
    """Print all scores with 95 % intervals, the paper's figures where it has some, and the comparison of pipelines."""
    tasks, papers = result.tasks, result.in_paper
    table = new_table("recipe", "stage")
    for task in tasks:
        table.add_column(plain(task), justify="right", no_wrap=True)
        if task in papers:
            table.add_column("paper", justify="right")
    for recipe, stacks in result.scores.items():
        for i, (stack, scores) in enumerate(stacks.items()):
            cells = []
            for task in tasks:
                cells.append(_cell(scores.get(task)))
                if task in papers:
                    figure = result.paper(recipe, stack, task)
                    cells.append("" if figure is None else f"{figure:.2f}")
            table.add_row("" if i else plain(recipe), plain(stack), *cells)
        table.add_section()
    if tasks:
        print_table(table)
        held = any(
            score.unit.loss for stacks in result.scores.values() for s in stacks.values() for score in s.values()
        )
        losses = ", losses in nats per token" if held else ""
        Out.print(f"[dim]Per cent{losses}, with 95 % intervals.[/]")
    if result.comparison is not None:
        print_comparison(result.comparison)
    elif tasks and sum(p.label not in result.failed for p in result.pipelines) > 1:
        Out.print("[yellow]not compared:[/] no benchmark is scored for all pipelines")
    print_recipes(result)
    if result.frontier is not None:
        for sentence in sentences(result.frontier):
            Out.print(plain(sentence))
    if result.sweep is not None:
        print_sweep(result.sweep)
    for name, error in result.failed.items():
        Out.print(f"[red]failed:[/] {plain(name)}: {plain(error.message.splitlines()[0])}")


def _cell(score: TaskScore | None) -> str:
    if score is None:
        return ""
    found = estimate_of(score)
    if score.unit.loss:
        return f"{found.value:.3f} [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.1f} [{found.low:.0f}, {found.high:.0f}]"


def print_recipes(result: StudyResult) -> None:
    """Print the verdicts on the recipes, over all runs, beside those on their first checkpoints."""
    contrasts, compared = result.contrasts, result.comparison
    if compared is None or result.study.spec.seeds is None:
        return
    for task in dict.fromkeys(contrast.task for contrast in contrasts):
        Out.print(f"[bold]{plain(task)}[/]: the recipes over their runs, reference {plain(compared.reference)}")
        print_table(_recipes_table([each for each in contrasts if each.task == task], compared.reference))
    if contrasts:
        Out.print(f"[dim]{words.over_runs(contrasts)}[/]")
    for name in compared.others:
        if name not in [contrast.other for contrast in contrasts]:
            Out.print(f"[yellow]no verdict on the recipe:[/] {plain(name)}, without two runs to compare")


def _recipes_table(contrasts: Sequence[RecipeContrast], reference: str) -> Table:
    """Return one benchmark: the reference, then every other recipe with both verdicts."""
    table = new_table("pipeline", *map(figure, ("score", "difference", "items", "runs", "p")))
    for name in ("recipe", "checkpoint"):
        table.add_column(name, no_wrap=True)
    unit = contrasts[0].unit
    table.add_row(plain(reference), _runs_cell(contrasts[0].before, contrasts[0].before_sd, unit))
    for found in contrasts:
        spread = found.spread
        table.add_row(
            plain(found.other),
            _runs_cell(found.after, found.after_sd, unit),
            *change_cells(found.recipe, unit)[:1],
            "" if spread is None else unit.figure(spread.of_items),
            "" if spread is None else unit.figure(spread.of_runs),
            *change_cells(found.recipe, unit)[1:],
            *(_coloured(words.shown(judged), judged.verdict) for judged in (found.recipe, found.checkpoint)),
        )
    return table


def _runs_cell(mean: float, deviation: float | None, unit: Unit) -> str:
    return unit.spoken(mean) + ("" if deviation is None else f" ± {unit.figure(deviation)}")
