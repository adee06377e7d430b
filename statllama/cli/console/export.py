"""Prints what a release holds and what its verification found."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from statllama.cli.console.terminal import Out, plain, print_table, readable_bytes
from statllama.release.release import Release


def print_release(release: Release, pushed: str | None = None) -> None:
    """Print the files with their sizes, each artefact's checks in a line, and notes; with `pushed`, only its
    address.
    """
    if pushed is not None:
        Out.print(f"uploaded: {plain(pushed)}")
        return
    table = Table("what", "bytes", "verified", box=SIMPLE_HEAD, padding=(0, 1))
    table.columns[1].justify = "right"
    for artefact in release.certificate.artefacts:
        required = [check for check in artefact.checks if check.required]
        good = sum(check.passed for check in required)
        word = f"{good} of {len(required)} checks"
        table.add_row(
            plain(artefact.name),
            readable_bytes(_size(release.folder / artefact.name)),
            f"[green]{word}[/]" if artefact.passed else f"[bold red]{word}[/]",
        )
    print_table(table)
    for failure in release.certificate.failures():
        Out.print(f"  [bold red]failed:[/] {plain(failure)}")
    for note in release.notes:
        Out.print(f"  [yellow]note:[/] {plain(note)}")
    Out.print(f"released: {plain(release.folder)}")


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
