"""What is set above replaces what it cannot stand with below, in every layer; a user against himself is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.precedence import PACKING, nearest_multiple, over
from statllama.errors import RecipeError
from statllama.recipe import Recipe, load_recipe
from statllama.stages import stage_types

Load = Callable[..., Recipe]
DATA = {"sft": "messages", "cpt": "text", "dpo": "preference", "kto": "judged", "grpo": "prompt_answer"}


def stage(kind: str = "sft", **fields: Any) -> dict[str, Any]:
    rewards = {"rewards": [{"name": "format"}]} if kind == "grpo" else {}
    return {"name": kind, "type": kind, "data": [{"path": "rows.jsonl", "format": DATA[kind]}], **rewards, **fields}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a recipe of these layers: `below` is a recipe that it extends, `overrides` are `--set`."""
    (tmp_path / "rows.jsonl").write_text("{}")
    (tmp_path / "base").mkdir()

    def call(
        stages: list[dict[str, Any]], *overrides: str, below: list[dict[str, Any]] | None = None, **fields: Any
    ) -> Recipe:
        base = {"base": {"model": "base"}}
        if below is not None:
            lower = fields.pop("lower", {})
            (tmp_path / "lower.yaml").write_text(yaml.safe_dump({"name": "lower", "stages": below, **base, **lower}))
            base = {"extends": "lower"}  # type: ignore[dict-item]
        (tmp_path / "r.yaml").write_text(yaml.safe_dump({"name": "r", "stages": stages, **base, **fields}))
        return load_recipe(tmp_path / "r.yaml", overrides)

    return call


def test_defaults_on_the_command_line_lie_above_every_stage(load: Load) -> None:
    """`--set defaults.train.steps=2` is what `lr`, `epochs` and the like are told to write: it must not be ignored."""
    stages = [
        stage("sft", name="a", train={"epochs": 3, "warmup": 50, "learning_rate": 1e-3}),
        stage("dpo", name="b", parents="base", train={"steps": 9, "batch_size": 4}),
        {"name": "c", "type": "blend", "of": {"a": 0.5, "b": 0.5}},
    ]
    for below in (None, stages):  # written here, or in a recipe that is extended
        own = stages if below is None else []
        over = "defaults.train.steps=2", "defaults.train.packing=true", "stages.b.train.learning_rate=1e-5"
        a, b, _ = load(own, *over, "defaults.train.learning_rate=2e-4", below=below).stages  # type: ignore[misc]
        assert (a.train.steps, a.train.epochs, a.train.warmup, a.train.packing) == (2, None, 0, True)
        assert (b.train.steps, b.train.batch_size, b.train.packing) == (2, 4, False)
        assert (a.train.learning_rate, b.train.learning_rate) == (2e-4, 1e-5)  # one stage is said more exactly
    (a, b) = load(stages[:2], "stages.a.train.epochs=1", "defaults.train={steps: 5}", "defaults.lora={r: 3}").stages
    assert [(s.train.steps, s.train.epochs, s.lora.r) for s in (a, b)] == [(None, 1, 3), (5, None, 3)]
    with pytest.raises(RecipeError, match=r"defaults\.train\.steps: .*got 'x'") as error:
        load(stages, "defaults.train.steps=x")
    assert error.value.message.count("got 'x'") == 1
    (a,) = load([stage("sft", train={"epochs": 3})], defaults={"train": {"steps": 7}}).stages  # the file's: below
    assert (a.train.steps, a.train.epochs) == (None, 3)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("defaults", "stage"),
        ("extended", "extends"),
        ("defaults of the extended", "extends"),
        *((lower, "--set") for lower in ("defaults", "stage", "extended", "defaults of the extended")),
    ],
)
@pytest.mark.parametrize(
    ("given", "set_", "expected"),
    [
        ({"epochs": 3}, {"steps": 20}, {"steps": 20, "epochs": None}),
        ({"steps": 20}, {"epochs": 3}, {"steps": None, "epochs": 3}),
        ({"warmup": 50, "epochs": 3}, {"steps": 20}, {"steps": 20, "epochs": None, "warmup": 0.0}),
        ({"warmup": 0.1}, {"steps": 20}, {"steps": 20, "warmup": 0.1}),
        ({"warmup": 10}, {"steps": 20}, {"steps": 20, "warmup": 10}),
    ],
)
def test_what_is_set_replaces_what_lies_below(
    lower: str, upper: str, given: dict[str, Any], set_: dict[str, Any], expected: dict[str, Any], load: Load
) -> None:
    """Every pair of layers of which one is above the other."""
    inherited = stage(train=given if lower == "extended" else {})
    defaults = {"defaults": {"train": given}} if lower == "defaults of the extended" else {}
    own = stage(train={**(given if lower == "stage" else {}), **(set_ if upper == "stage" else {})})
    overrides = [f"stages.sft.train.{k}={v}" for k, v in set_.items()] if upper == "--set" else []
    if lower.endswith("extended"):
        changed = [{"name": "sft", "train": set_}] if upper == "extends" else []
        recipe = load(changed, *overrides, below=[inherited], lower=defaults)
    else:
        recipe = load([own], *overrides, **({"defaults": {"train": given}} if lower == "defaults" else {}))
    train = recipe.trained[0].train.model_dump()
    assert {name: train[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("stages", "overrides", "fields", "part"),
    [
        ([stage(train={"epochs": 1, "steps": 2})], [], {}, "give `epochs` or `steps`, not both"),
        ([stage()], ["stages.sft.train.epochs=1", "stages.sft.train.steps=2"], {}, "give `epochs` or `steps`, not"),
        ([stage()], ["stages.sft.train={epochs: 1, steps: 2}"], {}, "give `epochs` or `steps`, not both"),
        ([stage()], [], {"defaults": {"train": {"epochs": 1, "steps": 2}}}, "give `epochs` or `steps`, not both"),
        ([stage(train={"warmup": 50})], [], {"defaults": {"train": {"steps": 20}}}, "`warmup` 50 is above `steps` 20"),
        ([stage(train={"warmup": 50, "steps": 20})], [], {}, "`warmup` 50 is above `steps` 20"),
        ([stage("dpo", train={"packing": True})], [], {}, "packing is for cpt and sft"),
        ([stage("grpo", generations=6, train={"batch_size": 16})], [], {}, "set it to 12 or 18"),
        ([stage("grpo", train={"batch_size": 13})], [], {}, "is not a multiple of `generations` 8"),
        ([stage("grpo", max_completion_length=900, train={"max_length": 512})], [], {}, "do not fit into"),
        ([stage(drift={"max": 1, "every": 10}, train={"steps": 5})], [], {}, "`drift.every` 10 is above"),
    ],
)  # fmt: skip
def test_what_the_user_wrote_against_himself_is_an_error(
    stages: list[dict[str, Any]], overrides: list[str], fields: dict[str, Any], part: str, load: Load
) -> None:
    with pytest.raises(RecipeError) as error:
        load(stages, *overrides, **fields)
    assert part in error.value.message


def test_characters_of_two_layers_stay_an_error(load: Load) -> None:
    """Neither bound says what the other should be."""
    short = stage(data=[{"path": "rows.jsonl", "min_chars": 100}])
    with pytest.raises(RecipeError, match="`min_chars` 100 is above `max_chars` 10"):
        load([short], "stages.sft.data.0.max_chars=10")


def test_a_source_is_pointed_elsewhere(load: Load) -> None:
    hub = {"hub": "o/n", "config": "main", "revision": "a" * 40, "split": "test", "limit": 5}
    data = [hub, {"problems": {"count": 3}}]
    (first, second) = (
        load([stage(data=data)], "stages.sft.data.0.path=rows.jsonl", "stages.sft.data.1.hub=o/m").trained[0].data
    )
    assert first.model_dump(exclude_defaults=True) == {"path": str(first.path), "limit": 5}
    assert (second.hub, second.problems) == ("o/m", None)
    with pytest.raises(RecipeError, match="only one"):
        load([stage(data=data)], "stages.sft.data.0.path=rows.jsonl", "stages.sft.data.0.hub=o/m")


def test_another_model_has_another_revision(load: Load) -> None:
    pinned = {"base": {"model": "o/n", "revision": "a" * 40}}
    assert load([stage()], "base.model=o/m", **pinned).base.revision is None
    assert load([stage()], "base.revision=v2", "base.model=o/m", **pinned).base.revision == "v2"
    assert load([stage()], "base.quantization=none", **pinned).base.revision == "a" * 40
    inherited = load([], below=[stage()], lower=pinned, base={"model": "o/m"})
    assert (inherited.base.model, inherited.base.revision) == ("o/m", None)


def test_benchmarks_that_are_not_scored_have_no_gates(load: Load) -> None:
    evaluate = {"tasks": ["a", "b"], "gates": {"a": -1, "b": -2}, "data": {"b": "b.jsonl"}}
    fewer = load([stage()], "evaluate.tasks=[a]", evaluate=evaluate).evaluate
    assert (fewer.tasks, list(fewer.gates), fewer.data) == (("a",), ["a"], {})
    inherited = load([], below=[stage()], lower={"evaluate": evaluate}, evaluate={"tasks": ["b"]}).evaluate
    assert (list(inherited.gates), list(inherited.data)) == (["b"], ["b"])
    with pytest.raises(RecipeError, match="`gates` names 'b', which `tasks` does not score"):
        load([stage()], evaluate={"tasks": ["a"], "gates": {"b": -1}})
    with pytest.raises(RecipeError, match="`gates` names 'b', which `tasks` does not score"):
        load([stage()], "evaluate.gates={b: -1}", "evaluate.tasks=[a]")


@pytest.mark.parametrize("kind", [kind for kind in stage_types() if kind in DATA])
def test_a_default_packing_is_for_stages_that_pack(kind: str, load: Load) -> None:
    """This also holds the list of those types: one that is added is found here."""
    recipe = load([stage(kind)], defaults={"train": {"packing": True}})
    assert recipe.trained[0].train.packing is (kind in PACKING)
    if kind not in PACKING:
        with pytest.raises(RecipeError, match="packing"):
            load([stage(kind, train={"packing": True})])
    inherited = load([], below=[stage(kind)], lower={"defaults": {"train": {"packing": True}}})
    assert inherited.trained[0].train.packing is (kind in PACKING)


@pytest.mark.parametrize(
    ("fields", "defaults", "expected"),
    [
        ({"generations": 6}, {}, (12, 6, 512)),
        ({"generations": 20}, {}, (20, 20, 512)),
        ({}, {"batch_size": 12}, (12, 6, 512)),
        ({"train": {"batch_size": 10}}, {}, (10, 5, 512)),
        ({"generations": 6}, {"batch_size": 64}, (60, 6, 512)),
        ({}, {"max_length": 256}, (16, 8, 128)),
        ({"max_completion_length": 100}, {"max_length": 256}, (16, 8, 100)),
        ({}, {}, (16, 8, 512)),
    ],
)
def test_the_defaults_of_grpo_fit_what_is_set(
    fields: dict[str, Any], defaults: dict[str, Any], expected: tuple[int, int, int], load: Load
) -> None:
    spec: Any = load([stage("grpo", **fields)], defaults={"train": defaults}).stages[0]
    assert (spec.train.batch_size, spec.generations, spec.max_completion_length) == expected


def test_drift_is_measured_in_a_short_stage(load: Load) -> None:
    recipe = load([stage(drift={"max": 0.1})], "stages.sft.train.steps=5")
    assert recipe.trained[0].drift is not None and recipe.trained[0].drift.every == 1
    recipe = load([stage(drift={"max": 0.1})], "stages.sft.train.steps=50")
    assert recipe.trained[0].drift is not None and recipe.trained[0].drift.every == 10


NAMES = st.sampled_from(
    ["epochs", "steps", "warmup", "tasks", "gates", "data", "path", "hub", "model", "revision", "r"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 60) | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
layers = st.dictionaries(NAMES, values, max_size=5)


@given(layers, layers)
def test_the_upper_layer_always_holds_whole(below: dict[str, Any], own: dict[str, Any]) -> None:
    merged = over(below, own)

    def holds(part: Any, whole: Any) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(key in whole and holds(value, whole[key]) for key, value in part.items())
        return bool(part == whole)

    assert holds(own, merged)
    assert over(merged, own) == merged, "setting it again changes nothing"
    assert over(below, {}) == below and over({}, own) == own


@given(st.integers(1, 500), st.integers(1, 500))
def test_the_nearest_multiple(number: int, of: int) -> None:
    found = nearest_multiple(number, of)
    assert found % of == 0 and found > 0 and (found <= number < found + of or (found == of > number))
