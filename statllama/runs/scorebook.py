"""The scores that a workspace holds: of one base's stacks, and of several models, chosen so that they compare.

Loads no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from statllama.config.benchmarks import TaskFile, chosen_tasks, task_fingerprint
from statllama.config.evaluate import EvaluateSpec
from statllama.config.metrics import HOLDOUT
from statllama.errors import UsageError
from statllama.evaluation import held_score
from statllama.evaluation.compare import MODEL, Record, Scored
from statllama.evaluation.held_score import HeldTask
from statllama.evaluation.probe import probe_version
from statllama.evaluation.scores import Drift, TaskScore
from statllama.evaluation.suite import protocol_key
from statllama.runs.subject import StackRef, Subject
from statllama.runs.watch.run_state import PromptAnswer
from statllama.store import Entry, Store
from statllama.store.canonical import digest
from statllama.store.files import translate_os_errors

SAMPLES = "samples.jsonl"

ByProtocol = Mapping[str, Entry]


class ScoreBook:
    """The scores of one base's stacks on a set of benchmarks that a workspace holds. Loads nothing."""

    def __init__(
        self,
        store: Store,
        identity: Mapping[str, Any],
        tasks: Sequence[TaskFile],
        spec: EvaluateSpec,
        compute: str,
        held: Callable[[], Sequence[HeldTask]] = tuple,
    ) -> None:
        """Take the base's `identity` (see `identity.base_identity`) and compute type (see `precision.compute_type`).

        `held`: returns the hold-outs that stacks are scored on too; called when a score is first asked for.
        """
        self.store, self.spec = store, spec
        self.identity, self.compute = dict(identity), compute
        self._held = held
        self._of_tasks = {task.name: task_fingerprint(task) for task in tasks}

    @classmethod
    def of(cls, subject: Subject, store: Store) -> ScoreBook:
        """Return the scores of a subject's stacks. BenchmarkError for a benchmark that is gone."""
        tasks = chosen_tasks(subject.evaluate, subject.root)
        return cls(store, subject.identity, tasks, subject.evaluate, subject.compute, lambda: subject.held)

    @cached_property
    def held(self) -> tuple[HeldTask, ...]:
        """Return the hold-outs that stacks are scored on."""
        return tuple(self._held())

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Return {benchmark or hold-out: hash of what is asked}."""
        return self._of_tasks | {task.name: task.fingerprint for task in self.held}

    def protocol(self, stack: StackRef, task: str) -> dict[str, Any]:
        """Return the key material of the stack's score on a benchmark."""
        if task.startswith(HOLDOUT):
            fingerprint = self.fingerprints[task]
            return held_score.protocol_key(task, fingerprint, stack.identity, self.identity, self.compute)
        return protocol_key(self.spec, {task: self.fingerprints[task]}, stack.identity, self.identity, self.compute)

    def keys(self, stack: StackRef) -> dict[str, str]:
        """Return {benchmark: key of the stack's score}."""
        return {task: digest(self.protocol(stack, task)) for task in self.fingerprints}

    def recorded(self, stack: StackRef) -> tuple[TaskScore, ...] | None:
        """Return the stack's scores without their samples, or None when one is missing."""
        known = self.known(stack)
        return tuple(known.values()) if len(known) == len(self.fingerprints) else None

    def known(self, stack: StackRef) -> dict[str, TaskScore]:
        """Return {benchmark: the stack's score without its samples}, as far as the workspace has them."""
        entries = {task: self.entry(key) for task, key in self.keys(stack).items()}
        return {task: TaskScore.from_json(e.manifest["score"]) for task, e in entries.items() if e is not None}

    def entry(self, key: str) -> Entry | None:
        """Return a recorded score whose files are there, with their sizes."""
        entry = self.store.find("scores", key)
        return None if entry is None or self.store.flaw(entry, contents=False) else entry

    def drift_protocol(self, stack: StackRef) -> dict[str, Any]:
        """Return the key material of the stack's drift."""
        return {"drift": probe_version(), "base": self.identity, "compute": self.compute, "stack": stack.identity}

    def known_drift(self, stack: StackRef) -> Drift | None:
        """Return the stack's drift, if the workspace has it."""
        entry = self.store.find("scores", digest(self.drift_protocol(stack)))
        return None if entry is None else Drift(**entry.manifest["drift"])

    def prompts_protocol(self, stack: StackRef) -> dict[str, Any]:
        """Return the key material of the stack's answers to the user's prompts."""
        asked = self.spec.model_dump(mode="json", include={"prompts", "prompt_tokens", "max_length", "chat_template"})
        return {"prompts": asked, "base": self.identity, "compute": self.compute, "stack": stack.identity}

    def known_answers(self, stack: StackRef) -> tuple[PromptAnswer, ...] | None:
        """Return the stack's answers to the user's prompts, if the workspace has them."""
        entry = self.store.find("scores", digest(self.prompts_protocol(stack)))
        return None if entry is None else tuple(PromptAnswer(**answer) for answer in entry.manifest["answers"])


def with_samples(store: Store, key: str) -> TaskScore:
    """Return a recorded score with its samples. StoreError when they are not what was recorded."""
    entry = store.verify("scores", key)
    with translate_os_errors(entry.path):
        lines = (entry.path / SAMPLES).read_text(encoding="utf-8").splitlines()
    return TaskScore.from_json(entry.manifest["score"], [json.loads(line) for line in lines])


def _by_stack(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return {hash of base and stack: recorded scores of it, whatever was asked and how}."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.manifest.get("kind") == "score":
            protocol = entry.manifest["protocol"]
            found.setdefault(digest([protocol["base"], protocol["stack"]]), []).append(entry)
    return found


def scored(store: Store, wanted: Sequence[tuple[str, Subject, StackRef]]) -> tuple[Scored, ...]:
    """Return the recorded scores of each (label, subject, its stack), with samples.

    Of a benchmark that was scored in several ways (other data, another limit, another compute type), the way that all
    have is taken; of several such ways the one with the most items, then that of the first one's own run. Where no way
    is common, each has its own, for `compare` to refuse.
    UsageError for one that has no score at all.

    A way is how a score was made, whatever was scored (`way_of`). The code lists each label's entries by benchmark
    and way, then chooses one way per benchmark among those labels that have it at all, so that a label without the
    benchmark does not rule a common way out.
    """
    recorded = _by_stack(store.entries("scores"))  # read once: a study may compare a thousand recipes
    found = {
        label: _by_task(recorded.get(digest([dict(subject.identity), stack.identity]), ()))
        for label, subject, stack in wanted
    }
    for label, subject, _ in wanted:
        if not found[label]:
            raise UsageError(f"no score is recorded for {label}", remedy=f"statllama eval {subject.name}")
    tasks = list(dict.fromkeys(task for by_task in found.values() for task in by_task))
    own = wanted[0][1].compute
    selected = {label: subject.selected_on(stack) for label, subject, stack in wanted}
    chosen = {task: _chosen([by_task[task] for by_task in found.values() if task in by_task], own) for task in tasks}
    return tuple(
        Scored(
            label,
            {
                task: _record(store, ways[chosen[task]] if chosen[task] in ways else _largest(ways))
                for task, ways in by_task.items()
            },
            selected[label],
        )
        for label, by_task in found.items()
    )


def way_of(entry: Entry) -> str:
    """Return how a score was made, whatever was scored: equal for scores that can be compared."""
    return digest({name: value for name, value in entry.manifest["protocol"].items() if name not in MODEL})


def _by_task(entries: Sequence[Entry]) -> dict[str, dict[str, Entry]]:
    """Return {benchmark: {way: entry}}."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        found.setdefault(entry.manifest["score"]["task"], {})[way_of(entry)] = entry
    return found


def _chosen(all_ways: Sequence[ByProtocol], compute: str) -> str:
    """Return the way that all have: the one with the most items, then that of a compute type; empty for none."""
    common, first = set.intersection(*(set(ways) for ways in all_ways)), all_ways[0]

    def rank(way: str) -> tuple[int, bool]:
        return _items(first[way]), first[way].manifest["protocol"].get("compute") == compute

    return max(sorted(common), key=rank, default="")


def _largest(ways: ByProtocol) -> Entry:
    return max(ways.values(), key=_items)


def _items(entry: Entry) -> int:
    return int(entry.manifest["score"]["n"])


def _record(store: Store, entry: Entry) -> Record:
    return Record(with_samples(store, entry.key), entry.manifest["protocol"])
