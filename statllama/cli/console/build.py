"""Prints how a build of data goes, and what it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from statllama.cli.console.terminal import Out, counted, figure, new_table, plain, print_path, print_table, short
from statllama.data.build.blocks import Tally
from statllama.data.build.chain import Watcher
from statllama.store import Holder

if TYPE_CHECKING:
    from statllama.data.build.build import Made, Planned
    from statllama.data.build.spec import Build
    from statllama.store import Store

REASONS = 6
"""Reasons of a step that are shown; the file has all."""
NOTED = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class _Lines:
    """A line now and then, for a log."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def progress(self, step: str, tally: Tally, total: int | None) -> None:
        """Tell of a step that takes long."""
        if time.monotonic() - self._told >= NOTED:
            self._told = time.monotonic()
            Out.print(f"  {plain(step)}: {_done(tally, total)}, {tally.kept:,} kept")

    def finished(self, step: str) -> None:
        """Begin the next step's time."""
        self._told = time.monotonic()


class _Bars:
    """A bar for the step that goes on, in a terminal."""

    def __init__(self, bars: Progress) -> None:
        self._bars, self._task, self._of = bars, TaskID(-1), ""

    def progress(self, step: str, tally: Tally, total: int | None) -> None:
        """Move the bar."""
        if self._of != step:
            self._of, self._task = step, self._bars.add_task(plain(step), total=total, kept="")
        self._bars.update(self._task, completed=tally.records, total=total, kept=f"{tally.kept:,} kept")

    def finished(self, step: str) -> None:
        """Take the bar away."""
        if self._of == step:
            self._bars.remove_task(self._task)
            self._of = ""


@contextmanager
def watched(stop: Callable[[], None]) -> Iterator[Watcher]:
    """Yield what a build tells of itself; `stop` raises when the user asks to stop."""
    if not Out.is_terminal:
        yield _watcher(_Lines(), stop)
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f}"),
        TextColumn("{task.fields[kept]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Out, transient=True) as bars:
        yield _watcher(_Bars(bars), stop)


def _watcher(shown: _Lines | _Bars, stop: Callable[[], None]) -> Watcher:
    def finished(step: str, tally: Tally) -> None:
        shown.finished(step)
        _print_step(step, tally)

    return Watcher(shown.progress, finished, _waiting, _note, stop)


def _waiting(step: str) -> Callable[[Holder], None]:
    return lambda holder: Out.print(f"  [dim]{plain(step)}: waiting for {plain(holder)}, which makes it[/]")


def _note(text: str) -> None:
    Out.print(f"  [yellow]note:[/] {plain(text)}")


def _print_step(step: str, tally: Tally) -> None:
    """Print what a step kept, and what it left out by reason."""
    lost = sum(count for _, count in tally.left_out)
    left = f", {lost:,} left out" if lost else ""
    Out.print(f"[bold cyan]{plain(step)}[/]: {tally.records:,} in, {tally.kept:,} kept{left}")
    for reason, count in tally.left_out[:REASONS]:
        Out.print(f"  {count:>7,}  {plain(reason)}")
    if more := tally.left_out[REASONS:]:
        Out.print(f"  {sum(count for _, count in more):>7,}  for {counted(len(more), 'other reason')}")


def _done(tally: Tally, total: int | None) -> str:
    return f"{tally.records:,} of {total:,}" if total is not None else f"{tally.records:,}"


def print_plan(build: Build, planned: Sequence[Planned], store: Store) -> None:
    """Print the steps, which of them have results, and what writing would use where that is known."""
    from statllama.data.build.build import inputs_of
    from statllama.data.build.write.step import Writer

    table = new_table("step", "result", figure("in"), figure("kept"), figure("left out"))
    entries = {each.name: entry for each in planned if (entry := store.find("steps", each.key)) is not None}
    for each in planned:
        entry = entries.get(each.name)
        if entry is None:
            begun = store.unfinished("steps", each.key)
            table.add_row(plain(each.name), "goes on" if begun else "to do", "", "", "")
        else:
            tally = Tally.of_json(entry.manifest)
            lost = sum(count for _, count in tally.left_out)
            table.add_row(plain(each.name), "there", f"{tally.records:,}", f"{tally.kept:,}", f"{lost:,}")
    print_table(table)
    for each in planned:
        if isinstance(each.step, Writer) and each.name not in entries:
            if all(name in entries for name in each.inputs):
                found = each.step.estimate(inputs_of(each, entries))
                basis = "as the server counted" if found.measured else "assumed"
                Out.print(
                    f"  {plain(each.name)}: {counted(found.requests, 'request')}, {found.answered:,} answered already; "
                    f"about {found.usage.prompt:,} tokens of prompts ({found.characters_per_token:.2g} characters a "
                    f"token, {basis}), at most {found.usage.completion:,} of replies"
                )
            else:
                Out.print(f"  {plain(each.name)}: what it would ask is known once the documents are cleaned")


def print_built(build: Build, made: Made | None, file: str) -> None:
    """Print the parts, and how a recipe reads them."""
    if made is None:
        return
    table = new_table("part", figure("rows"))
    for name, part in made.record["parts"].items():
        table.add_row(plain(name), f"{part['rows']:,}")
    print_table(table)
    print_path("written to ", made.folder)
    first = next((name for name, part in made.record["parts"].items() if part["rows"]), None)
    if first is not None:
        Out.print(f"  in a recipe: {{built: {plain(short(file))}, part: {plain(first)}}}")
        Out.print(f"  look at rows, kept and left out: statllama data review {plain(short(file))}")
