"""Writes the forms that were ordered. A form that cannot be written leaves nothing, and does not stop the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from statllama.errors import ExportError
from statllama.release.artefact import Artefact, Order
from statllama.release.certificate import Check, Verified
from statllama.release.formats import release_format
from statllama.release.source import Progress, Source
from statllama.store.files import translate_os_errors

Exporting = Callable[[str], AbstractContextManager[Progress | None]]
"""Called with what is being written, it encloses the writing and yields where its progress goes."""


@dataclass(frozen=True)
class Written:
    """What became of the orders."""

    artefacts: tuple[Artefact, ...]
    unwritten: tuple[Verified, ...]
    """What could not be written, each with one failed check that says why."""


def needed_bytes(source: Source, orders: Sequence[Order]) -> int:
    """Return the bytes that the whole release takes on the disk, at most. UsageError or ExportError for an order that
    cannot be filled, as far as that can be told before anything is written.
    """
    return sum(release_format(order.format).needed_bytes(source, order) for order in orders)


def write_orders(source: Source, orders: Sequence[Order], folder: Path, exporting: Exporting) -> Written:
    """Write every order into the release's folder. ExportError when none can be written, StoreError when the disk
    refuses.
    """
    artefacts: list[Artefact] = []
    errors: list[ExportError] = []
    unwritten: list[Verified] = []
    for order in orders:
        one = release_format(order.format)
        name, before = one.place(source, order), set(folder.rglob("*"))
        try:
            with translate_os_errors(folder), exporting(order.label or PurePosixPath(name).name) as progress:
                artefacts += one.write(source, order, folder, progress)
        except ExportError as error:
            discard(folder, *(set(folder.rglob("*")) - before))
            errors.append(error)
            why = "; ".join(text for text in (error.message, error.remedy) if text)
            unwritten.append(Verified(name, order.format, order.type, (Check("written", False, detail=why),)))
    if not artefacts and len({error.message for error in errors}) == 1:
        raise errors[0]
    if not artefacts:
        reasons = "".join(f"\n  {one.name}: {one.checks[0].detail}" for one in unwritten)
        raise ExportError(f"no form of the release can be written:{reasons}")
    return Written(tuple(artefacts), tuple(unwritten))


def discard(folder: Path, *paths: Path) -> None:
    """Delete files and folders below the release's folder, and what folders that leaves empty."""
    for path in sorted(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        for above in path.parents:
            if above == folder or not above.is_dir() or any(above.iterdir()):
                break
            above.rmdir()
