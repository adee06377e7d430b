"""Scores stacks of one base on one set of benchmarks: taken from the workspace, or computed once and kept there.

A score is kept by stack, base, protocol and questions (`evaluate.protocol_key`), whichever command asked for it. While
it is computed each answer is written down, so a killed evaluation goes on where it was. Beside the score lies
`samples.jsonl`, one JSON record an item.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from statllama.config.benchmarks import TaskFile, chosen_tasks, task_fingerprint
from statllama.config.evaluate import EvaluateSpec
from statllama.config.metrics import HOLDOUT
from statllama.data.work import Work
from statllama.errors import EvaluationError, InputChanged, StoreError, UsageError
from statllama.evaluation.answers import Answers
from statllama.evaluation.held_score import HeldTask
from statllama.evaluation.scores import Drift, TaskScore
from statllama.evaluation.suite import Suite
from statllama.model.precision import compute_type
from statllama.runs.forecast.machine import this_machine
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import SAMPLES, ScoreBook
from statllama.runs.subject import BASE, StackRef, Subject
from statllama.runs.watch.run_state import PromptAnswer
from statllama.store import Store
from statllama.store.canonical import digest
from statllama.store.files import translate_os_errors
from statllama.store.leases import working
from statllama.store.mirrored import bring, offer
from statllama.store.versions import installed_versions

if TYPE_CHECKING:
    from statllama.data.holdout import Holdout

ANSWERS = "answers.jsonl"  # of a score that is under way

T = TypeVar("T")


class Scorer(ScoreBook):
    """Scores of any stacks on one loaded base: taken from the workspace, or computed and kept there."""

    def __init__(
        self,
        loaded: Loaded,
        tasks: Sequence[TaskFile],
        spec: EvaluateSpec,
        precision: str,
        *,
        wait: bool = True,
        holdouts: Callable[[], Sequence[Holdout]] = tuple,
        held: Callable[[], Sequence[HeldTask]] | None = None,
    ) -> None:
        """Take `wait`: whether to wait for a score that another process computes, or raise StoreError at once.

        `holdouts`: returns the rows kept out of training, on which stacks are scored too; `held`: what they are scored
        as, where that is known without them.
        """
        named = held or (lambda: [HeldTask.of(each) for each in holdouts()])
        super().__init__(loaded.store, loaded.identity, tasks, spec, compute_type(precision), named)
        self.loaded, self.precision, self.wait = loaded, precision, wait
        self.suite = Suite(tasks, spec, loaded.reporter.note, holdouts)

    def score(self, stack: StackRef) -> tuple[TaskScore, ...]:
        """Return the stack's scores, a benchmark each, without their samples."""
        keys = self.publish(stack, tuple(self.fingerprints))
        scores = self.recorded(stack)
        assert scores is not None
        offer(self.store, "scores", keys)
        for score in scores:
            self.loaded.reporter.scored(stack.name, score)
        return scores

    def publish(self, stack: StackRef, tasks: Sequence[str]) -> tuple[str, ...]:
        """Have the workspace hold the stack's scores on these benchmarks; return their keys."""
        keys = {task: key for task, key in self.keys(stack).items() if task in tasks}
        missing = [
            name for name, key in keys.items() if not (self._sound(key) or bring(self.store, "scores", key, fresh=True))
        ]
        if missing:
            for name in missing:
                self.suite.load(name)  # what is wrong with a benchmark shows before a model is loaded
            self.loaded.require_effect(stack.parts)
            with self.attached(stack) as model:
                for name in missing:
                    self._compute(stack, name, keys[name], model)
        return tuple(keys.values())

    def _sound(self, key: str) -> bool:
        """Return whether the workspace holds the score and its samples, unharmed."""
        entry = self.entry(key)
        return entry is not None and self.store.flaw(entry, contents=True) is None

    def drift(self, stack: StackRef) -> Drift:
        """Measure how far the stack's predictions have moved on the probe texts: see `drift.py`.

        EvaluationError when its last adapter, which is not zero, has moved nothing: it is not at work. A 16-bit base
        may round a very small one away: that is noted.
        """
        known = self.known_drift(stack)
        if known is None:
            known = self._measure_drift(stack)
        offer(self.store, "scores", [digest(self.drift_protocol(stack))])
        if not known.to_parent and not self.loaded.zero(stack.parts[-1:]):
            self._question(stack)
        self.loaded.reporter.drifted(stack.name, known)
        return known

    def _question(self, stack: StackRef) -> None:
        """Raise EvaluationError for an adapter without effect, or note it where 16 bits may explain that."""
        what = f"{stack.name}: its adapter is attached, but changes no prediction on the probe texts"
        if str(self.loaded.base(self.precision).dtype) != "torch.float32":
            self.loaded.reporter.note(f"{what}: it is too small for 16 bits, or a library ignores it")
            return
        raise EvaluationError(
            what, remedy="run `statllama doctor`: a version outside the known-good set may ignore adapters"
        )

    def _measure_drift(self, stack: StackRef) -> Drift:
        from statllama.evaluation.drift import drift, rows_for
        from statllama.evaluation.probe import probe_work

        def make() -> tuple[Drift, Work]:
            base, adapters = self.loaded.base(self.precision), self.loaded.adapters(stack.parts)
            return drift(base, adapters), probe_work(rows_for(base), len(adapters))

        return self._once("drift", stack, self.drift_protocol(stack), self.known_drift, make, asdict)

    def answers(self, stack: StackRef) -> tuple[PromptAnswer, ...]:
        """Return the stack's answers to the user's prompts (`evaluate.prompts`). EvaluationError for one that is too
        long for the model.
        """
        found = self.known_answers(stack) or self._answer_prompts(stack)
        offer(self.store, "scores", [digest(self.prompts_protocol(stack))])
        self.loaded.reporter.answered(stack.name, found)
        return found

    def _answer_prompts(self, stack: StackRef) -> tuple[PromptAnswer, ...]:
        from statllama.runs.prompts import answers_to

        def make() -> tuple[tuple[PromptAnswer, ...], None]:
            with self.attached(stack) as model, self.loaded.reporter.busy(f"{stack.name}: answering your prompts"):
                return answers_to(self.spec, model, self.loaded.tokenizer), None

        def plain(answers: Sequence[PromptAnswer]) -> list[dict[str, Any]]:
            return [asdict(answer) for answer in answers]

        return self._once("answers", stack, self.prompts_protocol(stack), self.known_answers, make, plain)

    def _once(
        self,
        kind: str,
        stack: StackRef,
        protocol: dict[str, Any],
        known: Callable[[StackRef], T | None],
        make: Callable[[], tuple[T, Work | None]],
        plain: Callable[[T], object],
    ) -> T:
        """Return what `known` finds of a stack, or what `make` makes, published as `plain` JSON under `kind`, with its
        time.
        """
        key = digest(protocol)
        bring(self.store, "scores", key, fresh=True)
        with self.store.hold("scores", key, on_wait=self.loaded.reporter.waiting(stack.name), wait=self.wait):
            if (found := known(stack)) is None:
                self.store.partial("scores", key, {"kind": kind, "name": stack.name, "protocol": protocol})
                self.loaded.base(self.precision)  # loading it is not part of the time
                began = time.perf_counter()
                found, read = make()
                took = {"seconds": round(time.perf_counter() - began, 3), **self._where()}
                took |= {} if read is None else {"read": read.as_json()}
                self.store.fresh_out("scores", key)
                manifest = {"kind": kind, "name": stack.name, "protocol": protocol, kind: plain(found), **took}
                self.store.publish("scores", key, manifest)
        return found

    @contextmanager
    def attached(self, stack: StackRef) -> Iterator[Any]:
        """Yield the loaded model with the stack on it."""
        from statllama.model.base_model import scoring

        with scoring(self.loaded.base(self.precision), self.loaded.adapters(stack.parts)) as model:
            yield model

    def _compute(self, stack: StackRef, task: str, key: str, model: Any) -> None:
        store, reporter = self.store, self.loaded.reporter
        what = f"{stack.name} on {task}"
        with store.hold("scores", key, on_wait=reporter.waiting(what), wait=self.wait) as hold:
            if store.sound("scores", key, lambda wrong: reporter.note(f"{what}: {wrong}, so it is scored again")):
                return
            self._require_unchanged(task)
            about = {"kind": "score", "name": stack.name, "task": task, "protocol": self.protocol(stack, task)}
            answers = Answers(store.partial("scores", key, about) / ANSWERS, hold.heed)
            try:
                with reporter.scoring(stack.name, task) as progress:
                    result = self.suite.score(task, model, self.loaded.tokenizer, answers, progress)
            finally:
                answers.close()
            self._require_unchanged(task)
            out = store.fresh_out("scores", key)
            with translate_os_errors(out):
                lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in result.samples)
                (out / SAMPLES).write_text("".join(lines), encoding="utf-8")
            spent = self.suite.spent
            manifest = {
                "kind": "score",
                "name": stack.name,
                "stack": [list(part) for part in stack.parts],
                "protocol": self.protocol(stack, task),
                "score": result.to_json(),
                "spent": {"asked": spent.asked, "requests": spent.requests, "read": spent.read.as_json()},
                "versions": installed_versions(),
                **self._where(),
            }
            store.publish("scores", key, manifest)

    def _where(self) -> dict[str, Any]:
        base = self.loaded.base(self.precision)
        dtype = str(base.dtype).removeprefix("torch.")
        return {"backend": base.backend, "dtype": dtype, "machine": this_machine().as_json()}

    def _require_unchanged(self, task: str) -> None:
        """Raise InputChanged when the benchmark's files are not those that the score's key was made of.

        A hold-out's key is made of the rows that are scored.
        """
        if task.startswith(HOLDOUT):
            return
        file = self.suite.tasks[task]
        if any(not path.is_file() for path in file.files) or task_fingerprint(file) != self.fingerprints[task]:
            raise InputChanged(
                f"benchmark {task}: a file of it ({', '.join(map(str, file.files))}) changed while it was scored, so "
                "the score is not published",
                remedy="run again: it is scored with the files as they are now",
            )


def open_scorer(subject: Subject, store: Store, reporter: Reporter, *, wait: bool = True) -> Scorer:
    """Return a scorer of the subject's stacks. BenchmarkError for a benchmark that is not there, UsageError for
    none.
    """
    if not (subject.evaluate.tasks or subject.held):
        raise UsageError(
            f"{subject.name} names no benchmark to score", remedy="choose some: --task ap_statistics --task gsm8k"
        )
    tasks = chosen_tasks(subject.evaluate, subject.root)
    loaded = Loaded(subject.base, subject.identity, store, reporter, subject.evaluate.max_length)
    rows = cache(lambda: tuple(_kept(subject, task, store) for task in subject.held))
    return Scorer(
        loaded, tasks, subject.evaluate, subject.precision, wait=wait, holdouts=rows, held=lambda: subject.held
    )


def _kept(subject: Subject, task: HeldTask, store: Store) -> Holdout:
    """Return the rows of a recorded run's hold-out. StoreError where the workspace does not have them any more."""
    from statllama.data.holdout import kept

    found = kept(store.root, task.name.removeprefix(HOLDOUT), task.kept_in)
    if found is None or found.fingerprint != task.fingerprint:
        raise StoreError(
            f"the rows of {task.name} are not in the workspace any more, so nothing can be scored on them",
            remedy=f"prepare them again: {subject.again}; or choose benchmarks: --task NAME",
        )
    return found


@contextmanager
def scoring_here(store: Store, subject: Subject) -> Iterator[None]:
    """Enclose work on the subject's scores: its results, and the scores of its stacks, are not cleared away."""
    with ExitStack() as stack:
        with suppress(StoreError):  # from a workspace that cannot be written nothing can be cleared away
            lease = stack.enter_context(working(store))
            bare = {"name": subject.name, "order": [], "stages": {}, "identity": dict(subject.identity)}
            lease.only(subject.record or bare)
        yield


@contextmanager
def reading_here(store: Store, subject: Subject) -> Iterator[None]:
    """Enclose work with the results of a recorded run, as `scoring_here`. Makes no workspace where there is none."""
    with scoring_here(store, subject) if subject.record else nullcontext():
        yield


def origin(subject: Subject, scorer: Scorer) -> dict[str, Any]:
    """Return what was evaluated and how, for files that leave the workspace."""
    protocol = scorer.protocol(StackRef(BASE, None), next(iter(scorer.fingerprints)))
    protocol["tasks"] = scorer.fingerprints
    del protocol["stack"]
    return {"subject": subject.name, "model": subject.base.model_dump(mode="json"), "protocol": protocol}
