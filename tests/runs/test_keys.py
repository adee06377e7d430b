"""What is in a stage's key: every field of every spec, one at a time, and what a difference is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import statllama.rewards
from statllama.config.base_model import BaseModelSpec
from statllama.config.benchmarks import find_tasks
from statllama.config.keyed import AddedLater, Unkeyed, is_keyed, keyed
from statllama.config.protect import DriftSpec
from statllama.config.scale_choice import ScaleChoice
from statllama.config.source import ProblemsSpec, SourceSpec
from statllama.config.stage import StageSpec
from statllama.data import cache
from statllama.data.cache import cache_key, described
from statllama.data.mixture import mix
from statllama.model import precision
from statllama.model.identity import base_identity
from statllama.model.precision import compute_type
from statllama.recipe import load_recipe
from statllama.runs import keys
from statllama.runs.keys import difference, key_material, stage_key
from statllama.runs.plan import plan
from statllama.stages import stage_module, stage_types
from statllama.store import Store
from statllama.store.content import SETTLED, content_hash
from tests.conftest import conversations, make_tokenizer, stage, write_jsonl
from tests.data.test_contamination import benchmark

REWARDS = [
    {"name": "correctness"},
    {"name": "format"},
    {"name": "reasoning"},
    {"name": "length", "target": 20},
    {"name": "local", "function": "grader:pay"},
]
OWN: dict[str, dict[str, Any]] = {"grpo": {"rewards": REWARDS}}
"""What a stage type needs beside data."""


def spec_of(kind: str, **fields: Any) -> StageSpec:
    """A stage of a type with something in every place that may hold a spec."""
    body: dict[str, Any] = {"name": "a", "type": kind, **OWN.get(kind, {}), **fields}
    if kind == "blend":
        body.setdefault("of", {"x": 1, "y": 2})
    else:
        problems = {"count": 3, "topics": ["means"], "difficulty": [1]}
        body |= {"data": [{"path": "a.jsonl", "format": "messages"}, {"problems": problems, "format": "messages"}]}
        body |= {"drift": {"max": 0.5}, "train": {"steps": 20, "select": {"on": "exam"}}}
    if kind not in ("blend", "grpo"):
        replay = {
            "data": [{"path": "a.jsonl", "format": "messages"}],
            "stages": ["x"],
            "weight": 2.0,
            "train_on": "all",
            "generations": {"count": 5, "prompts": [{"path": "a.jsonl", "format": "messages"}]},
        }
        body |= {"replay": replay, "anchor": {"on": "replay", "target": 0.1}}
    return stage_module(kind).Spec.model_validate(body)


SCALES: dict[str, Any] = {"scales": [0.5, 1.0], "choose": {"on": "holdout:x", "keep": {"holdout:y": 0.01}}}
SPECS = {kind: spec_of(kind) for kind in stage_types()} | {
    "dare": spec_of("blend", method="dare"),
    "scaled": spec_of("blend", **SCALES),
}
OTHER: dict[str, Any] = {
    **{"epochs": 3.0, "steps": 21, "target_modules": ("q_proj",), "adam_betas": (0.9, 0.95), "parents": ("x",)},
    **{"layout": "{answer}", "columns": {"a": "b"}, "where": {"a": "b"}, "min_chars": 2, "max_chars": 9, "limit": 1},
    **{"hub": "other/data", "config": "c", "revision": "v", "path": "same.jsonl", "format": "sharegpt", "rank": 3},
    **{"topics": ("slopes",), "difficulty": (2,), "system": "s", "max_prompt_length": 9, "epsilon_high": 0.28},
    **{"stages": ("p",), "coefficient": 2.0, "replay": None, "anchor": None, "every": 7, "patience": 3},
    **{"layers": (0, 3), "min_rate": 0.1, "plus_ratio": 16.0, "neftune_alpha": 5.0, "decay": 0.1},
    **{"holdout": 0.1, "precision": "bfloat16", "problems": ProblemsSpec(count=2), "syllabus": "ap"},
    **{"options": {"most": 3}, "function": "grader:pay2", "over": 9, "weight": 0.5, "of": {"p": 1, "q": 2}},
    **{"token_rows": ("<|stat|>",), "scales": (0.5, 2.0), "choose": ScaleChoice(on="holdout:x")},
    **{"keep": {"holdout:z": 0.1}, "top_p": 0.5, "generations": 4},
    **{"built": "other.built", "part": "qa"},
}
"""Another value of fields that are None, or no plain number, word or choice."""
SIBLINGS = {"x": "k1", "y": "k2", "p": "k1", "q": "k2"}


def choices(field: FieldInfo) -> list[Any]:
    """The words that a field allows, if it allows those alone."""
    return list(get_args(field.annotation)) if get_origin(field.annotation) is Literal else []


def another(spec: BaseModel, name: str) -> Any:
    """Another value of a field."""
    value, words = getattr(spec, name), choices(type(spec).model_fields[name])
    if name in OTHER:
        return OTHER[name]
    if words:
        return next(word for word in words if word != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value * 0.75 + 0.001
    assert isinstance(value, str), f"{type(spec).__module__}.{name}: give the test another value of it"
    return f"{value}2"


def held(spec: BaseModel) -> Iterator[tuple[tuple[Any, ...], BaseModel]]:
    """Yield each spec within a spec, itself first, with the way to it."""
    yield (), spec
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        parts = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for i, part in parts:
            if isinstance(part, BaseModel):
                yield from (((name, i, *way), inner) for way, inner in held(part))


def with_field(spec: BaseModel, way: Sequence[Any], name: str, value: Any) -> Any:
    """The spec with another value of a field of a spec within it."""
    if not way:
        return spec.model_copy(update={name: value})
    (place, i, *rest), inner = way, getattr(spec, way[0])
    if i is None:
        return spec.model_copy(update={place: with_field(inner, rest, name, value)})
    parts = tuple(with_field(part, rest, name, value) if at == i else part for at, part in enumerate(inner))
    return spec.model_copy(update={place: parts})


def fields() -> Iterator[tuple[str, tuple[Any, ...], str]]:
    """Yield (stage, way to a spec within it, field) of every field that holds no spec itself."""
    for label, spec in SPECS.items():
        for way, inner in held(spec):
            for name in type(inner).model_fields:
                value = getattr(inner, name)
                nested = value[0] if isinstance(value, tuple) and value else value
                one_value = len(choices(type(inner).model_fields[name])) == 1
                if not one_value and not isinstance(nested, BaseModel):
                    yield label, way, name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the files that the specs name."""
    for name in ("a.jsonl", "same.jsonl"):
        write_jsonl(tmp_path / name, conversations(3))
    (tmp_path / "grader.py").write_text("def pay(completions, **columns):\n    return [0.0 for c in completions]\n")
    return tmp_path


def key(spec: StageSpec, root: Path) -> str:
    return stage_key(key_material(spec, ["below"], {"model": "b"}, root, (), SIBLINGS))


@pytest.mark.parametrize(("label", "way", "name"), fields(), ids=lambda v: str(v) if isinstance(v, str) else None)
def test_a_field_changes_the_key_if_it_says_so(label: str, way: tuple[Any, ...], name: str, root: Path) -> None:
    spec = SPECS[label]
    inner = next(found for at, found in held(spec) if at == way)
    if isinstance(inner, SourceSpec) and (name == "weight" or (name == "path" and inner.path is None)):
        pytest.skip("of one source alone it is no share, see below; generated problems have no path")
    changed = with_field(spec, way, name, another(inner, name))
    after = next(found for at, found in held(changed) if at == way)
    says = is_keyed(inner, name) or is_keyed(after, name)  # `math` is in the key when it is not plain
    assert (key(changed, root) != key(spec, root)) is says
    field = type(inner).model_fields[name]
    if not is_keyed(inner, name) and not any(isinstance(mark, AddedLater) for mark in field.metadata):
        assert "Not in the key" in " ".join((field.description or "").split())


def test_every_spec_of_a_stage_is_looked_at() -> None:
    """Those that a recipe's stage can hold, and all stage types."""
    seen = {type(inner) for spec in SPECS.values() for _, inner in held(spec)}
    assert {ProblemsSpec, SourceSpec, DriftSpec, *(type(spec) for spec in SPECS.values())} <= seen
    assert {type(inner).__module__.rpartition(".")[2] for inner in held_rewards()} == set(
        statllama.rewards.reward_names()
    )


def held_rewards() -> list[BaseModel]:
    return list(SPECS["grpo"].rewards)  # type: ignore[attr-defined]


def test_no_spec_is_keyed_by_a_list_elsewhere() -> None:
    """A field's mark is the one place: what is dumped for the key is what has none."""
    spec = SPECS["sft"]
    for _, inner in held(spec):
        fields = type(inner).model_fields
        marks = {
            n: next((m for m in f.metadata if isinstance(m, Unkeyed | AddedLater)), None) for n, f in fields.items()
        }
        usual = {n: f.get_default(call_default_factory=True) for n, f in fields.items()}
        used = {n for n, mark in marks.items() if isinstance(mark, AddedLater) and getattr(inner, n) != usual[n]}
        assert keyed(inner).keys() == {n for n, mark in marks.items() if mark is None} | used


# ------------------------------------------------------------------ what means the same


def weighted(*weights: float | None) -> tuple[SourceSpec, ...]:
    names = ("a.jsonl", "b.jsonl")
    return tuple(SourceSpec(path=names[i], format="messages", weight=w) for i, w in enumerate(weights))


@pytest.mark.parametrize(
    ("one", "other"), [((1.0, 1.0), (2.0, 2.0)), ((1.0, 2.0), (0.1, 0.2)), ((3.0, 7.0), (30.0, 70.0))]
)
def test_weights_that_mean_the_same_mixture_are_one_key(
    one: tuple[float, ...], other: tuple[float, ...], root: Path
) -> None:
    write_jsonl(root / "b.jsonl", conversations(9))
    found = [weighted(*weights) for weights in (one, other)]
    assert described(found[0], root) == described(found[1], root)
    mixtures = [mix([30, 90], sources, 1) for sources in found]
    assert mixtures[0].counts == mixtures[1].counts
    tokenizer = make_tokenizer()
    assert cache_key(found[0], root, tokenizer, None) == cache_key(found[1], root, tokenizer, None)
    assert described(weighted(1.0, 3.0), root) not in (described(found[0], root), described(weighted(None, None), root))
    assert described(weighted(5.0), root) == described(weighted(None), root)


def test_a_blend_is_keyed_by_keys_and_shares(root: Path) -> None:
    plain = key(spec_of("blend", of={"x": 1, "y": 2}), root)
    assert key(spec_of("blend", of={"p": 0.1, "q": 0.2}), root) == plain  # the same keys under other names
    assert key(spec_of("blend", of={"x": 2, "y": 2}), root) != plain
    assert key(spec_of("blend", seed=1), root) == plain
    dare = [key(spec_of("blend", method="dare", density=0.5, seed=seed), root) for seed in (1, 2)]
    assert dare[0] != dare[1]


def test_what_computes_the_reward_is_in_the_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = spec_of("grpo", rewards=[{"name": "correctness"}])
    before = key_material(judged, [], {}, root)
    monkeypatch.setattr(statllama.rewards, "installed_version", lambda _: "99")
    after = key_material(judged, [], {}, root)
    assert "libraries that judge" in difference(before, after) and "math-verify" in difference(before, after)
    plain = spec_of("grpo", rewards=[{"name": "format"}])
    assert "libraries" not in str(difference(key_material(plain, [], {}, root), key_material(plain, ["p"], {}, root)))
    assert key_material(plain, [], {}, root)["stage"]["libraries"] == {}


def test_the_choice_of_rows_is_in_the_key_where_there_is_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, near = (spec_of("sft").model_copy(update={"deduplicate": mode}) for mode in ("none", "near"))
    before = [key_material(spec, [], {}, root) for spec in (plain, near)]
    monkeypatch.setattr(keys, "SELECTION_NUMERICS", cache.SELECTION_NUMERICS + 1)
    after = [key_material(spec, [], {}, root) for spec in (plain, near)]
    assert before[0] == after[0] and before[1] != after[1]
    assert difference(before[1], after[1]) == "this version of statllama chooses its rows differently"
    assert "deduplicate none -> near" in difference(after[0], after[1])


def test_the_search_for_questions_is_in_the_key_where_it_drops_rows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = tuple(find_tasks(["exam"], [benchmark(tmp_path / "eval")]).values())
    stops, drops = (
        spec_of("sft").model_copy(update={"decontaminate": what, "replay": None, "anchor": None})
        for what in ("stop", "drop")
    )
    before = [key_material(spec, [], {}, root, exam) for spec in (stops, drops)]
    monkeypatch.setattr(keys, "SEARCH_NUMERICS", cache.SEARCH_NUMERICS + 1)
    after = [key_material(spec, [], {}, root, exam) for spec in (stops, drops)]
    assert before[0] == after[0]
    assert difference(before[1], after[1]) == "this version of statllama chooses its rows differently"
    earlier = {**before[1], "numerics": [*before[1]["numerics"][:-1], cache.SELECTION_NUMERICS]}
    assert difference(earlier, before[1]) == "this version of statllama chooses its rows differently"


# ------------------------------------------------------------------ the compute type


FAKE_TORCH = {
    "version.py": "__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n",
    "__init__.py": (
        "class cuda:\n"
        "    is_available = staticmethod(lambda: True)\n"
        "    is_bf16_supported = staticmethod(lambda including_emulation: {})\n"
    ),
}


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_a_build_for_gpus_is_asked(has_bfloat16: bool, tmp_path: Path) -> None:
    """A stand-in for a CUDA build of torch, which cannot be installed beside this one."""
    (tmp_path / "torch").mkdir()
    for name, text in FAKE_TORCH.items():
        (tmp_path / "torch" / name).write_text(text.replace("{}", str(has_bfloat16)))
    code = "import sys; from statllama.model.precision import compute_type as c; print(c('auto'), c('float32'))"
    paths = f"{tmp_path}:{Path(precision.__file__).parents[2]}"
    said = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": paths, "PATH": ""}, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["bfloat16" if has_bfloat16 else "float16", "float32"]


def test_a_plan_on_a_cpu_build_loads_no_torch(base_folder: Path, tmp_path: Path) -> None:
    import torch
    import yaml

    if torch.version.cuda or getattr(torch.version, "hip", None):
        pytest.skip("this torch is a build for GPUs")
    write_jsonl(tmp_path / "sft.jsonl", conversations(8))
    body = {"name": "t", "base": {"model": str(base_folder)}, "stages": [stage("a")]}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(body))
    code = (
        "import sys; from pathlib import Path; from statllama.recipe import load_recipe; from statllama.store import "
        "Store; from statllama.runs.plan import plan\n"
        f"found = plan(load_recipe(r'{tmp_path / 'r.yaml'}'), Store(Path(r'{tmp_path / 'w'}')))\n"
        "print(found[0].material['stage']['train']['precision'], 'torch' in sys.modules)"
    )
    paths = str(Path(precision.__file__).parents[2])
    said = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": paths}, capture_output=True, text=True)
    assert said.stdout.split() == ["float32", "False"], said.stderr


def test_the_compute_type_is_in_the_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is what it means here: the same key as that type by name, another one on a machine with a GPU."""
    auto, named = (
        spec_of("sft").model_copy(update={"train": SPECS["sft"].train.model_copy(update={"precision": p})})  # type: ignore[attr-defined]
        for p in ("auto", compute_type("auto"))
    )
    assert key(auto, root) == key(named, root)
    before = key_material(auto, [], {}, root)
    monkeypatch.setattr(keys, "compute_type", lambda _: "bfloat16")
    after = key_material(auto, [], {}, root)
    assert difference(before, after) == (
        "the compute type: train.precision float32 -> bfloat16 (`auto` is this machine's)"
    )


# ------------------------------------------------------------------ the base


def test_what_ends_a_reply_is_in_the_key(base_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    folder = shutil.copytree(base_folder, tmp_path / "base")
    spec, memory = BaseModelSpec(model=str(folder), quantization="none"), tmp_path / "memory.json"
    before = base_identity(spec, memory)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [4, 1]}))
    after = base_identity(spec, memory)
    assert before["tokenizer"] == after["tokenizer"] and before["model"] != after["model"]
    words = difference({**MADE, "base": before}, {**MADE, "base": after})
    assert words == "the base model, tokenizer or chat template changed (generation_config.json)"


MADE: dict[str, Any] = {"schema": keys.KEY_SCHEMA, "numerics": [1, 2], "parents": [], "stage": {"type": "sft"}}


def test_differences_of_the_whole_are_said_in_words() -> None:
    assert "keys in another way" in difference({**MADE, "schema": 1, "base": {}}, {**MADE, "base": {}})
    nf4, none = ({"base": {"quantization": q}} for q in ("nf4", "none"))
    assert difference(MADE | nf4, MADE | none).endswith("(quantization nf4 -> none)")
    mine = MADE | {"base": {}}
    assert difference(mine, {**mine, "numerics": [2, 2]}) == "this version of statllama trains it differently"
    assert difference(mine, {**mine, "stage": {"type": "dpo"}, "numerics": [3, 2]}) == "type sft -> dpo"
    drops = {**mine, "stage": {"type": "sft", "drops": ["f" * 64]}}
    assert difference(mine, drops) == "the questions that are dropped from its data changed"
    data = [{"bytes": "x", "kinds": [], "weight": 0.5, "repeat": 1}]
    other = [{**data[0], "weight": 0.25, "repeat": 2}]
    said = difference({**mine, "data": data}, {**mine, "data": other})
    assert said == "data.0.repeat 1 -> 2; data.0 share of the mixture 0.5 -> 0.25"


# ------------------------------------------------------------------ hashes


def test_a_hash_is_of_what_is_there_now(tmp_path: Path) -> None:
    """Also within one tick of the clock, with the same size and the same modification time."""
    import hashlib
    import os

    file, memory = tmp_path / "file", tmp_path / "memory.json"
    for text in (b"one", b"two", b"six") * 20:
        file.write_bytes(text)
        os.utime(file, ns=(10**18, 10**18))
        assert content_hash(file, memory) == hashlib.sha256(text).hexdigest()


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from statllama.store import content

    file, memory, reads = tmp_path / "file", tmp_path / "memory.json", list[Path]()
    file.write_bytes(b"text")
    hashed = content.file_sha256
    monkeypatch.setattr(content, "file_sha256", lambda path: reads.append(path) or hashed(path))
    now = content.time.time_ns()
    monkeypatch.setattr(content.time, "time_ns", lambda: now + 2 * SETTLED)
    found = {content_hash(file, memory) for _ in range(5)}
    assert len(found) == len(reads) == 1
    monkeypatch.setattr(content, "_known", {})  # another process
    assert content_hash(file, memory) in found and len(reads) == 1
    assert content_hash(file) in found and len(reads) == 1


def test_plans_of_equal_files_are_equal(base_folder: Path, tmp_path: Path) -> None:
    import yaml

    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        write_jsonl(folder / "sft.jsonl", conversations(8))
        body = {"name": "t", "base": {"model": str(base_folder)}, "stages": [stage("a")]}
        (folder / "r.yaml").write_text(yaml.safe_dump(body))
        found.append(plan(load_recipe(folder / "r.yaml"), Store(folder / "w"))[0].key)
    assert found[0] == found[1]
