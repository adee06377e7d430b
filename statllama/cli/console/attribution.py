"""Prints what sets of stacks scored: what each stage is worth, and a dial on one of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from statllama.cli.console.scores import change_cells, floors_after, measured_in, print_notes
from statllama.cli.console.terminal import Out, counted, figure, new_table, plain, print_table, width
from statllama.evaluation.meaning import notes
from statllama.evaluation.paired import spoken_level
from statllama.evaluation.scores import TaskScore
from statllama.runs.attribution import Attribution, Dial


def print_attribution(result: Attribution) -> None:
    """Print a table per benchmark: each stage's change when it was added, and the stack's loss without it."""
    for i, whole in enumerate(result.prefixes[result.stages[-1]]):
        items = counted(whole.n, "item")
        Out.print(f"[bold]{plain(whole.task)}[/] ({plain(whole.unit.metric)}, {items}{floors_after('; ', whole)})")
        table = new_table("stage", *map(figure, ("up to it", "its step", "p", "without it", "its worth", "p")))
        table.add_row("base", _share(result.prefixes["base"][i]))
        for share in (s for s in result.shares if s.task == whole.task):
            table.add_row(
                plain(share.stage),
                _share(result.prefixes[share.stage][i]),
                *change_cells(share.step, whole.unit),
                _share(result.without[share.stage][i]),
                *change_cells(share.kept, whole.unit),
            )
        print_table(table)
        without = {f"without {name}": scores[i] for name, scores in result.without.items()}
        shown = {name: scores[i] for name, scores in result.prefixes.items()} | without
        print_notes(notes(shown, None, result.selected))
    changes = [judged.change for share in result.shares for judged in (share.step, share.kept)]
    figures = measured_in(score.unit for score in result.prefixes["base"]).removesuffix(",")
    Out.print(
        f"[dim]{figures}. Step: from the stack below a stage to that stack with it. Worth: from the whole stack of "
        f"{plain(result.stack)} without the stage to the whole. Changes are paired: {spoken_level(changes)}.[/]"
    )


def print_dial(result: Dial) -> None:
    """Print a row per factor: the score on each benchmark with its change from factor 1, in tables that fit."""
    tasks = list[int]()
    for task in range(len(result.notches[0].scores)):
        if tasks and width(_dialled(result, [*tasks, task])) > Out.width:
            print_table(_dialled(result, tasks))
            tasks = []
        tasks.append(task)
    print_table(_dialled(result, tasks))
    for i, score in enumerate(result.notches[0].scores):
        if text := floors_after(f"  {plain(score.task)}: ", score):
            Out.print(text)
        shown = {f"{result.stage} x {n.factor:g}": n.scores[i] for n in result.notches}
        print_notes(notes(shown, None, dict.fromkeys(shown, result.selected)), tasks=True)
    changes = [judged.change for notch in result.notches for judged in notch.changes.values()]
    figures = measured_in(score.unit for score in result.notches[0].scores)
    Out.print(
        f"[dim]{figures} ± standard error of the stack of {plain(result.stack)}, the update of {plain(result.stage)} "
        f"times a factor. Changes from factor 1 are paired: {spoken_level(changes)}; in colour where there is evidence "
        "of a difference. The best of many factors is partly luck.[/]"
    )


def _dialled(result: Dial, tasks: Sequence[int]) -> Table:
    """Return the table of some of the benchmarks, by their places."""
    table = new_table(figure(f"{plain(result.stage)} x"))
    for score in (result.notches[0].scores[i] for i in tasks):
        table.add_column(f"{plain(score.task)} ({plain(score.unit.metric)}, {score.n})", justify="right")
        table.add_column("from 1", justify="right", no_wrap=True)
    for notch in result.notches:
        cells = [
            cell
            for score in (notch.scores[i] for i in tasks)
            for cell in (_share(score), change_cells(notch.changes.get(score.task), score.unit)[0])
        ]
        table.add_row(f"{notch.factor:g}", *cells)
    return table


def _share(score: TaskScore) -> str:
    return score.unit.spoken(score.value, score.stderr)
