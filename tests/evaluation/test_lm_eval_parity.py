"""Scores of adapter stacks in this process equal those of the `lm_eval` command on the merged export, item by item."""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.config.base_model import BaseModelSpec
from statllama.config.benchmarks import find_tasks
from statllama.config.evaluate import EvaluateSpec
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.suite import score
from statllama.model.adapter import Adapter, load_adapter
from statllama.model.base_model import Base, load_base, scoring, start_backend
from tests import reference
from tests.conftest import REPO, SHARED, make_llama, write_jsonl
from tests.evaluation import lm_eval_command
from tests.evaluation.lm_eval_command import Said
from tests.reference import Lora

EVAL = REPO / "eval"
LORAS = (
    (Lora(r=4, alpha=8), 0.05),
    (Lora(r=8, alpha=16, rslora=True), 0.02),
    (Lora(r=2, alpha=4, modules=("q_proj", "v_proj", "down_proj")), 0.05),
)
QUICKSTART = REPO / "recipes" / "quickstart" / "base"
DATA = SHARED / "data"
TOKENIZER = DATA / "llama3-tokenizer"
needs_data = pytest.mark.skipif(not TOKENIZER.is_dir(), reason="needs the shared data")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Stack:
    """A base with random adapters, and its merged float32 export."""

    base: Base
    adapters: tuple[Adapter, ...]
    merged: Any
    folder: Path


def make_stack(source: Path, quantization: Any, work: Path) -> Stack:
    """The model saved in `source` under three adapters of different rank, scale and modules, as PEFT saves them."""
    start_backend("transformers")
    empty: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    folders = [
        (reference.saved_lora(empty, lora, work / f"adapter-{i}", seed=i, size=size), lora.scale)
        for i, (lora, size) in enumerate(LORAS)
    ]
    spec = BaseModelSpec(model=str(source), quantization=quantization)
    base = load_base(spec, {"model": {}, "tokenizer": {}}, "float32", 4096, "transformers")
    tokenizer = AutoTokenizer.from_pretrained(source)
    merged = lm_eval_command.export(base.model, empty, folders, tokenizer, work / "merged")
    return Stack(base, tuple(load_adapter(folder) for folder, _ in folders), merged, work / "merged")


def longer_quickstart(folder: Path) -> Path:
    """The quickstart's base with room for eight examples: its 512 positions are a limit of its config alone."""
    shutil.copytree(QUICKSTART, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    return folder


def letters(rows: list[dict[str, Any]], least: int) -> list[dict[str, Any]]:
    """Textbook questions with at least so many choices, in the columns of `ap_statistics`."""
    kept = [row for row in rows if len(row["choices"]) >= least]
    return [{key: row[key] for key in ("id", "question", "choices", "answer")} for row in kept]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def own_rows() -> dict[str, list[dict[str, Any]]]:
    """Questions of this project's own in the columns of each benchmark that has none here."""
    statistics = lines(EVAL / "ap_statistics" / "test.jsonl")
    sums = [
        {
            "question": f"Ann has {i} pens and buys {i + 2} more. How many has she?",
            "answer": f"{i}+{i + 2}\n#### {2 * i + 2}",
        }
        for i in range(3, 40)
    ]
    science = [
        {"id": f"own-{i}", "question": row["question"], "answerKey": "ABCD"[row["answer"]],
         "choices": {"text": row["choices"], "label": list("ABCD")}}
        for i, row in enumerate(lines(EVAL / "quickstart_general" / "test.jsonl")) if len(row["choices"]) == 4
    ]  # fmt: skip
    return {
        "gsm8k": sums[:20],
        "gsm8k_train": sums[20:],
        "arc_challenge": science,
        "mmlu_high_school_statistics": [
            {k: row[k] for k in ("question", "choices", "answer")} for row in statistics[90:]
        ],
        "ap_statistics": statistics,
        "quickstart_stats": lines(EVAL / "quickstart_stats" / "test.jsonl"),
        "quickstart_general": lines(EVAL / "quickstart_general" / "test.jsonl"),
    }


def public_rows() -> dict[str, list[dict[str, Any]]]:
    """Public questions where there are some."""
    books = lines(DATA / "stats_mc_openstax.jsonl")
    four = [row for row in letters(books, 4) if len(row["choices"]) == 4]
    return own_rows() | {
        "gsm8k": lines(DATA / "gsm8k_test_200.jsonl"),
        "gsm8k_train": lines(DATA / "gsm8k_train_1000.jsonl"),
        "arc_challenge": lines(DATA / "arc_easy_test_500.jsonl"),
        "mmlu_high_school_statistics": four,  # some questions are asked twice, under another id
        "ap_statistics": sorted(letters(books, 3), key=lambda row: len(row["choices"]) == 4),
    }


def compare(
    stacked: Stack, rows: Mapping[str, list[dict[str, Any]]], sizes: Mapping[str, int], work: Path, **fields: Any
) -> dict[str, TaskScore]:
    """Score in this process and by the command, and hold every item of every benchmark against the other."""
    data: dict[str, str | dict[str, str]] = {}
    for name, size in sizes.items():
        file = str(write_jsonl(work / "data" / f"{name}.jsonl", rows[name.removesuffix("_generate")][:size]))
        data[name] = file
        if name == "gsm8k":
            data[name] = {"test": file, "train": str(write_jsonl(work / "data" / "train.jsonl", rows["gsm8k_train"]))}
    spec = EvaluateSpec(tasks=tuple(sizes), data=data, micro_tokens=4096, **fields)
    tasks = find_tasks(spec.tasks, [EVAL], spec.data)
    theirs = lm_eval_command.run(lm_eval_command.command(stacked.folder, tasks.values(), spec, work), work)
    tokenizer = stacked.base.tokenizer
    with scoring(stacked.base, stacked.adapters) as model:
        ours = {result.task: result for result in score(model, tokenizer, tasks.values(), spec)}
    assert list(ours) == list(sizes) and set(theirs) == set(sizes)
    for name, size in sizes.items():
        assert ours[name].n == size and ours[name].truncated == 0
        same_items(ours[name], theirs[name])
        one_bos(stacked, ours[name], spec.chat_template)
    with scoring(stacked.base, ()) as model:
        (bare,) = score(model, tokenizer, [tasks["ap_statistics"]], spec)
    changed = zip(bare.samples, ours["ap_statistics"].samples, strict=True)
    assert all(a["loglikelihoods"] != b["loglikelihoods"] for a, b in changed), "the adapters have no effect"
    return ours


def clustered_stderr(headline: Sequence[Mapping[str, Any]], metric: str) -> float:
    """From the definition (Miller 2024, section 2.2), over lm-eval's own samples: items of one kind are a cluster."""
    mean = sum(sample[metric] for sample in headline) / len(headline)
    sums = defaultdict[str, float](float)
    for sample in headline:
        sums[sample["doc"]["kind"]] += sample[metric] - mean
    return math.sqrt(math.fsum(total**2 for total in sums.values()) * len(sums) / (len(sums) - 1)) / len(headline)


def same_items(ours: TaskScore, theirs: Said) -> None:
    filters = list(dict.fromkeys(sample["filter"] for sample in theirs.samples))
    headline = theirs.of(filters[0])
    assert ours.item_ids == tuple(sample["doc_hash"][:16] for sample in headline)
    assert ours.items == tuple(float(sample[ours.metric]) for sample in headline)
    assert ours.value == pytest.approx(theirs.results[f"{ours.metric},{filters[0]}"], abs=1e-12)
    if ours.clusters is None:  # lm-eval has none
        assert ours.stderr == pytest.approx(theirs.results[f"{ours.metric}_stderr,{filters[0]}"], abs=1e-12)
    else:
        assert ours.stderr == pytest.approx(clustered_stderr(headline, ours.metric), abs=1e-12)
    for key, value in ours.others.items():
        assert value == pytest.approx(theirs.results[key if "," in key else f"{key},{filters[0]}"], abs=1e-12)
    for mine, sample in zip(ours.samples, headline, strict=True):
        assert mine["prompt"] == sample["arguments"]["gen_args_0"]["arg_0"]
        if "generated" in mine:
            assert mine["generated"] == sample["resps"][0][0]
            assert mine["prediction"] == sample["filtered_resps"][0]
        else:
            found = [float(answer[0]) for answer in sample["filtered_resps"]]
            assert mine["loglikelihoods"] == pytest.approx(found, abs=2e-4)
            assert mine["prediction"] == max(range(len(found)), key=found.__getitem__)


def one_bos(stacked: Stack, ours: TaskScore, chat: bool) -> None:
    """A plain forward pass over the first prompt with one BOS gives the log-likelihoods that both report."""
    sample, tokenizer = ours.samples[0], stacked.base.tokenizer
    assert sample["prompt"].count(tokenizer.bos_token) == chat
    if "loglikelihoods" not in sample:
        return
    for choice, reported in zip(sample["choices"], sample["loglikelihoods"], strict=True):
        # lm-eval counts white space at the end of the prompt, the template's own, as part of each choice.
        start = tokenizer(sample["prompt"].rstrip(), add_special_tokens=not chat).input_ids
        ids = tokenizer(sample["prompt"] + ("" if chat else " ") + choice, add_special_tokens=not chat).input_ids
        assert ids[: len(start)] == start and ids.count(tokenizer.bos_token_id) == 1
        with torch.no_grad():
            logs = stacked.merged(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        wanted = sum(float(logs[i - 1, ids[i]]) for i in range(len(start), len(ids)))
        assert reported == pytest.approx(wanted, abs=2e-4)


SMALL = {
    "gsm8k": 2, "arc_challenge": 8, "mmlu_high_school_statistics": 8, "ap_statistics": 8, "ap_statistics_generate": 2,
    "quickstart_stats": 12, "quickstart_general": 12,
}  # fmt: skip


def test_the_quickstart_base_in_nf4_under_three_adapters(tmp_path: Path) -> None:
    quickstart = make_stack(longer_quickstart(tmp_path / "base"), "nf4", tmp_path)
    compare(quickstart, own_rows(), SMALL, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("chat", [True, False])
def test_the_quickstart_base_on_many_items(tmp_path: Path, chat: bool) -> None:
    sizes = {
        "gsm8k": 12, "arc_challenge": 80, "mmlu_high_school_statistics": 80, "ap_statistics": 656,
        "ap_statistics_generate": 24, "quickstart_stats": 216, "quickstart_general": 156,
    }  # fmt: skip
    quickstart = make_stack(longer_quickstart(tmp_path / "base"), "nf4", tmp_path)
    ours = compare(quickstart, own_rows(), sizes, tmp_path, chat_template=chat)
    assert all(0 < ours[name].value < 1 for name in sizes if name not in ("gsm8k", "ap_statistics_generate"))


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("quantization", "turns"), [("none", True), ("nf4", False)])
def test_a_random_llama_with_the_real_tokenizer(tmp_path: Path, quantization: str, turns: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    random = make_llama(len(tokenizer), max_position_embeddings=4096, **ids)
    random.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    sizes = {
        "gsm8k": 6, "arc_challenge": 40, "mmlu_high_school_statistics": 40, "ap_statistics": 60,
        "ap_statistics_generate": 6, "quickstart_stats": 20, "quickstart_general": 20,
    }  # fmt: skip
    ours = compare(make_stack(tmp_path / "base", quantization, tmp_path), public_rows(), sizes, tmp_path,
                   fewshot_as_turns=turns)  # fmt: skip
    prompt = ours["gsm8k"].samples[0]["prompt"]
    assert prompt.count("<|start_header_id|>assistant") == (9 if turns else 1)
    assert all("Today Date: 26 Jul 2024" in sample["prompt"] for score_ in ours.values() for sample in score_.samples)
    assert {len(sample["choices"]) for sample in ours["ap_statistics"].samples} == {3, 4, 5}
    assert max(len(tokenizer(sample["prompt"]).input_ids) for sample in ours["gsm8k"].samples) > 1200
