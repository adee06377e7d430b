"""Prints a run as it goes: live in a terminal, plain lines where the output is not one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from statllama.cli.console.scores import print_scorecard
from statllama.cli.console.terminal import Err, Out, counted, plain, readable_bytes
from statllama.runs.reporting import Reporter
from statllama.runs.subject import BASE
from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.config.specs import TrainingSpec
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.recipe import Recipe
    from statllama.runs.live import Live
    from statllama.runs.plan import PlannedStage
    from statllama.store import Entry, Holder

PLAIN_SECONDS = 10.0  # between two lines of progress in a plain log


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
        Out.print(f"  {stack_plan(stages)}")
        if cached == len(stages):
            Out.print("  every stage is trained: nothing to do")
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

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        for source in report.sources:
            notes = [f"{n} dropped ({reason})" for reason, n in source.dropped.items()]
            notes += [f"{source.truncated} cut"] if source.truncated else []
            Out.print(
                f"  [dim]{spec.name} <- {plain(source.name)}: {source.examples:,} "
                + (
                    f"examples, {source.tokens:,} tokens, {100 * source.share:.0f} % with loss[/]"
                    if source.supervised_tokens
                    else f"prompts, {source.tokens:,} tokens[/]"
                )
                + plain("; " + ", ".join(notes) if notes else "")
            )
        for finding in findings:
            self.note(f"{finding.source}: {finding.text} (`statllama data check` says more)")

    @contextmanager
    def training(self, spec: TrainingSpec, report: MixtureReport, steps: int) -> Iterator[None]:
        lora = spec.lora
        Out.print(
            f"[bold cyan]{spec.name}[/] ({spec.type}): {steps} steps of {spec.train.batch_size} {spec.rows_are}, "
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
        figures = _rollouts(event.extra) + (
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
        what = f"{_learned(m)}, {m['tokens']:,} tokens" if "loss" in m else _blended(m)
        Out.print(f"  {name} done in {_duration(m['seconds'])}: {what}, adapter {readable_bytes(size)}")

    def stage_cached(self, name: str, entry: Entry) -> None:
        m = entry.manifest["metrics"]
        end = f"reward {m['reward']:.3f}" if "reward" in m else f"loss {m['loss']:.4f}" if "loss" in m else ""
        what = f"{m['steps']} steps, {end}" if end else _blended(m)
        Out.print(f"[bold cyan]{name}[/]: cached ({what})")

    @contextmanager
    def scoring(self, name: str, task: str) -> Iterator[Callable[[int, int, str], None] | None]:
        with _bar(f"{name} on {task}") as advance:
            yield None if advance is None else lambda done, total, _: advance(done, total)

    def scored(self, name: str, score: TaskScore) -> None:
        error = f" ± {100 * score.stderr:.1f}" if score.stderr is not None else ""
        notes = [f"first {score.n} of {score.total} items"] if score.limited else []
        notes += [f"{counted(score.truncated, 'prompt')} cut to fit `evaluate.max_length`"] if score.truncated else []
        notes += [f"{score.unfinished} of {score.n} replies cut at their limit"] if score.unfinished else []
        part = f" ({'; '.join(notes)})" if notes else ""
        Out.print(f"  {plain(name)} on {plain(score.task)}: {100 * score.value:.1f}{error} {score.metric}{part}")

    def drifted(self, name: str, drift: Drift) -> None:
        Out.print(
            f"  [dim]{plain(name)} drift: {drift.to_parent:.3g} nats a token from its parent, "
            f"{drift.to_base:.3g} from the base[/]"
        )

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        began = time.monotonic()
        with _bar(f"writing {what}") as advance:
            yield advance
        Out.print(f"  [dim]{plain(what)}: written in {time.monotonic() - began:.1f} s[/]")

    def verifying(self, what: str) -> None:
        Out.print(f"  [dim]verifying: {plain(what)}[/]")

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        if card is not None:
            print_scorecard(card)
        for name, path in results.items():
            Out.print(f"  [dim]{name}: {plain(path)}[/]")
        Out.print(f"finished in {_duration(time.monotonic() - self._started)}")


def print_page(path: Path) -> None:
    """Say where the page is that shows the run as it goes."""
    Out.print(f"page: {plain(path)} (open it in a browser; it keeps itself up to date)")


def print_following(name: str, path: Path) -> None:
    """Say that the page of a run is kept up to date."""
    Out.print(f"following {plain(name)}: {plain(path)} keeps itself up to date; Ctrl-C ends this, not the run")


def print_page_trouble(text: str) -> None:
    """Say on stderr what keeps the page from being written."""
    Err.print(plain(text))


def print_followed(live: Live, path: Path) -> None:
    """Say how the run ended, and that the last page is written."""
    ways = {"failed": "has failed", "stopped": "was stopped", "finished": "has finished"}
    how = "was killed" if live.killed else ways[live.state.outcome]
    Out.print(f"{plain(live.state.name)} {how}; written: {plain(path)}")


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a temporary bar, moved by a callback (done, total); yield None without a terminal."""
    if not Out.is_terminal:
        yield None
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Out, transient=True) as progress:
        bar = progress.add_task(plain(what), total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _rollouts(figures: Mapping[str, float]) -> str:
    """Return a grpo step's figures of its completions; empty for other stages, and for steps on earlier completions."""
    shown = (("reward", "reward {:.3f}"), ("kl", "KL {:.2g}"), ("completions/mean_length", "length {:.0f}"))
    parts = [form.format(figures[name]) for name, form in shown if name in figures] if "reward" in figures else []
    parts += [f"cut {figures['completions/clipped_ratio']:.0%}"] if parts else []
    return "".join(f"{part}  " for part in parts)


def _learned(metrics: Mapping[str, Any]) -> str:
    """Return a stage's progress: by its reward where it has one, else by its loss."""
    if "reward" in metrics:
        return f"reward {metrics['first_reward']:.3f} -> {metrics['reward']:.3f}"
    return f"loss {metrics['first_loss']:.4f} -> {metrics['loss']:.4f}"


def stack_plan(stages: Sequence[PlannedStage]) -> str:
    """Return the stages and their parents: `base -> sft -> dpo, grpo; dpo -> dtft`. Trained stages are dim."""
    shown = {stage.spec.name: f"[dim]{stage.spec.name}[/]" if stage.cached else stage.spec.name for stage in stages}
    above: dict[tuple[str, ...], list[str]] = {}
    for stage in stages:
        below = stage.spec.siblings or stage.parents[-1:] or (BASE,)
        above.setdefault(below, []).append(stage.spec.name)
    lines: list[list[tuple[str, ...]]] = []
    for below, names in above.items():
        line = next((line for line in lines if line[-1] == below), None)
        if line is None:
            lines.append(line := [below])
        line.append(tuple(names))
    return "; ".join(" -> ".join(", ".join(shown.get(n, n) for n in names) for names in line) for line in lines)


def _blended(metrics: Mapping[str, Any]) -> str:
    """Describe a blend: its rank, the error of that, and the agreement of its adapters."""
    cost = f"error {100 * metrics['error']:.2g} %" if metrics["error"] else "exact"
    return f"blend of rank {metrics['rank']}, {cost}, {100 * metrics['share']:.0f} % of its updates' size"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
