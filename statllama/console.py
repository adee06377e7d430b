"""The only place that prints, with the other console modules: tables, errors, texts that are safe to show."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.syntax import Syntax
from rich.table import Table

from statllama.errors import Interrupted, StatllamaError

if TYPE_CHECKING:
    from statllama.recipe import Recipe
    from statllama.run.doctor import Finding
    from statllama.run.plan import PlannedStage
    from statllama.run.runner import Measure
    from statllama.store import Store

UNBOUNDED = 1000  # columns: wider than any table
PLAIN_SECONDS = 10.0  # between two lines of progress in a plain log
LOG_WIDTH = 100  # columns of a log file, whatever the terminal beside it
_live = sys.stdout.isatty()
Out = Console(highlight=False, soft_wrap=not _live, width=None if _live or "COLUMNS" in os.environ else LOG_WIDTH)
Err = Console(stderr=True, highlight=False, soft_wrap=True)
# Characters that a terminal obeys instead of showing (escapes, overwriting, writing from right to left), and those that
# no encoding has. Names of files and texts of recipes may hold them.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with control characters written out: `\\x1b` for an escape. Line ends and tabs stay."""
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


def plain(text: object) -> str:
    """A text that is not ours, to be put among rich's markup: nothing in it is markup or obeyed by the terminal."""
    return escape(visible(str(text)))


def print_error(error: StatllamaError) -> None:
    """What went wrong and how to mend it, on stderr."""
    head = "[bold yellow]stopped:[/]" if isinstance(error, Interrupted) else "[bold red]error:[/]"
    Err.print(f"{head} {plain(error.message)}")
    if error.remedy:
        Err.print(f"[bold]  ->[/] {plain(error.remedy)}")


def print_recipe(recipe: Recipe) -> None:
    """The resolved recipe as YAML."""
    given = (str(recipe.source), *(f"--set {override}" for override in recipe.overrides))
    comments = [visible(text).replace("\n", "\\n") for text in given]  # one line each, whatever was given
    text = "".join(f"# {comment}\n" for comment in comments) + recipe.to_yaml()
    if Out.is_terminal:
        Out.print(Syntax(visible(text), "yaml", background_color="default", word_wrap=True))
    else:
        sys.stdout.write(text)


def print_plan(recipe: Recipe, stages: Sequence[PlannedStage], measures: Mapping[str, Measure]) -> None:
    """What would run, what is cached, and why."""
    table = Table("stage", "type", "on", "runs", "why", "examples", "tokens", "steps", title=plain(recipe.name))
    for column in table.columns[5:]:
        column.justify = "right"
    for stage in stages:
        measure = measures[stage.spec.name]
        parents = "base" if stage.spec.parents == "base" else ", ".join(stage.spec.parents or ())
        runs = "[dim]cached[/]" if stage.cached else "[bold green]yes[/]"
        figures = [f"{n:,}" if n else "" for n in (measure.examples, measure.tokens, measure.steps)]
        table.add_row(stage.spec.name, stage.spec.type, parents, runs, plain(stage.why), *figures)
    print_table(table)
    todo = [s for s in stages if not s.cached]
    Out.print(f"{len(todo)} of {len(stages)} stages would run. Examples and tokens are of one pass over the data.")


def width(table: Table) -> int:
    """Columns that the table takes when nothing in it is broken into lines."""
    return Measurement.get(Out, Out.options.update(max_width=UNBOUNDED), table).maximum


def print_table(table: Table) -> None:
    """On a narrow terminal without lines between columns, and long texts folded: nothing of them is lost."""
    if width(table) > Out.width:
        table.box, table.padding = SIMPLE_HEAD, 0
        for column in table.columns:
            column.overflow = "fold"
    Out.print(table)


def print_fetched(recipes: Sequence[str], workspace: Path, cache: str) -> None:
    """Where what these recipes read is now, and how to run them from there."""
    names = ", ".join(map(plain, recipes))
    Out.print(f"ready to run without network: {names}. The data are in {plain(workspace)}, bases and benchmarks in")
    Out.print(f"{plain(cache)}. On another machine, with copies of both:")
    Out.print("  HF_HOME=COPY HF_HUB_OFFLINE=1 statllama run RECIPE --workspace COPY")


def print_status(store: Store) -> None:
    """Recipes that ran here, the state of their stages, unfinished work and bytes."""
    runs = store.runs()
    if not runs:
        Out.print(f"{plain(store.root)} holds no run yet. Start with: statllama run quickstart")
        return
    for name, record in sorted(runs.items()):
        table = Table("stage", "state", "steps", "loss", "trained on", "result", title=plain(name))
        for stage in record["order"]:
            table.add_row(plain(stage), *_state(store, record["stages"].get(stage)))
        print_table(table)
    entries = [*store.entries("results"), *store.entries("scores")]
    kinds = [entry.manifest.get("kind") for entry in entries]
    kept = ", ".join(counted(kinds.count(word), word) for word in ("adapter", "score"))
    Out.print(f"{plain(store.root)}: {kept}, {readable_bytes(_size(store.root))}")


def counted(number: int, word: str) -> str:
    """`1 score`, `2,000 scores`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _state(store: Store, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    if record is None:
        return ("not reached", "", "", "", "")
    entry = store.find("results", record["key"])
    if entry is None:
        unfinished = (store.root / "partial" / f"results-{record['key']}" / "checkpoints").is_dir()
        return ("unfinished" if unfinished else "to run", "", "", "", "")
    m = entry.manifest["metrics"]
    loss = f"reward {m['reward']:.3f}" if "reward" in m else f"{m['loss']:.4f}" if "loss" in m else ""
    return ("done", str(m["steps"] or ""), loss, entry.manifest["created"][:16], entry.key[:12])


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def print_finding(finding: Finding) -> None:
    """One of `doctor`'s findings, with its remedy."""
    marks = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "error": "[bold red]error[/]"}
    Out.print(f"{marks[finding.level]} {finding.subject}: {plain(finding.detail)}")
    if finding.remedy:
        Out.print(f"        -> {plain(finding.remedy)}")


def readable_bytes(count: float) -> str:
    """1.5 KiB, 20.3 MiB, ..."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
