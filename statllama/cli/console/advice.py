"""Prints what would stop a planned run, and what is likely to spoil it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from statllama.cli.console.terminal import Out, plain

if TYPE_CHECKING:
    from statllama.runs.advice import Advice


def print_advice(found: Sequence[Advice]) -> None:
    """Print each with its remedy."""
    for advice in found:
        Out.print(f"{'[bold red]would stop:[/]' if advice.stops else '[yellow]warning:[/]'} {plain(advice.text)}")
        if advice.remedy:
            Out.print(f"[bold]  ->[/] {plain(advice.remedy)}")
