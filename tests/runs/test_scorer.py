"""Scores kept by what they are made of: resumed item by item, shared between commands, refused for dead adapters."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from statllama.errors import EvaluationError, StoreError
from statllama.evaluation.answers import Answers
from statllama.evaluation.scores import Drift
from statllama.model.adapter import ADAPTER_FILE
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import SAMPLES, with_samples
from statllama.runs.scorer import ANSWERS, Scorer, open_scorer
from statllama.runs.subject import StackRef, Subject
from statllama.runs.targets import find_subject
from statllama.store import Entry, Store, beats
from statllama.store.files import file_sha256
from statllama.store.holder import LostError
from tests.benchmarks_for_tests import reply_task
from tests.running import Worker

torch.set_num_threads(1)
BASE = StackRef("base", None)


class Watch(Reporter):
    """Counts the requests that were answered, and stops after `stop` of them."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.asked, self.begun = stop, 0, []

    @contextmanager
    def scoring(self, name: str, task: str) -> Any:
        def progress(done: int, total: int, _: str) -> None:
            if not self.begun or self.begun[-1][:2] != (name, task):
                self.begun.append((name, task, done))
            else:
                self.asked += 1
                if self.stop is not None and self.asked >= self.stop:
                    raise ConnectionAbortedError

        yield progress


def entries_of(store: Store, identity: Any, stack: StackRef) -> list[Entry]:
    """Return all recorded scores of a stack."""
    wanted = {"base": dict(identity), "stack": stack.identity}
    scores = [entry for entry in store.entries("scores") if entry.manifest["kind"] == "score"]
    return [entry for entry in scores if wanted.items() <= entry.manifest["protocol"].items()]


def scorer_of(path: Path, store: Store, *tasks: str, reporter: Reporter | None = None) -> tuple[Subject, Scorer]:
    changes = {"tasks": list(tasks), "micro_tokens": 600, "max_length": 200}
    subject = find_subject(str(path), store).evaluated(changes)
    return subject, open_scorer(subject, store, reporter or Reporter())


@pytest.mark.parametrize("task", ["letters", "replies"])
def test_a_stopped_evaluation_goes_on_item_by_item(trained: tuple[Path, Store], tmp_path: Path, task: str) -> None:
    path, store = trained
    whole = scorer_of(path, Store(shutil.copytree(store.root, tmp_path / "other")), task)
    (expected,) = whole[1].score(whole[0].stack("two"))

    watch = Watch(stop=5)
    subject, scorer = scorer_of(path, store, task, reporter=watch)
    with pytest.raises(EvaluationError, match="ConnectionAbortedError"):
        scorer.score(subject.stack("two"))
    (kept,) = store.root.glob(f"partial/scores-*/{ANSWERS}")
    assert len(kept.read_bytes().splitlines()) >= 5
    kept.write_bytes(kept.read_bytes() + b'["torn')  # a kill in the middle of a line

    again = Watch()
    subject, scorer = scorer_of(path, store, task, reporter=again)
    (score,) = scorer.score(subject.stack("two"))
    (_, _, done) = again.begun[0]
    assert done >= 5
    total = 4 * 12 if task == "letters" else 8
    assert again.asked == total - done
    assert score.items == expected.items and score.item_ids == expected.item_ids
    assert (score.truncated, score.unfinished) == (expected.truncated, expected.unfinished)
    (entry,) = entries_of(store, subject.identity, subject.stack("two"))
    (other,) = entries_of(whole[1].store, whole[0].identity, whole[0].stack("two"))
    samples = [with_samples(s, e.key).samples for s, e in ((store, entry), (whole[1].store, other))]
    for ours, theirs in zip(*samples, strict=True):
        likely = ours.pop("loglikelihoods", []), theirs.pop("loglikelihoods", [])
        assert likely[0] == pytest.approx(likely[1], abs=1e-4)
        assert ours == theirs
    assert not list(store.root.glob("partial/scores-*"))


def test_who_was_taken_over_stops_to_score(trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next answer once its beats have told it, not at the end."""
    monkeypatch.setattr(beats, "EVERY", 0.05)
    path, store = trained

    class Lose(Watch):
        @contextmanager
        def scoring(self, name: str, task: str) -> Any:
            with super().scoring(name, task) as progress:
                (claim,) = store.root.glob("locks/scores-*.held/*.json")
                claim.unlink()
                time.sleep(0.4)
                yield progress

    watch = Lose()
    subject, scorer = scorer_of(path, store, "replies", reporter=watch)
    with pytest.raises(LostError, match="has taken over scores/"):
        scorer.score(subject.stack("two"))
    assert watch.asked <= 1 and not list(store.root.glob("scores/*/samples.jsonl"))


def test_answers_of_another_model_are_not_taken(trained: tuple[Path, Store]) -> None:
    """What lm-eval's own cache gets wrong: it is keyed on the request alone."""
    path, store = trained
    watch = Watch(stop=9)
    subject, scorer = scorer_of(path, store, "letters", reporter=watch)
    with pytest.raises(EvaluationError):
        scorer.score(subject.stack("one"))
    watch.stop = None
    scorer.score(subject.stack("two"))
    assert watch.begun[-1] == ("two", "letters", 0)


def test_a_score_is_computed_once_whoever_asks(trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = trained
    watch = Watch()
    subject, scorer = scorer_of(path, store, "letters", "replies", reporter=watch)
    first = [scorer.score(found) for found in subject.stacks()]
    asked = watch.asked
    assert {name for name, *_ in watch.begun} == {"base", "one", "two"}

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("statllama.model.base_model.load_base", refuse)
    subject, scorer = scorer_of(path, store, "letters", "replies", reporter=watch)
    assert [scorer.score(found) for found in subject.stacks()] == first
    # A factor of 1 is the stack itself, a factor of 0 the stack without that adapter.
    two, one = subject.stack("two"), subject.stack("one")
    assert scorer.score(two.scaled("same", {two.keys[0]: 1.0})) == first[2]
    assert scorer.score(two.scaled("without", {two.keys[1]: 0.0})) == first[1]
    assert scorer.score(one.scaled("nothing", {one.keys[0]: 0.0})) == first[0]
    assert watch.asked == asked


def test_a_factor_scales_the_update(trained: tuple[Path, Store]) -> None:
    path, store = trained
    subject, scorer = scorer_of(path, store, "letters")
    two = subject.stack("two")
    half = two.scaled("half", {two.keys[1]: 0.5})
    whole, scaled = scorer.loaded.adapters(two.parts), scorer.loaded.adapters(half.parts)
    assert scaled[0] is whole[0]
    for name, part in scaled[1].slices.items():
        assert part.scaling == whole[1].slices[name].scaling / 2
    base = scorer.loaded.base("float32").model
    ids = torch.arange(6, 30)[None]
    with scorer.attached(half) as model, torch.no_grad():
        got = model(input_ids=ids).logits
    dense = copy.deepcopy(base)
    with torch.no_grad():
        for adapter, factor in zip(whole, (1.0, 0.5), strict=True):
            for name, part in adapter.slices.items():
                weight = dense.get_submodule(name).weight
                weight += factor * part.scaling * (part.B.double() @ part.A.double()).float()
        expected = dense(input_ids=ids).logits
    assert torch.allclose(got, expected, atol=1e-4)


def zeroed(store: Store, key: str, what: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change a published adapter and its recorded hash: what a wrong writer would have left."""
    folder = store.root / "results" / key
    file = folder / ADAPTER_FILE
    tensors = {name: what(tensor) if "lora_B" in name else tensor for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][ADAPTER_FILE] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_an_adapter_that_is_all_zero_gets_no_score(trained: tuple[Path, Store]) -> None:
    path, store = trained
    subject, _ = scorer_of(path, store, "letters")
    zeroed(store, subject.stack("two").keys[1], torch.zeros_like)
    subject, scorer = scorer_of(path, store, "letters")
    with pytest.raises(EvaluationError, match="stage two is all zero"):
        scorer.score(subject.stack("two"))
    assert not store.entries("scores") or all(e.manifest["kind"] == "drift" for e in store.entries("scores"))


def test_an_adapter_that_cannot_be_read_gets_no_score(trained: tuple[Path, Store]) -> None:
    path, store = trained
    subject, scorer = scorer_of(path, store, "letters")
    file = store.root / "results" / subject.stack("one").keys[0] / ADAPTER_FILE
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(StoreError, match="adapter_model"):
        scorer.score(subject.stack("two"))


def test_an_adapter_that_is_not_at_work_gets_no_score(
    trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a library had left the adapter out: the drift of a stack that is not there is 0, and that is refused."""
    path, store = trained
    subject, scorer = scorer_of(path, store, "letters")
    for entry in store.entries("scores"):
        store.discard("scores", entry.key)
    monkeypatch.setattr("statllama.evaluation.drift.measure", lambda *args: Drift(0.0, 0.0, 10))
    with pytest.raises(EvaluationError, match="changes no prediction"):
        scorer.drift(subject.stack("one"))


def test_samples_say_what_was_asked_and_answered(trained: tuple[Path, Store]) -> None:
    path, store = trained
    subject, scorer = scorer_of(path, store, "letters", "replies")
    scorer.score(BASE)
    found = {e.manifest["score"]["task"]: e for e in entries_of(store, subject.identity, BASE)}
    letters = [json.loads(line) for line in (found["letters"].path / SAMPLES).read_text().splitlines()]
    assert [s["row"] for s in letters] == list(range(1, 13))
    assert letters[0]["question"] in letters[0]["prompt"] and letters[0]["topic"] == "topic 0"
    assert letters[0]["score"] == (letters[0]["prediction"] == letters[0]["answer"])
    replies = [json.loads(line) for line in (found["replies"].path / SAMPLES).read_text().splitlines()]
    assert {"generated", "prediction", "answer"} <= set(replies[0])
    protocol = found["letters"].manifest["protocol"]
    assert protocol["date_string"] == "26 Jul 2024" and protocol["chat_template"] is True
    assert found["letters"].manifest["dtype"] == "float32"


def test_a_reply_that_never_stops_is_cut_and_counted(trained: tuple[Path, Store]) -> None:
    path, store = trained
    _, scorer = scorer_of(path, store, "replies")
    (score,) = scorer.score(BASE)
    assert 0 < score.unfinished <= score.n  # a random model hardly ever ends its turn


def test_answers_survive_and_a_torn_line_does_not(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a.jsonl")
    answers.add("loglikelihood", ("a", "b"), (-1.25e-17, True), True)
    answers.add("generate_until", ("a", {"until": ["x"]}), "text\nline", False)
    answers.close()
    with (tmp_path / "a.jsonl").open("ab") as stream:
        stream.write(b'["half a li')
    again = Answers(tmp_path / "a.jsonl")
    assert again.get("loglikelihood", ("a", "b")) == ((-1.25e-17, True), True)
    assert again.get("generate_until", ("a", {"until": ["x"]})) == ("text\nline", False)
    assert again.get("loglikelihood", ("a", "c")) is None
    again.add("loglikelihood", ("a", "c"), (0.0, False), True)
    again.close()
    assert Answers(tmp_path / "a.jsonl").get("loglikelihood", ("a", "c")) == ((0.0, False), True)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(trained_once: Path, tmp_path: Path) -> None:
    """SIGKILL at moments drawn at random, until one attempt comes through: the scores of an unbroken evaluation."""
    worker = Worker(tmp_path)
    folders = [shutil.copytree(trained_once, tmp_path / name) for name in ("whole", "killed")]
    for folder in folders:
        reply_task(folder / "eval", "replies", 400)
    generator = random.Random(4)

    def command(folder: Path) -> int:
        fields = ("--set", "evaluate.micro_tokens=400", "--set", "evaluate.max_length=200")
        tasks = ("--task", "replies", "--stage", "two", *fields, "--workspace", folder / "w")
        return worker.start("eval", folder / "recipe.yaml", *tasks)

    try:
        began = time.monotonic()
        assert worker.wait(command(folders[0])) == 0, worker.said()
        whole = time.monotonic() - began
        kills, kept = 0, 0
        for _ in range(40):
            pid = command(folders[1])
            time.sleep(generator.uniform(0.4, 1.4) * whole)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            code = worker.wait(pid)
            if code == 0:
                break
            kills += 1
            answers = list((folders[1] / "w").glob(f"partial/scores-*/{ANSWERS}"))
            kept = max([kept, *(len(file.read_bytes().splitlines()) for file in answers)])
        assert code == 0 and kills and kept
    finally:
        worker.close()
    found = []
    for folder in folders:
        store = Store(folder / "w")
        scores = [e.manifest["score"] for e in store.entries("scores") if e.manifest["kind"] == "score"]
        found.append({(s["task"], tuple(s["item_ids"]), tuple(s["items"]), s["unfinished"]) for s in scores})
    assert found[0] == found[1]
