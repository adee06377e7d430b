"""Prints scores: the scorecard of a run, and comparisons of scored models."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from statllama.console import Out, plain, print_table, width
from statllama.paired import Change, verdict
from statllama.scorecard import Scorecard


def print_scorecard(card: Scorecard) -> None:
    """Scores with standard errors, the paired change from base and from the parent, and what it is evidence of."""
    for i, task in enumerate(card.tasks):
        first = card.rows[0].cells[i]
        part = ", only a part of the items" if first.limited else ""
        Out.print(f"[bold]{plain(task)}[/] ({plain(first.metric)}, {first.n} items{part})")
        whole = _card_table(card, i, ("base", "parent"))
        if width(whole) <= Out.width:
            Out.print(whole)
        else:
            for other in ("base", "parent"):
                print_table(_card_table(card, i, (other,)))
        words: dict[str, list[str]] = {}
        for row in card.rows:
            if (change := row.cells[i].from_base) is not None:
                words.setdefault(verdict(change), []).append(row.name)
        Out.print("  against the base: " + "; ".join(f"{', '.join(names)}: {word}" for word, names in words.items()))
    Out.print("[dim]Points ± standard error. Changes are paired: 95 % interval, exact McNemar p.[/]")


def _card_table(card: Scorecard, task: int, against: Sequence[str]) -> Table:
    """One benchmark of the scorecard: a row for each stack, its score, and the change from each of `against`."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("stack")
    for name in ("score", *(name for other in against for name in (f"from {other}", "p"))):
        table.add_column(name, justify="right", no_wrap=True)
    for row in card.rows:
        cell = row.cells[task]
        error = f" ± {100 * cell.stderr:.1f}" if cell.stderr is not None else ""
        changes = (text for other in against for text in _change(getattr(cell, f"from_{other}")))
        table.add_row(row.name, f"{100 * cell.value:.1f}{error}", *changes)
    return table


def _change(change: Change | None) -> tuple[str, str]:
    """(change with its interval, p), each with its colour when it is evidence."""
    if change is None:
        return "", ""
    p = f"{change.p:.3f}" if change.p >= 0.001 else "<0.001"
    text = f"{change.difference:+.1f} [{change.low:+.0f}, {change.high:+.0f}]"
    colour = {"better": "green", "worse": "red"}.get(verdict(change))
    return (f"[{colour}]{text}[/]", f"[{colour}]{p}[/]") if colour else (text, p)
