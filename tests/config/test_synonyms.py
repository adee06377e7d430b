"""The field's other words for our keys: each is told, with a line that then works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.synonyms import ELSEWHERE, NOTES, SECTIONS, STAGE_GROUPS, WORDS, meant
from statllama.errors import RecipeError
from statllama.recipe import Recipe, load_recipe
from statllama.runs.study_file import load_study
from statllama.stages import stage_module, stage_types

STAGE_FIELDS = {field for kind in stage_types() for field in stage_module(kind).Spec.model_fields}
EVERY = [(word, key) for key, words in WORDS.items() for word in words]
VALUES = {  # one that the field takes, where a text is not
    "train.learning_rate": 1e-4, "train.epochs": 2, "train.steps": 3, "train.schedule": "cosine",
    "train.max_length": 128, "train.packing": False, "train.checkpoint_every": 9, "train.keep_checkpoints": 1,
    "train.max_grad_norm": 0.5, "train.adam_epsilon": 1e-7, "train.weight_decay": 0.1, "train.seed": 1,
    "train.optimizer": "adamw_torch", "train.gradient_checkpointing": False, "lora.r": 4, "lora.alpha": 8,
    "lora.dropout": 0.1, "lora.rslora": True, "lora.dora": False, "lora.target_modules": ["q_proj"],
    "lora.token_rows": ["<|eot_id|>"],
    "base.revision": "main", "base.model": "owner/name", "base.tokenizer": "owner/name",
    "base.chat_template": "shipped:quickstart/base/chat_template.jinja", "evaluate.tasks": ["quickstart_stats"],
    "evaluate.limit": 5, "lora.plus_ratio": 16.0, "train.neftune_alpha": 5.0,
}  # fmt: skip


def failed(*overrides: str, recipe: str = "quickstart") -> str:
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe, overrides)
    return error.value.message


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("lr=1e-4", "--set defaults.train.learning_rate=0.0001"),
        ("train.epochs=1", "--set defaults.train.epochs=1"),
        ("batch=8", "--set defaults.train.batch_size=..."),
        ("gradient_accumulation_steps=4", "--set defaults.train.batch_size=..."),
        ("lora_r=4", "--set defaults.lora.r=4"),
        ("lora_alpha=4", "--set defaults.lora.alpha=4"),
        ("max_seq_length=64", "--set defaults.train.max_length=64"),
        ("num_train_epochs=2", "--set defaults.train.epochs=2"),
        ("model_name_or_path=a/b", "--set base.model=a/b"),
        ("model=a/b", "--set base.model=a/b"),
        ("stages.sft.learning_rate=1e-4", "--set stages.sft.train.learning_rate=0.0001"),
        ("stages.sft.r=4", "--set stages.sft.lora.r=4"),
        ("stages.sft.train.alpha=4", "--set stages.sft.lora.alpha=4"),
        ("stages.sft.limit=4", "--set stages.sft.data.0.limit=4"),
        ("defaults.learning_rate=3", "--set defaults.train.learning_rate=3"),
        ("tasks=[quickstart_stats]", "--set evaluate.tasks=[quickstart_stats]"),
        ("output_dir=x", "results lie in the workspace: statllama run RECIPE --workspace DIR"),
    ],
)
def test_what_people_bring_with_them(override: str, remedy: str) -> None:
    assert f"-> {remedy}\n" in failed(override) + "\n"


@pytest.mark.parametrize(("word", "key"), EVERY)
def test_every_word_is_told_and_the_line_works(word: str, key: str) -> None:
    """At the top of a recipe, with `--set`: what is told is taken over as it is, and reaches the field."""
    section, _, field = key.rpartition(".")
    value = VALUES.get(key, "x")
    message = failed(f"{word}={yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}")
    assert field in message
    (override,) = re.findall(r"-> --set (.+)", message)
    if section in ("stage", "source", "") or key in NOTES:
        assert override.endswith((f"{field}=...", f".{field}=x"))
        return
    recipe: Any = load_recipe("quickstart", [override])
    holder = getattr(recipe.stages[-1], section) if section in STAGE_GROUPS else getattr(recipe, section)
    found = getattr(holder, field)
    if section in STAGE_GROUPS and field not in SECTIONS[section]:
        raise AssertionError(f"{key} is no key")
    wanted = tuple(value) if isinstance(value, list) else value
    assert found == wanted or str(found).endswith("chat_template.jinja")


@pytest.mark.parametrize("where", ["stage", "train", "lora", "defaults"])
def test_the_line_for_a_file_works_too(where: str, tmp_path: Path) -> None:
    """`lr` at four wrong places of a file: what is told, pasted there, trains with that rate."""
    written: dict[str, Any] = {"name": "x", "extends": "quickstart", "keep": []}
    stage = {"name": "s", "type": "sft", "data": [{"path": "shipped:quickstart/data/sft.jsonl"}]}
    broken: dict[str, Any] = {"stage": {"lr": 0.5}, "train": {"train": {"lr": 0.5}}, "lora": {"lora": {"lr": 0.5}}}
    body = {**written, "stages": [{**stage, **broken.get(where, {})}]}
    body |= {"defaults": {"lr": 0.5}} if where == "defaults" else {}
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(body))
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    (problem,) = error.value.problems
    if where == "train":
        assert problem.message == "unknown key: here it is called `learning_rate`"
        return
    line = yaml.safe_load(re.findall("`(.+?)`(?: in the stage)?$", problem.remedy or "")[0])
    fixed = {**written, "stages": [{**stage, **(line if where != "defaults" else {})}]}
    path.write_text(yaml.safe_dump(fixed | (line if where == "defaults" else {})))
    assert load_recipe(path).trained[0].train.learning_rate == 0.5


def test_the_tables_name_what_there_is() -> None:
    for word, key in EVERY:
        section, _, field = key.rpartition(".")
        known = {"stage": STAGE_FIELDS, "": set(Recipe.model_fields)}.get(section) or set(SECTIONS[section])
        assert field in known, key
        assert word not in known, f"{word} is a key of ours itself"
        assert word == word.lower() and "-" not in word
    words = [word for word, _ in EVERY]
    assert len(set(words)) == len(words)
    assert set(NOTES) <= set(WORDS) and not set(ELSEWHERE) & set(words)


def test_a_study_has_keys_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.study.yaml"
    path.write_text("name: x\nrecipes: [quickstart]\nseed: 3\n")
    with pytest.raises(RecipeError, match="unknown key: did you mean 'seeds'"):
        load_study([str(path)])


def test_near_ones_are_found_whatever_the_case() -> None:
    assert "did you mean 'learning_rate'" in failed("stages.sft.train.Learning_Rate=1")
    assert "did you mean 'steps'" in failed("stages.sft.train.stps=1")
    assert "did you mean 'sft'" in failed("stages.sft.type=SFT")


parts = st.one_of(
    st.sampled_from(["stages", "train", "lora", "data", "base", "defaults", "x", 0, 1]), st.text(max_size=4)
)
words = st.one_of(st.sampled_from([word for word, _ in EVERY] + list(SECTIONS["train"])), st.text(max_size=8))
values = st.one_of(st.none(), st.integers(), st.text(max_size=50), st.dictionaries(st.text(max_size=3), st.integers()))


@given(st.lists(parts, max_size=4), words, values, st.booleans())
def test_any_key_anywhere_is_explained_or_not(path: list[Any], word: str, value: Any, on_command_line: bool) -> None:
    found = meant((*path, word), value, "sft", on_command_line=on_command_line)
    if found is not None:
        assert found.message.startswith("unknown key")
        assert found.remedy is None or "\n" not in found.remedy
