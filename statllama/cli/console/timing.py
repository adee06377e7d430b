"""Prints how long a run takes, beside what its trained stages took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from statllama.cli.console.terminal import Out, figure, new_table, plain, print_table

if TYPE_CHECKING:
    from statllama.runs.forecast.figure import Figure
    from statllama.runs.forecast.outlook import Outlook


def print_timing(seen: Outlook, stages: Sequence[str]) -> None:
    """Print each stage's forecast, what it took where it is trained, and the sum of what is still to be done."""
    if not seen.parts and not any(name in seen.taken for name in stages):
        Out.print(
            f"Time: unknown. Nothing is known of the speed of {plain(seen.machine)}; name a card: --on 'RTX 4090'"
        )
        return
    table = new_table("time", *map(figure, ("forecast", "between", "took", "off by")), "from")
    for name in stages:
        if name in seen.taken:
            taken = seen.taken[name]
            made, error = taken.forecast, taken.error
            off = "" if error is None else f"{100 * error:+.0f} %"
            table.add_row(plain(name), *_figures(made), clock(taken.seconds), off, _basis(made))
        elif made := seen.training(name):
            table.add_row(plain(name), *_figures(made), "", _error(made), _basis(made))
        else:
            table.add_row(plain(name), "?", "", "", "", "nothing is known")
    if made := seen.scoring:
        table.add_row("scores, drift", *_figures(made), "", _error(made), _basis(made))
    if (made := seen.total) and len(seen.parts) > 1:
        table.add_row("[bold]to do[/]", *_figures(made), "", "", "")
    print_table(table)
    places = dict.fromkeys(seen.taken[name].machine for name in stages if name in seen.taken)
    others = ", ".join(plain(place) for place in places if place not in (None, seen.machine))
    elsewhere = f"; what is trained, on {others}" if others else ""
    where = f"On {plain(seen.machine)}{elsewhere}"
    Out.print(f"[dim]{where}. Off by: the forecast's error, of what is to do when last checked.[/]")
    guessed = list(dict.fromkeys(made.basis for made in seen.parts.values() if not made.measured))
    if guessed:
        hint = "; `--calibrate` takes a few real steps and items on this machine" if seen.here else ""
        Out.print(f"[dim]Not measured: computed at 10 to 70 % of {plain(guessed[0].partition(',')[0])}{hint}.[/]")


def clock(seconds: float) -> str:
    """Return seconds in words as short as they may be: `0.4 s`, `22 s`, `1:20`, `2:05:00`, `3 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _figures(made: Figure | None) -> tuple[str, str]:
    return ("", "") if made is None else (clock(made.usual), f"{clock(made.low)} to {clock(made.high)}")


def _error(made: Figure) -> str:
    return "" if made.error is None else f"{100 * made.error:.0f} %"


def _basis(made: Figure | None) -> str:
    return "" if made is None else plain(made.basis) if made.measured else "not measured"
