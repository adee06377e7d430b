"""Which works a run lacks, and which of them waits for which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from statllama.config.stage import TrainingSpec
from statllama.errors import StatllamaError
from statllama.runs.cluster.scoring import Scoring
from statllama.runs.cluster.work import Kind, Work
from statllama.runs.forecast.forecast import StageForecast
from statllama.runs.plan import PlannedStage, rearranged
from statllama.runs.releasing import Releases
from statllama.runs.session import Session
from statllama.runs.subject import BASE, StackRef
from statllama.store import Entry
from statllama.store.canonical import digest
from statllama.store.mirrored import bring


@dataclass
class Course:
    """One recipe's way through the workspace: its plan, as far as results have come in."""

    name: str
    """Of the run, or of the study's pipeline."""
    session: Session
    planned: Sequence[PlannedStage]
    seconds: Mapping[str, float] = field(default_factory=dict)
    """{stage: seconds that its training is forecast to take}."""
    releases: Releases | None = None
    """What of the recipe is to be released."""
    lacks: tuple[tuple[Work, frozenset[str]], ...] = ()
    """The works that are still to be done, in the recipe's order, each with the ids of those before it."""

    def __post_init__(self) -> None:
        self.scoring = Scoring(self.session)
        self.lacks = tuple(self._works())

    @property
    def needs(self) -> Mapping[str, StageForecast]:
        """Return {stage: memory and disk that it is forecast to need}."""
        return self.session.needs

    def take(self, done: Work) -> None:
        """Note that a work is published. Where a gate may leave a stage out, what stands on it is planned anew.

        Else the workspace is not read: in a study of a thousand recipes hundreds of courses want the same stage.
        """
        session = self.session
        if session.recipe.evaluate.gates:
            self.planned = rearranged(session.recipe, session.store, self.planned, session.tasks, session.scorer.held)
            self.lacks = tuple(self._works())
        else:
            self.lacks = tuple((work, needs) for work, needs in self.lacks if work.id != done.id)

    def give_up(self, work: Work, error: StatllamaError) -> None:
        """Go on without a work on which no other hangs: a release."""
        if self.releases is not None:
            self.releases.failed[work.key] = error
        self.lacks = tuple((one, needs) for one, needs in self.lacks if one.id != work.id)

    def holds(self, work: Work) -> bool:
        """Return whether the workspace has what the work was to publish."""
        session = self.session
        if work.kind in ("train", "release"):
            return session.store.find(work.shelf, work.key) is not None
        if work.kind == "score":
            return session.scorer.entry(work.key) is not None
        assert work.stack is not None
        drifts, asked = work.stack.name != BASE, bool(session.recipe.evaluate.prompts)
        return not (drifts and session.scorer.known_drift(work.stack) is None) and not (
            asked and session.scorer.known_answers(work.stack) is None
        )

    def _works(self) -> Iterator[tuple[Work, frozenset[str]]]:
        """Yield each work that the workspace lacks, with the ids of those that must be done before, in the recipe's
        order.

        A stage whose gates are not answered ends the list: they decide what later stages stand on.
        """
        trained: dict[str, str] = {}  # key: id of the work that trains it
        yield from self._scores(StackRef(BASE, None), trained, None)
        seen = {BASE}
        for stage in self.planned:
            if stage.entry is None:
                work = self._training(stage)
                trained[stage.key] = work.id
                yield work, frozenset(trained[key] for key in (*stage.below, *stage.siblings) if key in trained)
            for stack in (stage.parent, stage.stack) if stage.joined else (stage.stack,):
                if stack.name not in seen:
                    seen.add(stack.name)
                    yield from self._scores(stack, trained, stage if stack.name == stage.spec.name else None)
            if self._undecided(stage):
                return
            yield from self._released(stage, trained)

    def _undecided(self, stage: PlannedStage) -> bool:
        """Return whether later stages must wait for this one's gates, or are not run for them."""
        name, gates = stage.spec.name, self.session.recipe.evaluate.gates.values()
        asked = [gate for gate in gates if gate.stages is None or name in gate.stages]
        return bool(asked) and (not stage.answers or any(answer.stops for answer in stage.answers))

    def _training(self, stage: PlannedStage) -> Work:
        session, name = self.session, stage.spec.name
        return Work(
            "train",
            name,
            stage.key,
            session.recipe,
            session.identity,
            stage=stage,
            forecast=(needs := self.needs.get(name)),
            least=0.0 if needs is None else needs.least,
            wanted=0.0 if needs is None or needs.memory is None else needs.memory.high,
            devices=stage.spec.train.devices if isinstance(stage.spec, TrainingSpec) else 1,
            seconds=self.seconds.get(name),
            wait=session.wait,
        )

    def _scores(
        self, stack: StackRef, trained: Mapping[str, str], ends: PlannedStage | None
    ) -> Iterator[tuple[Work, frozenset[str]]]:
        """Yield the works that score a stack, and measure the drift of one that a stage `ends`."""
        session, scorer = self.session, self.session.scorer
        needs = frozenset(trained[key] for key in stack.keys if key in trained)
        lacking = [(task, key) for task, key in scorer.keys(stack).items() if scorer.entry(key) is None]
        room = self.scoring.least(stack, self.planned)

        def work(kind: Kind, key: str, task: str = "", seconds: float | None = None) -> Work:
            about = (session.recipe, session.identity)
            more: dict[str, Any] = {"seconds": seconds, "least": room, "wanted": room, "wait": session.wait}
            return Work(kind, stack.name, key, *about, stack=stack, task=task, **more)

        for task, key in lacking:
            if self._bring(key) is None:
                yield work("score", key, task, self.scoring.seconds(task)), needs
        asked = bool(session.recipe.evaluate.prompts) and (ends is not None or stack.name == BASE)
        moved, told = scorer.drift_protocol(stack), scorer.prompts_protocol(stack)
        lacks_drift = ends is not None and scorer.known_drift(stack) is None and self._bring(digest(moved)) is None
        if lacks_drift or (asked and scorer.known_answers(stack) is None and self._bring(digest(told)) is None):
            key = digest([moved, told if asked else None])
            seconds = None if asked or ends is None else self.scoring.drift(ends)
            yield work("measure", key, seconds=seconds), needs

    def _released(self, stage: PlannedStage, trained: Mapping[str, str]) -> Iterator[tuple[Work, frozenset[str]]]:
        """Yield the works that write and verify the stage's releases. They wait for no score: the card comes later."""
        session = self.session
        for ask, stack in self.releases.asks(stage, self.planned) if self.releases is not None else ():
            needs = frozenset(trained[key] for key in stack.keys if key in trained)
            about = (stage.spec.name, ask.key, session.recipe, session.identity)
            yield Work("release", *about, stack=stack, release=ask, wait=session.wait), needs

    def _bring(self, key: str) -> Entry | None:
        """Return a score that the workspace's mirror has, if it has a mirror."""
        return bring(self.session.store, "scores", key)


@dataclass(frozen=True)
class Agenda:
    """All works of several courses that are still to be done."""

    works: Mapping[str, Work]
    """By id, in the order of the courses."""
    needs: Mapping[str, frozenset[str]]
    of: Mapping[str, tuple[str, ...]]
    """{work: names of the courses that want it}."""

    @classmethod
    def of_courses(cls, courses: Sequence[Course]) -> Agenda:
        """Return what these courses lack together; what several of them lack is in it once."""
        works: dict[str, Work] = {}
        needs: dict[str, frozenset[str]] = {}
        wanted: dict[str, tuple[str, ...]] = {}
        for course in courses:
            for work, before in course.lacks:
                works.setdefault(work.id, work)
                needs[work.id] = needs.get(work.id, frozenset()) | before
                wanted[work.id] = (*wanted.get(work.id, ()), course.name)
        return cls(works, needs, wanted)

    def without(self, done: Work) -> Agenda:
        """Return the agenda once a work is done."""
        return replace(self, works={name: work for name, work in self.works.items() if name != done.id})
