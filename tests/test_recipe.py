"""Recipes: merging, overrides, hostile YAML, lines and near matches, order of stages, keys. Loads no torch."""

from __future__ import annotations

import contextlib
import copy
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.config.base_model import BaseModelSpec
from statllama.config.benchmarks import find_tasks
from statllama.config.lora import LoraSpec
from statllama.config.shipped import shipped_recipes
from statllama.config.source import ProblemsSpec, SourceSpec
from statllama.config.stage import TrainingSpec
from statllama.config.train import TrainSpec
from statllama.errors import RecipeError, UsageError
from statllama.model.identity import base_identity
from statllama.recipe import Recipe, load_recipe
from statllama.runs.keys import difference, key_material, stage_key
from statllama.stages import blend, dpo, kto, sft
from tests.conftest import REPO

ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base that is never loaded, and data files."""
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (base / name).write_text(name)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(ROWS)
    return tmp_path


Write = Callable[..., Path]


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes the text of a recipe, or a recipe of these stages."""

    def make(content: str | list[dict[str, Any]], **fields: Any) -> Path:
        path = folder / "recipe.yaml"
        if not isinstance(content, str):
            body = {"name": "r", "base": {"model": "base"}, "stages": content, **fields}
            content = yaml.safe_dump(body, sort_keys=False)
        path.write_text(content, encoding="utf-8")
        return path

    return make


def one(name: str, kind: str = "sft", **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "data": [{"path": "a.jsonl", "format": "messages"}], **fields}


def keys(recipe: Recipe) -> dict[str, str]:
    """{stage: key}."""
    base = base_identity(recipe.base, recipe.root / "hashes.json")
    found: dict[str, str] = {}
    for spec in recipe.stages:
        below = [found[s.name] for s in recipe.stack(spec)]
        found[spec.name] = stage_key(key_material(spec, below, base, recipe.root))
    return found


def problems(path: Path, *overrides: str) -> list[tuple[int, str, str]]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return [(p.line, p.where, p.message) for p in caught.value.problems]


# ------------------------------------------------------------------ defaults and overrides


def test_defaults_go_under_every_stage(write: Write) -> None:
    defaults = {"lora": {"r": 8, "rslora": True}, "train": {"epochs": 3.0, "seed": 7, "batch_size": 64}}
    stages = [
        one("a"),
        one("b", lora={"r": 2}, train={"steps": 5, "seed": 1}),
        one("c", train={"epochs": 1.0}),
    ]
    a, b, c = load_recipe(write(stages, defaults=defaults)).stages
    assert (a.lora.r, a.lora.rslora, a.lora.alpha, a.train.epochs, a.train.seed) == (8, True, 32.0, 3.0, 7)
    assert (b.lora.r, b.lora.rslora, b.train.seed, b.train.batch_size) == (2, True, 1, 64)
    assert (b.train.steps, b.train.epochs) == (5, None)  # own steps put the default epochs aside
    assert (c.train.steps, c.train.epochs) == (None, 1.0)


def test_wrong_defaults(write: Write) -> None:
    found = problems(write([one("a"), one("b")], defaults={"train": {"stps": 1}}))
    assert found == [(17, "defaults.train.stps", "unknown key: did you mean 'steps'?")]  # once, not for each stage
    assert problems(write([one("a")], defaults={"train": 5}))[0][1:] == (
        "defaults.train",
        "should be a mapping of fields",
    )
    assert problems(write([one("a")], defaults=None))[0][1:] == (
        "defaults",
        "should be a mapping with `lora` or `train`",
    )
    assert {where for _, where, _ in problems(write([one("a")], defaults={1: {}, "x": {}}))} == {
        "defaults.1",
        "defaults.x",
    }
    found = problems(write([one("a")], defaults={"lroa": {"r": 1}}))
    assert [(w, m) for _, w, m in found] == [("defaults.lroa", "unknown key: did you mean 'lora'?")]
    assert problems(write([one("a")], defaults={"train": {"stps": 1}}))[0][2].startswith("unknown key")


def test_overrides_by_name_by_number_and_nested(write: Write) -> None:
    path = write([one("a"), one("b")], defaults={"train": {"steps": 3}})
    overrides = (
        "name=other",
        "stages.b.train.learning_rate=3e-4",
        "stages.0.lora={r: 2, alpha: 5}",
        "stages.a.data.0.repeat=4",
        "stages.1.parents=[a]",
        "defaults.train.seed=9",
        "evaluate.limit=10",
    )
    recipe = load_recipe(path, overrides)
    a, b = recipe.stages
    assert recipe.name == "other"
    assert recipe.overrides == overrides
    assert b.train.learning_rate == 3e-4
    assert (a.lora.r, a.lora.alpha, a.data[0].repeat) == (2, 5.0, 4)
    assert (a.train.seed, b.train.seed, b.parents, recipe.evaluate.limit) == (9, 9, ("a",), 10)
    assert load_recipe(path).overrides == ()


def test_files_on_the_command_line_are_relative_to_the_current_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([one("a")])
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "llama").mkdir(parents=True)
    (elsewhere / "mine.jsonl").write_text(ROWS)
    monkeypatch.chdir(elsewhere)
    recipe = load_recipe(path, ["stages.a.data.0.path=mine.jsonl", "base.model=llama"])
    assert recipe.stages[0].data[0].path == str(elsewhere / "mine.jsonl")
    assert recipe.base.model == str(elsewhere / "llama")
    recipe = load_recipe(path, ["stages.a.data.0.path=b.jsonl"])  # not here, but beside the recipe
    assert recipe.root / str(recipe.stages[0].data[0].path) == tmp_path / "b.jsonl"
    assert load_recipe(path).base.model == str(tmp_path / "base")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("steps", "expected key=value"),
        ("=3", "expected key=value"),
        ("stages.x.train.steps=3", "no entry 'x': allowed: a"),
        ("stages.7.train.steps=3", "no entry '7'"),
        ("stages.a.train.steps=" + "[" * 3000, "steps"),
        ("stages.a.train.steps=2024-13-45", "steps"),
        ("stages.a.name.x.y=3", "name"),
        ("stages.a.data.0.columns.0=3", "columns"),
        ("stages=3", "stages"),
        ("stages.².train.steps=3", "no entry '²'"),
        ("stages." + "9" * 5000 + ".train.steps=3", "no entry '9"),
        ("stages..train=3", "expected key=value"),
        ("stages.a.lora=&x {r: *x}", "aliases are not allowed"),
        ("stages.a.lora={r: 1, r: 2}", "given twice"),
        ("description=\udcff", "is not valid UTF-8"),
    ],
)
def test_wrong_overrides(override: str, part: str, write: Write) -> None:
    with pytest.raises((UsageError, RecipeError)) as caught:
        load_recipe(write([one("a")]), [override])
    assert part in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("2e-5", 2e-5), ("1E3", 1e3), ("+.5e1", 5.0), ("3.e-2", 3e-2), ("0.5", 0.5), ("1", 1.0)],
)
def test_scientific_notation_is_a_number(text: str, value: float, write: Write) -> None:
    content = (
        f"name: r\nbase: {{model: base}}\nstages:\n  - name: a\n    type: sft\n    train: {{learning_rate: {text}}}\n"
        "    data: [{path: a.jsonl, format: messages}]\n"
    )
    path = write(content)
    assert load_recipe(path).stages[0].train.learning_rate == value
    override = f"stages.a.train.adam_epsilon={text}"
    assert load_recipe(path, [override]).stages[0].train.adam_epsilon == value
    assert load_recipe(write(content.replace("a.jsonl", "'a.jsonl'")), ["description=2e-5x"]).description == "2e-5x"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "is missing: allowed: blend, cpt, "),
        ({"type": "_language"}, "unknown stage type '_language': allowed: "),
    ],
)
def test_only_public_modules_are_stage_types(fields: dict[str, Any], message: str, write: Write) -> None:
    stage = {k: v for k, v in one("a").items() if k != "type"} | fields
    ((_, where, said),) = problems(write([stage]))
    assert where == "stages[0].type"
    assert said.startswith(message)


# ------------------------------------------------------------------ hostile files


LINE_BOMB = "{" + ", ".join(f"{b}: &{b} [*{a},*{a},*{a}]" for a, b in zip("abcdefghijklmn", "bcdefghijklmno",
                                                                       strict=True))  # fmt: skip
HOSTILE = {
    "alias bomb": "a: &a [x,x,x]\n"
    + "".join(f"{y}: &{y} [{','.join(['*' + x] * 9)}]\n" for x, y in zip("abcdefghijkl", "bcdefghijklm", strict=True)),
    "alias bomb on one line": LINE_BOMB.replace("{", "{a: &a [x], ", 1) + "}",
    "alias of itself": "a: &a [*a, *a]\n",
    "deep nesting": "a: " + "[" * 20_000,
    "deep mapping": "".join(" " * i + "a:\n" for i in range(600)),
    "2 MB": "a: " + "x" * 2_000_000,
    "many items": "a:\n" + "- b\n" * 400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_quickly(name: str, write: Write) -> None:
    path = write(HOSTILE[name])
    began = time.process_time()
    with pytest.raises(RecipeError):
        load_recipe(path)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "a recipe is a mapping"),
        ("- a\n", "a recipe is a mapping"),
        ("a: [1\nb: 2\n", "line 2"),
        ("a: 1\n\tb: 2\n", "line 2"),
        ("a: !!python/object/apply:os.system ['echo no']\n", "python/object"),
        ("name: r\nbase: {model: base}\nname: s\n", "line 3, name: given twice (first on line 1)"),
        ("name: r\nx:\n  y: 1\n  z: 2\n  y: 3\n", "line 5, x.y: given twice (first on line 3)"),
        ("x: &a {b: 1}\ny: *a\n", "YAML aliases are not allowed"),
        ("1: 2\n2.5: {}\nnull: x\n", "error"),
        ("name: r\nbase: \x00\n", "line 2, YAML: the character U+0000 is not allowed"),
        ('name: r\ndescription: "\\ud800"\n', "line 2, YAML: text that is not valid Unicode"),
    ],
)
def test_yaml_that_is_no_recipe(text: str, part: str, write: Write) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(text))
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"literally": 1}, "literally: unknown key"),
        ({"a[b]": 1}, "a[b]: unknown key"),
        ({"source": "x"}, "source: unknown key"),
        ({"overrides": []}, "overrides: unknown key"),
        ({"base": {"model": "~nobody-of-this-name/x"}}, "base.model: no such file or folder"),
        ({"base": {"model": "x" * 5000}}, "base.model: no such file or folder"),
        ({"base": {"model": ""}}, "base.model: no such file or folder"),
        ({"base": {"model": "base", "chat_template": "base"}}, "base.chat_template: no such file"),
        ({"base": {"model": "a\0b"}}, "base.model: no such file or folder"),
        ({"stages": [one("a", data=[{"path": "~nobody-of-this-name/x"}])]}, "data[0].path (stage a): no such file"),
        ({"stages": [one("a", data=[{"path": "x" * 5000}])]}, "data[0].path (stage a): no such file"),
        ({"stages": [one("a", data=[{"path": ""}])]}, "data[0].path (stage a): no such file"),
        ({"stages": [one("a", train={"steps": 10**30})]}, "less than 2147483648"),
        ({"stages": [one("a", train="x" * 100_000)]}, "should be a mapping of fields; got 'xxx"),
        ({"stages": [one("a", lora={"alpha": 10**400})]}, "lora.alpha"),
        ({"stages": [one("a", data="a.jsonl")]}, "data (stage a): should be a list; got 'a.jsonl'"),
        ({"evaluate": {"seed": 2**40}}, "evaluate.seed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_values(change: dict[str, Any], part: str, write: Write) -> None:
    """Each an error of ours in few words, where Python, pydantic or the file system would raise one of theirs."""
    body = {"name": "r", "base": {"model": "base"}, "stages": [one("a")], **change}
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(yaml.safe_dump(body, sort_keys=False)))
    assert part in str(caught.value)
    assert max(len(p.message) for p in caught.value.problems) < 6000


def test_a_folder_without_permission_is_a_missing_file(write: Write, folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o000)
    if os.access(folder / "closed", os.R_OK):
        pytest.skip("this user may read everything")
    for data, base in (("closed/x.jsonl", "base"), ("a.jsonl", "./closed/base")):
        stage = {**one("a"), "data": [{"path": data, "format": "messages"}]}
        assert "no such file" in problems(write([stage], base={"model": base}))[0][2]


def test_a_file_that_is_no_recipe_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(2**36)  # sparse: more than memory holds
    assert "so not a recipe" in problems(path)[0][2]


def test_data_may_be_a_folder_or_a_glob(write: Write, folder: Path) -> None:
    (folder / "texts").mkdir()
    for path in ("texts", "*.jsonl", str(folder / "[ab].jsonl")):
        load_recipe(write([one("a", data=[{"path": path, "format": "messages"}])]))
    found = problems(write([one("a", data=[{"path": "*.csv", "format": "messages"}])]))
    assert "no such file" in found[0][2]


def test_a_missing_file_names_only_near_ones(write: Write, folder: Path) -> None:
    for i in range(300):
        (folder / f"{i:04}.bin").touch()
    found = problems(write([one("a", data=[{"path": "zzzzzz", "format": "messages"}])]))
    assert found[0][2] == f"no such file: {folder / 'zzzzzz'}"
    found = problems(write([one("a", data=[{"path": "aa.jsonl", "format": "messages"}])]))
    assert found[0][2].endswith("; did you mean 'a.jsonl' or 'b.jsonl'?")


def test_a_recipe_that_is_not_utf8(write: Write) -> None:
    path = write([one("a")])
    path.write_bytes(path.read_bytes() + b"# caf\xe9\n")
    assert "is not UTF-8" in problems(path)[0][2]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3),
    max_leaves=6,
)
WHOLE = {
    "name": "r",
    "base": {"model": "base", "quantization": "none"},
    "defaults": {"train": {"steps": 3}},
    "stages": [one("a", lora={"r": 2}), one("b", "dpo", parents=["a"], train={"seed": 1})],
    "evaluate": {"tasks": ["t"], "limit": 4},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in nested lists and mappings."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for k, v in items for p in places(v, (*path, k)))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.sampled_from(places(WHOLE)[1:]), value=json_like, text=st.text(max_size=12))
def test_any_value_anywhere_is_a_recipe_or_an_error(at: Any, value: Any, text: str, write: Write) -> None:
    """Never an exception that is not ours, in the file or in `--set`."""
    body = copy.deepcopy(WHOLE)
    target: Any = body
    for part in at[:-1]:
        target = target[part]
    target[at[-1]] = value
    try:
        path = write(yaml.safe_dump(body, sort_keys=False))
    except yaml.YAMLError:
        return
    for overrides in ((), (".".join(map(str, at)) + "=" + text,)):
        with contextlib.suppress(RecipeError, UsageError):
            load_recipe(path, overrides)


# ------------------------------------------------------------------ lines, near matches, everything at once

MANY = """\
name: r
base:
  model: base
  quantisation: nf4
defaults:
  train: {steps: 3}
stages:
  - name: a
    type: sft
    data:
      - path: a.jsonl
        format: messages
      - {path: c.jsonl, format: messages, repeat: 0}
    lora:
      r: 4
      alhpa: 3
  - name: b
    type: dpo
    data: [{path: a.jsonl, format: messages}]
    beta: -1
  - name: c
    type: sftt
    data: []
evaluate:
  task: [x]
"""


def test_all_errors_at_once_with_their_lines(write: Write) -> None:
    found = problems(write(MANY))
    assert [(line, where) for line, where, _ in found] == [
        (4, "base.quantisation"),
        (13, "stages[0].data[1].repeat (stage a)"),
        (16, "stages[0].lora.alhpa (stage a)"),
        (20, "stages[1].beta (stage b)"),
        (22, "stages[2].type"),
        (25, "evaluate.task"),
    ]
    said = [message for _, _, message in found]
    assert "did you mean 'quantization'?" in said[0]
    assert "got 0" in said[1]
    assert "did you mean 'alpha'?" in said[2]
    assert "got -1" in said[3]
    assert "did you mean 'sft'?" in said[4]
    assert "did you mean 'tasks'?" in said[5]


def test_lines_are_those_of_the_file_wherever_the_error_is(write: Write) -> None:
    """An unknown key at every place in turn: its line is the line it stands on."""
    lines = write([one("a", lora={"r": 2}, train={"steps": 1})], evaluate={"limit": 2}).read_text().splitlines()
    tried = 0
    for i, line in enumerate(lines):
        key = line.lstrip("- ").split(":")[0]
        if key in ("name", "base", "data", "stages", "evaluate", "lora", "train", "type"):
            continue
        broken = [*lines[:i], line.replace(f"{key}:", f"{key}zz:"), *lines[i + 1 :]]
        found = problems(write("\n".join(broken) + "\n"))
        assert any(n == i + 1 and f"{key}zz" in where for n, where, _ in found), (line, found)
        tried += 1
    assert tried >= 5


def test_an_overridden_field_has_no_line(write: Write) -> None:
    path = write([one("a", train={"steps": 1})])
    ((line, where, _),) = problems(path, "stages.a.train.steps=x")
    assert (line, where) == (0, "stages[0].train.steps (stage a)")
    assert [(n, w) for n, w, _ in problems(path, "stages.a.train.stps=3")] == [(0, "stages[0].train.stps (stage a)")]
    assert [(n, w) for n, w, _ in problems(path, "foo.bar=3")] == [(0, "foo")]


# ------------------------------------------------------------------ the order of stages


def test_the_stage_before_is_the_parent(write: Write) -> None:
    recipe = load_recipe(write([one("a"), one("b"), one("c", parents="base"), one("d")]))
    assert [(s.name, s.parents) for s in recipe.stages] == [
        ("a", "base"), ("b", ("a",)), ("c", "base"), ("d", ("c",))
    ]  # fmt: skip
    assert [s.name for s in recipe.stack(recipe.stage("d"))] == ["c"]
    assert recipe.stack(recipe.stage("c")) == ()


def test_parents_come_first_and_once(write: Write) -> None:
    """A diamond, written upside down."""
    stages = [
        one("top", parents=["left", "right"]),
        one("right", parents=["root"]),
        one("left", parents=["root"]),
        one("root", parents="base"),
    ]
    recipe = load_recipe(write(stages))
    names = [s.name for s in recipe.stages]
    assert names.index("root") == 0
    assert names[-1] == "top"
    assert [s.name for s in recipe.stack(recipe.stage("top"))] == ["root", "left", "right"]


@pytest.mark.parametrize(
    ("stages", "part"),
    [
        ([one("a", parents=["a"])], "each other's ancestors: a"),
        ([one("a", parents=["c"]), one("b", parents=["a"]), one("c", parents=["b"])], "ancestors: a, b, c"),
        ([one("a"), one("b", parents=["a", "a"])], "'a' is listed twice"),
        ([one("a"), one("b", parents=["bas"])], "did you mean 'base'?"),
        ([one("a"), one("b", parents=[])], "parents"),
        ([one("a"), one("a")], "a stage named 'a' already exists"),
        ([one("../a")], "stages[0].name"),
        ([one("base")], "give the stage another name"),  # `base` is a row of the scorecard, and a word in `parents`
        ([one("a"), one("b", parents="a")], "should be `base` or a list of stages, as in `parents: [a]`"),
        ([one("a"), one("b", parents=[1])], "should be `base` or a list of stages"),
        ([one("a"), one("b", parents=["base"])], "write `parents: base`"),
        ([one("a", parents=["b"]), one("b", parents=["a"]), one("z", parents=["b"])], "ancestors: a, b"),
        ([], "at least one stage"),
    ],
)
def test_parents_that_cannot_be(stages: list[dict[str, Any]], part: str, write: Write) -> None:
    assert part in "\n".join(f"{where}: {message}" for _, where, message in problems(write(stages)))


def test_a_stage_with_errors_is_not_also_an_unknown_parent(write: Write) -> None:
    found = problems(write([one("a", trian={}), one("b", parents=["a"])]))
    assert [message for _, _, message in found] == ["unknown key: did you mean 'train' or 'train_on'?"]


def test_stacks_of_many_stages_are_found_quickly(write: Write) -> None:
    """A chain longer than Python's recursion, and diamonds with 2^24 paths through them."""
    chain = load_recipe(write([one(f"x{i}") for i in range(1100)]))
    assert len(chain.stack(chain.stages[-1])) == 1099
    below = [["x0a", "x0b"] if i == 1 else [f"x{i - 1}a", f"x{i - 1}b"] for i in range(25)]
    stages = [one(f"x{i}{s}", parents=list(below[i]) if i else "base") for i in range(25) for s in "ab"]
    ladder = load_recipe(write(stages))
    assert [s.name for s in ladder.stack(ladder.stages[-1])] == [f"x{i}{s}" for i in range(24) for s in "ab"]


# ------------------------------------------------------------------ what `show` prints


def test_the_resolved_recipe_is_a_recipe_with_the_same_keys(write: Write, tmp_path: Path) -> None:
    """Also in another folder: nothing in it is relative to the first one."""
    defaults = {"train": {"epochs": 2.0, "seed": 5}, "lora": {"alpha": 7.5}}
    stages = [
        one("a"),
        one("b", parents="base", train={"steps": 4}),
        one("c", "dpo", parents=["a", "b"], beta=0.3),
    ]
    recipe = load_recipe(write(stages, defaults=defaults), ["stages.a.lora.r=3"])
    (tmp_path / "other").mkdir()
    shown = tmp_path / "other" / "shown.yaml"
    shown.write_text(recipe.to_yaml())
    again = load_recipe(shown)
    assert keys(again) == keys(recipe)
    assert [(s.name, s.parents) for s in again.stages] == [(s.name, s.parents) for s in recipe.stages]
    written = yaml.safe_load(recipe.to_yaml())
    assert set(TrainSpec.model_fields) == set(written["stages"][0]["train"])
    assert set(LoraSpec.model_fields) == set(written["stages"][0]["lora"])
    assert again.to_yaml() == recipe.to_yaml()


# ------------------------------------------------------------------ keys


def changed(write: Write, fields: dict[str, Any], group: str | None = None) -> tuple[str, str]:
    """Keys of a stage before and after some of its fields change."""
    before = one("a", train={"steps": 3}, lora={})
    after = copy.deepcopy(before)
    target = after if group is None else after["data"][0] if group == "data" else after[group]
    target.update(fields)
    return keys(load_recipe(write([before])))["a"], keys(load_recipe(write([after])))["a"]


TRAIN: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 2.0, "steps": None},
    "steps": {"steps": 4},
    "learning_rate": {"learning_rate": 1e-3},
    "schedule": {"schedule": "cosine"},
    "warmup": {"warmup": 0.1},
    "batch_size": {"batch_size": 8},
    "weight_decay": {"weight_decay": 0.1},
    "max_grad_norm": {"max_grad_norm": 0.5},
    "max_length": {"max_length": 64},
    "packing": {"packing": True},
    "optimizer": {"optimizer": "adamw_torch_fused"},
    "adam_betas": {"adam_betas": [0.9, 0.95]},
    "adam_epsilon": {"adam_epsilon": 1e-7},
    "precision": {"precision": "bfloat16"},
    "seed": {"seed": 43},
    "min_rate": {"schedule": "wsd", "min_rate": 0.1},
    "decay": {"schedule": "wsd", "decay": 0.5},
    "neftune_alpha": {"neftune_alpha": 5.0},
}
FREE: dict[str, dict[str, Any]] = {
    "micro_tokens": {"micro_tokens": 2},
    "gradient_checkpointing": {"gradient_checkpointing": False},
    "checkpoint_every": {"checkpoint_every": 3},
    "keep_checkpoints": {"keep_checkpoints": 5},
    "devices": {"devices": 2},
}
LORA: dict[str, dict[str, Any]] = {
    "r": {"r": 8},
    "alpha": {"alpha": 8},
    "rslora": {"rslora": True},
    "dropout": {"dropout": 0.1},
    "target_modules": {"target_modules": ["q_proj"]},
    "layers": {"layers": [0]},
    "init": {"init": "eva"},
    "plus_ratio": {"plus_ratio": 16.0},
    "token_rows": {"token_rows": ["<|eot_id|>"]},
}
DATA: dict[str, dict[str, Any]] = {
    "format": {"format": "prompt_completion"},
    "columns": {"columns": {"messages": "turns"}},
    "render": {"render": "plain"},
    "layout": {"layout": "{reasoning} {answer}"},
    "where": {"where": {"messages": "mean"}},
    "min_chars": {"min_chars": 2},
    "max_chars": {"max_chars": 2},
    "problems": {"path": None, "problems": {"count": 2}},
    "repeat": {"repeat": 2},
    "limit": {"limit": 1},
}
PLACE = {"path", "built", "part", "hub", "config", "revision", "split"}  # where it lies; keyed are the bytes
STAGE = {
    "train_on": {"train_on": "all"},
    "deduplicate": {"deduplicate": "exact"},
    "drift": {"drift": {"max": 0.1, "every": 1}},
    "replay": {"replay": {"data": [{"problems": {"count": 2}}]}},
    "anchor": {"anchor": {"on": "own", "coefficient": 1.0}},
}
PROBLEMS: dict[str, dict[str, Any]] = {
    "count": {"count": 3},
    "form": {"form": "grpo"},
    "topics": {"topics": ["tests"]},
    "difficulty": {"difficulty": [1]},
    "seed": {"seed": 1},
    "math": {"math": "latex"},
    "syllabus": {"syllabus": "ap"},
}


def test_the_tables_name_every_field() -> None:
    """A new field must be put on the side of those that change the key, or of those that do not."""
    elsewhere = {"select", "keep_state"}  # need a hold-out, and another schedule: test_selection, test_kept_state
    assert TRAIN.keys() | FREE.keys() | elsewhere == TrainSpec.model_fields.keys()
    assert LORA.keys() | {"dora"} == LoraSpec.model_fields.keys()  # DoRA is refused
    assert DATA.keys() | PLACE | {"weight", "holdout"} == SourceSpec.model_fields.keys()
    assert ProblemsSpec.model_fields.keys() == PROBLEMS.keys()
    own = {"name", "type", "parents", "data", "lora", "train", "deduplicate", "decontaminate", "drift"}
    own |= {"replay", "anchor"}
    assert TrainingSpec.model_fields.keys() == own
    chosen = {"scales", "choose"}  # a hold-out: test_scale_choice
    assert blend.Spec.model_fields.keys() - own - chosen == {"of", "method", "density", "scale", "rank", "seed"}
    assert sft.Spec.model_fields.keys() - (own - {"deduplicate", "drift", "replay", "anchor"}) == STAGE.keys()
    assert dpo.Spec.model_fields.keys() - own == {"beta", "loss", "label_smoothing"}
    assert kto.Spec.model_fields.keys() - own == {"beta", "loss", "desirable_weight", "undesirable_weight"}
    assert BaseModelSpec.model_fields.keys() == {
        "model",
        "revision",
        "quantization",
        "tokenizer",
        "chat_template",
    }


def test_the_pages_name_every_field_of_a_source() -> None:
    pages = ("recipes/README.md", "statllama/data/formats/README.md")
    words = set(re.findall(r"\w+", "\n".join((REPO / page).read_text(encoding="utf-8") for page in pages)))
    for spec in (TrainingSpec, SourceSpec, ProblemsSpec):
        assert spec.model_fields.keys() - words == set()


@pytest.mark.parametrize(
    ("group", "fields"),
    [
        *[("train", f) for f in TRAIN.values()],
        *[("lora", f) for f in LORA.values()],
        *[("data", f) for f in DATA.values()],
        *[(None, f) for f in STAGE.values()],
    ],
    ids=str,
)
def test_what_can_change_the_weights_changes_the_key(group: str, fields: dict[str, Any], write: Write) -> None:
    before, after = changed(write, fields, group)
    assert before != after


@pytest.mark.parametrize("fields", PROBLEMS.values(), ids=str)
def test_which_problems_changes_the_key(fields: dict[str, Any], write: Write) -> None:
    found = []
    for asked in ({"count": 2}, {"count": 2, **fields}):
        found.append(keys(load_recipe(write([{**one("a"), "data": [{"problems": asked}]}])))["a"])
    assert found[0] != found[1]


def test_benchmarks_change_the_key_where_their_questions_are_dropped(write: Write, folder: Path) -> None:
    """Rows are then left out of training; where copies stop the run, or nothing is looked for, none are."""
    task = folder / "eval" / "exam"
    task.mkdir(parents=True)
    (task / "test.jsonl").write_text('{"question": "what is a mean"}\n')
    body = {
        "task": "exam",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "question",
        "doc_to_choice": ["a", "b"],
        "doc_to_target": 0,
    }
    (task / "exam.yaml").write_text(yaml.safe_dump(body))
    tasks = tuple(find_tasks(["exam"], [folder / "eval"]).values())

    def key(what: str, tasks: tuple[Any, ...]) -> str:
        recipe = load_recipe(write([one("a", decontaminate=what)]))
        return stage_key(key_material(recipe.stages[0], [], {"b": 1}, recipe.root, tasks))

    plain = key("ignore", ())
    assert {key(what, given) for what in ("stop", "ignore") for given in ((), tasks)} == {plain}
    assert key("drop", ()) == plain
    before = key("drop", tasks)
    assert before != plain
    (task / "test.jsonl").write_text('{"question": "what is a mode"}\n')
    again = tuple(find_tasks(["exam"], [folder / "eval"]).values())
    assert key("drop", again) not in (before, plain)


@pytest.mark.parametrize("fields", FREE.values(), ids=str)
def test_what_cannot_change_the_weights_does_not(fields: dict[str, Any], write: Write) -> None:
    before, after = changed(write, fields, "train")
    assert before == after


def test_names_evaluation_and_logging_are_not_in_the_key(write: Write, folder: Path) -> None:
    before = keys(load_recipe(write([one("a")])))["a"]
    (folder / "moved.jsonl").write_text(ROWS)
    moved = {**one("other"), "data": [{"path": "moved.jsonl", "format": "messages"}]}
    fields = {"description": "x", "evaluate": {"tasks": ["t"], "limit": 3}, "report_to": ["tensorboard"]}
    assert keys(load_recipe(write([moved], **fields, name="else")))["other"] == before


def test_what_a_file_is_read_as_is_in_the_key(write: Write, folder: Path) -> None:
    """The same bytes are a row a line as .jsonl, and one document as .txt."""
    found = []
    for name in ("same.jsonl", "same.txt"):
        (folder / name).write_text(ROWS)
        data = [{"path": name, "format": "text"}]
        found.append(keys(load_recipe(write([{**one("a", "cpt"), "data": data}])))["a"])
    assert found[0] != found[1]


def test_dpo_fields_and_types_are_in_the_key(write: Write) -> None:
    found = [
        keys(load_recipe(write([one("a", kind, **fields)])))["a"]
        for kind, fields in (
            ("dpo", {}),
            ("dpo", {"beta": 0.2}),
            ("dpo", {"loss": "ipo"}),
            ("dpo", {"loss": "robust", "label_smoothing": 0.1}),
            ("dpo", {"loss": "robust", "label_smoothing": 0.2}),
            ("kto", {}),
            ("kto", {"beta": 0.2}),
            ("kto", {"loss": "apo_zero_unpaired"}),
            ("kto", {"desirable_weight": 0.8}),
            ("kto", {"undesirable_weight": 0.8}),
            ("sft", {}),
            ("cpt", {}),
        )
    ]
    assert len(set(found)) == len(found)


def test_bytes_of_data_and_base_are_in_the_key(write: Write, folder: Path) -> None:
    path = write([one("a")])
    seen = [keys(load_recipe(path))["a"]]

    def also() -> None:
        seen.append(keys(load_recipe(path))["a"])

    (folder / "a.jsonl").write_text(ROWS * 2)
    also()
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / "base" / file).write_text(f"other {file}")
        also()
    (folder / "base" / "chat_template.jinja").write_text("x")
    also()
    for override in ("base.quantization=none", f"base.chat_template={folder / 'a.jsonl'}"):
        seen.append(keys(load_recipe(path, [override]))["a"])
    (folder / "base" / "README.md").write_text("not part of the model")
    assert keys(load_recipe(path))["a"] == seen[5]
    assert len(set(seen)) == len(seen)


def test_equal_values_are_one_key(write: Write) -> None:
    """One epoch is the default; 32 and 32.0 are one number."""
    plain = one("a")
    said = one("a", train={"epochs": 1, "learning_rate": 0.00002}, lora={"alpha": 32})
    assert keys(load_recipe(write([plain]))) == keys(load_recipe(write([said])))


def test_a_shared_prefix_has_the_same_keys(write: Write) -> None:
    one_, two = [one("a"), one("b", train={"seed": 1})], [one("a"), one("b", train={"seed": 1}), one("c")]
    edited = [one("a"), one("b", train={"seed": 2}), one("c")]
    first, second, third = (keys(load_recipe(write(stages))) for stages in (one_, two, edited))
    assert {n: second[n] for n in first} == first
    assert third["a"] == second["a"]
    assert third["b"] != second["b"]
    assert third["c"] != second["c"]  # a stage above a changed one changes
    swapped = [one("a"), one("b", parents="base", train={"seed": 1}), one("c", parents=["b", "a"])]
    straight = [*swapped[:2], one("c", parents=["a", "b"])]
    assert keys(load_recipe(write(swapped)))["c"] != keys(load_recipe(write(straight)))["c"]


def test_differences_in_words(write: Write) -> None:
    def material(*overrides: str) -> dict[str, Any]:
        recipe = load_recipe(write([one("a", train={"steps": 3})]), overrides)
        return key_material(recipe.stages[0], ["x"], {"b": 1}, recipe.root)

    before = material()
    after = material("stages.a.train.learning_rate=1e-4", "stages.a.lora.r=4")
    assert difference(before, after) == "lora.r 16 -> 4; train.learning_rate 2e-05 -> 0.0001"
    assert difference(before, {**before, "parents": ["y"]}) == "a stage below it changed"
    assert "base model" in difference(before, {**before, "base": {"b": 2}})
    assert difference(before, {**before, "data": []}) == "the data changed"


# ------------------------------------------------------------------ the shipped ones


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_load_and_are_short(name: str) -> None:
    path = shipped_recipes()[name]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
    recipe = load_recipe(path, check_files=False)
    assert recipe.stages
    assert recipe.description
    assert load_recipe(name, check_files=False).to_yaml() == recipe.to_yaml()
