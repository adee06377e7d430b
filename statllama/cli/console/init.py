"""Prints what `init` found in a user's files and what it made of them, and asks its questions in a terminal."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import typer

from statllama.cli.console.live import interactive
from statllama.cli.console.run import ConsoleReporter
from statllama.cli.console.terminal import Out, counted, figure, new_table, plain, print_table
from statllama.errors import UsageError
from statllama.runs.forecast.device import Device
from statllama.runs.init.draft import Draft, Survey
from statllama.runs.init.holdout import Progress, Split
from statllama.runs.init.recipe_text import SHOWS, next_commands
from statllama.runs.init.settings import SHIPPED, StageSettings
from statllama.runs.init.survey import USES, Found, example_row, known_columns

BRIEF = 60  # characters of an example
FEW = 3  # faulty rows that are shown
HOW = {"guessed": "as guessed", "given": "as you said"}


def may_ask() -> bool:
    """Return whether questions can be asked: a person sits at a terminal."""
    return sys.stdin.isatty() and Out.is_terminal


def print_found(looked: Survey) -> None:
    """Print what each file is, its columns, an example row, and what it would be used for."""
    for note in looked.notes:
        Out.print(f"[yellow]note:[/] {plain(note)}")
    for found in looked.found:
        what = [counted(len(found.units), "row"), found.format.replace("_", " ")]
        if len(found.files) > 1 or (found.use == "cpt" and found.name not in map(str, found.files)):
            what = [counted(len(found.files), "document")]
        how = [*(e for e in found.encodings if e != "UTF-8"), *([found.delimiter] if found.delimiter else [])]
        said = f" ({', '.join(how)})" if how else ""
        Out.print(f"[bold]{plain(found.name)}[/]: {', '.join(what)}{said}")
        Out.print(f"  -> [cyan]{USES[found.use]}[/]")
        if columns := _columns(found):
            Out.print(f"  columns {HOW.get(found.reading.how, '')}: {plain(columns)}")
        for name, text in example_row(found.units[0]).items():
            Out.print(f"  [dim]{name + ':':<10}{plain(_brief(text))}[/]")
        if found.faults:
            rows = "; ".join(f"row {fault.row}: {fault.why}" for fault in found.faults[:FEW])
            more = f"; and {len(found.faults) - FEW} more" if len(found.faults) > FEW else ""
            Out.print(f"  [yellow]{counted(len(found.faults), 'row')} left out:[/] {plain(rows + more)}")


def _columns(found: Found) -> str:
    pairs = known_columns(found.reading) if found.reading.how != "format" else {}
    return ", ".join(f"{name} = {used}" for name, used in pairs.items() if name != used or found.quiz)


def _brief(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= BRIEF else f"{flat[: BRIEF - 3]}..."


def confirm_columns(looked: Survey) -> None:
    """Ask whether guessed columns are right. UsageError with the option that says them, when they are not."""
    for found in looked.found:
        if found.reading.how != "guessed":
            continue
        if not typer.confirm(f"{found.name}: {_columns(found)}. Right?", default=True):
            name = Path(found.name).name
            remedy = f"say which is which: --columns {shlex.quote(name)}:question=COLUMN,answer=COLUMN"
            raise UsageError(f"{found.name}: columns not as proposed; nothing was written", remedy=remedy)


def ask_base(proposed: str, device: Device) -> str:
    """Return the base that the user names; the proposed one by default."""
    Out.print(f"It would train on {plain(device)}.")
    Out.print(f"Base model: a hub id, a folder, or {SHIPPED} (tiny, ships here, for a first try).")
    return str(typer.prompt("base", default=proposed)).strip()


def ask_goal() -> str:
    """Return the purpose of the model in the user's words; it may be empty."""
    return str(typer.prompt("What should the model be good at? (may be empty)", default="", show_default=False))


def searching() -> AbstractContextManager[Progress | None]:
    """Show, in a terminal, how far the search for held-out questions is; yields what is to be told of it."""
    if not interactive():
        return nullcontext()
    return ConsoleReporter().active("scoring", "comparing rows with held-out questions")


def confirm_write(directory: Path) -> None:
    """Ask before anything is written. UsageError when the answer is no."""
    if not typer.confirm(f"Write {directory}?", default=True):
        raise UsageError("nothing was written", remedy="statllama init --help lists the options")


def print_draft(made: Draft) -> None:
    """Print the stages with their settings, and the benchmarks."""
    table = new_table("stage", *map(figure, ("rows", "longest", "max_length", "batch", "epochs", "steps", "rate")))
    for use, s in made.stages.items():
        rate = f"{s.learning_rate:.0e}".replace("e-0", "e-")
        numbers = (s.rows, s.longest, s.max_length, s.batch_size, s.epochs, s.steps)
        table.add_row(use, *(f"{each:,}" for each in numbers), rate)
    print_table(table)
    for use, s in made.stages.items():
        if s.cut:
            Out.print(
                f"  [yellow]note:[/] {use} cuts {counted(s.cut, 'row')} at {s.max_length:,} tokens, {_reason(made, s)}"
            )
    if made.benchmarks:
        held = new_table("held out, as benchmark", figure("items"), "shows")
        for each in made.benchmarks:
            held.add_row(plain(each.name), f"{len(each.items):,}", SHOWS[each.form])
        print_table(held)
    _print_held_out(made.split)
    repeats = sum(why.startswith("repeats") for why in made.split.left_out.values())
    copies = len(made.split.left_out) - repeats
    for number, why in ((repeats, "repeats of an earlier row"), (copies, "they hold held-out questions")):
        if number:
            Out.print(f"  {counted(number, 'row')} left out: {why}")
    refused = Counter(fault.why for fault in made.unusable if fault.why.startswith("the base"))
    for why, number in refused.items():
        Out.print(f"  [yellow]{counted(number, 'row')} left out:[/] {plain(why)}")


def _print_held_out(split: Split) -> None:
    """Print what was kept out of training, what whole kinds of question mean for the score, and what was not found."""
    held, wanted = sum(map(len, split.items.values())), sum(split.wanted.values())
    if not held:
        why = "rows are too much alike" if wanted else "too few rows, or none was asked for"
        Out.print(f"  [yellow]held out: nothing[/]: {why}. So nothing measures what is learned")
    if beside := len(split.held_out) - held - max(0, split.kind_rows - len(split.kinds)):
        Out.print(f"  {counted(beside, 'more row')} kept out of training: they ask what held-out rows ask")
    if split.kinds:
        kinds = counted(len(set(split.kinds.values())), "kind")
        Out.print(
            f"  [yellow]note:[/] {kinds} of question held out whole: {split.kind_rows:,} rows, {len(split.kinds):,} of "
            "them asked. Alike but for numbers and names, or little more, rows of a kind would give each other away. "
            "So these questions are of kinds that training never shows"
        )
    if split.short:
        instead = f"`--holdout {split.more}` may hold out one more kind; or score" if split.more else "score"
        Out.print(
            f"  [yellow]note:[/] {held:,} of {wanted:,} questions held out: all others resemble rows that training "
            f"needs. {instead[0].upper() + instead[1:]} on questions of your own: a benchmark in eval/ beside the "
            "recipe, named in evaluate.tasks; if they too are alike, with `decontaminate: ignore` in the stage"
        )


def print_written(recipe: Path, made: Draft) -> None:
    """Print the folder's contents and the three commands that come next."""
    parts = ", ".join(["recipe.yaml", "data/", *(["eval/"] if made.benchmarks else [])])
    left = "; rows used for nothing, and why: data/left_out.jsonl" if _has_left_out(made) else ""
    Out.print(f"[green]written:[/] {plain(recipe.parent)} ({parts}{left})")
    Out.print("next:")
    for command, purpose in next_commands(shlex.quote(str(recipe))):
        fits = len(command) + len(purpose) + 6 <= Out.width
        Out.print(f"  [bold]{plain(command)}[/]" + (f"  [dim]# {purpose}[/]" if fits else ""), soft_wrap=True)


def _reason(made: Draft, settings: StageSettings) -> str:
    if settings.max_length == made.base.positions:
        return "all positions that the base has"
    return f"the longest has {settings.longest:,}: --set or edit max_length to keep them whole"


def _has_left_out(made: Draft) -> bool:
    return bool(made.unusable or made.split.left_out)
