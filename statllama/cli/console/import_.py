"""Prints what an import made, what was checked, and what to do with it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from statllama.cli.console.terminal import Out, counted, plain, print_path, readable_bytes

if TYPE_CHECKING:
    from statllama.release.imported import Imported
    from statllama.runs.house.unbundle import Imported as Brought


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


def print_brought(brought: Brought, file: Path, workspace: Path, *, named: bool) -> None:
    """Print what a bundle brought, what of it has no place on this machine yet, and the next commands.

    `named`: whether the user gave the run another name.
    """
    run = plain(brought.runs[0])
    had = f"; {counted(brought.known, 'entry').replace('entrys', 'entries')} here already" if brought.known else ""
    Out.print(f"imported: {plain(', '.join(brought.runs))}, {brought.new:,} adapters and scores{had}")
    here = f"--workspace {plain(shlex.quote(str(workspace)))}"
    again = f"statllama import {plain(shlex.quote(str(file)))} {here}{f' --name {run}' if named else ''}"
    if not brought.base_here:
        Out.print(f"  [yellow]note:[/] its base {plain(brought.base)} is not here. To chat or score:")
        Out.print(f"    {again} --base FOLDER")
    if not brought.root_here:
        Out.print(f"  [yellow]note:[/] its recipe's folder {plain(brought.root)} is not here. For benchmarks")
        Out.print(f"  of its own: {again} --recipe FILE")
    Out.print(f"  look at it: statllama status {run} {here}")
