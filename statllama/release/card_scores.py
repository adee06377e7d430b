"""The card on scores: what the stack gained, what it forgot, how far it moved. Reads records, loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from statllama.errors import StatllamaError
from statllama.evaluation.meaning import Selected, notes, sentences
from statllama.evaluation.paired import Judged, judge
from statllama.evaluation.power import smallest_for
from statllama.evaluation.scorecard import compare_scores
from statllama.evaluation.scores import Drift, TaskScore
from statllama.release.markdown import plain, table
from statllama.report.data import estimate_of
from statllama.report.words import DASH, figure, interval, p_equals, percent, points, points_interval, scored, several
from statllama.runs.family import Family
from statllama.runs.scorebook import ScoreBook
from statllama.runs.subject import BASE, StackRef, Subject

if TYPE_CHECKING:
    from statllama.store import Store


@dataclass(frozen=True)
class Recorded:
    """What the workspace has of the scores of a stack and of those below it, the base first."""

    stacks: tuple[StackRef, ...]
    scores: Mapping[str, Mapping[str, TaskScore]] = field(default_factory=dict)
    """{benchmark: {name of the stack: its score}}, of benchmarks that the base is scored on."""
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    sizes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """{(benchmark, stack): number of changes that its change from the base is judged with}; missing ones are judged
    by themselves."""
    selected: Selected = field(default_factory=dict)
    """The scores that the steps of stages were selected on."""
    problem: str = ""
    """The reason why nothing could be read."""

    @property
    def last(self) -> str:
        """Return the name of the released stack."""
        return self.stacks[-1].name

    @cached_property
    def changes(self) -> Mapping[tuple[str, str], Judged]:
        """Return {(benchmark, stack): its change from the base}."""
        return {
            (task, name): judge(compare_scores(found[BASE], score, self.sizes.get((task, name), 1)))
            for task, found in self.scores.items()
            for name, score in found.items()
            if name != BASE
        }


def recorded(subject: Subject, stack: StackRef, store: Store) -> Recorded:
    """Return the scores and drifts of the base, of each stage's stack below `stack`, and of `stack` itself."""
    names = {stage.key: stage.name for stage in subject.stages}
    below = [subject.stack(names[key]) for key in stack.keys]
    stacks = tuple({s.name: s for s in (subject.stack(BASE), *below, stack)}.values())
    if stack.name == BASE:
        stacks = (stack,)
    try:
        book = ScoreBook.of(subject, store)
        scores: dict[str, dict[str, TaskScore]] = {task: {} for task in book.fingerprints}
        for ref in stacks:
            for task, score in book.known(ref).items():
                scores[task][ref.name] = score
        drifts = {ref.name: drift for ref in stacks if (drift := book.known_drift(ref)) is not None}
    except StatllamaError as error:
        return Recorded(stacks, problem=error.message)
    found = {task: of_task for task, of_task in scores.items() if BASE in of_task}
    base, above = stacks[0], {ref.name: ref for ref in stacks[1:]}
    asked = {(t, name): (base, above[name], t) for t, of_task in found.items() for name in of_task if name in above}
    return Recorded(stacks, found, drifts, Family.of(subject).sizes(asked), subject.selected(stacks))


def scores_section(subject: Subject, found: Recorded) -> Iterator[str]:
    """Yield a table for each benchmark, and how it was measured."""
    yield "## Scores"
    if not found.scores:
        yield f"None are recorded{f': {plain(found.problem)}' if found.problem else ''}."
        return
    for task, scores in found.scores.items():
        first = scores[BASE]
        yield f"### {plain(task)}"
        yield table(
            ("model", "score", "95 % interval", "change from the base", "interval", "p", "evidence"),
            [_row(found, task, name, score) for name, score in scores.items()],
            range(1, 6),
        )
        yield " ".join((*_protocol(first), *_smallest(found, task)))
        if said := sentences(notes(scores, _against_base(scores), found.selected), tasks=False):
            yield "\n".join(f"- {plain(sentence[0].upper() + sentence[1:])}" for sentence in said)
    yield _how(subject)


def _against_base(scores: Iterable[str]) -> dict[str, tuple[str]]:
    return {name: (BASE,) for name in scores if name != BASE}


def _row(found: Recorded, task: str, name: str, score: TaskScore) -> tuple[str, ...]:
    value, judged = estimate_of(score), found.changes.get((task, name))
    label = f"**{plain(name)}**" if name == found.last else plain(name)
    label += " (selected on)" if found.selected.get(name, {}).get(task) else ""
    if judged is None:
        return label, scored(value), interval(value), *(DASH,) * 4
    return (
        label,
        scored(value),
        interval(value),
        points(judged.change.difference, score.unit),
        points_interval(judged.change, score.unit),
        p_equals(judged.p_adjusted).removeprefix("= "),
        judged.verdict,
    )


def _smallest(found: Recorded, task: str) -> Iterator[str]:
    changes = (judged.change for (name, _), judged in found.changes.items() if name == task)
    base = found.scores[task][BASE]
    if smallest := smallest_for(base.metric, base.value, changes):
        yield f"{smallest}."


def _protocol(score: TaskScore) -> Iterator[str]:
    if score.held:
        yield from _held(score)
        return
    yield f"Metric {plain(score.metric)}, version {plain(score.version)}, {several(score.n, 'item')}."
    if score.chance is not None:
        yield f"Chance is {percent(100 * score.chance)}."
    if (blind := score.blind) is not None:
        error = "" if blind.stderr is None else f", standard error {100 * blind.stderr:.1f} points"
        how = f": {plain(blind.how)}" if blind.how else ""
        yield f"The options alone give {percent(100 * blind.value)} away (blind baseline{error}{how})."
    if score.limited:
        yield f"**Only the first {score.n:,} of {score.total:,} items were scored.**"
    if score.truncated:
        yield f"{several(score.truncated, 'prompt')} did not fit and lost their beginning."


def _held(score: TaskScore) -> Iterator[str]:
    """Yield what the score on a hold-out is."""
    rows = several(score.n, "row")
    if not score.unit.loss:
        yield (
            f"Share of {several(score.n, 'preference pair')}, none of which any stage was trained on, whose chosen "
            "answer the model finds likelier than the rejected one, by the mean log-probability of its tokens. Loss of "
            f"the chosen answers before training: {score.others['loss']:.3f} nats per token."
        )
        return
    yield (
        f"Loss on {rows} that no stage was trained on, copies of them neither: nats per token, lower is better. The "
        f"perplexity of the base is {score.others['perplexity']:.2f}. Changes are paired by row, each of which weighs "
        "as much as it has tokens; intervals by Student's t, p the larger one of that test and of the sign-flip test."
    )


def _how(subject: Subject) -> str:
    spec = subject.evaluate
    asked = "through the chat template" if spec.chat_template else "as plain text"
    base = "in 4 bits (NF4)" if subject.base.quantization == "nf4" else "as stored"
    models = (
        f"The models are the stacks of adapters as they were trained, on the base {base}; how far the files here are "
        "from that is under Verification."
    )
    if not spec.tasks:
        return (
            f"{models} Intervals of changes and p are for all changes that the run asks about together (Bonferroni), "
            "whether or not they are in these tables."
        )
    return (
        f"Scored with lm-evaluation-harness: prompts {asked}, at most {spec.max_length:,} tokens of context, few-shot "
        f"examples drawn under seed {spec.seed}, greedy replies. {models} Scores have 95 % "
        "intervals by Wilson (1927), changes those of Agresti and Min (2005). p is two-sided, the larger one of that "
        "interval's test and of McNemar's mid-p test on the same items before and after. Intervals of changes and p "
        "are for all changes that the run asks about together (Bonferroni), whether or not they are in these tables: "
        "they agree with each other and with the run's scorecard. Where a benchmark names clusters of items, errors "
        "and tests are of clusters."
    )


def forgotten_section(subject: Subject, found: Recorded) -> Iterator[str]:
    """Yield the released stack's losses on benchmarks that its stages were not meant to raise, and its drift."""
    yield "## What it forgot"
    domain = subject.domain
    others = [task for task in found.scores if task not in domain and found.last in found.scores[task]]
    if found.last == BASE:
        yield "This is the base."
    elif not others:
        yield (
            "**Not measured.** No benchmark outside of what it was trained for is recorded for the base and for this "
            "model, so its losses are unknown. Assume that it lost something."
        )
    else:
        yield "\n".join(f"- {_loss(found, task)}" for task in others)
    if found.drifts:
        yield "Drift of the predictions on fixed probe texts (KL divergence, nats per token):"
        rows = [
            (plain(name), figure(drift.to_parent), figure(drift.to_base), f"{drift.tokens:,}")
            for name, drift in found.drifts.items()
        ]
        yield table(("model", "from the stage before", "from the base", "tokens"), rows, (1, 2, 3))


def _loss(found: Recorded, task: str) -> str:
    judged = found.changes[task, found.last]
    change = judged.change
    scores = [found.scores[task][name] for name in (BASE, found.last)]
    before, after = map(estimate_of, scores)
    unit = scores[0].unit
    figures = (
        f"{scored(before)} before, {scored(after)} after ({points(change.difference, unit)} {unit.of_changes}, "
        f"interval {points_interval(change, unit)}, p {p_equals(judged.p_adjusted)})"
    )
    if found.selected.get(found.last, {}).get(task):
        figures += ", a score that a step was selected on, which is no test"
    said = {
        "worse": f"**It is worse on {plain(task)} than the base**: {figures}.",
        "better": f"It is better on {plain(task)} than the base: {figures}.",
    }
    return said.get(
        judged.verdict,
        f"No evidence of a difference on {plain(task)}: {figures}. A loss of up to "
        f"{unit.figure(max(0.0, -change.low))} {unit.of_changes} is not excluded.",
    )


def missing(subject: Subject, found: Recorded, names: Sequence[str]) -> Iterator[str]:
    """Yield the benchmarks of the run that some of these stacks are not scored on."""
    for task in subject.benchmarks:
        without = [name for name in names if name not in found.scores.get(task, {})]
        if without:
            yield f"{task} was not scored for {', '.join(without)}."
