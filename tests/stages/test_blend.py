"""The blend stage: what a recipe may say, its key, its run, and that it is the dense combination."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM

from statllama import report
from statllama.cli import app as cli
from statllama.cli.console.run import stack_plan
from statllama.errors import RecipeError, TrainingError, UsageError
from statllama.model.adapter import load_adapter
from statllama.recipe import load_recipe
from statllama.release.card import Contents, card
from statllama.release.certificate import Certificate
from statllama.release.licences import duties_of
from statllama.runs.plan import plan
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import conversations, stage, write_jsonl
from tests.running import run

Write = Callable[..., Path]
FEW = {"steps": 2, "learning_rate": 1e-2}
SIBLINGS = [
    stage("trunk", train=FEW),
    stage("left", parents=["trunk"], train=FEW, lora={"r": 3, "alpha": 6, "target_modules": ["q_proj", "up_proj"]}),
    stage(
        "right", parents=["trunk"], train={**FEW, "seed": 7}, lora={"r": 2, "alpha": 8, "target_modules": ["q_proj"]}
    ),
]
BLEND = {"name": "mix", "type": "blend", "of": {"left": 2, "right": 3}}


@pytest.fixture
def write(tmp_path: Path, base_folder: Path) -> Write:
    """Writes a recipe with these stages after the trunk and its two siblings."""
    write_jsonl(tmp_path / "sft.jsonl", conversations(8))

    def call(*stages: dict[str, Any], **fields: Any) -> Path:
        body = {"name": "r", "base": {"model": str(base_folder), "quantization": "none"}}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**body, "stages": [*SIBLINGS, *stages], **fields}, sort_keys=False))
        return path

    return call


def test_a_blend_stands_where_its_siblings_stand(write: Write) -> None:
    recipe = load_recipe(write(BLEND, stage("after")))
    assert [s.name for s in recipe.stages] == ["trunk", "left", "right", "mix", "after"]
    assert recipe.stage("mix").parents == ("trunk",) and recipe.stage("after").parents == ("mix",)
    assert [s.name for s in recipe.stack(recipe.stage("after"))] == ["trunk", "mix"]
    first = load_recipe(write({**BLEND, "parents": ["trunk"]}))
    assert first.stage("mix") == recipe.stage("mix")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"of": {"left": 2, "rigth": 3}}, "unknown stage 'rigth': did you mean 'right'"),
        ({"of": {}}, "of (stage mix): needs at least 1"),
        ({"of": {"left": 2}}, "`of` names left alone, at full size: add `scale`, or name another stage"),
        ({"of": {"left": 2}, "scale": 0.5, "method": "ties"}, "`ties` is for what several stages disagree on"),
        ({"of": {"left": 2}, "scale": 0.5, "method": "dare"}, "`dare` is for what several stages disagree on"),
        ({"scales": [0.5, 1]}, "`scales` needs what they are chosen on"),
        ({"choose": {"on": "holdout:left"}}, "`choose` needs what to choose from"),
        ({"scale": 0.5, "scales": [1], "choose": {"on": "holdout:left"}}, "there is no `scale` (0.5) beside them"),
        ({"scales": [0.5, 0.5], "choose": {"on": "holdout:left"}}, "scales (stage mix): 0.5 is listed twice"),
        ({"scales": [0, 1], "choose": {"on": "holdout:left"}}, "input should be greater than 0; got 0"),
        ({"scales": [1], "choose": {"on": "holdout:left", "keep": {"holdout:left": -1}}}, "greater than or equal to 0"),
        ({"of": {"left": 2, "right": 0}}, "of.right (stage mix): input should be greater than 0; got 0"),
        ({"of": {"left": 2, "right": float("nan")}}, "of.right (stage mix)"),
        ({"of": {"left": 2, "right": float("inf")}}, "finite number"),
        ({"of": {"left": 2, "trunk": 3}}, "left stands on trunk, trunk on base"),
        ({"of": {"left": 2, "mix": 3}}, "a blend cannot blend itself"),
        ({"parents": "base"}, "its stages stand on trunk, but it names base"),
        ({"method": "tis"}, "'linear', 'ties' or 'dare'; got 'tis'"),
        ({"density": 0.5}, "`density` is for `ties` and `dare`"),
        ({"method": "ties", "density": 0}, "density (stage mix): input should be greater than 0"),
        ({"rank": 0}, "rank (stage mix)"),
        ({"data": []}, "data (stage mix): unknown key"),
    ],
)
def test_what_a_blend_may_not_say(write: Write, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write({**BLEND, **changes}))
    assert said in str(caught.value)


def test_rows_of_tokens_are_not_blended(write: Write) -> None:
    """Said before anything trains; below the siblings they are welcome."""
    rows = {"lora": {"token_rows": ["a"]}}
    third = stage("third", parents=["trunk"], **rows)
    with pytest.raises(RecipeError, match=r"stage 'third' trains rows of tokens, and 'mix' blends it"):
        load_recipe(write(third, {**BLEND, "of": {"left": 2, "third": 3}}))
    load_recipe(write(third, BLEND))


def test_a_gate_may_not_leave_out_what_is_blended(write: Write) -> None:
    from tests.benchmarks_for_tests import choice_task

    path = write(BLEND)
    choice_task(path.parent / "eval", "letters", 4)
    gate = {"budget": -1.0, "on_break": "parent"}
    with pytest.raises(RecipeError, match=r"would leave out stage 'left', which 'mix' blends"):
        load_recipe(write(BLEND, evaluate={"tasks": ["letters"], "gates": {"letters": gate}}))
    load_recipe(write(BLEND, evaluate={"tasks": ["letters"], "gates": {"letters": {**gate, "stages": ["mix"]}}}))


def test_the_plan_in_one_line(write: Write) -> None:
    recipe = load_recipe(
        write(BLEND, stage("after"), stage("other", parents=["right"]), stage("apart", parents="base"))
    )
    planned = plan(recipe, Store(recipe.root / "w"))
    assert stack_plan(planned) == ("base -> trunk, apart; trunk -> left, right -> mix -> after; right -> other")
    assert stack_plan(planned[:2]) == "base -> trunk -> left"


def keys(path: Path, *overrides: str) -> dict[str, str]:
    return {s.spec.name: s.key for s in plan(load_recipe(path, overrides), Store(path.parent / "w"))}


def test_its_key_is_what_it_is_made_of(write: Write) -> None:
    path = write(BLEND, stage("after"))
    before = keys(path)
    assert keys(path, "stages.mix.of.left=4", "stages.mix.of.right=6") == before, "only the shares count"
    for change in ("stages.mix.of.left=3", "stages.mix.rank=2", "stages.mix.scale=2", "stages.mix.method=dare"):
        after = keys(path, change)
        assert {name for name in before if before[name] != after[name]} == {"mix", "after"}, change
    after = keys(path, "stages.right.train.seed=8")
    assert {name for name in before if before[name] != after[name]} == {"right", "mix", "after"}


def test_a_run_blends_and_goes_on(write: Write, base_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write({**BLEND, "name": "mix"}, stage("after", train=FEW))
    result = run(path, path.parent / "w")
    mixed, left, right = (load_adapter(result[name]) for name in ("mix", "left", "right"))
    manifest = json.loads((result["mix"] / "manifest.json").read_text())
    assert manifest["metrics"]["rank"] == 5 and manifest["metrics"]["error"] == 0
    assert len(manifest["parents"]) == 1 and len(manifest["siblings"]) == 2
    for module, part in mixed.slices.items():
        wanted = torch.zeros(part.B.shape[0], part.A.shape[1])
        for adapter, share in ((left, 0.4), (right, 0.6)):
            if module in adapter.slices:
                own = adapter.slices[module]
                wanted += share * own.scaling * own.B @ own.A
        assert torch.allclose(part.scaling * part.B @ part.A, wanted, atol=1e-6), module
    below = json.loads((result["after"] / "manifest.json").read_text())["parents"]
    assert below == [*manifest["parents"], result["mix"].name], "the siblings are not below it"
    # It is an ordinary PEFT adapter.
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_folder), result["mix"])
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    own = mixed.slices["model.layers.0.self_attn.q_proj"]
    assert torch.allclose(layer.get_delta_weight("default"), own.B @ own.A, atol=1e-6)

    again = run(path, path.parent / "w")
    assert again == result
    for command in ("plan", "status"):
        arguments = [command, str(path)] if command == "plan" else [command]
        assert cli.app([*arguments, "--workspace", str(path.parent / "w")], standalone_mode=False) in (None, 0)
    assert "mix" in capsys.readouterr().out


def test_the_report_and_the_card_name_what_a_blend_is_made_of(write: Write, tmp_path: Path) -> None:
    """The siblings are not in the stack, but the release has learned from their data."""
    path = write(BLEND, stage("after", train=FEW))
    run(path, path.parent / "w")
    store = Store(path.parent / "w")
    subject = find_subject(str(path), store)
    found = {s.name: s.parents for s in report.collect(subject, store).stages}
    assert found["mix"] == ("left", "right") and found["after"] == ("mix",)
    stack = subject.stack("after")
    duties = duties_of(tmp_path, "me/other")
    text = card(subject, stack, store, Contents("x"), duties, Certificate((), (), {}, {}))
    trained = text[text.index("## How it was trained") : text.index("## Scores")]
    rows = [line.split("|")[1].strip() for line in trained.splitlines() if line.startswith("| ")]
    assert rows == [
        "stage",
        "---",
        "trunk",
        "left",
        "right",
        "mix",
        "after",
        "stage",
        "---",
        *["trunk", "left", "right", "after"],
    ]
    assert "blend (linear) of left 0.4, right 0.6" in trained


def test_siblings_that_cancel_are_refused_and_nothing_stays(write: Write) -> None:
    still = {"steps": 1, "learning_rate": 0.0}
    body = yaml.safe_load(write(BLEND).read_text())
    for item in body["stages"][1:3]:
        item["train"] = {**item["train"], **still}
    path = write()
    path.write_text(yaml.safe_dump(body))
    with pytest.raises(TrainingError, match="the blend changes nothing: the adapters are zero"):
        run(path, path.parent / "w")
    names = {entry.manifest["name"] for entry in Store(path.parent / "w").entries("results")}
    assert names == {"trunk", "left", "right"}


def test_a_blend_has_no_data_to_look_at(write: Write) -> None:
    recipe = load_recipe(write(BLEND))
    with pytest.raises(UsageError, match="stage 'mix' is a blend: it reads no data"):
        recipe.training_stage("mix")
