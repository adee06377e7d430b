"""Prints a sample of rows for a person to judge, asks for verdicts by keys, and says how checks and person agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.text import Text as Line

from statllama.cli.console.terminal import Out, counted, figure, new_table, plain, print_path, print_table, visible
from statllama.data.build.review import Item, Review, Sample, Verdict
from statllama.data.build.review.agreement import Interval
from statllama.data.build.review.sampling import strata
from statllama.data.build.review.verdicts import Decision
from statllama.report.review import Card, cards

LONGEST = 3000  # characters of a text that is shown
_KEYS: dict[str, Decision] = {"k": "keep", "d": "drop", "u": "unsure"}
_OUTCOMES = {"passed": "[green]passed[/]", "failed": "[red]failed[/]", "not checkable": "[dim]not checkable[/]"}


def print_sample(sample: Sample) -> None:
    """Print how many rows there are of each reason, and how many of them are in the sample."""
    table = new_table("rows", figure("in the build"), figure("in the sample"))
    for name in strata(sample):
        shown = sum(item.stratum == name for item in sample.items)
        table.add_row(plain(name), f"{sample.sizes[name]:,}", f"{shown:,}")
    print_table(table)
    for reason, count in sample.unshown.items():
        Out.print(f"  [dim]{counted(count, 'record')} without a row to judge: {plain(reason)}[/]")


def print_rows(items: Sequence[Item]) -> None:
    """Print rows with all that is known of them, for reading alone."""
    for number, (item, card) in enumerate(zip(items, cards(items), strict=True), start=1):
        _print_row(f"row {number} of {len(items)}", card)
        _print_known(item, card)


def print_page(path: Path, sample: Sample) -> None:
    """Print where the page is."""
    print_path(f"{counted(len(sample.items), 'row')} to judge: open ", path, " in a browser")


def ask(
    items: Sequence[Item],
    by: str,
    record: Callable[[Verdict], None],
    *,
    key: Callable[[], str] = typer.getchar,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Show one row after another and take a key for each: k keep, d drop, u unsure, c what the checks said, b the one
    before, q (or Ctrl-C, Ctrl-D) to stop. Return how many were judged. `record` takes each verdict at once.
    """
    shown, at, judged = cards(items), 0, set[str]()
    while 0 <= at < len(items):
        _print_row(f"row {at + 1} of {len(items)}", shown[at])
        pressed = ""
        while pressed not in (*_KEYS, "b", "q"):
            Out.print("[bold]k[/]eep  [bold]d[/]rop  [bold]u[/]nsure  [dim]c checks  b back  q stop[/]")
            pressed = _pressed(key)
            if pressed == "c":
                _print_known(items[at], shown[at])
        if pressed == "q":
            break
        if pressed == "b":
            at = max(0, at - 1)
            continue
        stamp = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record(Verdict(shown[at].id, shown[at].digest, _KEYS[pressed], by, stamp))
        judged.add(shown[at].id)
        Out.print(f"  {_KEYS[pressed]}\n")
        at += 1
    return len(judged)


def _pressed(key: Callable[[], str]) -> str:
    try:
        return key().lower()
    except (EOFError, KeyboardInterrupt):
        return "q"


def print_taken_in(count: int, path: Path) -> None:
    """Print how many verdicts are new in the file."""
    print_path(f"{counted(count, 'new verdict')} in ", path)


def print_agreement(review: Review) -> None:
    """Print what a person says of the rows kept and left out, and how each check and the person agree."""
    Out.print(f"{counted(review.judged, 'row')} judged; their reasons have {review.covered:.0%} of all rows")
    if review.changed:
        Out.print(f"  [yellow]{counted(review.changed, 'verdict')} on rows that say something else now: not counted[/]")
    table = new_table(
        "rows", figure("all"), figure("keep"), figure("drop"), figure("unsure"), figure("build right"), figure("95 %")
    )
    for each in review.strata:
        right = "" if each.right is None else f"{each.right:.0%}"
        said = [f"{each.rows:,}", *map(str, (each.keep, each.drop, each.unsure))]
        table.add_row(plain(each.name), *said, right, _interval(each.interval))
    print_table(table)
    if not review.checks:
        return
    Out.print("[bold]checks and person[/], rows that were judged:")
    table = new_table(
        "check", *map(figure, ("both keep", "check alone", "person alone", "both drop", "unsure", "unchecked"))
    )
    for found in review.checks:
        raw = found.raw
        counts = (raw.both_keep, raw.check_keeps, raw.person_keeps, raw.both_drop, found.unsure, found.unchecked)
        table.add_row(plain(found.check), *(f"{count:.0f}" for count in counts))
    print_table(table)
    Out.print("[bold]over all rows[/], where each judged row stands for others of its reason:")
    table = new_table("check", *map(figure, ("agree", "95 %", "kappa", "95 %")))
    for found in review.checks:
        kappa = "" if found.kappa is None else f"{found.kappa:.2f}"
        ends = "" if found.kappa_interval is None else "{:.2f} to {:.2f}".format(*found.kappa_interval)
        table.add_row(plain(found.check), f"{found.share:.0%}", _interval(found.share_interval), kappa, ends)
    print_table(table)


def _interval(ends: Interval | None) -> str:
    return "" if ends is None else f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f}"


def _print_row(title: str, card: Card) -> None:
    Out.rule(f"[bold]{title}[/] [dim]{plain(card.id)}[/]", align="left")
    if card.context is not None:
        Out.print("[bold cyan]section[/]")
        Out.print(_marked(card.context.parts))
    for text in card.texts:
        Out.print(f"[bold cyan]{plain(text.name)}[/]")
        Out.print(_marked(text.parts))
    Out.print()


def _marked(parts: Sequence[tuple[str, bool]]) -> Line:
    """Return a text with its quotation marked; of a long one the beginning, and what is around the quotation."""
    line = Line()
    for text, quoted in parts:
        whole = visible(text.strip("\n") if len(parts) == 1 else text)
        cut = whole if len(whole) <= LONGEST else f"{whole[: LONGEST // 2]}\n[...]\n{whole[-LONGEST // 2 :]}"
        line.append(cut, "reverse" if quoted else "")
    return line


def _print_known(item: Item, card: Card) -> None:
    for name, value in card.origin:
        Out.print(f"  [dim]{plain(name)}[/] {plain(value)}")
    Out.print(f"  [dim]the build[/] {plain(card.build)}")
    for found in card.checks:
        Out.print(f"  [dim]{plain(found.name)}[/] {_OUTCOMES[found.outcome]} {plain(found.said)}")
    Out.print()
