"""From data to one HTML file: the sections of the page, its template, and writing it.

The page holds all it needs: no script, no request (its own policy forbids both), charts as inline SVG. Every string of
the run (names, prompts, answers, YAML) is text to the template, which escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from statllama.evaluation.meaning import floors
from statllama.report import charts, curves, tables, words
from statllama.report.data import Benchmark, DialData, ReportData, Stage
from statllama.report.graph import graph
from statllama.report.svg import clean
from statllama.report.tables import Table
from statllama.report.tradeoff import dial as dial_chart
from statllama.store.files import require_place, write_text
from statllama.store.versions import __version__


@dataclass(frozen=True)
class Chart:
    """A chart with the table of its numbers."""

    picture: Markup
    table: Table
    heading: str = ""
    note: str = ""


class Drawn:
    """The charts of a page that is rendered again and again: each is drawn anew only when what it shows has changed."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, Markup | None]] = {}

    def take(self, name: str, shown: object, draw: Callable[[], Markup | None]) -> Markup | None:
        """Return the chart of that name, drawn now unless it showed the same before."""
        known = self._kept.get(name)
        if known is None or known[0] != shown:
            known = self._kept[name] = (shown, draw())
        return known[1]


def render(data: ReportData, drawn: Drawn | None = None) -> str:
    """Return the report as HTML. The same data gives the same text, whatever was `drawn` before."""
    return environment().get_template("report.html.jinja").render(_report(data, drawn or Drawn()))


def render_dial(data: DialData) -> str:
    """Return the trade-off of a dial as HTML."""
    chart = Chart(dial_chart(data), tables.dial(data))
    return environment().get_template("dial.html.jinja").render(data=data, chart=chart, version=__version__)


def write(data: ReportData, path: Path, drawn: Drawn | None = None) -> None:
    """Write the report to `path`, which is at any instant whole, old or new. UsageError, StoreError: see `save`."""
    save(render(data, drawn), path)


def save(text: str, path: Path) -> None:
    """Write a page. UsageError when `path` is a folder or in none, StoreError when the disk refuses."""
    require_place(path)
    write_text(path, [text])


def environment() -> Environment:
    """Return a Jinja environment with the templates of this package and their filters."""
    environment = Environment(
        loader=PackageLoader("statllama.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else clean(str(value)),
    )
    environment.filters |= {
        "scored": words.scored,
        "changed": words.changed,
        "count": words.count,
        "kind": words.kind,
        "interval": words.interval,
    }
    environment.globals |= {"several": words.several, "verdict": words.verdict, "floors": floors}
    return environment


def _report(data: ReportData, drawn: Drawn) -> dict[str, object]:
    """Return the template's values. A section without content is None or empty, and left out."""
    scored = data.benchmarks
    found = curves.curves(data.stages)
    changed = drawn.take("changes", scored, lambda: charts.changes(scored))
    lost = drawn.take("losses", scored, lambda: charts.losses(scored))
    shares, losses = ([b for b in scored if b.unit.loss is loss] for loss in (False, True))
    intervals = drawn.take("scores", scored, lambda: charts.scores(scored))
    boxes = [replace(stage, curve=None) for stage in data.stages]
    picture = drawn.take("graph", (boxes, data.base), lambda: graph(boxes, data.base))
    return {
        "data": data,
        "version": __version__,
        "graph": Chart(picture or Markup(), tables.stages(data.stages)),
        "curves": Chart(found, tables.logged(data.stages)) if found else None,
        "behaviour": _further(data, curves.behaviour, curves.BEHAVIOUR, "Preferences, rewards and drift"),
        "machine": _further(data, curves.machine, curves.MACHINE, "Throughput and memory"),
        "now": tables.now(data.now) if data.now else None,
        "works": tables.works(data.now) if data.now and data.now.works else None,
        "scores": intervals,
        "floored": any(benchmark.chance is not None for benchmark in scored),
        "blinded": any(benchmark.blind is not None for benchmark in scored),
        "score_tables": [tables.scores(benchmark) for benchmark in scored],
        "changes": Chart(changed, tables.changes(shares)) if changed else None,
        "losses": Chart(lost, tables.changes(losses)) if lost else None,
        "topics": list(filter(None, (_topics(b, i, data.last, drawn) for i, b in enumerate(scored)))),
        "gates": tables.gates(data.gates) if data.gates else None,
        "drift": tables.drift(data.stages),
        "flips": [flips for flips in data.flips if flips.gained_total or flips.lost_total],
        "unflipped": [flips for flips in data.flips if not (flips.gained_total or flips.lost_total)],
        "sources": tables.sources(data.stages),
        "untrained": [stage.name for stage in data.stages if not stage.trained],
        "dashed": any(stage.left_out or not stage.trained for stage in data.stages),
    }


def _further(
    data: ReportData, draw: Callable[[Sequence[Stage]], Markup | None], panels: Sequence[curves.Panel], heading: str
) -> Chart | None:
    found = draw(data.stages)
    return None if found is None else Chart(found, tables.figures(heading, data.stages, panels), heading)


def _topics(benchmark: Benchmark, index: int, last: str | None, drawn: Drawn) -> Chart | None:
    if last is None or benchmark.score(last) is None:
        return None
    name, first = f"topics-{index}", benchmark.scores[0].stack
    picture = drawn.take(name, (benchmark, last), lambda: charts.topics(benchmark, name, first, last))
    return None if picture is None else Chart(picture, tables.topics(benchmark, last), benchmark.task)
