"""Prints what ships: a line for each recipe, or the text of one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from statllama.cli.console.terminal import Out, plain, visible

if TYPE_CHECKING:
    from statllama.runs.shelf import OnShelf

NEEDS = {
    ("CPU",): "a CPU, no download",
    ("CPU", "base"): "a CPU, and a base that you import",
    ("GPU", "hub"): "a CUDA GPU, and the hub",
    ("GPU", "hub", "files"): "a CUDA GPU, the hub, and files that you bring",
}


def print_shelf(lines: Sequence[OnShelf]) -> None:
    """Print the recipes below what they need and stand on: name, stages, time of a run where it was measured."""
    names, contents = max(len(line.name) for line in lines), max(len(line.contents) for line in lines)
    for needs, base in dict.fromkeys((line.needs, line.base) for line in lines):
        Out.print(f"[bold]{NEEDS.get(needs, ', '.join(needs))}[/]; base {plain(base)}")
        for line in (line for line in lines if (line.needs, line.base) == (needs, base)):
            time = "" if line.seconds is None else f"{line.seconds / 60:.0f} min"
            Out.print(f"  {line.name:<{names}}  {line.contents:<{contents}}  {time}".rstrip())
    Out.print("[dim]Times: measured on two CPU cores, with scoring. The others were not measured.[/]")
    Out.print("run one:   statllama run quickstart  (a study: statllama study miniature)")
    Out.print("copy one:  statllama recipes quickstart > mine.yaml")


def print_file(path: Path) -> None:
    """Print a recipe's or study's file as it is."""
    text = path.read_text(encoding="utf-8")
    sys.stdout.write(visible(text) if Out.is_terminal else text)
