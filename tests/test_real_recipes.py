"""The real recipes run end to end on a small random Llama with the real Llama-3 tokenizer and local stand-in data."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from statllama.recipe import load_recipe
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.store import Store
from tests.conftest import SHARED, make_llama, write_jsonl

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not beside the repository")
DATA = SHARED / "data"


@pytest.fixture(scope="module")
def llama3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers and width 64 with the real tokenizer of 128,256 tokens."""
    folder = tmp_path_factory.mktemp("llama3")
    model = make_llama(128_256, bos_token_id=128_000, eos_token_id=128_009, pad_token_id=128_004)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DATA / "llama3-tokenizer" / name, folder / name)
    return folder


def small(llama3: Path) -> list[str]:
    """Overrides that shrink any of the recipes: 2 steps of 2 rows a stage, a few items a benchmark."""
    overrides = [
        f"base.model={llama3}",
        "evaluate.tasks=[ap_statistics]",
        "evaluate.limit=4",
        "evaluate.micro_tokens=4096",
    ]
    for stage in ("sft", "dpo", "dtft"):
        train = {
            "steps": 2,
            "warmup": 0.0,
            "batch_size": 2,
            "micro_tokens": 512,
            "optimizer": "adamw_torch",
            "max_length": 512,
        }
        overrides += [f"stages.{stage}.train.{key}={value}" for key, value in train.items()]
        overrides.append(f"stages.{stage}.train.epochs=null")
    return overrides


def rows(name: str, count: int) -> list[dict[str, str]]:
    """The first rows of a shared JSONL file."""
    with open(DATA / name, encoding="utf-8") as file:
        return [json.loads(next(file)) for _ in range(count)]


def pairs(count: int) -> list[dict[str, object]]:
    """Preference rows with kira/math-dpo's columns, from GSM8K: the rejected answer is another question's."""
    problems = rows("gsm8k_train_1000.jsonl", count + 1)
    return [
        {
            "prompt": a["question"],
            "chosen": a["answer"],
            "rejected": b["answer"],
            "metadata": {},
            "chosen_rating": 1.0,
            "rejected_rating": 0.0,
        }
        for a, b in pairwise(problems)
    ]


def local(stage: str, index: int, path: Path) -> list[str]:
    """Overrides that put a local file in a hub dataset's place; format and columns stay the recipe's."""
    key = f"stages.{stage}.data.{index}"
    return [f"{key}.hub=null", f"{key}.config=null", f"{key}.path={path}"]


def test_instruct_pipeline(llama3: Path, tmp_path: Path) -> None:
    math_dpo = write_jsonl(tmp_path / "math_dpo.jsonl", pairs(8))
    overrides = small(llama3)
    overrides += local("sft", 2, DATA / "gsm8k_train_1000.jsonl") + local("dpo", 1, math_dpo)
    overrides += [f"stages.{place}.problems.count=60" for place in ("sft.data.1", "dpo.data.0", "dtft.data.0")]
    recipe = load_recipe("instruct_pipeline", overrides)
    result = run(recipe, Store(tmp_path / "workspace"), Reporter())
    assert list(result.results) == ["sft", "dpo", "dtft"]
    assert result.scorecard is not None
    assert [row.name for row in result.scorecard.rows] == ["base", "sft", "dpo", "dtft"]
    ranks = [json.loads((path / "adapter_config.json").read_text())["r"] for path in result.results.values()]
    assert ranks == [16, 64, 8]


def test_paper_pipeline_with_files_of_the_authors_shape(llama3: Path, tmp_path: Path) -> None:
    glossary = rows("stats_glossary_openstax.jsonl", 8)
    problems = rows("gsm8k_train_1000.jsonl", 8)
    files = {
        "stat_noun_data.json": [
            {"term": g["term"], "description": g["definition"], "formula": "", "code": ""} for g in glossary
        ],
        "stat_cot_data.json": [{"problem": p["question"], "steps": p["answer"]} for p in problems],
        "stat_GRPO_data.json": [
            {"question": p["question"], "reasoning": p["answer"], "answer": p["answer"].rpartition(" ")[2]}
            for p in problems
        ],
        "stat_DPO_data.json": [{**p, "model_note": "", "tags": []} for p in pairs(8)],
        "mix_data_CV_KG.json": [
            {"0": {"role": "user", "content": p["question"]}, "1": {"role": "assistant", "content": p["answer"]}}
            for p in problems
        ],
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    overrides = small(llama3) + local("sft", 3, DATA / "gsm8k_train_1000.jsonl")
    overrides += local("dpo", 1, write_jsonl(tmp_path / "math_dpo.jsonl", pairs(8)))
    overrides += [
        f"stages.sft.data.0.path={tmp_path}/stat_noun_data.json",
        f"stages.sft.data.1.path={tmp_path}/stat_cot_data.json",
        f"stages.sft.data.2.path={tmp_path}/stat_GRPO_data.json",
        f"stages.dpo.data.0.path={tmp_path}/stat_DPO_data.json",
        f"stages.dtft.data.0.path={tmp_path}/mix_data_CV_KG.json",
        "evaluate.tasks=[]",
    ]
    result = run(load_recipe("paper/instruct_pipeline", overrides), Store(tmp_path / "workspace"), Reporter())
    assert list(result.results) == ["sft", "dpo", "dtft"]
