"""Draws what workers do, line by line: the display while they are at work, and the summary when they have ended."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from statllama.cli.console.frame import bar, duration, fitted, fitting
from statllama.cli.console.terminal import counted, readable_bytes, visible
from statllama.cli.console.timing import clock
from statllama.report import words
from statllama.runs.watch.fleet import Fleet, WorkState

MOST = 16
"""Works that are shown at most, where the terminal has the lines."""
WIDE = 110
"""Columns from which there are bars."""
COLUMNS = (("step", 0), ("loss", 60), ("tok/s", 60), ("memory", WIDE), ("left", 0))
"""Figures of a work, and the width of a terminal from which they are shown."""
LEAST_PLACE = 8  # columns of a place that is shortened


def fleet_frame(fleet: Fleet, width: int, now: float, height: int, *, ascii_only: bool = False) -> list[Text]:
    """Return a line for each work under way, at most `height` of them, below their titles and above those in all.

    Each has at most `width` columns. Of more works than there are lines those with the most time left are shown.
    """
    works = list(fleet.works.values())
    most = max(1, min(MOST, height - 2))
    if len(works) > most:
        longest = sorted(works, key=lambda work: _unknown_last(work.left(now)), reverse=True)[: most - 1]
        shown = [work for work in works if work in longest]
    else:
        shown = works
    lines = _table(shown, width, now) if shown else []
    if len(works) > len(shown):
        lines.append(Text(f"  and {len(works) - len(shown)} more", style="dim"))
    lines.append(_in_all(fleet, width, now))
    return fitted(lines, width, ascii_only=ascii_only)


def _unknown_last(left: float | None) -> float:
    return math.inf if left is None else left


def _table(works: Sequence[WorkState], width: int, now: float) -> list[Text]:
    """Return the titles and a line for each work: its name and place take what the figures leave."""
    titles = [name for name, least in COLUMNS if width >= least]
    rows = [[_figures(work, now)[name] for name in titles] for work in works]
    columns = [max(map(len, (title, *(row[i] for row in rows)))) for i, title in enumerate(titles)]
    bars = 20 if width >= WIDE else 0
    room = width - sum(columns) - 2 * len(columns) - 2 - (bars + 2 if bars else 0)
    names, spots = [visible(work.what) for work in works], [place(work.host, work.device) for work in works]
    name, spot = max(4, *map(cell_len, names)), max(5, *map(cell_len, spots))
    if name + spot > room:
        spot = max(min(spot, room - name), min(spot, LEAST_PLACE), min(spot, room // 2))
        name = max(4, min(name, room - spot))
    lines = [_row(Text(set_cell_size("work", name)), set_cell_size("where", spot), Text(" " * bars), titles, columns)]
    lines[0].stylize("dim")
    for work, what, where, figures in zip(works, names, spots, rows, strict=True):
        head = Text(_cut(what, name), style="bold cyan" if work.kind == "train" else "cyan")
        done = bar(work.done / work.total, bars) if work.total and bars else Text(" " * bars)
        lines.append(_row(head, _cut_front(where, spot), done, figures, columns))
    return lines


def _row(name: Text, place: str, done: Text, figures: Sequence[str], columns: Sequence[int]) -> Text:
    line = Text(no_wrap=True).append_text(name).append(f"  {place}")
    if done.cell_len:
        line.append("  ").append_text(done)
    for text, column in zip(figures, columns, strict=True):
        line.append(f"  {text:>{column}}")
    return line


def _figures(work: WorkState, now: float) -> dict[str, str]:
    """Return a work's figures in words, by the titles of their columns."""
    left = work.left(now)
    return {
        "step": f"{work.done:,}/{work.total:,}" if work.total else _cut(visible(work.doing), 14).rstrip(),
        "loss": "" if work.loss is None else f"{work.loss:.4f}"[:8],
        "tok/s": f"{work.tokens_per_second:,.0f}" if work.tokens_per_second else "",
        "memory": readable_bytes(work.memory_bytes) if work.memory_bytes else "",
        "left": "?" if left is None else duration(left),
    }


def place(host: str, device: str) -> str:
    """Return where a worker is: its host's name without the domain, of several each. An address is shown whole."""
    brief = [one if one.partition(".")[0].isdigit() else one.partition(".")[0] for one in host.split(", ")]
    return visible(f"{', '.join(brief)} {device}")


def _cut(text: str, columns: int) -> str:
    """Return a text that takes so many columns, its end cut."""
    return set_cell_size(text, columns) if cell_len(text) <= columns else set_cell_size(text, columns - 1) + "…"


def _cut_front(text: str, columns: int) -> str:
    """Return a text that takes so many columns, its begin cut: names of hosts differ at their ends."""
    if cell_len(text) <= columns:
        return set_cell_size(text, columns)
    while cell_len(text) >= columns:
        text = text[1:]
    return set_cell_size("…" + text, columns)


def _in_all(fleet: Fleet, width: int, now: float) -> Text:
    """Return how much is done and to come, and the time that is left of all of it."""
    if fleet.first is None and not fleet.works:
        return Text(f"starting workers: {duration(max(0.0, now - fleet.began))}", style="dim")
    counts = [f"{len(fleet.works)} under way", f"{fleet.done} done", f"{fleet.waiting} to come"]
    counts += [f"{fleet.failed} failed"] if fleet.failed else []
    speed = sum(work.tokens_per_second for work in fleet.works.values() if work.doing == "trains")
    parts = [", ".join(counts), f"{time_left(fleet, now)}", f"{duration(max(0.0, now - fleet.began))} passed"]
    parts += [f"{speed:,.0f} tok/s"] if speed else []
    return fitting(parts, width, " · ")


def time_left(fleet: Fleet, now: float) -> str:
    """Return the time that is left of all works, in words."""
    left = fleet.left(now)
    if left is None or (fleet.at_least and left < 1):
        return "time left not known yet"
    return f"{'at least ' if fleet.at_least else ''}{duration(left)} left"


# ------------------------------------------------------------------ lines that stay


def step_line(work: WorkState, now: float) -> str:
    """Return how far a work is, for a log."""
    left = work.left(now)
    parts = [f"step {work.done:,}/{work.total:,}" if work.kind == "train" else f"{work.done:,}/{work.total:,}"]
    parts += [f"{'reward' if work.rewarded else 'loss'} {work.loss:.4f}"] if work.loss is not None else []
    parts += [f"{work.tokens_per_second:,.0f} tok/s"] if work.tokens_per_second else []
    if work.memory_bytes:
        parts.append(f"{readable_bytes(work.memory_bytes)} {'GPU' if work.on_gpu else 'resident'} peak")
    parts += [] if left is None else [f"ETA {duration(left)}"]
    return "  ".join(parts)


def end_line(work: WorkState | None, seconds: float, score: str = "") -> str:
    """Return what came of a work."""
    loss = ""
    if work is not None and work.loss is not None and work.first_loss is not None:
        loss = f", {'reward' if work.rewarded else 'loss'} {work.first_loss:.4f} -> {work.loss:.4f}"
    return f"done in {clock(seconds)}{loss}{f', {score}' if score else ''}"


def summary(fleet: Fleet, now: float) -> list[str]:
    """Return what workers did, and the time of their devices: measured, of works that have ended."""
    if fleet.first is None:
        return []
    wall, busy = fleet.wall(now), fleet.device_seconds
    works = counted(fleet.done, "work") + (f" and {fleet.failed} that failed" if fleet.failed else "")
    before = fleet.first - fleet.began
    start = f"; the first began after {clock(before)}" if before >= 1 else ""
    lines = [f"workers: {works} in {clock(wall)}{start}"]
    share = (
        f", {100 * busy / (wall * fleet.most):.0f} % busy, {busy / wall:.1f} at a time" if wall and fleet.most else ""
    )
    lines.append(f"  {_spent(busy, fleet.gpus)} {_on(fleet.most, fleet.gpus)}{share}")
    if len(fleet.hosts) > 1:
        for host, use in fleet.hosts.items():
            share = f", {100 * use.seconds / (wall * use.most):.0f} % busy" if wall and use.most else ""
            lines.append(f"    {visible(host)}: {_spent(use.seconds, use.gpus)} {_on(use.most, use.gpus)}{share}")
    if fleet.lost:
        again = f", {_spent(fleet.lost_seconds, fleet.gpus)} beside that" if fleet.lost_seconds >= 1 else ""
        lines.append(f"  {counted(fleet.lost, 'worker')} lost: begun again from the last checkpoint{again}")
    return lines


def _spent(seconds: float, gpus: bool) -> str:
    what = "GPU" if gpus else "worker"
    return f"{seconds / 3600:.2f} {what} hours" if seconds >= 360 else f"{words.duration(seconds)} of {what} time"


def _on(devices: int, gpus: bool) -> str:
    return f"on {counted(devices, 'GPU' if gpus else 'worker')}"
