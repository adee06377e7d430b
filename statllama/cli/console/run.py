"""Prints a run as it goes: lines that stay, and below them a live display; plain lines where the output is a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from statllama.cli.console.fleet import end_line, fleet_frame, place, step_line, summary
from statllama.cli.console.frame import Part, duration, frame, left_of, memory, spoken, stages_line
from statllama.cli.console.live import Display, interactive
from statllama.cli.console.scores import print_scorecard
from statllama.cli.console.terminal import Err, Out, counted, plain, print_path, readable_bytes, shortened
from statllama.cli.console.timing import clock
from statllama.errors import Interrupted
from statllama.evaluation.chosen import spoken_choice
from statllama.runs.forecast.outlook import taken_of
from statllama.runs.subject import BASE
from statllama.runs.watch.progress import Kind, RunProgress
from statllama.train.job import StepEvent

if TYPE_CHECKING:
    from statllama.config.stage import TrainingSpec
    from statllama.data.report import MixtureReport
    from statllama.data.verdicts import Verdict
    from statllama.errors import StatllamaError
    from statllama.evaluation.scorecard import Scorecard
    from statllama.evaluation.scores import Drift, TaskScore
    from statllama.recipe import Recipe
    from statllama.runs.cluster.work import Where, Work
    from statllama.runs.plan import PlannedStage
    from statllama.runs.watch.live import Live
    from statllama.store import Entry, Holder

STEP_SECONDS = 10.0  # between two lines of steps in a log
WORK_SECONDS = 30.0  # between two lines of other work there, such as scoring


class ConsoleReporter(RunProgress):
    """Prints a run as it goes, and shows its state below that: see `frame`. In a log, lines now and then instead."""

    part: Part | None = None
    """Which pipeline of how many the run is."""
    was_planned = False
    """Whether a run was planned: what goes wrong from then on leaves something to go on from."""

    def __init__(self) -> None:
        super().__init__()
        self._display: Display | None = None
        self._works = 0
        self._last_line = 0.0
        self._lines_of: dict[str, float] = {}  # {work: when its last line was printed}
        self._told_scores: dict[str, str] = {}

    # ------------------------------------------------------------------ the display

    def _lines(self, width: int) -> list[Text]:
        plain_characters, now = not Out.encoding.lower().startswith("utf"), self.clock()
        workers = self.state.workers
        if workers is None:
            return frame(self.state, width, now, self.part, ascii_only=plain_characters)
        head = stages_line(self.state, width, ascii_only=plain_characters) if self.state.goes_on else []
        room = Out.height - len(head) - 2
        return [*head, *fleet_frame(workers, width, now, room, ascii_only=plain_characters)]

    def _show(self) -> None:
        if self._display is None and interactive():
            self._display = Display(self._lines)
            self._display.start(refresh=True)

    def hide(self) -> None:
        """Take the display off the terminal; the lines above it stay."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    @contextmanager
    def active(self, kind: Kind, what: str) -> Iterator[Callable[[int, int], None]]:
        """Show an activity, also outside a run; in a log, a line now and then."""
        with super().active(kind, what) as advance:
            self._works += 1
            self._last_line = time.monotonic()
            self._show()

            def told(done: int, total: int) -> None:
                advance(done, total)
                activity, now = self.state.activity, time.monotonic()
                if activity is not None and not interactive() and now - self._last_line >= WORK_SECONDS:
                    self._last_line = now
                    left = activity.left(self.clock())
                    ends = f", {duration(left)} left" if left is not None else ""
                    Out.print(f"  [dim]{plain(spoken(activity))}: {done:,}/{total:,}{ends}[/]")

            try:
                yield told
            finally:
                self._works -= 1
                if not self._works and not self.state.goes_on and self.state.workers is None:
                    self.hide()

    # ------------------------------------------------------------------ the plan

    def planned(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        super().planned(recipe, stages)
        self.was_planned = True
        self.say_plan(recipe, stages)
        self._show()

    def say_plan(self, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        """Print what is about to run."""
        cached = sum(s.cached for s in stages)
        Out.print(f"[bold]{plain(recipe.name)}[/]" + (f": {plain(recipe.description)}" if recipe.description else ""))
        Out.print(f"  {stack_plan(stages)}")
        if cached == len(stages):
            Out.print("  every stage is trained: nothing to do")
        elif cached:
            Out.print(f"  {cached} of {len(stages)} stages are cached")

    # ------------------------------------------------------------------ work

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        with super().busy(what):
            yield
        Out.print(f"  [dim]{plain(shortened(what))}: {time.monotonic() - began:.1f} s[/]", soft_wrap=True)

    def waiting(self, what: str) -> Callable[[Holder], None]:
        note = super().waiting(what)

        def wait(holder: Holder) -> None:
            note(holder)
            Out.print(f"  {plain(what)}: waiting for {plain(str(holder))}")

        return wait

    def data_ready(self, spec: TrainingSpec, report: MixtureReport, findings: Sequence[Verdict]) -> None:
        for source in report.sources:
            notes = [f"{n} dropped ({reason})" for reason, n in source.dropped.items()]
            notes += [f"{source.truncated} cut"] if source.truncated else []
            notes += [f"{counted(source.left_out, 'turn')} without loss"] if source.left_out else []
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
        Out.print(
            f"[bold cyan]{spec.name}[/] ({spec.type}): {counted(steps, 'step')} of {spec.train.batch_size} "
            f"{spec.rows_are}, learning rate {spec.train.learning_rate:g}, rank {spec.lora.r}, "
            f"scale {spec.lora.scaling:g}"
        )
        self._last_line = 0.0
        with super().training(spec, report, steps):
            yield

    def step(self, event: StepEvent) -> None:
        super().step(event)
        now = time.monotonic()
        if interactive() or (now - self._last_line < STEP_SECONDS and event.step not in (1, event.total)):
            return
        self._last_line = now
        speed = f"{event.tokens_per_second:,.0f} tok/s  " if event.tokens_per_second else ""  # not of the first step
        figures = _rollouts(event.extra) + (
            f"loss {event.loss:.4f}  {_beside(event.extra)}|grad| {event.grad_norm:.3f}  "
            f"lr {event.learning_rate:.2e}  {speed}"
            f"{memory(self.state.stages[event.stage])}"
        )
        run = f"; run: {left_of(self.state, self.clock())}" if len(self.state.stages) > 1 or self.state.tasks else ""
        Out.print(f"  step {event.step}/{event.total}  {figures}  ETA {duration(event.eta_seconds)}{run}")

    def note(self, text: str) -> None:
        super().note(text)
        Out.print(f"  [yellow]note:[/] {plain(shortened(text))}")

    def stage_finished(self, name: str, entry: Entry) -> None:
        super().stage_finished(name, entry)
        self._say_result(name, entry)

    def _say_result(self, name: str, entry: Entry) -> None:
        m = entry.manifest["metrics"]
        size = entry.manifest["files"]["adapter_model.safetensors"]["bytes"]
        what = f"{_learned(m)}, {m['tokens']:,} tokens" if "loss" in m else _blended(m)
        made = taken_of(entry.manifest).forecast
        told = f" (forecast {duration(made.usual)})" if made is not None and made.measured else ""
        where = f" on {plain(at)}" if (at := self.trained_by_workers.get(entry.key)) else ""
        if chosen := spoken_choice(m):
            Out.print(f"  {name}: {plain(chosen)}")
        Out.print(f"  {name} done in {duration(m['seconds'])}{told}{where}: {what}, adapter {readable_bytes(size)}")

    def stage_cached(self, name: str, entry: Entry) -> None:
        super().stage_cached(name, entry)
        if entry.key in self.trained_by_workers:
            if self.is_news(name, "trained"):
                self._say_result(name, entry)
            return
        if not self.is_news(name, "cached"):
            return
        m = entry.manifest["metrics"]
        end = f"reward {m['reward']:.3f}" if "reward" in m else f"loss {m['loss']:.4f}" if "loss" in m else ""
        what = f"{counted(m['steps'], 'step')}, {end}" if end else _blended(m)
        Out.print(f"[bold cyan]{name}[/]: cached ({what})")

    def is_news(self, name: str, what: str) -> bool:
        """Return whether a line on a stack is to be printed: of a study, only the first of its kind."""
        return True

    def scored(self, name: str, score: TaskScore) -> None:
        super().scored(name, score)
        if not self.is_news(name, score.task):
            return
        notes = [f"first {score.n} of {counted(score.total, 'item')}"] if score.limited else []
        notes += [f"{counted(score.truncated, 'prompt')} cut to fit `evaluate.max_length`"] if score.truncated else []
        notes += [f"{score.unfinished} of {score.n} replies cut at their limit"] if score.unfinished else []
        part = f" ({'; '.join(notes)})" if notes else ""
        Out.print(f"  {plain(name)} on {plain(score.task)}: {_said(score)}{part}")

    def drifted(self, name: str, drift: Drift) -> None:
        super().drifted(name, drift)
        if self.is_news(name, "drift"):
            Out.print(
                f"  [dim]{plain(name)} drift: {drift.to_parent:.3g} nats a token from its parent, "
                f"{drift.to_base:.3g} from the base[/]"
            )

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        began = time.monotonic()
        with super().exporting(what) as advance:
            yield advance
        Out.print(f"  [dim]{plain(what)}: written in {time.monotonic() - began:.1f} s[/]")

    def verifying(self, what: str) -> None:
        Out.print(f"  [dim]verifying: {plain(what)}[/]")

    def releasing(self, stage: str, out: Path) -> None:
        Out.print(f"[bold cyan]release of {plain(stage)}[/]")

    def released(self, stage: str, out: Path, how: str) -> None:
        if how == "cached":
            print_path(f"[bold cyan]release of {plain(stage)}[/]: cached (", out, ")")
        else:
            print_path(f"  released: {plain(how)} in ", out)

    # ------------------------------------------------------------------ workers elsewhere

    def course(self, name: str, recipe: Recipe, stages: Sequence[PlannedStage]) -> None:
        super().course(name, recipe, stages)
        self.was_planned = True
        self._show()

    def began(self, work: Work, where: Where) -> None:
        super().began(work, where)
        if not interactive():
            Out.print(f"  {self._at(work, where)}: begun")

    def told(self, work: Work, where: Where, event: str, arguments: tuple[Any, ...]) -> None:
        super().told(work, where, event, arguments)
        at, now = self.fleet.whole.works.get(work.id), time.monotonic()
        if event == "note":
            Out.print(f"  [yellow]note:[/] {self._at(work, where)}: {plain(shortened(str(arguments[0])))}")
        elif event == "scored":
            score: TaskScore = arguments[1]
            self._told_scores[work.id] = _said(score)
        elif at is not None and event in ("step", "scoring/at") and not interactive():
            seconds = STEP_SECONDS if event == "step" else WORK_SECONDS
            last = event == "step" and at.done in (1, at.total)
            if last or now - self._lines_of.get(work.id, -seconds if event == "step" else now) >= seconds:
                self._lines_of[work.id] = now
                Out.print(f"  {self._at(work, where)}: {step_line(at, self.clock())}")
            self._lines_of.setdefault(work.id, now)

    def _at(self, work: Work, where: Where) -> str:
        """Return a work and its place, as markup."""
        return f"{plain(self.fleet.named(work))} ({plain(place(where.host, where.device))})"

    def ended(self, work: Work, where: Where, seconds: float, error: StatllamaError | None) -> None:
        at = self.fleet.whole.works.get(work.id)
        super().ended(work, where, seconds, error)
        if error is None:
            came = end_line(at, seconds, self._told_scores.pop(work.id, ""))
            Out.print(f"  [dim]{self._at(work, where)}: {plain(came)}[/]")
        elif isinstance(error, Interrupted):
            Out.print(f"  [yellow]{self._at(work, where)}: stopped after {clock(seconds)}[/]")
        else:
            what = shortened(error.message.splitlines()[0])
            Out.print(f"  [red]{self._at(work, where)}: failed after {clock(seconds)}:[/] {plain(what)}")

    def filled(self) -> None:
        super().filled()
        for line in summary(self.fleet.whole, self.clock()):
            Out.print(plain(line))
        if not self.state.goes_on:
            self.hide()

    # ------------------------------------------------------------------ the end

    def finished(self, recipe: Recipe, results: Mapping[str, Path], card: Scorecard | None) -> None:
        super().finished(recipe, results, card)
        self.hide()
        self.say_end(results, card)

    def say_end(self, results: Mapping[str, Path], card: Scorecard | None) -> None:
        """Print the scorecard, the folders of the results, and how long all took."""
        if card is not None:
            print_scorecard(card)
        for name, path in results.items():
            print_path(f"  [dim]{name}: ", path, "[/]")
        Out.print(f"finished in {duration(self.clock() - self.state.started)}")

    def failed(self, error: BaseException) -> None:
        super().failed(error)
        self.hide()


def print_page(path: Path) -> None:
    """Say where the page is that shows the run as it goes."""
    print_path("page: ", path, " (open it in a browser; it keeps itself up to date)")


def print_following(name: str, path: Path) -> None:
    """Say that the page of a run is kept up to date."""
    print_path(f"following {plain(name)}: ", path, " keeps itself up to date; Ctrl-C ends this, not the run")


def print_page_trouble(text: str) -> None:
    """Say on stderr what keeps the page from being written."""
    Err.print(plain(text))


def print_followed(live: Live, path: Path) -> None:
    """Say how the run ended, and that the last page is written."""
    ways = {"failed": "has failed", "stopped": "was stopped", "finished": "has finished"}
    how = "was killed" if live.killed else ways[live.state.outcome]
    print_path(f"{plain(live.state.name)} {how}; written: ", path)


def _rollouts(figures: Mapping[str, float]) -> str:
    """Return a grpo step's figures of its completions; empty for other stages, and for steps on earlier completions."""
    shown = (("reward", "reward {:.3f}"), ("kl", "KL {:.2g}"), ("completions/mean_length", "length {:.0f}"))
    parts = [form.format(figures[name]) for name, form in shown if name in figures] if "reward" in figures else []
    parts += [f"cut {figures['completions/clipped_ratio']:.0%}"] if parts else []
    return "".join(f"{part}  " for part in parts)


def _beside(figures: Mapping[str, float]) -> str:
    """Return a step's figures of replay and anchor; empty without."""
    shown = (("replay_loss", "replay {:.4f}"), ("anchor_kl", "KL {:.2g}"), ("anchor_coefficient", "x {:.3g}"))
    return "".join(f"{form.format(figures[name])}  " for name, form in shown if name in figures)


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


def _said(score: TaskScore) -> str:
    """Return a score with its standard error and metric: `50.5 ± 3.4 acc`, or `loss 1.234 ± 0.051, perplexity 3.43`."""
    figures = score.unit.spoken(score.value, score.stderr)
    if not score.unit.loss:
        return f"{figures} {score.unit.metric}"
    return f"loss {figures}, perplexity {score.others['perplexity']:.2f}"


def _blended(metrics: Mapping[str, Any]) -> str:
    """Describe a blend: its rank, the error of that, and the agreement of its adapters."""
    cost = f"error {100 * metrics['error']:.2g} %" if metrics["error"] else "exact"
    return f"blend of rank {metrics['rank']}, {cost}, {100 * metrics['share']:.0f} % of its updates' size"
