"""The only place that prints: tables, live progress, errors. Plain lines where the output is not a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.syntax import Syntax
from rich.table import Table

from statllama.errors import Interrupted, StatllamaError
from statllama.reporting import Reporter, StepEvent

if TYPE_CHECKING:
    from statllama.compare import Change, Scorecard
    from statllama.data.report import MixtureReport
    from statllama.doctor import Finding
    from statllama.evaluate import TaskScore
    from statllama.recipe import Recipe
    from statllama.runner import Measure, PlannedStage
    from statllama.specs import StageSpec
    from statllama.store import Entry, Holder, Store

PLAIN_SECONDS = 10.0  # between two lines of progress in a plain log
Out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
Err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(error: StatllamaError) -> None:
    """What went wrong and how to mend it, on stderr."""
    head = "[bold yellow]stopped:[/]" if isinstance(error, Interrupted) else "[bold red]error:[/]"
    Err.print(f"{head} {escape(error.message)}")
    if error.remedy:
        Err.print(f"[bold]  ->[/] {escape(error.remedy)}")


def print_recipe(recipe: Recipe) -> None:
    """The resolved recipe as YAML."""
    text = f"# {recipe.source}\n" + "".join(f"# --set {o}\n" for o in recipe.overrides) + recipe.to_yaml()
    if Out.is_terminal:
        Out.print(Syntax(text, "yaml", background_color="default"))
    else:
        sys.stdout.write(text)


def print_plan(recipe: Recipe, stages: Sequence[PlannedStage], measures: Mapping[str, Measure]) -> None:
    """What would run, what is cached, and why."""
    table = Table("stage", "type", "on", "runs", "why", "examples", "tokens", "steps", title=escape(recipe.name))
    for column in table.columns[5:]:
        column.justify = "right"
    for stage in stages:
        measure = measures[stage.spec.name]
        parents = "base" if stage.spec.parents == "base" else ", ".join(stage.spec.parents or ())
        runs = "[dim]cached[/]" if stage.cached else "[bold green]yes[/]"
        figures = (f"{measure.examples:,}", f"{measure.tokens:,}", f"{measure.steps:,}")
        table.add_row(stage.spec.name, stage.spec.type, parents, runs, escape(stage.why), *figures)
    Out.print(table)
    todo = [s for s in stages if not s.cached]
    Out.print(f"{len(todo)} of {len(stages)} stages would run. Examples and tokens are of one pass over the data.")


def print_status(store: Store) -> None:
    """Recipes that ran here, the state of their stages, unfinished work and bytes."""
    runs = store.runs()
    if not runs:
        Out.print(f"{store.root} holds no run yet.  Start with: statllama run quickstart")
        return
    for name, record in sorted(runs.items()):
        table = Table("stage", "state", "steps", "loss", "trained on", "result", title=escape(name))
        for stage in record["order"]:
            table.add_row(stage, *_state(store, record["stages"].get(stage)))
        Out.print(table)
    scores, results = store.entries("scores"), store.entries("results")
    Out.print(f"{store.root}: {len(results)} adapters, {len(scores)} scores, {_bytes(_size(store.root))}")


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


def print_findings(findings: Sequence[Finding]) -> None:
    """`doctor`'s findings, each with its remedy."""
    marks = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "error": "[bold red]error[/]"}
    for f in findings:
        Out.print(f"{marks[f.level]} {f.subject}: {escape(f.detail)}")
        if f.remedy:
            Out.print(f"        -> {escape(f.remedy)}")


class ConsoleReporter(Reporter):
    """Prints a run as it goes: live in a terminal, one line now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._task: Any = None
        self._last_line = 0.0

    def planned(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        cached = sum(s.cached for s in stages)
        Out.print(f"[bold]{escape(recipe.name)}[/]" + (f": {escape(recipe.description)}" if recipe.description else ""))
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
            with Out.status(escape(what)):
                yield
        else:
            yield
        Out.print(f"  [dim]{escape(what)}: {time.monotonic() - began:.1f} s[/]")

    def waiting(self, what: str) -> Callable[[Holder], None]:
        return lambda holder: Out.print(f"  {escape(what)}: waiting for {escape(str(holder))}")

    @contextmanager
    def preparing(self, stage: str) -> Iterator[Callable[[str, int, int], None] | None]:
        with _bar(f"{stage} data") as advance:
            yield None if advance is None else lambda source, done, total: advance(done, total)

    def data_ready(self, spec: StageSpec, report: MixtureReport) -> None:
        for source in report.sources:
            notes = [f"{n} dropped ({reason})" for reason, n in source.dropped.items()]
            notes += [f"{source.truncated} cut"] if source.truncated else []
            Out.print(
                f"  [dim]{spec.name} <- {escape(source.name)}: {source.examples:,} examples, {source.tokens:,} tokens, "
                f"{100 * source.share:.0f} % with loss[/]{escape('; ' + ', '.join(notes)) if notes else ''}"
            )

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
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Out, transient=True) as self._progress:
            self._task = self._progress.add_task("first step", total=steps)
            try:
                yield
            finally:
                self._progress = None

    def step(self, event: StepEvent) -> None:
        figures = (
            f"loss {event.loss:.4f}  |grad| {event.grad_norm:.3f}  lr {event.learning_rate:.2e}  "
            f"{event.tokens_per_second:,.0f} tok/s  {_bytes(event.memory_bytes)}"
        )
        if self._progress is not None:
            self._progress.update(self._task, completed=event.step, total=event.total, description=figures)
            return
        now = time.monotonic()
        if now - self._last_line >= PLAIN_SECONDS or event.step in (1, event.total):
            self._last_line = now
            Out.print(f"  step {event.step}/{event.total}  {figures}  ETA {_duration(event.eta_seconds)}")

    def note(self, text: str) -> None:
        Out.print(f"  [yellow]note:[/] {escape(text)}")

    def stage_finished(self, name: str, entry: Entry) -> None:
        m = entry.manifest["metrics"]
        Out.print(
            f"  {name} done in {_duration(m['seconds'])}: loss {m['first_loss']:.4f} -> {m['loss']:.4f}, "
            f"{m['tokens']:,} tokens, adapter {_bytes(entry.manifest['files']['adapter_model.safetensors']['bytes'])}"
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
        part = f" (first {score.n} of {score.total} items)" if score.limited else ""
        Out.print(f"  {name} on {score.task}: {100 * score.value:.1f}{error} {score.metric}{part}")

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        if card is not None:
            print_scorecard(card)
        for name, path in results.items():
            Out.print(f"  [dim]{name}: {path}[/]")
        Out.print(f"finished in {_duration(time.monotonic() - self._started)}")


def print_scorecard(card: Scorecard) -> None:
    """Scores with standard errors, the paired change from base and from the parent, and what it is evidence of."""
    from statllama.compare import verdict

    for i, task in enumerate(card.tasks):
        first = card.rows[0].cells[i]
        part = ", only a part of the items" if first.limited else ""
        title = f"[bold]{task}[/] ({first.metric}, {first.n} items{part})"
        table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=(0, 1))
        for name, justify in (("stack", "left"), ("score", "right"), ("from base", "right"), ("p", "right")):
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        table.add_column("from parent", justify="right", no_wrap=True)
        table.add_column("p", justify="right", no_wrap=True)
        words: dict[str, list[str]] = {}
        for row in card.rows:
            cell = row.cells[i]
            error = f" ± {100 * cell.stderr:.1f}" if cell.stderr is not None else ""
            changes = (*_change(cell.from_base), *_change(cell.from_parent))
            table.add_row(row.name, f"{100 * cell.value:.1f}{error}", *changes)
            if cell.from_base is not None:
                words.setdefault(verdict(cell.from_base), []).append(row.name)
        Out.print(table)
        Out.print("  against the base: " + "; ".join(f"{', '.join(names)}: {word}" for word, names in words.items()))
    Out.print("[dim]Points ± standard error. Changes are paired: 95 % interval, exact McNemar p.[/]")


def _change(change: Change | None) -> tuple[str, str]:
    """(change with its interval, p), each with its colour when it is evidence."""
    if change is None:
        return "", ""
    p = f"{change.p:.3f}" if change.p >= 0.001 else "<0.001"
    text = f"{change.difference:+.1f} [{change.low:+.0f}, {change.high:+.0f}]"
    colour = ("green" if change.gained > change.lost else "red") if change.p < 0.05 else ""
    return (f"[{colour}]{text}[/]", f"[{colour}]{p}[/]") if colour else (text, p)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar that goes away when it is done, moved by a callback (done, total); None where there is no terminal."""
    if not Out.is_terminal:
        yield None
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Out, transient=True) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _bytes(count: float) -> str:
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
