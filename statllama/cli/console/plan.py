"""Prints what lies ahead of a planned run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from statllama.cli.console.advice import print_advice
from statllama.cli.console.memory import print_memory
from statllama.cli.console.terminal import Out, figure, new_table, plain, print_table, readable_bytes, short
from statllama.cli.console.timing import print_timing
from statllama.cli.console.workspace import print_foresight, print_plan

if TYPE_CHECKING:
    from statllama.runs.forecast.device import Device
    from statllama.runs.prospect import Prospect
    from statllama.runs.releasing import AheadRelease


def print_prospect(ahead: Prospect, device: Device, *, explain: bool = True) -> None:
    """Print the stages with their sizes and why they run, what is wrong, memory and time, and what scores can show.

    `explain`: the columns too.
    """
    if not ahead.stages:
        Out.print(f"[bold]{plain(ahead.recipe.name)}[/]: all of its stages are planned above")
        return
    print_plan(ahead.recipe, ahead.stages, ahead.measures)
    print_advice(ahead.advice)
    print_memory(ahead.needs, device, explain=explain)
    print_timing(ahead.outlook, [stage.spec.name for stage in ahead.stages])
    print_foresight(ahead.sights, explain=explain)
    print_releases(ahead.releases)


def print_releases(releases: Sequence[AheadRelease]) -> None:
    """Print what will be released: the stage, the forms, about how much of the disk it takes, and where it goes."""
    if not releases:
        return
    table = new_table("release of", "forms", figure("on disk"), "folder")
    for one in releases:
        size = "?" if one.bytes is None else readable_bytes(one.bytes)
        state = " [dim](cached)[/]" if one.stands else ""
        table.add_row(plain(one.stage), plain(", ".join(one.forms)), size, f"{plain(short(one.out))}{state}")
    print_table(table)
