"""The paper's pipelines: every recipe loads and reads its data, shares what the paper shares, has the paper's settings."""
# ruff: noqa: E501 (the table of settings)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.config.inherit import load_whole, with_defaults
from statllama.config.lora import DEFAULT_MODULES
from statllama.config.shipped import find_recipe, shipped_recipes, shipped_studies
from statllama.config.stage import TrainingSpec
from statllama.errors import RecipeError
from statllama.recipe import Recipe, load_recipe
from statllama.runs.data_check import check
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.study_file import load_study, pipelines
from statllama.store import Store
from tests.conftest import REPO, SHARED, write_jsonl

NAMES = (
    "instruct_pipeline",
    "base_pipeline",
    "base_instruct_pipeline",
    "sft_curriculum",
    "sft_unified",
    "sft_ablation",
    "dtft",
)
BOTH = (*NAMES, *(f"paper/{name}" for name in NAMES))

# ------------------------------------------------------------------ settings

# The paper's scripts: rank, alpha, dropout, rsLoRA, target modules, learning rate, schedule, warm-up, epochs or steps,
# micro-batch x accumulation, weight decay, length, loss on responses alone. `-`: the library's default.
SCRIPTS = {
    "Flow1/CoP": "48 / 72 DoRA|0.05|-|all 7|2e-5 cosine 0.1|2 epochs|4x3|0.01, clip 0.5|2048|no",
    "Flow1/DPO": "64 / 64|0|False|all 7|5e-6 linear 0.1|2 epochs|4x4|0.0|1024, prompt 512|beta 0.1",
    "Flow1/SFT": "16 / 32|0|True|all 7|2e-5 cosine 0.03|3 epochs|4x16|0.05|2048|yes",
    "Flow2/CoP": "48 / 72 DoRA|0.05|-|all 7|2e-5 cosine 0.1|2 epochs|4x3|0.01, clip 0.5|2048|no",
    "Flow2/DPO": "64 / 64|0|False|all 7|5e-6 linear 0.1|2 epochs|4x4|0.0|1024, prompt 512|beta 0.1",
    "Flow2/Instruct": "16 / 32|0|True|all 7|2e-5 cosine 0.03|1 epochs|8x16|0.05|2048|no",
    "Flow2/SFT": "16 / 32|0|True|all 7|2e-5 cosine 0.03|3 epochs|8x8|0.05|2048|yes",
    "Flow3/SFT_v1/GRPO-v2": "8 / 8|0.05|-|all 7|5e-5 cosine 0.3|1 epochs|4x3|0.01|1024, prompt 512|6 generations, beta -",
    "Flow3/SFT_v1/SFT1": "16 / 16|0|False|all 7|2e-5 linear 5 steps|1 epochs|4x2|0.01|2048|no",
    "Flow3/SFT_v1/SFT2": "16 / 32|0.05|True|all 7|2e-5 cosine 0.03|3 epochs|1x4|0.05|2048|no",
    "Flow3/SFT_v1/SFT3": "12 / 16|0.05|True|k,up,down|1e-5 cosine 0.03|1 epochs|4x2|0.05|2048|no",
    "Flow3/SFT_v1/SFT4-1": "12 / 24|0.05|True|q,v,gate|1e-5 cosine 0.03|1 epochs|4x2|0.05|2048|yes",
    "Flow3/SFT_v1/SFT4-2": "12 / 24|0.05|True|q,v,o|1e-5 cosine 0.03|3 epochs|4x2|0.05|2048|yes",
    "Flow3/SFT_v2/DPO": "64 / 64|0|False|all 7|5e-6 linear 0.1|2 epochs|4x4|0.0|1024, prompt 512|beta 0.1",
    "Flow3/SFT_v2/GRPO-v1": "32 / 32|-|-|all 7|5e-6 cosine 0.1|1 epochs|4x2|0.01|2048, prompt 1024|6 generations, beta -",
    "Flow3/SFT_v2/GRPO-v2": "8 / 8|0.05|-|all 7|5e-5 cosine 0.3|1 epochs|4x3|0.01|1024, prompt 512|6 generations, beta -",
    "Flow3/SFT_v2/GRPO-v3": "16 / 16|0.05|-|all 7|5e-5 cosine 0.1|1 epochs|4x3|0.01|1024, prompt 512|6 generations, beta 0.1",
    "Flow3/SFT_v2/SFT-v2": "32 / 32|0.05|True|all 7|5e-6 cosine 0.03|1 epochs|4x2|0.05|2048|yes",
    "Flow3/SFT_v3.4_DPO_DTFT/SFT_v3.4_DPO_DTFT_v1": "16 / 32|0|True|all 7|1e-6 cosine 0.1|1 epochs|4x16|0.01|2048|yes",
    "Flow3/SFT_v3.4_DPO_DTFT/SFT_v3.4_DPO_DTFT_v2": "8 / 16|0.05|True|all 7|5e-7 linear 50 steps|150 steps|4x16|0.01|2048|yes",
    "Flow3/SFT_v3.4_DPO_DTFT/SFT_v3.4_DPO_DTFT_v3": "8 / 16|0.05|True|all 7|5e-7 linear 50 steps|300 steps|4x16|0.01|2048|yes",
    "Flow3/SFT_v3.4_DPO_DTFT/SFT_v3.4_DPO_DTFT_v4": "8 / 16|0.05|True|all 7|5e-7 linear 50 steps|180 steps|4x16|0.01|2048|yes",
    "Flow3/SFT_v3.4_DPO_DTFT/SFT_v3.4_DPO_DTFT_v5": "8 / 16|0|True|all 7|5e-7 linear 50 steps|300 steps|4x16|0.01|2048|yes",
    "Flow3/SFT_v3/SFT-v3.1": "16 / 32|0.03|True|all 7|2e-5 cosine 0.03|3 epochs|4x16|0.05|2048|yes",
    "Flow3/SFT_v3/SFT-v3.2": "16 / 32|0.03|True|all 7|2e-5 cosine 0.03|3 epochs|4x16|0.05|2048|yes",
    "Flow3/SFT_v3/SFT-v3.3": "16 / 32|0.03|True|all 7|2e-5 cosine 0.03|3 epochs|4x16|0.05|2048|no",
    "Flow3/SFT_v3/SFT-v3.4": "16 / 32|0|True|all 7|2e-5 cosine 0.03|3 epochs|4x16|0.05|2048|yes",
    "Flow3/SFT_v3/SFT-v3.5": "16 / 32|0|True|all 7|2e-5 cosine 0.03|1 epochs|4x16|0.05|2048|yes",
    "Flow3/SFT_v3/SFT-v3.6": "16 / 32|0|True|all 7|2e-5 cosine 0.03|1 epochs|4x16|0.05|2048|yes",
    "Flow3/SFT_v3_DPO/SFT_v3.3_DPO": "64 / 64|0|False|all 7|5e-6 linear 0.1|2 epochs|4x4|0.0|1024, prompt 512|beta 0.1",
    "Flow3/SFT_v3_DPO/SFT_v3.4_DPO": "64 / 64|0|False|all 7|5e-6 linear 0.1|2 epochs|4x4|0.0|1024, prompt 512|beta 0.1",
}  # fmt: skip

STAGES = {
    "Flow1/CoP": ("base_pipeline", "cpt"),
    "Flow1/DPO": ("base_pipeline", "dpo"),
    "Flow1/SFT": ("base_pipeline", "sft"),
    "Flow2/CoP": ("base_instruct_pipeline", "cpt"),
    "Flow2/DPO": ("base_instruct_pipeline", "dpo"),
    "Flow2/Instruct": ("base_instruct_pipeline", "instruct"),
    "Flow2/SFT": ("base_instruct_pipeline", "sft"),
    "Flow3/SFT_v1/GRPO-v2": ("sft_curriculum", "grpo"),
    **{f"Flow3/SFT_v1/SFT{n}": ("sft_curriculum", f"sft{n}") for n in ("1", "2", "3", "4-1", "4-2")},
    "Flow3/SFT_v2/DPO": ("sft_unified", "dpo"),
    "Flow3/SFT_v2/SFT-v2": ("sft_unified", "sft"),
    **{f"Flow3/SFT_v2/GRPO-v{n}": ("sft_unified", f"grpo_v{n}") for n in (1, 2, 3)},
    **{
        f"Flow3/SFT_v3.4_DPO_DTFT/SFT_v3.4_DPO_DTFT_v{n}": ("dtft", "dtft" if n == 2 else f"dtft_v{n}")
        for n in range(1, 6)
    },
    **{
        f"Flow3/SFT_v3/SFT-v3.{n}": ("sft_ablation", "sft" if n == 4 else f"sft_v3.{n}") for n in range(1, 7)
    },
    "Flow3/SFT_v3_DPO/SFT_v3.3_DPO": ("sft_ablation", "dpo_v3.3"),
    "Flow3/SFT_v3_DPO/SFT_v3.4_DPO": ("sft_ablation", "dpo"),
}  # fmt: skip

# What we do otherwise, and why, is in the recipes' own words.
BATCHES = {"Flow1/CoP": 96, "Flow2/CoP": 96, "Flow3/SFT_v2/GRPO-v1": 12, "Flow2/SFT": 64}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sheet is not beside the repository")
def test_the_table_above_is_the_sheet() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (SHARED / "paper_settings.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| Flow")
    ]
    assert {row[0]: "|".join(row[1:11]) for row in rows} == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("folder", ["", "paper/"])
def test_settings_are_the_papers(script: str, folder: str) -> None:
    name, stage_name = STAGES[script]
    stage = load_recipe(folder + name, check_files=False).training_stage(stage_name)
    ranks, drop, rslora, targets, rate, duration, batch, decay, length, rest = SCRIPTS[script].split("|")
    lora, train, own = stage.lora, stage.train, stage.model_dump()
    assert f"{lora.r} / {lora.alpha:g}" == ranks.removesuffix(" DoRA")
    assert lora.dropout == (0.0 if drop == "-" else float(drop))
    assert lora.rslora is (rslora == "True")
    wanted = DEFAULT_MODULES if targets == "all 7" else [f"{part}_proj" for part in targets.split(",")]
    assert lora.target_modules == tuple(sorted(wanted))
    peak, schedule, warmup = rate.removesuffix(" steps").split()
    assert (train.learning_rate, train.schedule, train.warmup) == (float(peak), schedule, float(warmup))
    many, unit = duration.split()
    assert (train.epochs, train.steps) == ((float(many), None) if unit == "epochs" else (None, int(many)))
    micro, accumulation = map(int, batch.split("x"))
    assert train.batch_size == BATCHES.get(script, micro * accumulation)
    weight, _, clip = decay.partition(", clip ")
    assert (train.weight_decay, train.max_grad_norm) == (float(weight), float(clip or 1.0))
    tokens, _, prompt = length.partition(", prompt ")
    assert train.max_length == int(tokens)
    assert train.seed == (42 if stage.type == "dpo" else 3407)
    assert train.optimizer == ("paged_adamw_8bit" if stage.type == "grpo" else "adamw_8bit")
    assert train.packing is (stage.name == "cpt")
    if stage.type == "grpo":
        generations, beta = rest.removesuffix(" -").split(" generations, beta")
        assert own["generations"] == int(generations) and own["beta"] == float(beta or 0.04)
        assert stage.prompt_limit == int(prompt) and own["max_completion_length"] == int(tokens) - int(prompt)  # type: ignore[attr-defined]
        assert [reward["name"] for reward in own["rewards"]] == ["correctness", "format", "reasoning"]
    elif stage.type == "dpo":
        assert f"beta {own['beta']}" == rest and own["loss"] == "sigmoid"
    elif stage.type == "sft":
        assert own["train_on"] == {"yes": "responses", "no": "all"}[rest]


def test_the_blend_is_two_to_three() -> None:
    for name in ("sft_curriculum", "paper/sft_curriculum"):
        recipe = load_recipe(name, check_files=False)
        assert recipe.stage("sft5").model_dump()["of"] == {"sft4-1": 2.0, "sft4-2": 3.0}
        assert [s.name for s in recipe.stack(recipe.stage("grpo"))] == ["sft1", "sft2", "sft3", "sft5"]


def test_bases() -> None:
    for name in BOTH:
        base = load_recipe(name, check_files=False).base
        instructed = "base_" not in name
        assert base.model == "unsloth/Llama-3.2-3B" + ("-Instruct" if instructed else "")
        assert base.tokenizer == (None if instructed else "unsloth/Llama-3.2-3B-Instruct")
        assert base.quantization == "nf4"


def test_a_recipe_is_short() -> None:
    for path in (REPO / "recipes").rglob("*.yaml"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path


# ------------------------------------------------------------------ data and keys

CHAT = {"conversations": [{"from": "human", "value": "Mean of 1 and 3?"}, {"from": "gpt", "value": "It is 2."}]}
TURNS = {"0": {"role": "user", "content": "Mean of 1 and 5?"}, "1": {"role": "assistant", "content": "It is 3."}}
PAIR = {"prompt": "Median of 1, 2, 9?", "chosen": "It is 2.", "rejected": "It is 4."}
SUM = {"question": "Half of 48 clips?", "answer": "Half is <<48/2=24>>24.\n#### 24"}
ROWS: dict[str, dict[str, Any]] = {
    "openai/gsm8k": SUM,
    "kira/math-dpo": {**PAIR, "metadata": {}, "chosen_rating": 1.0, "rejected_rating": 0.0},
    "mlabonne/FineTome-100k": {**CHAT, "source": "x", "score": 5.1},
    "teknium/OpenHermes-2.5": {**CHAT, "category": "x", "source": "y"},
    "databricks/databricks-dolly-15k": {
        "instruction": "Which is robust?", "context": "", "response": "The median.", "category": "open_qa"
    },
    "AI-MO/NuminaMath-CoT": {"source": "x", "problem": "1 + 1?", "solution": "It is 2.", "messages": []},
    "OpenPipe/arxiv-categories": {"id": "1", "title": "T", "abstract": "We study medians.", "category": "stat.ME"},
    "stat_noun_data.json": {"term": "median", "description": "The middle value.", "formula": "", "code": ""},
    "stat_cot_data.json": {"problem": "Mean of 1 and 3?", "steps": ["The sum is 4.", "Half of it is 2."]},
    "stat_GRPO_data.json": {"question": "Mean of 2 and 4?", "reasoning": "6 / 2 = 3.", "answer": "3"},
    "stat_DPO_data.json": {**PAIR, "model_note": "", "tags": []},
    "mix_data_CV_KG.json": TURNS,
    "conversations.json": {**TURNS, "2": None, "3": None},
    "math_qa_data.json": {"problem": "2 + 2?", "solution": "It is 4."},
    "s2orc_sections.json": {"sections": {"Introduction": "Samples vary."}},
}  # fmt: skip


def stand_in(name: str, base: Path, folder: Path) -> Recipe:
    """The recipe with small local files for all that it reads, and the tests' own base."""
    whole = load_whole(find_recipe(name))
    data, defaults = whole.data, whole.data.pop("defaults")
    data["base"] = {"model": str(base), "quantization": "none"}
    data["evaluate"] = {"tasks": ["ap_statistics"]}
    for i, item in enumerate(data["stages"]):
        if "data" in item:
            item["data"] = [_local(source, folder) for source in item["data"]]
        data["stages"][i] = with_defaults(item, defaults if i >= whole.inherited else {})
    path = folder / f"{name.replace('/', '-')}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_recipe(path)


def _local(source: dict[str, Any], folder: Path) -> dict[str, Any]:
    if "problems" in source:
        return {**source, "problems": {**source["problems"], "count": source["problems"]["count"] // 500}}
    known = {k: v for k, v in source.items() if k not in ("hub", "config", "split")}
    place = source.get("hub") or Path(source["path"]).name
    if place == "glossary.jsonl":
        return {**known, "path": str(REPO / "recipes" / "data" / place)}
    if place == "cpt_data.json":
        (folder / place).write_text(json.dumps(["A paragraph about medians.", "median: the middle value."]))
        return {**known, "path": place}
    file = folder / (place.replace("/", "_").removesuffix(".json") + ".jsonl")
    others = {
        "OpenPipe/arxiv-categories": {"category": "cs.LG"},
        "stat_GRPO_data.json": {"question": "Mean of 1 and 5?"},
    }
    write_jsonl(file, [ROWS[place], *([ROWS[place] | others[place]] if place in others else [])])
    return {**known, "path": file.name}


@pytest.mark.parametrize("name", BOTH)
def test_every_recipe_reads_its_data(name: str, base_folder: Path, tmp_path: Path) -> None:
    recipe = stand_in(name, base_folder, tmp_path)
    checked = list(check(recipe, Store(tmp_path / "w"), Reporter()))
    assert [found.spec.name for found in checked] == [stage.name for stage in recipe.trained]
    for found in checked:
        errors = [verdict.text for verdict in found.verdicts if verdict.level == "error"]
        assert found.report is not None and not errors, (found.spec.name, errors)
        assert all(source.examples for source in found.report.sources), found.spec.name
        for source in found.report.sources:
            if "arxiv" in source.name:
                assert source.examples == 1, "of statistics alone"


@pytest.mark.parametrize("folder", ["", "paper/"])
def test_what_the_paper_shares_is_trained_once(folder: str, base_folder: Path, tmp_path: Path) -> None:
    keys: dict[str, dict[str, str]] = {}
    for name in NAMES:
        recipe = stand_in(folder + name, base_folder, tmp_path)
        keys[name] = {stage.spec.name: stage.key for stage in plan(recipe, Store(tmp_path / "w"))}
    assert keys["base_pipeline"]["cpt"] == keys["base_instruct_pipeline"]["cpt"]
    for name in ("sft_ablation", "dtft"):
        for stage in ("sft", "dpo"):
            assert keys[name][stage] == keys["instruct_pipeline"][stage], (name, stage)
    assert keys["dtft"]["dtft"] == keys["instruct_pipeline"]["dtft"]
    every = [key for stages in keys.values() for key in stages.values()]
    assert len(every) == 37 and len(set(every)) == 31, "and nothing else is shared"


def test_the_shipped_studies() -> None:
    assert set(shipped_studies()) == {"comparison", "miniature", "paper/comparison"}
    assert not any("study" in name or "comparison" in name for name in shipped_recipes())
    study = load_study(["comparison"])
    assert {recipe.name for recipe in study.recipes} == set(NAMES)
    found = [p.name for p in pipelines(study)]
    assert len(found) == 19 and "instruct_pipeline" in found and "sft_unified:grpo_v2" in found
    assert [p.name for p in pipelines(load_study(["miniature"]))] == [
        "mini_instruct:grpo",
        "mini_instruct:dtft_gentle",
        "mini_instruct:dtft_strong",
        "mini_base",
        "mini_base_instruct",
    ]
    with pytest.raises(RecipeError, match=r"no such file: .*stat_noun_data\.json"):
        load_study(["paper/comparison"])


def test_trained_stages_are_those_of_the_scripts() -> None:
    found = {
        (n, s.name) for n in NAMES for s in load_recipe(n, check_files=False).stages if isinstance(s, TrainingSpec)
    }
    assert found - set(STAGES.values()) == {("instruct_pipeline", s) for s in ("sft", "dpo", "dtft")} | {
        ("dtft", "sft"),
        ("dtft", "dpo"),
    }
