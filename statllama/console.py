"""The only place that prints: tables, live progress, errors. Plain lines where the output is not a terminal."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.syntax import Syntax
from rich.table import Column, Table

from statllama.errors import Interrupted, StatllamaError
from statllama.reporting import Reporter, StepEvent

if TYPE_CHECKING:
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.doctor import Finding
    from statllama.evaluate import TaskScore
    from statllama.recipe import Recipe
    from statllama.runner import Measure, PlannedStage
    from statllama.scores import Drift
    from statllama.scorecard import Scorecard
    from statllama.specs import StageSpec
    from statllama.store import Entry, Holder, Store

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
        figures = (f"{measure.examples:,}", f"{measure.tokens:,}", f"{measure.steps:,}")
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
    kept = ", ".join(_count(kinds.count(word), word) for word in ("adapter", "score"))
    Out.print(f"{plain(store.root)}: {kept}, {readable_bytes(_size(store.root))}")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _state(store: Store, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    if record is None:
        return ("not reached", "", "", "", "")
    entry = store.find("results", record["key"])
    if entry is None:
        unfinished = (store.root / "partial" / f"results-{record['key']}" / "checkpoints").is_dir()
        return ("unfinished" if unfinished else "to run", "", "", "", "")
    m = entry.manifest["metrics"]
    return ("done", str(m["steps"]), f"{m['loss']:.4f}", entry.manifest["created"][:16], entry.key[:12])


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def print_finding(finding: Finding) -> None:
    """One of `doctor`'s findings, with its remedy."""
    marks = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "error": "[bold red]error[/]"}
    Out.print(f"{marks[finding.level]} {finding.subject}: {plain(finding.detail)}")
    if finding.remedy:
        Out.print(f"        -> {plain(finding.remedy)}")


class ConsoleReporter(Reporter):
    """Prints a run as it goes: live in a terminal, one line now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._task: Any = None
        self._last_line = 0.0

    def planned(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        cached = sum(s.cached for s in stages)
        Out.print(f"[bold]{plain(recipe.name)}[/]" + (f": {plain(recipe.description)}" if recipe.description else ""))
        chain = " -> ".join(["base", *(f"[dim]{s.spec.name}[/]" if s.cached else s.spec.name for s in stages)])
        Out.print(f"  {chain}")
        if cached == len(stages):
            Out.print("  everything is trained already: nothing to train")
        elif cached:
            Out.print(f"  {cached} of {len(stages)} stages are cached")

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        if Out.is_terminal:
            with Out.status(plain(what)):
                yield
        else:
            yield
        Out.print(f"  [dim]{plain(what)}: {time.monotonic() - began:.1f} s[/]")

    def waiting(self, what: str) -> Callable[[Holder], None]:
        return lambda holder: Out.print(f"  {plain(what)}: waiting for {plain(str(holder))}")

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None] | None]:
        with _bar(f"{stage} data") as advance:
            yield None if advance is None else lambda source, done, total: advance(done, total)

    def data_ready(self, spec: StageSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        for source in report.sources:
            notes = [f"{n} dropped ({reason})" for reason, n in source.dropped.items()]
            notes += [f"{source.truncated} cut"] if source.truncated else []
            Out.print(
                f"  [dim]{spec.name} <- {plain(source.name)}: {source.examples:,} examples, {source.tokens:,} tokens, "
                f"{100 * source.share:.0f} % with loss[/]{plain('; ' + ', '.join(notes)) if notes else ''}"
            )
        for finding in findings:
            self.note(f"{finding.source}: {finding.text} (`statllama data check` says more)")

    @contextmanager
    def training(self, spec: StageSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        lora = spec.lora
        Out.print(
            f"[bold cyan]{spec.name}[/] ({spec.type}): {steps} steps of {spec.train.batch_size} rows, "
            f"learning rate {spec.train.learning_rate:g}, rank {lora.r}, scale {lora.scaling:g}"
        )
        self._last_line = 0.0
        if not Out.is_terminal:
            yield
            return
        columns = (
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.description}", table_column=Column()),  # on a narrow terminal the figures wrap
            *([BarColumn(16)] if Out.width >= 100 else []),
        )
        with Progress(*columns, console=Out, transient=True) as self._progress:
            self._task = self._progress.add_task("first step", total=steps)
            try:
                yield
            finally:
                self._progress = None

    def step(self, event: StepEvent) -> None:
        figures = (
            f"loss {event.loss:.4f}  |grad| {event.grad_norm:.3f}  lr {event.learning_rate:.2e}  "
            f"{event.tokens_per_second:,.0f} tok/s  {readable_bytes(event.memory_bytes)}"
        )
        if self._progress is not None:
            self._progress.update(self._task, completed=event.step, total=event.total, description=figures)
            return
        now = time.monotonic()
        if now - self._last_line >= PLAIN_SECONDS or event.step in (1, event.total):
            self._last_line = now
            Out.print(f"  step {event.step}/{event.total}  {figures}  ETA {_duration(event.eta_seconds)}")

    def note(self, text: str) -> None:
        Out.print(f"  [yellow]note:[/] {plain(text)}")

    def stage_finished(self, name: str, entry: Entry) -> None:
        m = entry.manifest["metrics"]
        size = entry.manifest["files"]["adapter_model.safetensors"]["bytes"]
        Out.print(
            f"  {name} done in {_duration(m['seconds'])}: loss {m['first_loss']:.4f} -> {m['loss']:.4f}, "
            f"{m['tokens']:,} tokens, adapter {readable_bytes(size)}"
        )

    def stage_cached(self, name: str, entry: Entry) -> None:
        m = entry.manifest["metrics"]
        Out.print(f"[bold cyan]{name}[/]: cached ({m['steps']} steps, loss {m['loss']:.4f})")

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None] | None]:
        with _bar(f"{name} on {task}") as advance:
            yield None if advance is None else lambda done, total, _: advance(done, total)

    def scored(self, name: str, score: TaskScore) -> None:
        error = f" ± {100 * score.stderr:.1f}" if score.stderr is not None else ""
        notes = [f"first {score.n} of {score.total} items"] if score.limited else []
        notes += [f"{_count(score.truncated, 'prompt')} cut to fit `evaluate.max_length`"] if score.truncated else []
        notes += [f"{score.unfinished} of {score.n} replies cut at their limit"] if score.unfinished else []
        part = f" ({'; '.join(notes)})" if notes else ""
        Out.print(f"  {plain(name)} on {plain(score.task)}: {100 * score.value:.1f}{error} {score.metric}{part}")

    def drifted(self, name: str, drift: Drift) -> None:
        Out.print(
            f"  [dim]{plain(name)} drift: {drift.to_parent:.3g} nats a token from its parent, "
            f"{drift.to_base:.3g} from the base[/]"
        )

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        for name, path in results.items():
            Out.print(f"  [dim]{name}: {plain(path)}[/]")
        Out.print(f"finished in {_duration(time.monotonic() - self._started)}")


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar that goes away when it is done, moved by a callback (done, total); None where there is no terminal."""
    if not Out.is_terminal:
        yield None
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Out, transient=True) as progress:
        bar = progress.add_task(plain(what), total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def readable_bytes(count: float) -> str:
    """1.5 KiB, 20.3 MiB, ..."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
