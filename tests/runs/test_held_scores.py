"""Stacks scored on held-out rows: by definition, once, after a stop, by workers; what tables and gates say of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.errors import RecipeError, StoreError
from statllama.evaluation import held_score, suite
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import ScoreBook, with_samples
from statllama.runs.scorer import open_scorer
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.subject import StackRef, Subject
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import stage, write_jsonl
from tests.reference import merged
from tests.running import statllama
from tests.runs.cluster.workers import InProcess, Kept, use

NAMES = ("holdout:sft", "holdout:dpo", "holdout:general")


@pytest.fixture
def recipe(write_recipe: Callable[..., Path], tmp_path: Path) -> Path:
    """Two stages that hold rows out and a further set; no benchmark."""
    texts = [f"the range of a sample is number {i * i}" for i in range(6)]
    write_jsonl(tmp_path / "general.jsonl", [{"text": text} for text in texts])
    stages = [
        stage("sft", data=[{"path": "sft.jsonl", "format": "messages", "holdout": 0.2}]),
        stage("dpo", "dpo", data=[{"path": "dpo.jsonl", "format": "preference", "holdout": 0.25}]),
    ]
    general = {"general": {"path": "general.jsonl", "format": "text"}}
    return write_recipe(stages, evaluate={"holdouts": general, "micro_tokens": 300})


def scored(path: Path, store: Store) -> tuple[Subject, ScoreBook]:
    subject = find_subject(str(path), store)
    return subject, ScoreBook.of(subject, store)


def test_scores_are_the_losses_of_the_merged_model_and_computed_once(
    recipe: Path, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    store = Store(tmp_path / "w")
    result = runner.run(load_recipe(recipe), store, Reporter())
    card = result.scorecard
    assert card is not None and card.tasks == NAMES and card.tests == 3 * 3
    assert find_subject("tiny", store).benchmarks == NAMES

    # By definition: the merged model in float64, one row at a time, all supervised tokens alike.
    plain = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float64)
    model = merged(plain, [(folder, 2.0) for folder in result.results.values()])
    session = Session(load_recipe(recipe), store, Reporter(), StopSignal())
    for held in session.holdouts():
        cell = next(cell for cell in card.rows[-1].cells if cell.task == f"holdout:{held.name}")
        if held.kind == "preferences":
            means = [[_nats(model, row, side) for side in ("chosen_ids", "rejected_ids")] for row in held.dataset]
            right = [chosen[0] / chosen[1] < rejected[0] / rejected[1] for chosen, rejected in means]
            assert cell.value == sum(right) / len(right) and cell.metric == "acc" and cell.n == len(right)
            rows = [chosen for chosen, _ in means]
        else:
            rows = [_nats(model, row) for row in held.dataset]
            assert cell.metric == "log_probability" and cell.value == pytest.approx(-cell.loss, abs=1e-12)
        loss = sum(nats for nats, _ in rows) / sum(tokens for _, tokens in rows)
        assert cell.loss == pytest.approx(loss, abs=1e-6)
        assert cell.perplexity == pytest.approx(math.exp(loss), rel=1e-5)
        assert cell.limited is False

    # What every stack scored is in the workspace: nothing is scored or prepared again, whoever asks.
    monkeypatch.setattr(suite, "score_held", lambda *of: pytest.fail("scored again"))
    assert runner.run(load_recipe(recipe), store, Reporter()).scorecard == card
    subject, book = scored(recipe, store)
    (first, *_) = book.known(subject.stack("sft")).values()
    assert set(first.item_ids) == set(session.holdouts()[0].ids) and list(first.item_ids) == sorted(first.item_ids)
    sample = with_samples(store, book.keys(subject.stack("sft"))["holdout:sft"]).samples[0]
    assert sample["prediction"].endswith("nats per token") and sample["answer"].startswith("the ")


def _nats(model: Any, row: dict[str, list[int]], side: str = "") -> tuple[float, int]:
    """Nats and number of the supervised tokens of a row, or of one completion of a pair."""
    ids = row["prompt_ids"] + row[side] if side else row["input_ids"]
    labels = [-100] * len(row["prompt_ids"]) + row[side] if side else row["labels"]
    with torch.no_grad():
        chances = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    places = [i for i in range(1, len(ids)) if labels[i] != -100]
    return -sum(float(chances[i - 1, ids[i]]) for i in places), len(places)


class Stopping(Reporter):
    """Stops scoring after so many rows; counts them."""

    def __init__(self, most: int = 10**6) -> None:
        self.most, self.rows, self.first = most, 0, list[int]()

    @contextmanager
    def scoring(self, name: str, task: str) -> Any:
        begun = False

        def progress(done: int, total: int, task: str) -> None:
            nonlocal begun
            if not begun:
                begun = True
                self.first.append(done)
                return
            self.rows += 1
            if self.rows >= self.most:
                raise ConnectionAbortedError

        yield progress


def test_a_stopped_scoring_goes_on_row_by_row(recipe: Path, tmp_path: Path) -> None:
    whole, store = Store(tmp_path / "whole"), Store(tmp_path / "w")
    runner.run(load_recipe(recipe), whole, Reporter(), until="sft")
    with pytest.raises(ConnectionAbortedError):
        runner.run(load_recipe(recipe), store, Stopping(13), until="sft")
    (answers,) = store.root.glob("partial/scores-*/answers.jsonl")
    kept = len(answers.read_bytes().splitlines())
    with answers.open("ab") as stream:
        stream.write(b'["torn')  # by a kill
    again = Stopping()
    runner.run(load_recipe(recipe), store, again, until="sft")
    assert kept > 0 and kept in again.first
    for one, other in zip(*(_scores(each) for each in (whole, store)), strict=True):
        assert one["item_ids"] == other["item_ids"] and one["items"] == pytest.approx(other["items"], abs=1e-6)
    assert not list(store.root.glob("partial/scores-*"))


def _scores(store: Store) -> list[dict[str, Any]]:
    entries = (e for e in store.entries("scores") if e.manifest["kind"] == "score")
    return [{**e.manifest["score"], "seconds": 0} for e in sorted(entries, key=lambda e: e.key)]


def test_workers_score_holdouts_as_one_process_does(recipe: Path, tmp_path: Path, monkeypatch: Any) -> None:
    here, there, kept = Store(tmp_path / "here"), Store(tmp_path / "there"), Kept()
    alone = runner.run(load_recipe(recipe), here, Reporter())
    cluster = InProcess(there.root, slots=2)
    use(monkeypatch, cluster)
    filled = runner.run(load_recipe(recipe), there, kept, executor=RayExecutor("head:6379", 2))
    assert filled.scorecard == alone.scorecard
    assert _scores(there) == _scores(here)
    works = {f"{stack} on {task}" for stack in ("base", "sft", "dpo") for task in NAMES}
    assert works <= set(cluster.begun)


def test_commands_show_losses_as_losses(recipe: Path, tmp_path: Path) -> None:
    ran = statllama("run", recipe, "--workspace", "w", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "sft on holdout:sft: loss " in ran.stdout and "perplexity" in ran.stdout
    assert "holdout:sft (loss, nats per token, lower is better, 10 held-out rows)" in ran.stdout
    assert "holdout:dpo (acc, 8 held-out pairs)" in ran.stdout
    subject, book = scored(Path("tiny"), Store(tmp_path / "w"))
    before, after = (book.known(subject.stack(name))["holdout:sft"] for name in ("base", "sft"))
    assert before.value < after.value < 0, "training made the rows likelier: the loss fell, which is better"
    fell = f"{before.value - after.value:+.3f} ["
    assert fell in ran.stdout and "against the base: sft, dpo: better" in ran.stdout

    compared = statllama("compare", "tiny:base", "tiny:sft", "--items", "1", "--workspace", "w", cwd=tmp_path)
    assert f"{-before.value:.3f}" in compared.stdout and f"{-after.value:.3f}" in compared.stdout
    assert "tiny:sft has a lower loss on 10 held-out rows" in compared.stdout

    out = tmp_path / "card.json"
    evaluated = statllama("eval", "tiny", "--task", "holdout:sft", "--out", out, "--workspace", "w", cwd=tmp_path)
    body = json.loads(out.read_text())
    assert evaluated.returncode == 0 and body["tasks"] == ["holdout:sft"]
    assert body["rows"][1]["cells"][0]["loss"] == pytest.approx(-after.value)

    page = statllama("report", "tiny", "--out", "r.html", "--workspace", "w", cwd=tmp_path)
    html = (tmp_path / "r.html").read_text()
    assert page.returncode == 0 and "holdout:sft: loss of 10 held-out rows, in nats per token (lower is better)" in html
    assert "Change of the loss from the base in nats per token: down is better." in html

    dialled = statllama("eval", "tiny:sft", "--scale", "sft=0.5", "--workspace", "w", cwd=tmp_path)
    assert dialled.returncode == 0 and "sft (sft x 0.5)" in dialled.stdout, "rows are taken from the workspace"


def test_rows_that_are_gone_are_told(recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "w")
    runner.run(load_recipe(recipe), store, Reporter(), until="sft")
    subject = find_subject("tiny", store)
    for task in subject.held:
        (store.root / "cache" / task.kept_in / "manifest.json").unlink()
    stack = StackRef("sft (sft x 0.5)", "sft", subject.stack("sft").keys, (0.5,))
    with pytest.raises(StoreError, match=r"holdout:sft are not in the workspace any more") as caught:
        open_scorer(subject, store, Reporter()).score(stack)
    assert "statllama run tiny" in str(caught.value.remedy)


def test_a_gate_holds_a_loss(recipe: Path, tmp_path: Path) -> None:
    store, gates = Store(tmp_path / "w"), ("evaluate.gates={'holdout:general': {budget: -0.5, stages: [sft]}}",)
    gated = load_recipe(recipe, [*gates])
    runner.run(gated, store, Reporter())
    (answer,) = next(p for p in runner.plan(gated, store) if p.spec.name == "sft").answers
    subject, book = scored(recipe, store)
    losses = [book.known(subject.stack(name))["holdout:general"].others["loss"] for name in ("base", "sft")]
    assert answer.test.difference == pytest.approx(-100 * (losses[1] - losses[0]))
    assert answer.answer == "held" and "nats per token against the base where +0.5 are allowed" in str(answer)
    assert f"{losses[1] - losses[0]:+.3f} nats" in str(answer)
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, ["evaluate.gates={'holdout:generl': -0.5}"])
    assert "holdout:general" in str(caught.value)


def test_what_cannot_be_a_loss_has_no_score(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_score, "_losses", lambda figures: (held_score_loss(float("nan")),))
    with pytest.raises(Exception, match=r"row 1 are not numbers, so it has no loss"):
        runner.run(load_recipe(recipe), Store(tmp_path / "w"), Reporter())


def held_score_loss(nats: float) -> Any:
    from statllama.evaluation.held_loss import RowLoss

    return RowLoss(nats, 3)
