"""The command init: from a user's own files to a recipe that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from statllama.errors import UsageError

DirArg = Annotated[Path, typer.Argument(metavar="DIR", help="The new folder.", show_default=False)]
MoreArg = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, after --data FILE.", show_default=False)
]
FilesOption = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="FILE", help="Your files, folders or globs; may be repeated."),
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="MODEL",
        help="A hub id, a model's folder, or quickstart/base, which ships here. Default: asked in a terminal, else an "
        "instruct model that fits the memory.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="12GB",
        help="Memory of the GPU that will train, or its name, as in RTX 4090. Default: that of this machine.",
    ),
]
GoalOption = Annotated[
    str | None, typer.Option("--goal", metavar="TEXT", help="The model's purpose: for the recipe and its card.")
]
HoldoutOption = Annotated[
    int | None,
    typer.Option("--holdout", min=0, metavar="N", help="Questions held out for each benchmark. Default: by the rows."),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="[FILE:]NAME=COLUMN,...",
        help='Which column is which, as in --columns faq.csv:question=Frage,answer="Die Antwort"; may be repeated.',
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


def init(
    directory: DirArg,
    more: MoreArg = None,
    data: FilesOption = None,
    base: BaseOption = None,
    memory: MemoryOption = None,
    goal: GoalOption = None,
    holdout: HoldoutOption = None,
    columns: ColumnsOption = None,
    yes: YesOption = False,
) -> None:
    """Make a recipe out of your files: what each holds, settings, a held-out split and its benchmark, in a new folder.

    Your files are only read. Questions are asked in a terminal alone; each has an option.
    """
    from statllama.cli.console import init as console
    from statllama.runs.forecast.device import found_device
    from statllama.runs.init.draft import draft, look, recipe_name
    from statllama.runs.init.settings import look_at_base, named_memory, proposed_base
    from statllama.runs.init.write import write
    from statllama.store.new_folder import require_free

    files = [*(data or ()), *(more or ())]
    if not data:
        raise UsageError(
            "`--data FILE` is missing: the files to learn from", remedy=f"statllama init {directory} --data FILE"
        )
    require_free(directory, named="DIR")
    device = found_device() if memory is None else named_memory(memory)
    ask = console.may_ask() and not yes
    looked = look(files, _columns(columns or ()))
    console.print_found(looked)
    if ask:
        console.confirm_columns(looked)
    if base is None:
        base = proposed_base(device)
        base = console.ask_base(base, device) if ask else base
    if goal is None:
        goal = console.ask_goal() if ask else ""
    name = recipe_name(directory.absolute().name)
    chosen = look_at_base(base)
    with console.searching() as progress:
        made = draft(name, looked, chosen, device, goal.strip(), holdout, progress)
    console.print_draft(made)
    if ask:
        console.confirm_write(directory)
    console.print_written(write(made, directory), made)


def _columns(given: list[str] | tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return {file, or empty for any: {name of the format: column}}. UsageError for another form."""
    found: dict[str, dict[str, str]] = {}
    for text in given:
        head, mark, rest = text.partition(":")
        file, pairs = (head, rest) if mark and "=" not in head else ("", text)
        for pair in pairs.split(","):
            name, equals, column = (part.strip() for part in pair.partition("="))
            if not (name and equals and column):
                remedy = "write it as in --columns faq.csv:question=Frage,answer=Antwort"
                raise UsageError(f"--columns {text!r}: {pair!r} is not NAME=COLUMN", remedy=remedy)
            found.setdefault(file, {})[name] = column.strip("\"'")
    return found
