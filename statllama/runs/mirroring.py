"""Work on a workspace beside a mirror: connected before anything runs, and told at the end what is not there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from statllama.errors import Interrupted, UsageError
from statllama.runs.reporting import Reporter
from statllama.store import Store
from statllama.store.mirror import Mirror
from statllama.store.mirrored import MirroredStore
from statllama.store.pushing import Name

VARIABLE = "STATLLAMA_MIRROR"
PATIENCE = 20.0
"""Seconds that a stopped run waits for what is being pushed; a machine that is taken away gives about 30."""


def mirror_url(given: str | None) -> str | None:
    """Return the mirror's URL: None means STATLLAMA_MIRROR; an empty one, no mirror."""
    return (given if given is not None else os.environ.get(VARIABLE)) or None


@contextmanager
def mirrored(store: Store, url: str | None, reporter: Reporter, *, preview: bool = False) -> Iterator[Store]:
    """Enclose work on a workspace: yields it with its mirror, or as it is without a URL.

    UsageError for a wrong URL, MirrorError for a mirror that cannot be listed or written to. Later failures of it are
    notes. `preview`: see `MirroredStore`.
    """
    if not url:
        yield store
        return
    mirror = Mirror(url)
    if mirror.folder is not None and mirror.folder.resolve().is_relative_to(store.root.resolve()):
        problem = f"--mirror {mirror.url}: that folder lies in the workspace {store.root}, which it is to be a copy of"
        raise UsageError(problem, remedy="give a folder outside of it")
    with reporter.busy(f"listing {mirror.url}"):
        mirror.connect(write=not preview)
    within, patience = MirroredStore(store.root, mirror, reporter.note, preview=preview), None
    try:
        yield within
    except (Interrupted, KeyboardInterrupt):
        patience = PATIENCE
        raise
    finally:
        _finish(within, reporter, patience)


def _finish(store: MirroredStore, reporter: Reporter, patience: float | None) -> None:
    told = [f"{_counted(store.brought)} fetched"] if store.brought else []
    if store.pusher.began:
        with reporter.exporting(f"the mirror {store.mirror.url}") as progress:
            tally = store.pusher.finish(progress or (lambda done, total: None), patience)
        for text in store.pusher.news():
            reporter.note(text)
        told.append(f"{_counted(tally.pushed)} pushed ({tally.sent / 1e6:,.1f} MB)")
        if tally.left:
            why = next(iter(tally.left.values()))
            told.append(f"{_counted(tally.left)} not there yet: {why}; the same command pushes them")
    if told:
        reporter.note(f"mirror {store.mirror.url}: {', '.join(told)}")


def _counted(names: Collection[Name]) -> str:
    """Return how many entries of each kind these are, in words."""
    counts = Counter(kind.removesuffix("s") for kind, _ in names)
    return " and ".join(f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind in ("result", "score"))
