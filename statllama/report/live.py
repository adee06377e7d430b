"""The page of a run that goes on: the report of what is finished, with what the run tells of itself on top of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from statllama.report import words
from statllama.report.collect import logged_of
from statllama.report.curves import BEHAVIOUR
from statllama.report.data import Curve, Prompted, PromptReply, ReportData, Stage
from statllama.report.now import Now, StageNow, WorkNow
from statllama.runs.watch.fleet import Fleet, WorkState
from statllama.runs.watch.live import Live, read_live
from statllama.runs.watch.run_state import Activity, Doing, RunState, Series, StageState, newest
from statllama.store import Store

SHOWN_NOTES = 12
_GPU = ("GPU", "GPU memory")
_DOING: Mapping[Doing, str] = {
    "waiting": "waits",
    "cached": "trained before",
    "training": "trains",
    "scoring": "is scored",
    "done": "done",
    "failed": "stopped",
}
_VERBS = {
    "loading": "{}",
    "preparing": "Reading the data of {}",
    "training": "Training {}",
    "scoring": "Scoring {}",
    "validating": "Validating {}",
    "generating": "Writing {}",
    "writing": "Writing {}",
    "waiting": "Waiting for {}",
}


def with_live(data: ReportData | None, live: Live, now: float, gpu: Mapping[str, str], refresh: int) -> ReportData:
    """Return the report's data (None: the workspace has no record of the run yet) with what the run tells.

    Curves of the stage that trains, throughput and memory by step, answers so far; and, unless it has finished, `now`.
    `gpu`: see `machine.gpu`; `refresh`: seconds after which the page of a run that goes on loads itself again.
    """
    state = live.state
    data = data if data is not None else _bare(state)
    machine = {"machine": live.machine.get("processor", ""), **{k: live.machine.get(k, "") for k in _GPU}}
    return replace(
        data,
        stages=tuple(_stage(stage, state.stages.get(stage.name)) for stage in data.stages),
        prompted=data.prompted or tuple(_prompted(state)),
        environment={**data.environment, **{what: value for what, value in machine.items() if value}},
        now=None if state.outcome == "finished" else _now(live, now, gpu, refresh if live.going else 0),
    )


def with_recorded(data: ReportData, store: Store) -> ReportData:
    """Return the report's data with what the newest run of that name told of throughput, memory and its machine."""
    live = read_live(store, data.name)
    return data if live is None else replace(with_live(data, live, live.state.updated, {}, 0), now=data.now)


def _bare(state: RunState) -> ReportData:
    """Return what the page shows before the run's record is there: the names of its stages."""
    stages = tuple(Stage(stage.name, stage.type, ()) for stage in state.stages.values())
    return ReportData(state.name, state.description, "not loaded yet", stages)


def _stage(stage: Stage, seen: StageState | None) -> Stage:
    """Return a stage with the figures that its run told: those of its result, where it is published, are exact."""
    if seen is None or not seen.series.rows or (stage.trained and stage.key != seen.key):
        return stage
    told = curve_of(seen.series)
    if stage.trained and stage.curve is not None:
        return replace(stage, curve=replace(stage.curve, others={**told.others, **stage.curve.others}))
    return replace(stage, curve=told)


def curve_of(series: Series) -> Curve:
    """Return the curves of a stage's figures as its run kept them."""
    rows = [(row["step"], row) for row in series.rows]
    others = {panel.name: logged_of(rows, panel.name) for panel in BEHAVIOUR}
    others |= {
        "tokens_per_second": logged_of(rows, "tokens_per_second"),
        "memory": logged_of(rows, "memory_bytes", 2.0**30),
    }
    return Curve(
        tuple(int(step) for step, _ in rows),
        loss=tuple(series.of("loss")),
        learning_rate=tuple(series.of("learning_rate")),
        grad_norm=tuple(series.of("grad_norm")),
        reward=tuple(series.of("reward")) if "reward" in series.names() else (),
        others={name: points for name, points in others.items() if points},
    )


def _prompted(state: RunState) -> list[Prompted]:
    prompts = dict.fromkeys(answer.prompt for found in state.answers.values() for answer in found)
    return [
        Prompted(
            prompt,
            tuple(
                PromptReply(stack, answer.text, answer.ended)
                for stack, found in state.answers.items()
                for answer in found
                if answer.prompt == prompt
            ),
        )
        for prompt in prompts
    ]


# ------------------------------------------------------------------ the run now


def _now(live: Live, now: float, gpu: Mapping[str, str], refresh: int) -> Now:
    state = live.state
    return Now(
        going=live.going,
        headline=_headline(live),
        remedy=_remedy(live),
        facts=tuple(_facts(state, now, gpu)) if live.going else (),
        stages=tuple(_row(state, stage, now) for stage in state.stages.values()),
        works=tuple(_work(work, now) for work in state.workers.works.values()) if state.workers and live.going else (),
        notes=tuple(reversed(state.notes[-SHOWN_NOTES:])),
        share=share_done(state.stages.values()),
        refresh=refresh,
        told=_moment(state.updated),
    )


def _headline(live: Live) -> str:
    state = live.state
    if live.killed:
        return (
            f"The run's process ({live.holder.pid} on {live.holder.host}) ended without a word, after "
            f"{_moment(state.updated)}: it was killed, or the machine went down."
        )
    if state.outcome in ("stopped", "failed"):
        return f"The run {'was stopped' if state.outcome == 'stopped' else 'failed'}: {state.error}"
    if state.workers is not None:
        return _at_work(state.workers)
    return "Between two tasks" if state.activity is None else _activity(state.activity)


def _at_work(fleet: Fleet) -> str:
    if fleet.first is None and not fleet.works:
        return "Starting workers"
    hosts = {work.host for work in fleet.works.values()}
    places = f" on {words.several(len(hosts), 'host')}" if len(hosts) > 1 else ""
    return (
        f"Workers: {words.several(len(fleet.works), 'work')} under way{places}, {words.count(fleet.done)} done, "
        f"{words.count(fleet.waiting)} to come"
    )


def _remedy(live: Live) -> str:
    if live.killed or live.state.outcome == "stopped":
        return f"statllama run {live.state.name} goes on from there."
    return live.state.remedy


def _activity(activity: Activity) -> str:
    text = _VERBS[activity.kind].format(activity.what)
    if activity.total:
        text += f": {words.count(activity.done)} of {words.count(activity.total)}"
    return text[:1].upper() + text[1:]


def share_done(stages: Iterable[StageState]) -> float:
    """Return the share of the optimizer steps of all stages that are taken, 0 to 1; a stage whose steps are not known
    yet counts as the mean of the others.
    """
    every = list(stages)
    known = [stage.steps for stage in every if stage.steps]
    if not known:
        return 0.0
    mean = sum(known) / len(known)
    return min(1.0, sum(stage.step for stage in every) / sum(stage.steps or mean for stage in every))


def _facts(state: RunState, now: float, gpu: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what a reader looks for first."""
    facts = [("time so far", words.duration(now - state.started))]
    eta = state.eta(now)
    if eta.basis:
        without = f", without {', '.join(eta.without)}" if eta.without else ""
        facts.append(("time left of the run, about", f"{words.duration(eta.seconds)}{without}"))
    facts += _spent(state.fleet, now) if state.fleet is not None else []
    stage = state.current if state.workers is None else None
    if stage is not None and stage.doing == "training":
        left = state.stage_eta(stage.name, now)
        facts += [(f"time left of {stage.name}", words.duration(left[0]))] if left else []
        figures = dict(newest(stage))
        facts += [(title, form.format(figures[name])) for name, title, form in _FIGURES if name in figures]
        facts.append(("peak memory", words.size(stage.memory_bytes)))
    gpu = gpu if state.workers is None else {}  # which is not the workers'
    if "utilization.gpu" in gpu:
        facts.append(("GPU at work", f"{gpu['utilization.gpu']} %"))
    if {"memory.used", "memory.total"} <= gpu.keys():
        used, whole = (words.size(2.0**20 * float(gpu[name])) for name in ("memory.used", "memory.total"))
        facts.append(("GPU memory in use", f"{used} of {whole}"))
    return facts


def _spent(fleet: Fleet, now: float) -> list[tuple[str, str]]:
    """Return the speed of all workers, and the time of their devices in works that have ended."""
    facts = []
    if speed := sum(work.tokens_per_second for work in fleet.works.values() if work.doing == "trains"):
        facts.append(("tokens per second, all workers", words.count(speed)))
    if fleet.done:
        facts.append(("GPU time" if fleet.gpus else "worker time", words.duration(fleet.device_seconds)))
    if fleet.lost:
        facts.append(("workers lost", words.count(fleet.lost)))
    return facts


def _work(work: WorkState, now: float) -> WorkNow:
    left = work.left(now)
    return WorkNow(
        name=work.what,
        where=work.where,
        doing=work.doing,
        step=f"{words.count(work.done)} of {words.count(work.total)}" if work.total else words.DASH,
        loss=words.figure(work.loss),
        speed=words.count(work.tokens_per_second or None),
        left=words.duration(left),
    )


_FIGURES = (
    ("loss", "loss", "{:.4g}"),
    ("reward", "reward", "{:.3g}"),
    ("rewards/margins", "reward margin", "{:.3g}"),
    ("rewards/accuracies", "pairs ranked right", "{:.2f}"),
    ("holdout_loss", "held-out loss", "{:.4g}"),
    ("holdout_accuracy", "held-out pairs ranked right", "{:.2f}"),
    ("task_score", "score that is selected on", "{:.3f}"),
    ("replay_loss", "loss of replayed rows", "{:.4g}"),
    ("anchor_kl", "anchor", "{:.3g} nats a token"),
    ("drift", "drift", "{:.3g} nats a token"),
    ("tokens_per_second", "tokens per second", "{:,.0f}"),
)


def _row(state: RunState, stage: StageState, now: float) -> StageNow:
    left = state.stage_eta(stage.name, now) if stage.open and state.outcome == "running" else None
    figures = dict(newest(stage))
    return StageNow(
        name=stage.name,
        doing=_DOING[stage.doing],
        step=f"{words.count(stage.step)} of {words.count(stage.steps)}" if stage.steps else words.DASH,
        time=f"{words.duration(left[0])} left" if left else words.duration(stage.seconds),
        loss=words.figure(figures.get("loss")),
        speed=words.count(figures.get("tokens_per_second")),
        memory=words.size(stage.memory_bytes or None),
        drift=words.figure(stage.drift_to_base),
        where=stage.where,
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
