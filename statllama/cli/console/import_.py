"""Prints what an import made, what was checked, and what to do with it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from statllama.cli.console.terminal import Out, plain, print_path, readable_bytes

if TYPE_CHECKING:
    from statllama.release.imported import Imported


def print_imported(imported: Imported) -> None:
    """Print the model, its origin and licence, every check in a line, and the next commands."""
    source, folder = imported.source, imported.folder
    types = ", ".join(f"{count} {name}" for name, count in source.header.types.items())
    size = sum(path.stat().st_size for path in folder.iterdir())
    general = source.header.fields
    name, licence = general.get("general.name"), general.get("general.license")
    Out.print(f"[bold]{plain(name or source.header.path.name)}[/]: {source.config['architectures'][0]}", end="")
    Out.print(f", {source.header.parameters:,} parameters")
    print_path("  read: ", source.header.path, f" ({plain(types)})")
    Out.print(f"  licence: {plain(licence) if licence else 'the file states none: find out what it allows'}")
    for check in imported.verified.checks:
        word = "[green]passed[/]" if check.passed else "[bold red]failed[/]" if check.required else "[yellow]differs[/]"
        Out.print(f"  {word}{'' if check.required else ' (information)'}: {plain(check)}")
    if imported.unverified:
        Out.print(f"  [yellow]note:[/] not compared with llama.cpp: {plain(imported.unverified)}")
    print_path("imported: ", folder, f" ({readable_bytes(size)}, weights in {source.type})")
    where = "in a recipe" if folder.is_absolute() else "in a recipe here"
    # A name alone may also be that of a recipe or of a run, which come first.
    target = folder if folder.is_absolute() else os.path.join(os.curdir, folder)
    Out.print(f"  talk to it: statllama chat {plain(shlex.quote(str(target)))}")
    Out.print(f"  {where}: base: {{model: {plain(folder)}}}")
