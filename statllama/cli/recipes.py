"""The command recipes."""

from __future__ import annotations

from typing import Annotated

import typer

from statllama.cli import completion

NameArg = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="Print this one as it is, with its comments, to copy it.",
        autocompletion=completion.recipes_and_studies,
    ),
]


def recipes(name: NameArg = None) -> None:
    """List the recipes and studies that ship, or print one to copy: statllama recipes quickstart > mine.yaml

    A copy runs from anywhere: bases, data and recipes that ship are found by name.
    """
    from statllama.cli.console.recipes import print_file, print_shelf
    from statllama.config.shipped import SHIPPED, find_recipe
    from statllama.runs.shelf import shelf

    if name is None:
        print_shelf(shelf())
    else:
        print_file(find_recipe(f"{SHIPPED}{name.removeprefix(SHIPPED)}", studies=True))
