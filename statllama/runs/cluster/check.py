"""What `doctor --address` says of a cluster: whether each of its hosts could work for this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from statllama.errors import StatllamaError
from statllama.runs.cluster.nodes import asking, facts
from statllama.runs.finding import Finding


def check_cluster(workspace: Path, address: str) -> Iterator[Finding]:
    """Yield what each host of a cluster says: versions, clock, the workspace seen, written to and locked from there."""
    from statllama.runs.cluster.connection import connected
    from statllama.runs.cluster.survey import survey

    odd: list[str] = []
    try:
        with asking(workspace, ()) as question, connected(address, 1):
            found = survey(question, facts(), odd.append)
    except StatllamaError as error:
        yield Finding("cluster", "error", error.message, error.remedy)
        return
    for told in found:
        if not told.faults:
            yield Finding(f"host {told.host}", "ok", f"versions as here; it sees, writes and locks {workspace}")
        for fault in told.faults:
            yield Finding(f"host {told.host}", "error", fault.what, fault.remedy)
    for text in odd:
        yield Finding("clock", "warning", text)
