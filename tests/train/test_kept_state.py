"""A stage with more steps goes on from the state kept of its shorter run, and is the unbroken run bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from statllama.config.train import TrainSpec
from statllama.errors import InputChanged, UsageError
from statllama.recipe import load_recipe
from statllama.runs.house.clearing import removal, stock_of, sweep
from statllama.runs.plan import plan
from statllama.store import Store
from tests.conftest import conversations, stage, write_jsonl
from tests.running import Recorder, Worker, adapter_bytes, losses, run
from tests.train.test_resume import StopAt

torch.set_num_threads(1)
Write = Callable[..., Path]
KEPT = {"schedule": "constant", "keep_state": True, "checkpoint_every": 50}


def manifest(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result / "manifest.json").read_text())
    return found


def history(result: Path) -> list[dict[str, float]]:
    """The log of a stage, without the count of tokens, which TRL begins anew with every process."""
    entries = json.loads((result / "history.json").read_text())
    return [{name: value for name, value in entry.items() if name != "num_tokens"} for entry in entries]


def states(workspace: Path) -> dict[int, Path]:
    """{step: the state kept of it}"""
    return {entry.manifest["step"]: entry.path for entry in Store(workspace).entries("states")}


def extended(
    path: Path, tmp_path: Path, short: str, long: str, step: int, *overrides: str, last: str = "one"
) -> tuple[Path, Recorder]:
    """Run `short`, then `long` on the same workspace: it goes on from `step` and equals `long` alone. Its result."""
    whole = run(path, tmp_path / "whole", long, *overrides, f"stages.{last}.train.keep_state=false")[last]
    run(path, tmp_path / "w", short, *overrides)
    assert step in states(tmp_path / "w")
    reporter = Recorder()
    more = run(path, tmp_path / "w", long, *overrides, reporter=reporter)[last]
    taken = [event.step for event in reporter.steps if event.stage == last]
    assert taken == list(range(step + 1, len(losses(whole)) + 1))
    assert any(f"{last}: going on from step {step} of an earlier run of" in note for note in reporter.notes)
    assert manifest(more)["extended_from"] == {"step": step, "key": states(tmp_path / "w")[step].name}
    assert "extended_from" not in manifest(whole)
    assert more.name == whole.name, "the key says nothing of where it began"
    assert adapter_bytes(more) == adapter_bytes(whole)
    assert history(more) == history(whole)
    for figure in ("tokens", "loss", "first_loss", "steps", "adapter_step"):
        assert manifest(more)["metrics"][figure] == manifest(whole)["metrics"][figure]
    return more, reporter


# ------------------------------------------------------------------ the same bits

REPLAY = {"data": [{"path": "replayed.jsonl", "format": "messages"}], "share": 0.5}
VARIANTS: dict[str, tuple[dict[str, Any], int, int]] = {
    "plain": ({}, 3, 6),
    "warm-up in steps": ({"train": {"warmup": 2}}, 3, 6),
    "dropout and replay, anchored to a target": (
        {
            "lora": {"dropout": 0.2},
            "replay": REPLAY,
            "anchor": {"on": "replay", "target": 0.01},
        },
        3,
        6,
    ),
    "noise on embeddings": ({"train": {"neftune_alpha": 5.0}}, 3, 5),
    "packed, across an epoch": ({"train": {"packing": True, "batch_size": 2}}, 5, 9),
    "EVA": ({"lora": {"init": "eva"}}, 2, 4),
    "two rates": ({"lora": {"plus_ratio": 16.0}}, 2, 4),
    "adafactor": ({"train": {"optimizer": "adafactor"}}, 3, 6),
    "schedule-free": ({"train": {"optimizer": "schedule_free_adamw", "warmup": 2}}, 3, 6),
    "kto": ({"kind": "kto"}, 2, 4),
    "capped": ({"drift": {"max": 50.0, "every": 2}}, 4, 6),
}


ALWAYS = ("plain", "dropout and replay, anchored to a target", "packed, across an epoch", "capped")
"""Variants of the default run; the others take another half minute."""
SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ALWAYS else SLOW) for name in VARIANTS])
def test_a_constant_stage_goes_on_from_its_last_step(name: str, write_recipe: Write, tmp_path: Path) -> None:
    if name == "schedule-free":
        pytest.importorskip("schedulefree")
    fields, short, long = VARIANTS[name]
    fields = {**fields, "train": {**KEPT, **fields.get("train", {})}}
    write_jsonl(tmp_path / "replayed.jsonl", conversations(60)[48:])
    path = write_recipe([stage("one", fields.pop("kind", "sft"), **fields)])
    extended(path, tmp_path, f"stages.one.train.steps={short}", f"stages.one.train.steps={long}", short)


def test_dpo_goes_on_on_its_parents(write_recipe: Write, tmp_path: Path) -> None:
    """With dropout, replayed rows, and a reference that is computed once for rows that come again."""
    write_jsonl(tmp_path / "replayed.jsonl", conversations(60)[48:])
    second = stage("two", "dpo", lora={"r": 3, "dropout": 0.1}, replay=REPLAY, train=KEPT)
    path = write_recipe([stage("one"), second])
    _, reporter = extended(path, tmp_path, "stages.two.train.steps=10", "stages.two.train.steps=13", 10, last="two")
    assert any("log-probabilities of 32 rows are computed once" in note for note in reporter.notes)


def test_epochs_go_on_across_the_end_of_an_epoch(write_recipe: Write, tmp_path: Path) -> None:
    """From the end of the first pass, from within the second, and from steps to epochs: 12 steps are one pass."""
    path = write_recipe([stage("one", train={**KEPT, "steps": None, "epochs": 1.0}, lora={"dropout": 0.1})])
    extended(path, tmp_path / "end", "stages.one.train.epochs=1", "stages.one.train.epochs=2", 12)
    extended(path, tmp_path / "within", "stages.one.train.steps=10", "stages.one.train.epochs=1.25", 10)
    run(path, tmp_path / "within" / "w", "stages.one.train.epochs=2.1")
    whole = run(path, tmp_path / "again", "stages.one.train.epochs=2.1")["one"]
    again = run(path, tmp_path / "within" / "w", "stages.one.train.epochs=2.1")["one"]
    assert manifest(again)["extended_from"]["step"] == 15 and manifest(whole)["metrics"]["steps"] == 26
    assert adapter_bytes(again) == adapter_bytes(whole)


def test_grpo_goes_on_within_a_batch_of_completions(write_recipe: Write, tmp_path: Path) -> None:
    """After the first of two steps on completions that are in the state."""
    asked = [{"prompt": f"what is the mean of {i}", "answer": str(i)} for i in range(7)]
    write_jsonl(tmp_path / "grpo.jsonl", asked)
    fields = {"generations": 4, "max_completion_length": 24, "iterations": 2}
    reward = [{"name": "length", "target": 4, "unit": "words"}]
    path = write_recipe([stage("one", "grpo", train={**KEPT, "batch_size": 8}, rewards=reward, **fields)])
    extended(path, tmp_path, "stages.one.train.steps=3", "stages.one.train.steps=5", 3)
    assert (states(tmp_path / "w")[3] / "rollouts.safetensors").exists()


def test_wsd_runs_its_decay_from_the_trunk_as_often_as_wanted(write_recipe: Write, tmp_path: Path) -> None:
    """A longer stage, the same length with a shorter decay, and one whose decay would begin before the state."""
    train = {**KEPT, "schedule": "wsd", "warmup": 2, "decay": 0.5, "min_rate": 0.2}
    path = write_recipe([stage("one", train=train, lora={"dropout": 0.1})])
    extended(path, tmp_path, "stages.one.train.steps=8", "stages.one.train.steps=12", 4)
    assert set(states(tmp_path / "w")) == {4, 6}
    reporter = Recorder()
    sharp = ("stages.one.train.steps=8", "stages.one.train.decay=1")
    sharper = run(path, tmp_path / "w", *sharp, reporter=reporter)["one"]
    assert [event.step for event in reporter.steps] == [7, 8]
    whole = run(path, tmp_path / "sharp", *sharp)["one"]
    assert adapter_bytes(sharper) == adapter_bytes(whole) and history(sharper) == history(whole)
    reporter = Recorder()
    run(path, tmp_path / "w", "stages.one.train.steps=6", reporter=reporter)  # decays from step 3 on
    assert [event.step for event in reporter.steps] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("patience", [pytest.param(None, marks=SLOW), 1])
def test_a_stage_that_selects_goes_on_to_the_same_choice(
    patience: int | None, write_recipe: Write, tmp_path: Path
) -> None:
    """Validated every 2 steps; with patience 1 the long run may end before its last step."""
    select = {"on": "holdout", "every": 2, "patience": patience}
    data = [{"path": "sft.jsonl", "format": "messages", "holdout": 0.2}]
    path = write_recipe([stage("one", data=data, train={**KEPT, "select": select, "learning_rate": 0.1})])
    whole = run(path, tmp_path / "whole", "stages.one.train.steps=8")["one"]
    run(path, tmp_path / "w", "stages.one.train.steps=4")
    more = run(path, tmp_path / "w", "stages.one.train.steps=8")["one"]
    assert adapter_bytes(more) == adapter_bytes(whole) and history(more) == history(whole)
    for figure in ("selected", "adapter_step", "ended_by", "steps"):
        assert manifest(more)["metrics"][figure] == manifest(whole)["metrics"][figure]
    ended = manifest(whole)["metrics"]["steps"]
    assert manifest(more).get("extended_from", {}).get("step") == (4 if ended >= 4 else None)


def test_a_cap_that_ended_the_shorter_run_at_its_last_step_ends_the_longer_one_there(
    write_recipe: Write, tmp_path: Path
) -> None:
    base = stage("one", train=KEPT)
    free = run(write_recipe([{**base, "drift": {"max": 99, "every": 2}}]), tmp_path / "free")["one"]
    drifts = [entry["drift"] for entry in history(free) if "drift" in entry]
    assert drifts[0] < drifts[1]
    path = write_recipe([{**base, "drift": {"max": (drifts[0] + drifts[1]) / 2, "every": 2}}])
    whole = run(path, tmp_path / "whole")["one"]
    run(path, tmp_path / "w", "stages.one.train.steps=4")
    reporter = Recorder()
    more = run(path, tmp_path / "w", reporter=reporter)["one"]
    assert not reporter.steps and manifest(more)["metrics"]["steps"] == 4
    assert manifest(more)["metrics"]["ended_by"] == manifest(whole)["metrics"]["ended_by"] == "drift"
    assert adapter_bytes(more) == adapter_bytes(whole) and history(more) == history(whole)


# ------------------------------------------------------------------ what is not gone on from


@SLOW
def test_a_reference_that_is_computed_otherwise_is_not_gone_on_from(write_recipe: Write, tmp_path: Path) -> None:
    """A run within one epoch computes it step by step; one that sees its rows again computes it once, in other passes,
    which rounds otherwise.
    """
    path = write_recipe([stage("one", "kto", train=KEPT)])
    run(path, tmp_path / "w", "stages.one.train.steps=6")
    assert not plan(load_recipe(path, ["stages.one.train.steps=9"]), Store(tmp_path / "w"))[0].begins
    reporter = Recorder()
    more = run(path, tmp_path / "w", "stages.one.train.steps=9", reporter=reporter)["one"]
    assert reporter.steps[0].step == 1 and "extended_from" not in manifest(more)
    assert any("one: the state kept of step 6 is passed over: one of the two runs sees" in n for n in reporter.notes)
    whole = run(path, tmp_path / "whole", "stages.one.train.steps=9")["one"]
    assert adapter_bytes(more) == adapter_bytes(whole)
    extended(path, tmp_path / "on", "stages.one.train.steps=9", "stages.one.train.steps=11", 9)


def test_a_stage_of_fewer_steps_or_other_fields_begins_anew(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("one", train=KEPT)])
    run(path, tmp_path / "w", "stages.one.train.steps=5")
    for change in ("steps=4", "learning_rate=0.002", "seed=1", "weight_decay=0.1", "optimizer=adafactor"):
        reporter = Recorder()
        found = run(path, tmp_path / "w", f"stages.one.train.{change}", reporter=reporter)["one"]
        assert reporter.steps[0].step == 1 and "extended_from" not in manifest(found), change


def _truncate(state: Path) -> None:
    file = state / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-100])


def _flip(state: Path) -> None:
    file = state / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _flip])
def test_a_damaged_state_is_passed_over(damage: Callable[[Path], None], write_recipe: Write, tmp_path: Path) -> None:
    """The one before it is taken; without any the stage begins anew."""
    path = write_recipe([stage("one", train=KEPT)])
    for steps in (2, 4):
        run(path, tmp_path / "w", f"stages.one.train.steps={steps}")
    damage(states(tmp_path / "w")[4])
    reporter = Recorder()
    found = run(path, tmp_path / "w", reporter=reporter)["one"]
    assert [event.step for event in reporter.steps] == [3, 4, 5, 6]
    (told,) = [note for note in reporter.notes if "passed over" in note]
    assert told.startswith("one: the state kept of step 4 is passed over and deleted: its ")
    assert set(states(tmp_path / "w")) == {2, 6}
    for state in states(tmp_path / "w").values():
        damage(state)
    reporter = Recorder()
    more = run(path, tmp_path / "w", "stages.one.train.steps=7", reporter=reporter)["one"]
    assert reporter.steps[0].step == 1 and "extended_from" not in manifest(more)
    whole = run(path, tmp_path / "whole", "stages.one.train.steps=7")["one"]
    assert adapter_bytes(more) == adapter_bytes(whole)
    assert adapter_bytes(found) == adapter_bytes(run(path, tmp_path / "whole")["one"])


# ------------------------------------------------------------------ killed, and by another process


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    one = Worker(tmp_path_factory.mktemp("worker"))
    yield one
    one.close()


@pytest.mark.parametrize(
    ("schedule", "pattern"),
    [
        ("constant", "states/*/manifest.json"),
        pytest.param("constant", "partial/states-*/out/optimizer.pt", marks=SLOW),
        pytest.param("wsd", "states/*/manifest.json", marks=SLOW),
        pytest.param("wsd", "partial/results-*/checkpoints/checkpoint-4/sealed.json", marks=SLOW),
    ],
)
def test_a_kill_around_the_publishing_of_a_state(
    schedule: str, pattern: str, worker: Worker, write_recipe: Write, tmp_path: Path
) -> None:
    """Between state and result, and before the state: nothing is lost, nothing half published, and other processes end
    and extend the stage.
    """
    train = {**KEPT, "schedule": schedule, "steps": 6, "checkpoint_every": 4}
    train |= {"decay": 2} if schedule == "wsd" else {}
    path = write_recipe([stage("one", train=train, lora={"dropout": 0.1})])
    workspace, kept = tmp_path / "w", 4 if schedule == "wsd" else 6
    pid = worker.start("run", path, "--workspace", workspace, environment={"TEST_PAUSE": "0.1"})
    deadline = time.monotonic() + 120
    while not list(workspace.glob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    assert worker.wait(pid) == -signal.SIGKILL, worker.said()
    assert not list(workspace.glob("results/*"))
    for state in states(workspace).values():
        Store(workspace).verify("states", state.name)
    run(path, workspace)
    assert set(states(workspace)) == {kept} and not list((workspace / "partial").glob("results-*"))
    again = worker.start("run", path, "--workspace", workspace, "--set", "stages.one.train.steps=9")
    assert worker.wait(again) == 0, worker.said()
    assert f"going on from step {kept} of an earlier run of 6 steps" in worker.said()
    whole = run(path, tmp_path / "whole", "stages.one.train.steps=9")["one"]
    assert adapter_bytes(workspace / "results" / whole.name) == adapter_bytes(whole)
    assert losses(workspace / "results" / whole.name) == losses(whole)


def test_an_extension_that_is_broken_off_resumes_from_its_own_checkpoint(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("one", train={**KEPT, "checkpoint_every": 2})])
    run(path, tmp_path / "w", "stages.one.train.steps=3")
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "w", "stages.one.train.steps=9", reporter=StopAt(7))
    (stage_,) = plan(load_recipe(path, ["stages.one.train.steps=9"]), Store(tmp_path / "w"))
    assert stage_.why == "unfinished: resumes from its checkpoint" and stage_.begins is None
    reporter = Recorder()
    more = run(path, tmp_path / "w", "stages.one.train.steps=9", reporter=reporter)["one"]
    assert [event.step for event in reporter.steps] == [7, 8, 9]
    assert manifest(more)["extended_from"]["step"] == 3 and manifest(more)["metrics"]["resumed_from"] == 6
    assert adapter_bytes(more) == adapter_bytes(run(path, tmp_path / "whole", "stages.one.train.steps=9")["one"])
    for checkpoint in tmp_path.glob("w/partial/*"):
        raise AssertionError(checkpoint)


def test_a_state_of_data_that_changed_is_not_kept(write_recipe: Write, tmp_path: Path) -> None:
    """A file that is edited while its stage trains: neither state nor result is published."""
    path, data = write_recipe([stage("one", train=KEPT)]), tmp_path / "sft.jsonl"

    class Edits(Recorder):
        def step(self, event: Any) -> None:
            write_jsonl(data, conversations(47))

    with pytest.raises(InputChanged):
        run(path, tmp_path / "w", reporter=Edits())
    assert not states(tmp_path / "w") and not list(tmp_path.glob("w/results/*"))


def test_a_deleted_result_is_made_of_the_state_of_its_last_step(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("one", train=KEPT)])
    result = run(path, tmp_path)["one"]
    before = adapter_bytes(result)
    shutil.rmtree(result)
    reporter = Recorder()
    assert adapter_bytes(run(path, tmp_path, reporter=reporter)["one"]) == before
    assert not reporter.steps


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        *[({"schedule": name}, f"the rates of `{name}` depend") for name in ("linear", "cosine", "cosine_with_min")],
        ({"schedule": "constant", "warmup": 0.1}, "`warmup` 0.1, a share of all steps"),
        ({"schedule": "wsd", "warmup": 0.1}, "`warmup` 0.1, a share of all steps"),
        ({"schedule": "wsd", "select": {"on": "holdout"}}, "give `select.every` a number of steps"),
    ],
    ids=str,
)
def test_what_depends_on_the_number_of_steps_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainSpec(keep_state=True, **fields)
    TrainSpec(**fields)
    TrainSpec(keep_state=True, schedule="constant", warmup=3)


@pytest.mark.parametrize(
    ("fields", "said", "mends"),
    [
        (
            {"train": {"select": {"on": "holdout", "every": 4}}},
            "is validated though .*`train.select.every` 4",
            "steps=8",
        ),
        ({"drift": {"max": 1.0, "every": 4}}, "is measured though .* no multiple of `drift.every` 4", "steps=8"),
        ({"train": {"schedule": "wsd", "decay": 6}}, "the decay takes all 6 steps", "train.decay=0.1"),
    ],
    ids=str,
)
def test_what_a_longer_run_would_not_do_is_refused_before_it_trains(
    fields: dict[str, Any], said: str, mends: str, write_recipe: Write, tmp_path: Path
) -> None:
    fields = {**fields, "train": {**KEPT, **fields.get("train", {})}}
    data = [{"path": "sft.jsonl", "format": "messages", "holdout": 0.2}]
    path = write_recipe([stage("one", data=data, **fields)])
    with pytest.raises(UsageError, match=said) as told:
        run(path, tmp_path / "w")
    assert mends in str(told.value.remedy)
    assert not list((tmp_path / "w").glob("partial/results-*"))
    run(path, tmp_path / "w", str(told.value.remedy).partition("--set ")[2].partition(",")[0])


# ------------------------------------------------------------------ plan, gc


def test_plan_says_where_it_goes_on(write_recipe: Write, tmp_path: Path) -> None:
    path, store = write_recipe([stage("one", train=KEPT)]), Store(tmp_path / "w")

    def why(*overrides: str) -> str:
        return plan(load_recipe(path, overrides), store)[0].why

    free = "stages.one.train.keep_state=false"
    run(path, tmp_path / "w", free, "stages.one.train.steps=4")
    assert why(free) == "train.steps 4 -> 6; with `train.keep_state: true` a longer run could go on from this one"
    assert why() == "train.steps 4 -> 6"
    assert "keep_state" not in why(free, "stages.one.train.schedule=linear")
    assert "keep_state" not in why(free, "stages.one.train.seed=2")
    run(path, tmp_path / "w", "stages.one.train.steps=5")
    assert why() == "train.steps 5 -> 6; goes on from step 5 of 6"
    assert why(free) == "train.steps 5 -> 6; goes on from step 5 of 6"
    assert why("stages.one.train.steps=3") == "train.steps 5 -> 3"


def test_gc_leaves_the_latest_state_of_a_run(write_recipe: Write, tmp_path: Path) -> None:
    """Earlier ones of the same trunk go, and all of them with the run."""
    path, store = write_recipe([stage("one", train=KEPT)]), Store(tmp_path / "w")
    for steps in (2, 4):
        run(path, tmp_path / "w", f"stages.one.train.steps={steps}")
    found = states(tmp_path / "w")
    stock, _ = stock_of(store)
    items = {item.place: item for item in stock.items if item.place.startswith("states/")}
    latest, earlier = (items[f"states/{found[step].name}"] for step in (4, 2))
    assert latest.what == "state of one at step 4, of tiny" and stock.owners(latest)
    assert earlier in stock.orphans and latest not in stock.orphans
    on_disk = sum(file.stat().st_size for file in found[4].iterdir())
    assert latest.bytes == on_disk > 3 * (found[4] / "adapter_model.safetensors").stat().st_size - 1024
    sweep(store, {item.place for item in stock.orphans})
    assert set(states(tmp_path / "w")) == {4}
    going = removal(store, ["tiny", "tiny@1"])
    assert latest.place in {item.place for item in going.items}
    assert latest.place in {item.place for item, _ in removal(store, ["tiny"]).shared}
