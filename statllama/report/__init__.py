"""`statllama report`: one run as one HTML file that opens offline, and the trade-off of a dial.

`collect` reads what a run left in its workspace, `write` puts it on one page: the recipe as a graph, training curves of
all stages on one axis, the scorecard with intervals, what was gained and forgotten, topics, gates and drift, flipped
items with both answers, data and environment. No torch is loaded, and no score is computed: what was not recorded is
not shown, and the page says so.

The page loads nothing and runs no script; its own policy forbids both. It follows the reader's light or dark setting
and the width of the screen. Every chart is text and lines in an inline SVG, with its numbers in a table beneath. The
same records give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from statllama.report.collect import collect, collect_dial
from statllama.report.data import DialData, DialPoint, ReportData
from statllama.report.following import follow
from statllama.report.live import with_recorded
from statllama.report.page import render, render_dial, save, write
from statllama.report.study import render_study, write_study

if TYPE_CHECKING:
    from statllama.runs.attribution import Dial
    from statllama.runs.subject import Subject

__all__ = [
    "DialData",
    "DialPoint",
    "ReportData",
    "collect",
    "collect_dial",
    "follow",
    "render",
    "render_dial",
    "render_study",
    "with_recorded",
    "write",
    "write_dial",
    "write_study",
]


def write_dial(result: Dial, subject: Subject, path: Path) -> None:
    """Write the page of a dial that was scored just now. UsageError, StoreError: see `page.save`."""
    save(render_dial(collect_dial(result, subject)), path)
