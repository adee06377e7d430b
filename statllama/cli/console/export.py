"""Prints what a release holds and what its verification found."""

from __future__ import annotations

import shlex
from pathlib import Path

from statllama.cli.console.terminal import (
    Out,
    counted,
    figure,
    new_table,
    plain,
    print_path,
    print_table,
    readable_bytes,
)
from statllama.release.certificate import Verified
from statllama.release.release import Release
from statllama.runs.house.bundle import Bundled


def print_release(release: Release) -> None:
    """Print the files with their sizes, each artefact's checks in a line, what is withheld, and notes."""
    table = new_table("what", figure("bytes"), "verified")
    for artefact in release.certificate.artefacts:
        table.add_row(plain(artefact.name), readable_bytes(_size(release.folder / artefact.name)), _checks(artefact))
    for artefact in release.certificate.withheld:
        table.add_row(plain(artefact.name), "withheld", _checks(artefact))
    print_table(table)
    for failure in release.certificate.failures():
        Out.print(f"  [bold red]failed:[/] {plain(failure)}")
    for note in release.notes:
        Out.print(f"  [yellow]note:[/] {plain(note)}")
    print_path("released: ", release.folder)


def print_bundled(done: Bundled) -> None:
    """Print what a bundle holds, and how it comes into another workspace."""
    what = f"{counted(done.adapters, 'adapter')}, {counted(done.scores, 'score')}"
    Out.print(f"{plain(', '.join(done.runs))}: {what}, {readable_bytes(_size(done.file))}")
    if done.missing:
        Out.print(f"  [yellow]note:[/] not trained yet, so not in it: {plain(', '.join(done.missing))}")
    Out.print(f"  not in it: the base ({plain(done.base)}) and your data")
    Out.print(f"written: {plain(done.file)}")
    Out.print(f"  elsewhere: statllama import {plain(shlex.quote(done.file.name))} --workspace DIR")


def print_upload(address: str) -> None:
    """Print where the release was uploaded to."""
    Out.print(f"uploaded: {plain(address)}")


def _checks(artefact: Verified) -> str:
    required = [check for check in artefact.checks if check.required]
    word = f"{sum(check.passed for check in required)} of {len(required)} checks"
    return f"[green]{word}[/]" if artefact.passed else f"[bold red]{word}[/]"


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
