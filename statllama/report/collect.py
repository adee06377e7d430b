"""A run's records, gathered from its workspace for the report. It loads, trains and scores nothing.

What is not recorded (a stage that is not trained, a stack without a score) is left out, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from statllama.evaluation.chosen import spoken_choice
from statllama.evaluation.gates import answers
from statllama.evaluation.meaning import Selected, notes, sentences
from statllama.evaluation.paired import Judged, judge, paired_change
from statllama.evaluation.power import smallest_for
from statllama.evaluation.scorecard import compare_scores
from statllama.evaluation.scores import TaskScore, floor_known
from statllama.evaluation.unit import SHARE, Unit
from statllama.report.curves import BEHAVIOUR
from statllama.report.data import (
    Benchmark,
    Curve,
    Delta,
    DialData,
    DialPoint,
    Gate,
    Prompted,
    PromptReply,
    ReportData,
    Score,
    Source,
    Stage,
    Topic,
    estimate,
    estimate_of,
)
from statllama.report.environment import environment_of, readable
from statllama.report.flips import flips_of
from statllama.report.words import several
from statllama.runs.family import Family
from statllama.runs.scorebook import ScoreBook, with_samples
from statllama.runs.subject import BASE, StackRef, Subject, TrainedStage
from statllama.store.files import read_json

if TYPE_CHECKING:
    from statllama.runs.attribution import Dial, Notch
    from statllama.store import Store

Scores = Mapping[str, Mapping[str, TaskScore]]
"""{benchmark: {stack: its score}}; the stacks in the order of the recipe, the base first."""
AllJudged = Mapping[tuple[str, str, str], Judged]
"""{(benchmark, stack, what it is compared with): the change}"""


def collect(subject: Subject, store: Store, *, ended: bool = True) -> ReportData:
    """Return all that the page shows of a run. StoreError for a damaged score, BenchmarkError for a benchmark that is
    gone. Of a run that has not `ended`, scores that are missing may come yet, so no note tells of them.
    """
    book = ScoreBook.of(subject, store)
    stacks = subject.stacks()
    last = subject.last if subject.trained else None
    shown = _compared(stacks, last)
    scores = {name: found for name, found in _scores(store, book, stacks, shown).items() if BASE in found}
    wanted = subject.domain
    judged = _judged(Family.of(subject), stacks, scores)
    selected = subject.selected(stacks)
    record, gates = subject.record, tuple(_gates(subject, stacks, scores))
    return ReportData(
        name=subject.name,
        description=subject.description,
        base=readable(subject, subject.base.model),
        stages=tuple(_stage(subject, stage, book) for stage in subject.stages),
        benchmarks=tuple(
            _benchmark(found, stacks, judged, last, task in wanted, selected) for task, found in scores.items()
        ),
        flips=tuple(
            flips_of(found[before], found[after], before, after)
            for before, after in _pairs(shown)
            for found in scores.values()
            if before in found and after in found
        ),
        gates=gates,
        notes=(
            *(f"{gate.said}." for gate in gates if gate.test.answer != "held"),
            *_notes(subject, stacks, scores, ended),
        ),
        environment=environment_of(subject),
        recipe=readable(subject, str(record.get("resolved", ""))),
        overrides=tuple(str(override) for override in record.get("overrides", ())),
        last=last,
        prompted=tuple(_prompted(subject, stacks, book)),
    )


def collect_dial(result: Dial, subject: Subject) -> DialData:
    """Return a dial that was scored just now, for its page: the first domain benchmark against the first other one."""
    tasks = [score.task for score in result.notches[0].scores]
    wanted = subject.domain or tuple(tasks[:1])
    domain = next((task for task in tasks if task in wanted), tasks[0])
    return DialData(
        name=subject.name,
        stage=result.stage,
        stack=result.stack,
        points=tuple(_setting(notch) for notch in result.notches),
        domain=domain,
        general=next((task for task in tasks if task not in wanted), None),
        notes=tuple(_dial_notes(result)),
    )


def _dial_notes(result: Dial) -> Iterator[str]:
    for i, score in enumerate(result.notches[0].scores):
        yield from _limits([score])
        shown = {f"scale {notch.factor:g}": notch.scores[i] for notch in result.notches}
        yield from sentences(notes(shown, None, dict.fromkeys(shown, result.selected)))


def _setting(notch: Notch) -> DialPoint:
    units = {score.task: score.unit for score in notch.scores}
    deltas = {task: _delta("scale 1", judged, units[task]) for task, judged in notch.changes.items()}
    return DialPoint(notch.factor, {score.task: estimate_of(score) for score in notch.scores}, deltas)


def _compared(stacks: Sequence[StackRef], last: str | None) -> tuple[str, ...]:
    """Return the stacks whose answers are shown: the base, what the last one was trained on, and the last one."""
    parent = next((stack.parent for stack in stacks if stack.name == last), None)
    return tuple(dict.fromkeys(name for name in (BASE, parent, last) if name is not None))


def _pairs(shown: Sequence[str]) -> list[tuple[str, str]]:
    return [(before, shown[-1]) for before in shown[:-1]]


def _scores(
    store: Store, book: ScoreBook, stacks: Sequence[StackRef], with_answers: Sequence[str]
) -> dict[str, dict[str, TaskScore]]:
    found: dict[str, dict[str, TaskScore]] = {}
    for stack in stacks:
        for task, key in book.keys(stack).items():
            entry = store.find("scores", key)
            of_task = found.setdefault(task, {})
            if entry is not None and stack.name in with_answers:
                of_task[stack.name] = with_samples(store, key)
            elif entry is not None:
                of_task[stack.name] = TaskScore.from_json(entry.manifest["score"])
    return found


def _judged(family: Family, stacks: Sequence[StackRef], scores: Scores) -> AllJudged:
    """Compare each stack with the base and with its parent on each benchmark."""
    named = {stack.name: stack for stack in stacks}
    asked = {
        (task, stack.name, other): (named[other], stack, task)
        for task, found in scores.items()
        for stack in stacks
        for other in dict.fromkeys((BASE, stack.parent) if stack.parent is not None else ())
        if other in found and stack.name in found
    }
    return {
        (task, name, other): judge(compare_scores(scores[task][other], scores[task][name], size))
        for (task, name, other), size in family.sizes(asked).items()
    }


def _delta(against: str, judged: Judged, unit: Unit) -> Delta:
    return Delta(against, judged.change, judged.p_adjusted, judged.verdict, unit)


def _benchmark(
    found: Mapping[str, TaskScore],
    stacks: Sequence[StackRef],
    judged: AllJudged,
    last: str | None,
    domain: bool,
    selected: Selected,
) -> Benchmark:
    base, rows = found[BASE], []
    for stack in stacks:
        if (own := found.get(stack.name)) is None:
            continue
        from_base = judged.get((base.task, stack.name, BASE))
        from_parent = judged.get((base.task, stack.name, stack.parent or ""))
        rows.append(
            Score(
                stack=stack.name,
                estimate=estimate_of(own),
                n=own.n,
                total=own.total,
                truncated=own.truncated,
                from_base=_delta(BASE, from_base, own.unit) if from_base else None,
                from_parent=_delta(stack.parent, from_parent, own.unit) if stack.parent and from_parent else None,
                selected=bool(selected.get(stack.name, {}).get(base.task)),
            )
        )
    changes = [score.from_base.change for score in rows if score.from_base is not None]
    smallest = smallest_for(base.metric, base.value, changes)
    return Benchmark(
        base.task,
        base.metric,
        base.version,
        tuple(rows),
        tuple(_topics(found, last)),
        domain,
        str(smallest or ""),
        *floor_known(found.values()),
    )


def _topics(found: Mapping[str, TaskScore], last: str | None) -> Iterator[Topic]:
    """Yield the scores by topic, for a benchmark whose items name one; changes of `last` from the base are a family."""
    places: dict[str, list[int]] = {}
    for place, sample in enumerate(found[BASE].samples):
        if isinstance(topic := sample.get("topic"), str):
            places.setdefault(topic, []).append(place)
    if not places:
        return
    items = {name: [score.items[i] for i in range(score.n)] for name, score in found.items()}
    all_clusters = found[BASE].clusters
    clusters = {topic: all_clusters and [all_clusters[i] for i in at] for topic, at in places.items()}
    changes = {}
    if last in items and last != BASE:
        for topic, at in places.items():
            before, after = ([items[name][i] for i in at] for name in (BASE, last))
            changes[topic] = judge(paired_change(before, after, clusters[topic], len(places), found[last].smooth))
    for topic, at in places.items():
        estimates = {name: estimate([values[i] for i in at], clusters[topic]) for name, values in items.items()}
        yield Topic(topic, len(at), estimates, _delta(BASE, changes[topic], SHARE) if topic in changes else None)


def _stage(subject: Subject, stage: TrainedStage, book: ScoreBook) -> Stage:
    if stage.entry is None:
        return Stage(stage.name, stage.type, stage.parents, key=stage.key)
    manifest = stage.entry.manifest
    metrics, files = manifest["metrics"], manifest["files"]
    drift = book.known_drift(subject.stack(stage.name))
    return Stage(
        name=stage.name,
        type=stage.type,
        parents=tuple(manifest["config"].get("of", ())) or stage.parents,  # a blend comes from its siblings
        settings=_settings(manifest["config"]),
        key=stage.key,
        trained=True,
        left_out=stage.left_out,
        created=manifest["created"],
        steps=metrics.get("steps"),
        tokens=metrics.get("tokens"),
        seconds=metrics.get("seconds"),
        forecast={what: made["usual"] for what, made in (manifest.get("forecast") or {}).items() if "usual" in made},
        adapter_bytes=files.get("adapter_model.safetensors", {}).get("bytes"),
        peak_memory_bytes=metrics.get("peak_memory_bytes"),
        curve=_curve(read_json(stage.entry.path / "history.json")),
        sources=tuple(_source(source) for source in manifest.get("data", {}).get("sources", ())),
        drift_base=drift.to_base if drift else None,
        drift_parent=drift.to_parent if drift else None,
    )


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that a reader asks for first; the recipe has them all."""
    train, lora = config.get("train", {}), config.get("lora", {})
    chosen = {
        "learning rate": train.get("learning_rate"),
        "batch": train.get("batch_size"),
        "epochs": train.get("epochs"),
        "rank": lora.get("r"),
    }
    return {name: f"{value:g}" for name, value in chosen.items() if isinstance(value, int | float)}


def _curve(history: Any) -> Curve | None:
    if not isinstance(history, list) or not history:
        return None
    steps = tuple(int(entry.get("step", place)) for place, entry in enumerate(history, start=1))
    rows = list(zip(steps, history, strict=True))
    others = {panel.name: logged_of(rows, panel.name) for panel in BEHAVIOUR}
    return Curve(
        steps,
        loss=tuple(entry.get("loss") for entry in history),
        learning_rate=tuple(entry.get("learning_rate") for entry in history),
        grad_norm=tuple(entry.get("grad_norm") for entry in history),
        reward=tuple(e.get("reward") for e in history) if any("reward" in entry for entry in history) else (),
        others={name: points for name, points in others.items() if points},
    )


def logged_of(
    rows: Iterable[tuple[float, Mapping[str, float]]], name: str, unit: float = 1.0
) -> tuple[tuple[float, float], ...]:
    """Return (step, value in units) of a figure where it was logged. `rows`: (step, figures)."""
    return tuple((float(step), row[name] / unit) for step, row in rows if row.get(name) is not None)


def _prompted(subject: Subject, stacks: Sequence[StackRef], book: ScoreBook) -> Iterator[Prompted]:
    answers = {s.name: found for s in stacks if (found := book.known_answers(s)) is not None}
    for place, prompt in enumerate(subject.evaluate.prompts):
        given = [(name, found[place]) for name, found in answers.items()]
        yield Prompted(prompt, tuple(PromptReply(name, one.text, one.ended) for name, one in given))


def _source(source: Mapping[str, Any]) -> Source:
    return Source(
        name=source["name"],
        rows=source["rows_read"],
        used=source["rows_used"],
        examples=source["examples"],
        tokens=source["tokens"],
        supervised=source["supervised_tokens"],
        truncated=source["truncated"],
        dropped=dict(source["dropped"]),
    )


def _gates(subject: Subject, stacks: Sequence[StackRef], scores: Scores) -> Iterator[Gate]:
    names = {stage.name for stage in subject.stages}
    for task, gate in subject.evaluate.gates.items():
        found = scores.get(task, {})
        for stack in stacks[1:]:
            if stack.name not in names:
                continue  # a stack of several parents, which no stage ends
            against = BASE if gate.against == "base" or stack.parent is None else stack.parent
            own, before = found.get(stack.name), found.get(against)
            if own is None or before is None or (gate.stages is not None and stack.name not in gate.stages):
                continue
            (answer,) = answers({task: gate}, stack.name, [own], [found[BASE]], [before])
            yield Gate(stack.name, task, against, answer.test, str(answer), own.unit)


def _notes(subject: Subject, stacks: Sequence[StackRef], scores: Scores, ended: bool) -> Iterator[str]:
    for stage in subject.trained:
        if stage.left_out:
            yield f"{stage.name} is left out: later stages are trained on its parent."
        if stage.entry is not None and stage.entry.manifest["metrics"].get("ended_by") == "drift":
            yield f"{stage.name} drifted beyond its cap; its adapter is the last one within it."
        if stage.entry is not None and (chosen := spoken_choice(stage.entry.manifest["metrics"])):
            yield f"{stage.name}: {chosen}."
    selected = subject.selected(stacks)
    for task in subject.benchmarks:
        found = scores.get(task, {})
        missing = [stack.name for stack in stacks if stack.name not in found]
        if missing and ended:
            what = f"{task} is not scored" + (f" for {', '.join(missing)}" if found else "")
            yield f"{what}; `statllama eval {subject.name}` scores it."
        yield from _limits(list(found.values()))
        yield from _meanings(stacks, found, selected)


def _meanings(stacks: Sequence[StackRef], found: Mapping[str, TaskScore], selected: Selected) -> Iterator[str]:
    """Yield what the scores on one benchmark cannot mean."""
    before = {
        stack.name: [name for name in dict.fromkeys((stack.parent, BASE)) if name in found]
        for stack in stacks
        if stack.name in found and stack.parent is not None
    }
    yield from sentences(
        notes({stack.name: found[stack.name] for stack in stacks if stack.name in found}, before, selected)
    )


def _limits(scores: Sequence[TaskScore]) -> Iterator[str]:
    """Yield the reasons why the scores on one benchmark are worth less than they look."""
    if not scores:
        return
    first = scores[0]
    if first.limited:
        yield f"{first.task}: only the first {first.n:,} of {first.total:,} items are scored."
    if most := max(score.truncated for score in scores):
        yield f"{first.task}: {several(most, 'prompt')} of {first.n:,} did not fit and lost their beginning."
