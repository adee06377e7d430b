"""The loop over stages: what is planned and why, what is shared, in which order things happen."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import statllama.model.base_model
from statllama.cli.console.house import print_status
from statllama.config.train import TrainSpec
from statllama.data import prepare as preparing
from statllama.data import sources
from statllama.errors import DataError, StoreError, UsageError
from statllama.runs import plan as planning
from statllama.runs.plan import PlannedStage, plan
from statllama.runs.reporting import Reporter
from statllama.runs.runner import measure
from statllama.runs.runner import run as run_recipe
from statllama.store import Store
from statllama.train.steps import count_steps
from tests.conftest import conversations, stage, write_jsonl
from tests.reference import logits, merged, relative, some_ids
from tests.running import adapter_bytes, losses, recipe_of, run

torch.set_num_threads(1)
Write = Callable[..., Path]
SHORT = {"steps": 2}
GONE = "the last run did not finish it, or its result was deleted"


def planned(path: Path, workspace: Path, *overrides: str) -> tuple[PlannedStage, ...]:
    return plan(recipe_of(path, *overrides), Store(workspace))


def reasons(path: Path, workspace: Path, *overrides: str) -> list[str]:
    return [p.why for p in planned(path, workspace, *overrides)]


def test_why_a_stage_runs(write_recipe: Write, tmp_path: Path) -> None:
    stages = [
        stage("a", train=SHORT),
        stage("b", train=SHORT),
        stage("c", "cpt", parents="base", train=SHORT),
    ]
    path, workspace = write_recipe(stages), tmp_path / "w"
    assert reasons(path, workspace) == ["new", "new", "new"]
    results = run(path, workspace)
    assert reasons(path, workspace) == ["cached"] * 3
    assert reasons(path, workspace, "stages.b.train.learning_rate=0.001", "stages.b.lora.alpha=9") == [
        "cached",
        "lora.alpha 8 -> 9; train.learning_rate 0.01 -> 0.001",
        "cached",
    ]
    assert reasons(path, workspace, "stages.a.train.seed=1") == [
        "train.seed 42 -> 1", "a stage below it changed", "cached"
    ]  # fmt: skip
    assert "base model" in reasons(path, workspace, "base.quantization=nf4")[0]
    write_jsonl(tmp_path / "cpt.jsonl", [{"text": "other text"}])
    assert reasons(path, workspace) == ["cached", "cached", "the data changed"]
    shutil.rmtree(results["b"])
    assert reasons(path, workspace)[:2] == ["cached", GONE]
    assert [p.cached for p in planned(path, workspace)] == [True, False, False]


def test_an_unfinished_stage_is_said_to_go_on(
    write_recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stop(Reporter):
        def step(self, event: Any) -> None:
            if event.step == 3:
                raise ConnectionError

    path = write_recipe([stage("a")])
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "w", reporter=Stop())
    assert reasons(path, tmp_path / "w") == ["unfinished: resumes from its checkpoint"]
    assert state_in_status(tmp_path / "w", capsys) == "unfinished"


def state_in_status(workspace: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `statllama status` says of stage a."""
    print_status(Store(workspace))
    line = next(line for line in capsys.readouterr().out.splitlines() if re.match(r"\W*a\s", line))
    return re.split(r"\s*[│]\s*|\s{2,}", line.strip("│ "))[1]


def test_a_stage_without_a_sound_checkpoint_is_not_said_to_go_on(
    write_recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stop(Reporter):
        def step(self, event: Any) -> None:
            raise ConnectionError

    path = write_recipe([stage("a"), stage("b")])
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "w", reporter=Stop())
    assert list((tmp_path / "w").glob("partial/results-*/checkpoints"))
    assert reasons(path, tmp_path / "w") == [GONE, GONE]
    assert state_in_status(tmp_path / "w", capsys) == "to run"


def test_a_stages_data_are_prepared_once(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked before the first stage is what is trained on, though the file has changed since."""
    texts: list[list[str]] = []
    prepare = preparing.prepare

    def counted(*args: Any, **options: Any) -> Any:
        prepared = prepare(*args, **options)
        texts.append([source.path for source in args[1]])
        (tmp_path / "cpt.jsonl").write_text("not JSON any more", encoding="utf-8")
        return prepared

    path = write_recipe([stage("a", train=SHORT)])
    monkeypatch.setattr(preparing, "prepare", counted)
    assert set(run(path, tmp_path / "w")) == {"a"}
    assert len(texts) == 1


def test_a_run_clears_what_a_kill_after_publishing_left(write_recipe: Write, tmp_path: Path) -> None:
    path, workspace = write_recipe([stage("a", train=SHORT)]), tmp_path / "w"
    result = run(path, workspace)["a"]
    left = workspace / "partial" / f"results-{result.name}" / "checkpoints" / "checkpoint-2"
    left.mkdir(parents=True)
    run(path, workspace)
    assert not list((workspace / "partial").iterdir())


def test_all_of_a_run_is_of_the_commits_that_were_planned(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch of a hub dataset that moves on after the plan changes neither key nor data."""
    commits = iter(["a" * 40, "b" * 40])
    monkeypatch.setattr(sources, "resolve_commit", lambda source, *_: source.revision or next(commits))
    path = write_recipe([stage("a", data=[{"hub": "some/data", "format": "messages"}], train=SHORT)])
    (one,) = planned(path, tmp_path / "w")
    assert [s.revision for s in one.spec.data] == ["a" * 40]
    (other,) = planned(path, tmp_path / "w")
    assert one.key != other.key


def test_recipes_share_what_they_have_in_common(write_recipe: Write, tmp_path: Path) -> None:
    """The same first stage under another name, in another recipe, with another budget, is not trained again."""
    workspace = tmp_path / "w"
    first = run(write_recipe([stage("a", train=SHORT)]), workspace)
    other = [stage("x", train=SHORT | {"micro_tokens": 1}), stage("y", train=SHORT)]
    path = write_recipe(other, name="other", description="another")
    assert reasons(path, workspace) == ["cached (as a)", "new"]
    before = (first["a"] / "manifest.json").read_bytes()
    results = run(path, workspace)
    assert results["x"] == first["a"]
    assert (first["a"] / "manifest.json").read_bytes() == before
    assert set(Store(workspace).runs()) == {"tiny", "other"}


def test_until_stops_after_a_stage(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("a", train=SHORT), stage("b", train=SHORT)])
    recipe, store = recipe_of(path), Store(tmp_path / "w")
    assert set(run_recipe(recipe, store, Reporter(), until="a").results) == {"a"}
    assert len(store.entries("results")) == 1
    with pytest.raises(UsageError, match="no stage 'z'"):
        run_recipe(recipe, store, Reporter(), until="z")


def test_a_wrong_until_is_said_before_the_base_is_hashed(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "base_identity", lambda *_: pytest.fail("hashed"))
    with pytest.raises(UsageError, match="no stage 'z'"):
        plan(recipe_of(write_recipe([stage("a")])), Store(tmp_path / "w"), until="z")
    assert not (tmp_path / "w").exists()


def test_runs_of_others_do_not_stop_a_plan(write_recipe: Write, tmp_path: Path) -> None:
    """`runs` is a common name for a folder: what is in it need not be ours."""
    path, folder = write_recipe([stage("a")]), tmp_path / "w" / "runs"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("[1]")
    assert reasons(path, tmp_path / "w") == ["new"]
    (folder / "tiny.json").write_text('{"stages": {"a": 1}}')
    with pytest.raises(StoreError, match=r"tiny\.json is not a record of a run"):
        reasons(path, tmp_path / "w")


def test_a_bad_row_of_a_late_stage_stops_the_run_before_a_model_is_loaded(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(statllama.model.base_model, "load_base", never)
    path = write_recipe([stage("a"), stage("b", "dpo")])
    (tmp_path / "dpo.jsonl").write_text('{"prompt": "x"}\n')
    with pytest.raises(DataError, match="row 1"):
        run(path, tmp_path / "w")


def test_a_diamond_is_stacked_as_written(write_recipe: Write, base_folder: Path, tmp_path: Path) -> None:
    """Keys of the parents in order; the stack that is trained on is root + left + right, each once."""
    from transformers import AutoModelForCausalLM

    stages = [
        stage("root", train=SHORT),
        stage("left", parents=["root"], train=SHORT, lora={"r": 2}),
        stage("right", "cpt", parents=["root"], train=SHORT, lora={"r": 3}),
        stage("top", parents=["left", "right"], train={"steps": 1, "batch_size": 48}),
    ]
    results = run(write_recipe(stages), tmp_path / "w")
    manifest = json.loads((results["top"] / "manifest.json").read_text())
    assert manifest["parents"] == [results[n].name for n in ("root", "left", "right")]
    assert json.loads((results["root"] / "manifest.json").read_text())["parents"] == []
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    scales = {"root": 8 / 4, "left": 8 / 2, "right": 8 / 3}
    model = merged(base, [(results[n], s) for n, s in scales.items()])
    from tests.conftest import make_tokenizer

    tokenizer, total, count = make_tokenizer(), 0.0, 0
    for row in conversations(48):
        ids = tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
        prompt = tokenizer.apply_chat_template(
            row["messages"][:1], tokenize=True, return_dict=False, add_generation_prompt=True
        )
        output = logits(model, torch.tensor([ids]))[0, :-1].log_softmax(-1)
        picked = output.gather(-1, torch.tensor(ids[1:])[:, None])[len(prompt) - 1 :, 0]
        total, count = total - float(picked.double().sum()), count + len(picked)
    assert losses(results["top"])[0] == pytest.approx(total / count, abs=1e-5)
    ids = some_ids(base.config.vocab_size)
    twice = merged(base, [(results[n], s) for n, s in [*scales.items(), ("root", scales["root"])]])
    assert relative(logits(twice, ids), logits(model, ids)) > 1e-2  # the root twice would be another stack


@pytest.mark.parametrize(
    ("rows", "train"),
    [
        (13, {"epochs": 1.0, "batch_size": 4}),
        (13, {"epochs": 2.0, "batch_size": 4}),
        (7, {"epochs": 1.5, "batch_size": 4}),
        (3, {"epochs": 2.0, "batch_size": 8}),
        (5, {"batch_size": 2}),
        (5, {"steps": 4, "batch_size": 2}),
    ],
)
def test_planned_steps_are_trained_steps(rows: int, train: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    one = stage("a")
    one["train"] = {"max_length": 64, "gradient_checkpointing": False, **train}
    path = write_recipe([one])
    write_jsonl(tmp_path / "sft.jsonl", conversations(rows))
    recipe, store = recipe_of(path), Store(tmp_path / "w")
    before = measure(recipe, store, plan(recipe, store), Reporter())["a"]
    result = run(path, tmp_path / "w")["a"]
    assert len(losses(result)) == before.steps
    assert before.examples == rows
    after = measure(recipe, store, plan(recipe, store), Reporter())["a"]
    assert after == before


def test_count_steps_by_hand() -> None:
    def steps(rows: int, **fields: Any) -> int:
        return count_steps(rows, TrainSpec(**fields))

    assert steps(100, batch_size=16) == math.ceil(100 / 16)
    assert steps(100, batch_size=16, epochs=3.0) == 21
    assert steps(100, batch_size=16, steps=5) == 5
    assert steps(1, batch_size=16) == 1


def test_the_manifest_says_what_was_done(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("a", train=SHORT)])
    result = run(path, tmp_path / "w", "stages.a.lora.r=3")["a"]
    manifest = json.loads((result / "manifest.json").read_text())
    assert manifest["overrides"] == ["stages.a.lora.r=3"]
    assert (manifest["name"], manifest["recipe"], manifest["config"]["lora"]["r"]) == ("a", "tiny", 3)
    assert manifest["metrics"]["steps"] == 2
    assert manifest["metrics"]["first_loss"] == losses(result)[0]
    assert manifest["dtype"] == "float32"
    assert set(manifest["files"]) == {"adapter_config.json", "adapter_model.safetensors", "history.json"}
    assert manifest["versions"]["trl"]


def test_another_seed_is_another_adapter(write_recipe: Write, tmp_path: Path) -> None:
    """And the same seed the same one, in the same process, after another stage has used the base."""
    path = write_recipe([stage("a", train=SHORT)])
    found = [
        adapter_bytes(run(path, tmp_path / f"w{i}", f"stages.a.train.seed={seed}")["a"])
        for i, seed in enumerate((1, 2, 1))
    ]
    assert found[0] == found[2] != found[1]
    both = write_recipe([stage("z", "cpt", train=SHORT), stage("a", parents="base", train=SHORT)])
    assert adapter_bytes(run(both, tmp_path / "both", "stages.a.train.seed=1")["a"]) == found[0]
