"""Work on a workspace beside a mirror: connected before anything runs, and told at the end what is not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from statllama.errors import Interrupted
from statllama.runs.reporting import Reporter
from statllama.store import Store
from statllama.store.mirror import Mirror
from statllama.store.mirrored import MirroredStore
from statllama.store.pushing import Tally

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
    if not store.pusher.began:
        return
    with reporter.exporting(f"pushing to {store.mirror.url}") as progress:
        tally = store.pusher.finish(progress or (lambda done, total: None), patience)
    for text in store.pusher.news():
        reporter.note(text)
    reporter.note(f"mirror {store.mirror.url}: {_told(tally)}")


def _told(tally: Tally) -> str:
    counts = {kind: sum(name[0] == kind for name in tally.pushed) for kind in ("results", "scores")}
    told = f"{counts['results']} results and {counts['scores']} scores pushed ({tally.sent / 1e6:,.1f} MB)"
    if not tally.left:
        return told
    why = next(iter(tally.left.values()))
    return f"{told}; {len(tally.left)} are not there: {why}. They are in the workspace: the same command pushes them"
