"""Prints what a plan's stages will need of a device and of the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from statllama.cli.console.terminal import Out, figure, new_table, plain, print_table, readable_bytes

if TYPE_CHECKING:
    from statllama.runs.forecast.device import Device
    from statllama.runs.forecast.forecast import StageForecast


def print_memory(forecasts: Mapping[str, StageForecast], device: Device, *, explain: bool = True) -> None:
    """Print memory, the token budget that fits, and disk of every stage, and what would make one fit that does not.

    `explain`: the columns too.
    """
    trained = [one for one in forecasts.values() if one.memory is not None]
    if not trained:
        return
    Out.print(f"Forecast for {plain(device)}, not measured:")
    table = new_table(
        "stage", *map(figure, ("memory", "at worst")), "fits", *map(figure, ("budget", "room for", "disk"))
    )
    for one in forecasts.values():
        table.add_row(plain(one.name), *_cells(one, device))
    print_table(table)
    _total(list(forecasts.values()))
    if explain:
        _explain(trained, device)
    for one in trained:
        if not one.fits:
            _advise(one, device)


def _cells(one: StageForecast, device: Device) -> tuple[str, ...]:
    written = readable_bytes(one.disk.most)
    if one.memory is None:
        return ("", "", "[dim]cached[/]" if one.cached else "", "", "", written)
    if not one.fits:
        fits = "[bold red]no[/]"
    elif one.memory.high > device.free:
        fits = "[yellow]just[/]"
    else:
        fits = "[green]yes[/]"
    budget = f"{one.asked if one.whole else min(one.asked, one.budget):,}" if one.fits else ""
    room = "whole step" if one.whole else f"{one.budget:,}" if one.fits else ""
    return (readable_bytes(one.memory.usual), readable_bytes(one.memory.high), fits, budget, room, written)


def _total(forecasts: list[StageForecast]) -> None:
    """Print what the whole plan needs: its largest memory, and its disk: checkpoints go once a stage ends."""
    needs = [one.memory.high for one in forecasts if one.memory is not None]
    kept, states = sum(one.disk.adapter for one in forecasts), sum(one.disk.state for one in forecasts)
    most = kept + states + sum(one.disk.rows for one in forecasts) + max(one.disk.checkpoints for one in forecasts)
    if needs:
        Out.print(
            f"In all: up to {readable_bytes(max(needs))} of memory, {readable_bytes(most)} of disk, of which "
            f"{readable_bytes(kept)} are adapters{f' and {readable_bytes(states)} kept states' if states else ''}."
        )


def _explain(trained: list[StageForecast], device: Device) -> None:
    bases = list(dict.fromkeys(one.memory.basis for one in trained if one.memory))
    errors = [one.memory.error for one in trained if one.memory and one.memory.error is not None]
    error = f"; off by up to {100 * max(errors):.2g} % when last checked" if errors else ""
    what = "the GPU" if device.cuda else "this process, libraries included"
    Out.print(
        f"[dim]Memory: the peak of {what}, as usual and at worst; {plain('; '.join(bases))}{error}. Budget: tokens of "
        "a forward pass that a run starts with, at most `micro_tokens`; room for: the most that fit. Disk: while the "
        "stage trains.[/]"
    )
    again = [one.name for one in trained if one.recompute]
    if again:
        Out.print(f"[dim]Activations are recomputed: {plain(', '.join(again))}.[/]")


def _advise(one: StageForecast, device: Device) -> None:
    assert one.memory is not None
    helps, several = all(remedy.fits for remedy in one.remedies), len(one.remedies) > 1
    over = f" ({readable_bytes(one.memory.high - device.free)} too much)"
    Out.print(
        f"[yellow]{plain(one.name)} does not fit:[/] one row alone takes up to {readable_bytes(one.memory.high)}, and "
        f"{readable_bytes(device.free)} are free{over if _alike(one.memory.high, device.free) else ''}. "
        f"{'Any of these makes' if several else 'This makes' if helps else 'Not even this makes'} it fit:"
    )
    for remedy in one.remedies:
        Out.print(f"  {plain(remedy)}   [dim]up to {readable_bytes(remedy.worst)}[/]", soft_wrap=True)
    if not helps:
        Out.print("  [dim]take a smaller base[/]")


def _alike(first: float, second: float) -> bool:
    """Return whether two amounts read the same although they are not."""
    return readable_bytes(first) == readable_bytes(second)
