"""The best checkpoint: which step is published, when a stage ends early, and that validating leaves no trace."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError

from statllama.config.base_model import BaseModelSpec
from statllama.config.selection import SelectSpec
from statllama.data.holdout import Holdout
from statllama.data.work import Work
from statllama.errors import RecipeError, TrainingError, UsageError
from statllama.evaluation import drift
from statllama.evaluation.chosen import Chosen, chosen, spoken_choice
from statllama.evaluation.compare import compare
from statllama.evaluation.drift import rows_for
from statllama.evaluation.probe import LONGEST
from statllama.evaluation.scorecard import Scorecard
from statllama.model.base_model import Base, load_base, start_backend
from statllama.recipe import load_recipe
from statllama.release.card_scores import recorded, scores_section
from statllama.report.collect import collect
from statllama.report.words import label
from statllama.runs import runner
from statllama.runs.attribution import attribute, dial
from statllama.runs.keys import difference
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import scored
from statllama.runs.scorer import open_scorer
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.subject import subject_of
from statllama.stages import stage_module
from statllama.store import Store
from statllama.train import training
from statllama.train.job import Job, Outcome
from statllama.train.selection import Validation, on_holdout
from statllama.train.trainer import _save_slice
from tests.benchmarks_for_tests import choice_task, reply_task
from tests.conftest import conversations, stage, write_jsonl
from tests.running import adapter_bytes, losses, run, statllama

torch.set_num_threads(1)
STEPS = 6
IGNORED = -100


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    start_backend("transformers")
    spec = BaseModelSpec(model=str(base_folder), quantization="none")
    return load_base(spec, {"model": {}, "tokenizer": {}}, "float32", LONGEST, "transformers")


@dataclass
class Attempt:
    """A stage's outcome, its adapter's bytes, and what it said meanwhile."""

    outcome: Outcome
    adapter: bytes
    notes: list[str]
    steps: list[int]

    @property
    def losses(self) -> list[float]:
        return [entry["loss"] for entry in self.outcome.history]

    def figure(self, name: str) -> dict[int, float]:
        return {int(e["step"]): e[name] for e in self.outcome.history if name in e}

    @property
    def selected(self) -> Any:
        return self.outcome.metrics().get("selected")


def documents(seed: int, count: int) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(seed).integers(6, 250, (count, 12)).tolist()
    return [{"input_ids": [0, *x], "labels": [IGNORED, *x], "seq_lengths": [13]} for x in numbers]


def pairs(seed: int, count: int) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(seed).integers(6, 250, (3, count, 12)).tolist()
    return [
        {"prompt_ids": [0, *x], "chosen_ids": [*y, 4], "rejected_ids": [*z, 4]}
        for x, y, z in zip(*numbers, strict=True)
    ]


def held(kind: Any = "documents", seed: int = 9) -> Holdout:
    rows = pairs(seed, 4) if kind == "preferences" else documents(seed, 4)
    return Holdout("one", kind, Dataset.from_list(rows), tuple(f"{i:016x}" for i in range(4)), "", {})


def on_rows(kind: Any = "documents") -> Validation:
    return on_holdout(held(kind), 1000, 0)


def planted(*values: float) -> Validation:
    """The values that validations find, one after the other; by the number of the slice's updates, so that a resumed
    stage finds the same.
    """
    known: dict[float, float] = {}

    def ask(model: Any) -> tuple[float, Work]:
        from statllama.model import stack

        mark = float(sum(p.detach().double().abs().sum() for p in stack.trainable(model).values()))
        return known.setdefault(mark, values[len(known)] if len(known) < len(values) else math.nan), Work(1, 10)

    return Validation("holdout:one", "holdout_loss", ask)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stages below train, each in a folder by its name."""
    return tmp_path_factory.mktemp("stages")


Fit = Callable[..., Attempt]


@pytest.fixture(scope="module")
def fit(base: Base, folder: Path) -> Fit:
    """Trains a small stage with dropout; `crash`: the step to break off after."""
    rows = rows_for(base)[::8]

    def run_(
        name: str, select: dict[str, Any] | None, validation: Validation | None = None, *, kind: str = "cpt",
        crash: int = -1, cap: dict[str, Any] | None = None, stop: Callable[[], bool] = lambda: False, **train: Any,
    ) -> Attempt:  # fmt: skip
        fields = {"steps": STEPS, "schedule": "constant", "learning_rate": 2e-3, "checkpoint_every": 100, **train}
        chooses = {"select": {"on": "holdout", **select}} if select is not None else {}
        body = stage(name, kind, lora={"dropout": 0.2}, train=fields | chooses, **({"drift": cap} if cap else {}))
        module = stage_module(kind)
        notes: list[str] = []
        steps: list[int] = []

        def on_step(event: Any) -> None:
            steps.append(event.step)
            if event.step == crash:
                raise ConnectionError("a crash")

        rows_of = pairs if kind == "dpo" else documents
        job = Job(
            spec=module.Spec.model_validate(body), base=base, parents=(), dataset=Dataset.from_list(rows_of(5, 32)),
            data_kind=module.DATA_KIND, folder=folder / name, on_step=on_step, on_note=notes.append,
            stop_requested=stop, validation=validation or (on_rows() if select is not None else None),
        )  # fmt: skip
        (job.folder / "out").mkdir(parents=True, exist_ok=True)
        with pytest.MonkeyPatch.context() as fewer:
            fewer.setattr(drift, "rows_for", lambda base: rows)
            outcome = training.run(job, module)
        base.check_unchanged()
        return Attempt(outcome, (job.folder / "out" / "adapter_model.safetensors").read_bytes(), notes, steps)

    return run_


# ------------------------------------------------------------------ the figures


@pytest.mark.parametrize(
    ("values", "step", "since"),
    [([3.0, 2.0, 4.0], 20, 1), ([2.0, 2.0, 2.0], 10, 2), ([3.0, 2.0, 1.0], 30, 0), ([1.0, 2.0, 1.0], 10, 2)],
    ids=str,
)
def test_the_best_step_is_the_first_of_equal_ones(values: list[float], step: int, since: int) -> None:
    validated = {10 * (i + 1): value for i, value in enumerate(values)}
    best = chosen("holdout:a", "holdout_loss", validated, 30)
    assert (best.step, best.value, best.last, best.without_better) == (step, min(values), values[-1], since)
    higher = chosen("exam", "task_score", {at: -value for at, value in validated.items()}, 30)
    assert (higher.step, higher.without_better) == (step, since)
    assert Chosen.of_metrics({"selected": best.as_json()}) == best and Chosen.of_metrics({}) is None


def test_the_choice_in_words() -> None:
    assert str(Chosen("holdout:a", "holdout_loss", 40, 1.234, 120, 1.301, 6, 4)) == (
        "best at step 40 of 120: held-out loss 1.234 (at the end 1.301)"
    )
    assert str(Chosen("exam", "task_score", 40, 0.5, 120, 0.45, 6, 4)) == (
        "best at step 40 of 120: score on exam 50.0 (at the end 45.0)"
    )
    assert str(Chosen("holdout:a", "holdout_accuracy", 120, 0.5, 120, 0.5, 6, 0)) == (
        "best at step 120 of 120: held-out accuracy 50.0, at the last step"
    )


@pytest.mark.parametrize(
    ("every", "steps", "validated"),
    [(2, 6, [2, 4, 6]), (4, 6, [4, 6]), (6, 6, [6]), (None, 40, list(range(4, 41, 4))), (None, 3, [1, 2, 3])],
)
def test_when_a_stage_is_validated(every: int | None, steps: int, validated: list[int]) -> None:
    select = SelectSpec(on="holdout", every=every)
    assert [step for step in range(1, steps + 1) if select.due(step, steps)] == validated
    assert select.validations(steps) == len(validated)


# ------------------------------------------------------------------ the training


@pytest.mark.parametrize("kind", ["cpt", "dpo"])
def test_validating_changes_no_bit_of_the_training(kind: str, fit: Fit) -> None:
    """Dropout draws the same numbers; the adapter is that of a stage that ended at the best step."""
    rows = on_rows("preferences" if kind == "dpo" else "documents")
    without = fit(f"{kind}-without", None, kind=kind)
    got = fit(f"{kind}-selects", {"every": 2}, rows, kind=kind)
    assert got.losses == without.losses
    values = got.figure(rows.figure)
    assert list(values) == [2, 4, 6]
    best = (max if kind == "dpo" else min)(values, key=values.__getitem__)
    assert got.selected["step"] == got.outcome.adapter_step == best
    assert got.adapter == fit(f"{kind}-shorter", None, kind=kind, steps=best).adapter
    assert got.outcome.read.passes > without.outcome.read.passes
    assert without.selected is None


def test_the_loss_is_that_of_the_rows(base: Base, fit: Fit, folder: Path) -> None:
    """Of the published adapter, by plain Transformers and PEFT."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    got = fit("measured", {"every": 3})
    plain = AutoModelForCausalLM.from_pretrained(base.model.config.name_or_path, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, str(folder / "measured" / "out")).eval()
    ids = torch.tensor([row["input_ids"] for row in documents(9, 4)])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids.masked_fill(ids == 0, IGNORED)).loss
    assert got.selected["value"] == pytest.approx(float(loss), rel=1e-5)


def test_the_best_step_is_published(fit: Fit) -> None:
    got = fit("middle", {"every": 2}, planted(3.0, 1.0, 2.0))
    assert got.adapter == fit("four", None, steps=4).adapter
    assert got.outcome.ended_by == "steps" and got.outcome.steps == 6
    assert got.selected == {
        **{"on": "holdout:one", "figure": "holdout_loss", "step": 4, "value": 1.0, "of": 6, "last": 2.0},
        **{"validations": 3, "without_better": 1},
    }
    tied = fit("tied", {"every": 2}, planted(1.0, 1.0, 1.0))
    assert tied.adapter == fit("two", None, steps=2).adapter


def test_patience_ends_a_stage_early(fit: Fit) -> None:
    got = fit("patient", {"every": 1, "patience": 2}, planted(3.0, 2.0, 2.5, 1.0, 1.0, 1.5))
    assert got.outcome.ended_by == "steps", "at the last step it has taken them all"
    ended = fit("impatient", {"every": 1, "patience": 2}, planted(3.0, 2.0, 2.5, 2.5))
    assert (ended.outcome.ended_by, ended.outcome.steps, ended.outcome.adapter_step) == ("patience", 4, 2)
    assert ended.adapter == fit("two-steps", None, steps=2).adapter
    assert spoken_choice(ended.outcome.metrics()) == (
        "best at step 2 of 4: held-out loss 2.000 (at the end 2.500); ended early, after 2 validations without a "
        "better one"
    )
    assert ended.notes == [
        "stage impatient: ended at step 4 of 6: 2 validations in a row without a better one",
    ]


def test_a_stage_that_selects_resumes_bit_for_bit(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any step, also between a validation and the checkpoint, and before the adapter is saved."""
    values = 3.0, 1.0, 2.0, 2.5
    select = {"every": 1, "patience": 2}
    whole = fit("whole", select, planted(*values))
    assert whole.outcome.steps == 4 and whole.outcome.adapter_step == 2

    def same(name: str, resumed_from: int | None, steps: list[int], validation: Validation) -> None:
        again = fit(name, select, validation)
        assert (again.losses, again.adapter) == (whole.losses, whole.adapter)
        assert again.figure("holdout_loss") == whole.figure("holdout_loss")
        assert again.selected == whole.selected and again.outcome.ended_by == "patience"
        assert (again.outcome.resumed_from, again.steps) == (resumed_from, steps)
        assert again.outcome.read == whole.outcome.read
        assert again.notes[-1] == whole.notes[-1].replace("whole", name)

    for crash in (1, 2, 3, 4):
        for every in (1, 2):
            validation, name = planted(*values), f"crash{crash}-{every}"
            with pytest.raises(ConnectionError):  # after the step is logged, before its checkpoint
                fit(name, select, validation, crash=crash, checkpoint_every=every)
            kept = (crash - 1) // every * every
            same(name, kept or None, list(range(kept + 1, 5)), validation)
    real = _save_slice

    def fail(job: Any, model: Any, folder: Path) -> None:
        if folder.name == "out":
            raise ConnectionError
        real(job, model, folder)

    for every, resumed_from, steps in ((1, 4, []), (3, 3, [4])):
        validation = planted(*values)
        with monkeypatch.context() as faulty:
            faulty.setattr(training, "_save_slice", fail)
            with pytest.raises(ConnectionError):
                fit(f"unsaved{every}", select, validation, checkpoint_every=every)
        same(f"unsaved{every}", resumed_from, steps, validation)


def test_a_request_to_stop_while_it_validates(fit: Fit) -> None:
    """It is heeded after the validation, and the stage goes on from there."""
    from statllama.errors import Interrupted

    validation = planted(3.0, 1.0, 2.0)
    asked: list[int] = []
    with pytest.raises(Interrupted, match="step 4 of 6"):
        fit("stopped", {"every": 2}, validation, stop=lambda: len(asked.append(1) or asked) == 4)  # type: ignore[func-returns-value]
    again = fit("stopped", {"every": 2}, validation)
    assert again.outcome.resumed_from == 4 and again.outcome.adapter_step == 4


def test_with_a_cap_on_drift_it_is_the_best_within(fit: Fit) -> None:
    """Drift is measured before each validation, and no step above the cap is validated."""
    free = fit("free", {"every": 2}, planted(3.0, 2.0, 1.0), cap={"max": 100.0, "every": 3})
    drifts = free.figure("drift")
    assert list(drifts) == [2, 3, 4, 6] and list(free.figure("holdout_loss")) == [2, 4, 6]
    assert free.outcome.metrics()["drift"] == drifts[6]
    cap = {"max": (drifts[4] + drifts[6]) / 2, "every": 2}
    got = fit("capped", {"every": 2}, planted(2.0, 3.0), cap=cap)
    assert (got.outcome.ended_by, got.outcome.adapter_step, got.selected["step"]) == ("drift", 2, 2)
    assert list(got.figure("holdout_loss")) == [2, 4]
    assert got.adapter == fit("capped-two", None, steps=2).adapter
    assert got.notes[0].endswith("its adapter is that of step 2, the best one validated before")
    late = fit("late", {"every": 6}, planted(), cap=cap)  # nothing is validated before it ends
    assert (late.outcome.ended_by, late.outcome.adapter_step, late.selected) == ("drift", 4, None)
    assert late.adapter == fit("late-four", None, steps=4).adapter


def test_a_validation_that_is_not_a_number(fit: Fit, folder: Path) -> None:
    with pytest.raises(TrainingError, match="after step 4, its held-out loss on holdout:one is not a number") as caught:
        fit("broken", {"every": 2}, planted(1.0, math.nan))
    assert "--set stages.broken.train.learning_rate=0.0005" in str(caught.value)
    assert not list((folder / "broken" / "out").iterdir())


def test_pairs_whose_logits_are_no_numbers_have_no_accuracy(base: Base) -> None:
    validation = on_rows("preferences")
    model = base.model
    assert 0 <= validation.ask(model)[0] <= 1
    weight = model.get_output_embeddings().weight
    with torch.no_grad():
        kept = weight[7].clone()
        weight[7] = math.nan
        value, _ = validation.ask(model)
        weight[7] = kept
    assert math.isnan(value)
    base.check_unchanged()


# ------------------------------------------------------------------ the spec


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"on": "holdout", "every": 7}, "`select.every` 7 is above `steps` 6"),
        ({"on": "holdout", "every": 0}, "greater than or equal to 1"),
        ({"on": "holdout", "patience": 0}, "greater than or equal to 1"),
        ({"on": ""}, "at least 1 character"),
        ({"patience": 3}, "Field required"),
    ],
    ids=str,
)
def test_selections_that_are_refused(select: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        stage_module("cpt").Spec.model_validate(stage("one", "cpt", train={"steps": 6, "select": select}))


# ------------------------------------------------------------------ a benchmark


def recipe_on(task: str, write_recipe: Callable[..., Path], kind: str = "sft", **fields: Any) -> Path:
    """A recipe of a stage that selects on one of two benchmarks beside it: `letters` of 60 items, `few` of 12."""
    folder = write_recipe([]).parent
    choice_task(folder / "eval", "letters", 60)
    choice_task(folder / "eval", "few", 12)
    train = {"select": {"on": task, "every": 2}, "schedule": "constant", **fields.pop("train", {})}
    return write_recipe([stage("one", kind, train=train, **fields)], evaluate={"tasks": ["letters", "few"]})


def manifest(result: Path) -> Any:
    return json.loads((result / "manifest.json").read_text("utf-8"))


def history(result: Path) -> Any:
    return json.loads((result / "history.json").read_text("utf-8"))


def test_a_benchmark_is_asked_without_a_trace(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """The losses are those without it, bit for bit; the score is that of the published adapter's stack."""
    path = recipe_on("letters", write_recipe, lora={"dropout": 0.2})
    off = ("stages.one.train.select=null", "evaluate.tasks=[]")
    recipe = load_recipe(path)
    ran = runner.run(recipe, Store(tmp_path / "w"), Reporter())
    result, without = ran.results["one"], run(path, tmp_path / "off", *off)["one"]
    assert losses(result) == losses(without)
    selected = manifest(result)["metrics"]["selected"]
    scores = {e["step"]: e["task_score"] for e in history(result) if "task_score" in e}
    assert list(scores) == [2, 4, 6] and selected["on"] == "letters" and selected["value"] == max(scores.values())
    assert selected["step"] == next(step for step, score in scores.items() if score == selected["value"])
    shorter = run(path, tmp_path / "off", *off, f"stages.one.train.steps={selected['step']}")["one"]
    assert adapter_bytes(result) == adapter_bytes(shorter)
    assert ran.scorecard is not None
    assert ran.scorecard.rows[1].cells[0].value == selected["value"]
    _is_marked(ran.scorecard, path, tmp_path / "w")


def _is_marked(card: Scorecard, path: Path, workspace: Path) -> None:
    """A score that was selected on is marked wherever it is shown, and said to be no test; the others are not."""
    cells = {(row.name, cell.task): cell.selected for row in card.rows for cell in row.cells}
    assert {place for place, stages in cells.items() if stages} == {("one", "letters")}
    marks = [note for note in card.notes if note.kind == "selected"]
    assert [str(note) for note in marks] == [
        "letters: selected on, so this is no test of it any more: the adapter of one was chosen by it: one"
    ]
    said = statllama("run", path, "--workspace", workspace, cwd=path.parent).stdout
    assert "one (selected on)" in said and "no test of it any more" in said
    status = statllama("status", "--workspace", workspace, cwd=path.parent).stdout
    assert "of 6, selected on letters" in status
    store = Store(workspace)
    subject = subject_of(store.last_run("tiny"), store)
    data = collect(subject, store)
    assert [label(s) for s in data.benchmarks[0].scores] == ["base", "one (selected on)"]
    assert [label(s) for s in data.benchmarks[1].scores] == ["base", "one"]
    assert any(note.startswith("letters: selected on") for note in data.notes)
    assert any(note.startswith("one: best at step") for note in data.notes)
    found = recorded(subject, subject.stack("one"), store)
    section = "\n".join(scores_section(subject, found))
    assert "**one** (selected on)" in section and "Selected on, so this is no test of it any more" in section
    (before, after) = scored(store, [(name, subject, subject.stack(name)) for name in ("base", "one")])
    assert not before.selected and after.selected == {"letters": ("one",)}
    assert [note.kind for note in compare([before, after]).notes if note.kind == "selected"] == ["selected"]


def test_a_stage_whose_benchmark_changed_is_trained_again(write_recipe: Callable[..., Path]) -> None:
    path = recipe_on("letters", write_recipe)

    def key(*overrides: str) -> str:
        (planned,) = plan(load_recipe(path, overrides), Store(path.parent / "w"))
        return planned.key

    before = key()
    assert key("evaluate.tasks=[letters]") == before, "another benchmark is scored after it"
    assert key("evaluate.limit=55") != before and key("stages.one.train.select.every=3") != before
    task = path.parent / "eval" / "letters" / "test.jsonl"
    task.write_text(task.read_text("utf-8").replace("number 1?", "number one?"), "utf-8")
    assert key() != before


@pytest.mark.parametrize(
    ("task", "overrides", "message"),
    [
        ("few", [], "`train.select.on` names few, which has 12 items: the standard error of a score near 50 % is 14.4"),
        ("letters", ["evaluate.limit=20"], "names letters, of which `evaluate.limit` leaves 20 items"),
    ],
)
def test_a_benchmark_that_is_too_small(
    task: str, overrides: list[str], message: str, write_recipe: Callable[..., Path]
) -> None:
    recipe = load_recipe(recipe_on(task, write_recipe), overrides)
    with pytest.raises(UsageError) as caught:
        plan(recipe, Store(recipe.root / "w"))
    assert message in str(caught.value) and "--set stages.one.train.select.on=holdout" in str(caught.value)


def test_epochs_that_are_too_short_for_the_interval(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe_on("letters", write_recipe, train={"steps": None, "epochs": 1.0})
    with pytest.raises(UsageError, match=r"`train.select.every` 13 is above its 12 steps") as caught:
        run(path, tmp_path / "w", "stages.one.train.select.every=13")
    assert "--set stages.one.train.select.every=1" in str(caught.value)


# ------------------------------------------------------------------ hold-outs


def holds(kind: str = "sft", **more: Any) -> list[dict[str, Any]]:
    formats = {"sft": "messages", "dpo": "preference", "kto": "judged"}
    return [{"path": f"{kind}.jsonl", "format": formats[kind], "holdout": 0.25, **more}]


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto"])
def test_a_stage_selects_on_its_own_hold_out(kind: str, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """The losses are those without it, bit for bit; the figure is that of the published adapter's stack."""
    train = {"select": {"on": "holdout", "every": 2}, "schedule": "constant"}
    path = write_recipe([stage("one", kind, data=holds(kind), train=train, lora={"dropout": 0.2})])
    ran = runner.run(load_recipe(path), Store(tmp_path / "w"), Reporter())
    result = ran.results["one"]
    found = manifest(result)
    selected, figure = found["metrics"]["selected"], found["metrics"]["selected"]["figure"]
    assert figure == ("holdout_accuracy" if kind == "dpo" else "holdout_loss")
    values = {int(entry["step"]): entry[figure] for entry in history(result) if figure in entry}
    best = max(values, key=values.get) if kind == "dpo" else min(values, key=values.get)  # type: ignore[arg-type]
    assert (selected["on"], selected["step"], selected["value"]) == ("holdout:one", best, values[best])
    off = "stages.one.train.select=null"
    assert losses(run(path, tmp_path / "off", off)["one"]) == losses(result)
    shorter = run(path, tmp_path / "off", off, f"stages.one.train.steps={best}")["one"]
    assert adapter_bytes(result) == adapter_bytes(shorter)
    assert ran.scorecard is not None
    row = ran.scorecard.rows[1].cells[0]
    assert row.selected == ("one",) and abs(row.value) == pytest.approx(selected["value"], rel=1e-5)
    mark = next(note for note in ran.scorecard.notes if note.kind == "selected")
    assert str(mark) == "holdout:one: selected on: the adapter of one was chosen by it: one"
    work = found["metrics"]["work"]["read"]
    assert work["passes"] > 0
    asked = Session(load_recipe(path), Store(tmp_path / "w"), Reporter(), StopSignal())
    spec = load_recipe(path).trained[0]
    with_, without = (
        asked.timing.stage_work(spec.model_copy(update={"train": spec.train.model_copy(update={"select": one})}))
        for one in (spec.train.select, None)
    )
    more = with_["usual"].read - without["usual"].read
    if kind == "sft":
        assert more.as_json() == work, "what its validations compute is forecast"
    assert more.passes > 0


def test_what_a_hold_out_is_called_is_not_in_the_key(write_recipe: Callable[..., Path]) -> None:
    """Its rows are; and so are those of a set that is no stage's."""
    train = {"select": {"on": "holdout:general", "every": 2}}
    other = tmp = write_recipe([]).parent / "general.jsonl"
    write_jsonl(other, conversations(60)[50:])

    def key(*overrides: str, name: str = "general", **fields: Any) -> str:
        train["select"]["on"] = f"holdout:{name}"  # type: ignore[index]
        body = [stage("one", train=train), *fields.pop("more", [])]
        path = write_recipe(body, evaluate={"holdouts": {name: {"path": "general.jsonl"}}, **fields})
        return plan(load_recipe(path, overrides), Store(path.parent / "w"))[0].key

    before = key()
    assert key(name="further") == before
    assert key(max_length=200) != before
    write_jsonl(tmp, conversations(60)[51:])
    assert key() != before


def test_a_parent_that_selected_marks_what_stands_on_it(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    train = {"select": {"on": "holdout", "every": 3}}
    path = write_recipe([stage("one", data=holds(), train=train), stage("two", train={"steps": 2})])
    card = runner.run(load_recipe(path), Store(tmp_path / "w"), Reporter()).scorecard
    assert card is not None
    assert [row.cells[0].selected for row in card.rows] == [(), ("one",), ("one",)]
    store = Store(tmp_path / "w")
    subject = subject_of(store.last_run("tiny"), store)
    scorer = open_scorer(subject, store, Reporter())
    worth = attribute(subject, scorer).selected
    assert {name for name, found in worth.items() if found} == {"one", "two", "without two"}
    assert dict(dial(subject, scorer, "two", [0.5]).selected) == {"holdout:one": ("one",)}


@pytest.mark.parametrize(
    ("on", "data", "message"),
    [
        ("holdout", None, "stage one holds no rows out; write `data: [{path: sft.jsonl, holdout: 0.05}]` in stage one"),
        ("holdout:two", None, "stage two holds no rows out; write `data: [{path: sft.jsonl, holdout: 0.05}]` in stage"),
        ("holdout:twoo", holds(), "no hold-out 'twoo'"),
        ("holdout:", None, "the recipe has no hold-out ''"),
        (
            "lettres",
            None,
            "'lettres' is neither a hold-out nor a benchmark of `evaluate.tasks`: did you mean 'letters'",
        ),
        ("few", None, None),
    ],
)
def test_selections_on_what_is_not_there(
    on: str, data: Any, message: str | None, write_recipe: Callable[..., Path]
) -> None:
    fields = {"data": data} if data else {}
    stages = [stage("one", train={"select": {"on": on}}, **fields), stage("two")]
    path = write_recipe(stages, evaluate={"tasks": ["letters", "few"]})
    if message is None:
        load_recipe(path)
        return
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    said = " ".join(str(caught.value).split())
    assert "stages[0].train.select.on (stage one)" in said and "line 2" in said
    for part in message.split("; "):
        assert part in said, said


def test_a_stage_of_questions_has_no_hold_out(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe([grpo_stage("holdout")], evaluate={"tasks": ["letters"]})
    with pytest.raises(RecipeError, match="given questions alone, which have no loss") as caught:
        load_recipe(path)
    assert "`select: {on: letters}`" in str(caught.value)


def grpo_stage(on: str) -> dict[str, Any]:
    grpo = {
        "generations": 4,
        "max_completion_length": 24,
        "rewards": [{"name": "length", "target": 4, "unit": "words"}],
    }
    train = {"steps": 4, "batch_size": 8, "max_length": 64, "select": {"on": on, "every": 2}}
    return stage("one", "grpo", train=train | {"learning_rate": 3e-3, "schedule": "constant"}, **grpo)


def test_grpo_selects_on_a_benchmark(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """What it generates is the same with and without."""
    folder = write_recipe([]).parent
    choice_task(folder / "eval", "letters", 60)
    write_jsonl(folder / "grpo.jsonl", [{"prompt": f"what is {i}", "answer": str(i)} for i in range(12)])
    path = write_recipe([grpo_stage("letters")], evaluate={"tasks": ["letters"]})
    result = run(path, tmp_path / "w")["one"]
    off = ("stages.one.train.select=null", "evaluate.tasks=[]")
    plain, figures = run(path, tmp_path / "off", *off)["one"], ("loss", "reward", "completions/mean_length")
    assert [[e[name] for name in figures] for e in history(result)] == [
        [e[name] for name in figures] for e in history(plain)
    ]
    selected = manifest(result)["metrics"]["selected"]
    shorter = run(path, tmp_path / "off", *off, f"stages.one.train.steps={selected['step']}")["one"]
    assert adapter_bytes(result) == adapter_bytes(shorter)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("patience", "`train: {select: {on: holdout, patience: 3}}`"),
        ("load_best_model_at_end", "`train: {select: {on: holdout}}`"),
    ],
)
def test_patience_without_a_selection(field: str, said: str, write_recipe: Callable[..., Path]) -> None:
    path = write_recipe([stage("one", train={field: 3})])
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert said in " ".join(str(caught.value).split())


def test_why_a_stage_runs_again(write_recipe: Callable[..., Path]) -> None:
    """In words, without hashes."""
    path = recipe_on("letters", write_recipe)

    def material(*overrides: str) -> dict[str, Any]:
        return plan(load_recipe(path, overrides), Store(path.parent / "w"))[0].material

    before = material()
    assert difference(before, material("stages.one.train.select.every=3")) == "train.select.every 2 -> 3"
    assert difference(before, material("evaluate.limit=55")) == "what its best step is selected on changed"
    assert "what its best step is selected on changed" in difference(before, material("stages.one.train.select=null"))


def test_generated_replies_leave_no_trace_either(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_recipe([]).parent
    reply_task(folder / "eval", "replies", 50)
    train = {"steps": 4, "select": {"on": "replies", "every": 2}}
    path = write_recipe([stage("one", train=train, lora={"dropout": 0.2})], evaluate={"tasks": ["replies"]})
    off = ("stages.one.train.select=null", "evaluate.tasks=[]")
    assert losses(run(path, tmp_path / "w")["one"]) == losses(run(path, tmp_path / "off", *off)["one"])
