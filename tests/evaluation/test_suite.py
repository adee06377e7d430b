"""Benchmarks found and checked, and real lm-eval runs on a tiny random Llama."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from statllama.config import benchmarks
from statllama.config.benchmarks import FIELDS, available, find_tasks, task_fingerprint
from statllama.config.blind import Blind
from statllama.config.evaluate import EvaluateSpec
from statllama.errors import EvaluationError
from statllama.evaluation.requests import Requests
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.suite import Suite, protocol_key, score

BOS, EOT = "<|begin_of_text|>", "<|eot_id|>"
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
TEMPLATE = (
    "{{- bos_token }}"
    "{%- if date_string is not defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '<|eot_id|>' }}"
    "{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{- message['content'] + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
WORDS = ("mean", "median!!!", "mode", "range", "n!", "slope", "p-value", "sample", "bias!", "error")
SPEC = EvaluateSpec(tasks=("choice",), micro_tokens=2048, max_length=512)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is many times slower on several threads when the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Bytes and special tokens. As in Llama 3, `!` is token 0, which lm-eval also pads with."""
    special = [BOS, EOT, "<|pad|>", "<|start_header_id|>", "<|end_header_id|>"]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *special]
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(special)
    raw.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, tokens.index(BOS))])
    make: Any = PreTrainedTokenizerFast
    made = make(tokenizer_object=raw, bos_token=BOS, eos_token=EOT)
    made.chat_template = TEMPLATE
    assert made("!").input_ids == [256, 0]
    return made


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.4,
        bos_token_id=256, eos_token_id=257, pad_token_id=258,
    )  # fmt: skip
    make: Any = LlamaForCausalLM
    return make(config).eval()


def choice_rows(n: int = 16) -> list[dict[str, Any]]:
    draw = random.Random(5)
    return [
        {
            "question": f"Question {i}: which word?",
            "choices": draw.sample(WORDS, 4),
            "answer": draw.randrange(4),
        }
        for i in range(n)
    ]


def write_task(folder: Path, name: str, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
    """eval/<name>/ with a multiple-choice task; None in `changes` removes a field."""
    config: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_norm")],
        "metadata": {"version": 1.5},
    }
    config = {key: value for key, value in (config | changes).items() if value is not None}
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in (choice_rows() if rows is None else rows)]
    (folder / name / "test.jsonl").write_text("\n".join(lines) + "\n")
    (folder / name / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder / name / f"{name}.yaml"


def write_generation(folder: Path) -> None:
    write_task(
        folder,
        "generate",
        [{"question": f"Say {word}.", "answer": word} for word in WORDS[:6]],
        output_type="generate_until",
        doc_to_choice=None,
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        generation_kwargs={"do_sample": False, "until": ["\n"], "max_gen_toks": 6},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_task(tmp_path, "choice")
    write_generation(tmp_path)
    return tmp_path


@pytest.fixture
def run(model: Any, tokenizer: Any, folder: Path) -> Callable[..., TaskScore]:
    def scored(name: str = "choice", spec: EvaluateSpec = SPEC, **changes: Any) -> TaskScore:
        values = {"model": model, "tokenizer": tokenizer, "on_progress": None} | changes
        tasks = find_tasks([name], [folder]).values()
        (result,) = score(values["model"], values["tokenizer"], tasks, spec, values["on_progress"])
        return result

    return scored


def chat_prompt(question: str) -> str:
    system = HEADER.format("system") + "Today Date: 26 Jul 2024" + EOT
    return BOS + system + HEADER.format("user") + question + EOT + HEADER.format("assistant")


def own_loglikelihood(model: Any, tokenizer: Any, prompt: str, continuation: str) -> float:
    """Sum of the log-probabilities of the continuation's tokens, one plain forward pass."""
    # lm-eval moves white space at the end of the prompt to the continuation.
    stripped = prompt.rstrip()
    start = len(tokenizer(stripped, add_special_tokens=not prompt.startswith(BOS)).input_ids)
    ids = tokenizer(prompt + continuation, add_special_tokens=not prompt.startswith(BOS)).input_ids
    with torch.no_grad():
        logs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logs[i - 1, ids[i]]) for i in range(start, len(ids)))


@pytest.mark.parametrize("chat", [True, False])
def test_multiple_choice_equals_an_independent_computation(
    model: Any, tokenizer: Any, run: Callable[..., TaskScore], chat: bool
) -> None:
    result = run(spec=EvaluateSpec(micro_tokens=2048, chat_template=chat))
    rows = choice_rows()
    hits, normed = [], []
    for row, sample in zip(rows, result.samples, strict=True):
        prompt, gap = (chat_prompt(row["question"]), "") if chat else (row["question"], " ")
        sums = [own_loglikelihood(model, tokenizer, prompt, gap + choice) for choice in row["choices"]]
        assert sample["prompt"] == prompt
        assert sample["loglikelihoods"] == pytest.approx(sums, abs=2e-4)
        assert sample["choices"] == row["choices"] and sample["answer"] == row["answer"]
        best = max(range(4), key=sums.__getitem__)
        assert sample["prediction"] == best
        hits.append(float(best == row["answer"]))
        shares = [s / len(c) for s, c in zip(sums, row["choices"], strict=True)]
        normed.append(float(max(range(4), key=shares.__getitem__) == row["answer"]))
    assert 0 < sum(hits) < len(hits)
    assert result.items == tuple(hits)
    assert result.value == pytest.approx(sum(hits) / len(hits))
    assert result.others == {"acc_norm": pytest.approx(sum(normed) / len(normed))}
    assert (result.task, result.metric, result.version, result.n, result.total) == (
        "choice",
        "acc",
        "1.5",
        16,
        16,
    )
    assert not result.limited and result.truncated == 0 and result.seconds > 0


@pytest.mark.parametrize("choices", [["abcd", "bcde"], ["abcd", "bc!!", "!!!!"]])
def test_rows_of_different_lengths_share_a_batch(
    model: Any, tokenizer: Any, folder: Path, run: Callable[..., TaskScore], choices: list[str]
) -> None:
    rows: list[dict[str, Any]] = [{"question": "x" * (9 * i + 1), "choices": choices, "answer": 0} for i in range(6)]
    write_task(folder, "lengths", rows)
    for row, sample in zip(rows, run("lengths").samples, strict=True):
        prompt = chat_prompt(row["question"])
        sums = [own_loglikelihood(model, tokenizer, prompt, choice) for choice in row["choices"]]
        assert sample["loglikelihoods"] == pytest.approx(sums, abs=2e-4)


def test_equals_a_plain_lm_eval_run(model: Any, tokenizer: Any, folder: Path, run: Callable[..., TaskScore]) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    config = yaml.safe_load((folder / "choice" / "choice.yaml").read_text())
    config["dataset_kwargs"]["data_files"]["test"] = str(folder / "choice" / "test.jsonl")
    theirs = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=512),
        tasks=[config], task_manager=TaskManager(include_defaults=False), bootstrap_iters=1000,
    )["results"]["choice"]  # fmt: skip
    tokenizer.pad_token = None
    ours = run(spec=EvaluateSpec(micro_tokens=2048, chat_template=False))
    assert ours.value == pytest.approx(theirs["acc,none"], abs=1e-12)
    assert ours.stderr == pytest.approx(theirs["acc_stderr,none"], abs=1e-12)
    assert ours.others["acc_norm"] == pytest.approx(theirs["acc_norm,none"], abs=1e-12)


SHOTS = {"num_fewshot": 3, "fewshot_split": "test", "fewshot_config": {"sampler": "first_n"}}


def plain_lm_eval(model: Any, tokenizer: Any, folder: Path, name: str, size: int = 1) -> list[dict[str, Any]]:
    """lm-eval's own records of a task's items, asked in batches of `size`."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    config = yaml.safe_load((folder / name / f"{name}.yaml").read_text())
    config["dataset_kwargs"] = {
        "data_files": {"test": str(folder / name / "test.jsonl")}, "cache_dir": str(folder / "cache" / name)
    }  # fmt: skip
    dates = {"date_string": "26 Jul 2024"}
    results: Any = lm_eval.simple_evaluate(
        model=HFLM(
            pretrained=model, tokenizer=tokenizer, batch_size=size, max_length=512, chat_template_args=dates
        ),
        tasks=[config], task_manager=TaskManager(include_defaults=False), bootstrap_iters=0,
        apply_chat_template=True, fewshot_as_multiturn=True,
    )  # fmt: skip
    tokenizer.pad_token = None
    return sorted(results["samples"][name], key=lambda sample: sample["doc_id"])


@pytest.fixture
def prefixes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the prefixes that are computed."""
    from statllama.evaluation import language_model, shared_prefix

    made: list[int] = []

    def counted(model: Any, ids: Any) -> Any:
        made.append(len(ids))
        return shared_prefix.Prefix(model, ids)

    monkeypatch.setattr(language_model, "Prefix", counted)
    return made


@pytest.mark.parametrize("sampler", ["first_n", "default"])
@pytest.mark.parametrize("tokens", [1, 600, 100_000])
def test_choices_behind_examples_equal_lm_evals_own(
    model: Any,
    tokenizer: Any,
    folder: Path,
    run: Callable[..., TaskScore],
    prefixes: list[int],
    sampler: str,
    tokens: int,
) -> None:
    """The first items, which are examples, have other ones. With examples drawn anew only the template's head is
    shared."""
    write_task(folder, "shots", **SHOTS | {"fewshot_config": {"sampler": sampler}})
    theirs = plain_lm_eval(model, tokenizer, folder, "shots")
    ours = run("shots", EvaluateSpec(micro_tokens=tokens, max_length=512))
    assert ours.items == tuple(sample["acc"] for sample in theirs)
    for mine, sample in zip(ours.samples, theirs, strict=True):
        found = [float(answer[0]) for answer in sample["filtered_resps"]]
        assert mine["prompt"] == sample["arguments"][0][0]
        assert mine["loglikelihoods"] == pytest.approx(found, abs=1e-4)
    assert max(prefixes) > (120 if sampler == "first_n" else 40)


@pytest.mark.parametrize("sampler", ["first_n", "default"])
@pytest.mark.parametrize("tokens", [1, 400, 100_000])
def test_replies_behind_examples_equal_lm_evals_own(
    model: Any,
    tokenizer: Any,
    folder: Path,
    run: Callable[..., TaskScore],
    prefixes: list[int],
    sampler: str,
    tokens: int,
) -> None:
    rows = [{"question": f"{i} {'x' * (i % 5)}?", "answer": WORDS[i % 10]} for i in range(24)]
    keep = {"doc_to_choice": None, "output_type": "generate_until"}
    metric = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]
    manner = {"do_sample": False, "until": ["z", "!", "ab"], "max_gen_toks": 24}
    changes = SHOTS | {"fewshot_config": {"sampler": sampler}}
    write_task(folder, "shots", rows, metric_list=metric, generation_kwargs=manner, **keep, **changes)
    theirs = plain_lm_eval(model, tokenizer, folder, "shots")
    ours = run("shots", EvaluateSpec(micro_tokens=tokens, max_length=512))
    assert [sample["generated"] for sample in ours.samples] == [sample["resps"][0][0] for sample in theirs]
    assert len({len(sample["generated"]) for sample in ours.samples}) > 3 and 0 < ours.unfinished < 24
    assert max(prefixes) > (120 if sampler == "first_n" else 40)


def test_a_reply_ends_with_its_own_stop_string(
    model: Any, tokenizer: Any, folder: Path, run: Callable[..., TaskScore]
) -> None:
    """In a batch of lm-eval's a reply runs on past a stop string until all replies have said it. Where it is a special
    token, which the text leaves out, what the reply says then depends on the others."""
    spoken = [tokenizer.encode(s["generated"], add_special_tokens=False) for s in run("generate").samples]
    token = next(ids[2] for ids in spoken if len(ids) > 4 and sum(ids[2] in other for other in spoken) == 1)
    own, word = copy.deepcopy(tokenizer), tokenizer.convert_ids_to_tokens(token)
    own.add_special_tokens({"extra_special_tokens": [word]})
    path = folder / "generate" / "generate.yaml"
    config = yaml.safe_load(path.read_text())
    config["generation_kwargs"]["until"] = [word]
    path.write_text(yaml.safe_dump(config))
    alone, together = (
        [sample["resps"][0][0] for sample in plain_lm_eval(model, own, folder, "generate", size)] for size in (1, 6)
    )
    assert alone != together, "the trap is gone"
    assert [sample["generated"] for sample in run("generate", tokenizer=own).samples] == alone


def test_generation_equals_plain_greedy_decoding(
    model: Any, tokenizer: Any, folder: Path, run: Callable[..., TaskScore]
) -> None:
    questions = [f"Say {word}." for word in WORDS[:6]]
    texts = []
    for question in questions:
        ids = tokenizer(chat_prompt(question), add_special_tokens=False, return_tensors="pt")
        out = model.generate(**ids, max_new_tokens=6, do_sample=False, pad_token_id=258)[0, ids.input_ids.shape[1] :]
        texts.append(tokenizer.decode(out, skip_special_tokens=True).split("\n")[0])
    answers = [*texts[:2], *WORDS[2:6]]
    data = [json.dumps({"question": q, "answer": a}) for q, a in zip(questions, answers, strict=True)]
    (folder / "generate" / "test.jsonl").write_text("\n".join(data))
    result = run("generate")
    assert [sample["generated"] for sample in result.samples] == texts
    assert [sample["answer"] for sample in result.samples] == answers
    assert result.items == (1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    assert (result.metric, result.n) == ("exact_match", 6)


def test_replies_are_scored_by_a_rubric(
    folder: Path, run: Callable[..., TaskScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says which points a reply earned. The model of this test writes no labels: all it says is part (a)."""
    monkeypatch.setattr("statllama.evaluation.rubric.parts", lambda reply: {"a": f"{reply} Answer: 5"})
    points = [{"part": "a", "earns": want, "check": "answer", "wants": [want], "value": float(want)} for want in "456"]
    write_task(
        folder, "free", [{"question": f"Say {n}.", "answer": "5", "rubric": points[: n + 1]} for n in range(3)],
        output_type="generate_until", doc_to_choice=None, metric_list=[{"metric": "points"}],
        generation_kwargs={"do_sample": False, "until": ["\n"], "max_gen_toks": 3},
        metadata={"version": 1, "rubric": "rubric"},
    )  # fmt: skip
    scored = run("free")
    assert (scored.metric, scored.items) == ("points", (0.0, 1 / 2, 1 / 3))
    assert scored.value == pytest.approx(5 / 18)
    assert scored.samples[2]["points"] == [
        {"part": "a", "for": "4", "earned": False},
        {"part": "a", "for": "5", "earned": True},
        {"part": "a", "for": "6", "earned": False},
    ]
    assert TaskScore.from_json(json.loads(json.dumps(scored.to_json()))) == scored


@pytest.mark.parametrize("name", ["choice", "generate"])
def test_twice_and_with_another_batch_size_the_items_are_the_same(run: Callable[..., TaskScore], name: str) -> None:
    first, second, single = run(name), run(name), run(name, EvaluateSpec(micro_tokens=1, max_length=512))
    assert first.items == second.items == single.items
    assert first.item_ids == second.item_ids == single.item_ids
    assert first.samples == second.samples
    assert [s["prediction"] for s in first.samples] == [s["prediction"] for s in single.samples]


@pytest.mark.parametrize("name", ["choice", "generate"])
def test_memory_that_runs_out_makes_passes_smaller(
    model: Any, tokenizer: Any, folder: Path, run: Callable[..., TaskScore], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Answers that were given stay, the rest comes in smaller passes, and the next model starts with those."""
    right, notes, most = run(name), list[str](), [0]
    real = LlamaForCausalLM.forward

    def forward(self: Any, input_ids: torch.Tensor, *rest: Any, **options: Any) -> Any:
        most[0] = max(most[0], input_ids.numel()) if most[0] >= 0 else -1
        if input_ids.numel() > 300 or most[0] < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(self, input_ids, *rest, **options)

    suite = Suite(find_tasks([name], [folder]).values(), EvaluateSpec(micro_tokens=8192), notes.append)
    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    first = suite.score(name, model, tokenizer)
    assert most[0] > 300 and notes and "out of memory in a pass of" in notes[0] and "goes on with at most" in notes[0]
    notes.clear()
    assert suite.score(name, model, tokenizer).samples == first.samples and not notes
    assert first.items == right.items
    most[0] = -1  # from now on no row fits
    with pytest.raises(EvaluationError, match="a single row") as caught:
        suite.score(name, model, tokenizer)
    assert "evaluate.max_length" in str(caught.value)


def test_models_are_asked_what_was_built_once(
    model: Any, tokenizer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not so with another chat template."""
    built = []
    real = Requests.build
    monkeypatch.setattr(Requests, "build", lambda *args: built.append(1) or real(*args))
    suite = Suite(find_tasks(["choice"], [folder]).values(), SPEC)
    first, second = (suite.score("choice", model, tokenizer) for _ in range(2))
    assert built == [1] and first.samples == second.samples
    tokenizer.chat_template = TEMPLATE.replace("Today", "TODAY")
    try:
        third = suite.score("choice", model, tokenizer)
    finally:
        tokenizer.chat_template = TEMPLATE
    assert built == [1, 1] and "TODAY Date" in third.samples[0]["prompt"]


def test_scoring_leaves_no_trace(model: Any, tokenizer: Any, run: Callable[..., TaskScore]) -> None:
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", lora_dropout=0.1)
    with torch.random.fork_rng():
        peft: Any = get_peft_model(model, lora).train()
    peft.base_model.model.model.layers[1].eval()
    peft.config.use_cache = False
    modes = [module.training for module in peft.modules()]
    weights = {name: value.clone() for name, value in peft.state_dict().items()}
    legacy: Any = numpy.random.get_state
    random.seed(99)
    numpy.random.seed(99)
    torch.manual_seed(99)
    states = random.getstate(), legacy()[1].tolist(), torch.get_rng_state()
    try:
        run(model=peft)
        run("generate", model=peft)
        assert [module.training for module in peft.modules()] == modes
        assert peft.config.use_cache is False
        assert tokenizer.pad_token is None and torch.is_grad_enabled()
        assert random.getstate() == states[0]
        assert legacy()[1].tolist() == states[1]
        assert torch.equal(torch.get_rng_state(), states[2])
        assert all(torch.equal(value, weights[name]) for name, value in peft.state_dict().items())
        assert all(p.grad is None for p in peft.parameters())
    finally:
        peft.unload()
        model.config.use_cache = True
        model.eval()


def test_an_adapter_changes_the_score_and_no_answer_is_cached(
    model: Any, tokenizer: Any, run: Callable[..., TaskScore]
) -> None:
    before = run()
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    with torch.random.fork_rng():
        peft = get_peft_model(model, lora)
    try:
        tuned = run(model=peft)
    finally:
        peft.unload()
        model.eval()
    assert [s["loglikelihoods"] for s in tuned.samples] != [s["loglikelihoods"] for s in before.samples]
    assert run().samples == before.samples


def test_edited_data_is_scored_anew_even_with_the_old_time_stamp(folder: Path, run: Callable[..., TaskScore]) -> None:
    before = run()
    path = folder / "choice" / "test.jsonl"
    stamp = path.stat()
    rows = choice_rows()
    rows[0]["answer"] = (rows[0]["answer"] + 1) % 4
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = run()
    assert after.samples[0]["answer"] == rows[0]["answer"]
    assert after.item_ids[0] != before.item_ids[0] and after.item_ids[1:] == before.item_ids[1:]


def test_progress_counts_requests(run: Callable[..., TaskScore]) -> None:
    calls: list[tuple[int, int, str]] = []
    run(on_progress=lambda *call: calls.append(call))
    assert calls == [(i, 64, "choice") for i in range(65)]
    calls.clear()
    run("generate", on_progress=lambda *call: calls.append(call))
    assert calls == [(i, 6, "generate") for i in range(7)]


def test_nothing_is_printed_or_logged(
    run: Callable[..., TaskScore], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger("lm_eval").level
    run()
    run("generate")
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""
    assert not caplog.records
    assert logging.getLogger("lm_eval").level == level


def test_limit_and_truncation_are_reported(run: Callable[..., TaskScore]) -> None:
    result = run(spec=EvaluateSpec(micro_tokens=256, limit=5, max_length=60))
    assert (result.n, result.total, result.limited, result.truncated) == (5, 16, True, 5)
    assert run("generate", EvaluateSpec(max_length=60)).truncated == 6
    single = run(spec=EvaluateSpec(limit=1))
    assert single.stderr is None and single.n == 1


def test_few_shot_examples_are_turns(folder: Path, run: Callable[..., TaskScore]) -> None:
    write_task(folder, "shots", num_fewshot=2, fewshot_split="test", fewshot_config={"sampler": "first_n"})
    turns = run("shots").samples[5]["prompt"]
    assert turns.count(HEADER.format("user")) == 3 and turns.count(HEADER.format("assistant")) == 3
    single = run("shots", EvaluateSpec(fewshot_as_turns=False, max_length=512)).samples[5]["prompt"]
    assert single.count(HEADER.format("user")) == 1


def test_score_survives_json(run: Callable[..., TaskScore]) -> None:
    result = run()
    text = json.dumps(result.to_json())
    assert "prompt" not in text
    assert TaskScore.from_json(json.loads(text)) == result
    assert TaskScore.from_json(json.loads(text), result.samples).samples == result.samples
    assert json.loads(json.dumps(result.samples)) == list(result.samples)
    with pytest.raises(EvaluationError, match="not a recorded score"):
        TaskScore.from_json({"items": [1.0], "item_ids": ["a"], "extra": 1})


def test_a_doubled_bos_is_an_error(tokenizer: Any, run: Callable[..., TaskScore]) -> None:
    tokenizer.chat_template = "{{ bos_token }}" + TEMPLATE
    try:
        for name in ("choice", "generate"):
            with pytest.raises(EvaluationError, match=f"{name}: a prompt starts with 2 BOS"):
                run(name)
    finally:
        tokenizer.chat_template = TEMPLATE


def test_a_template_without_bos_gets_one_from_the_tokenizer(tokenizer: Any, run: Callable[..., TaskScore]) -> None:
    usual = run()
    tokenizer.chat_template = TEMPLATE.replace("{{- bos_token }}", "")
    try:
        bare = run()
    finally:
        tokenizer.chat_template = TEMPLATE
    assert bare.samples[0]["loglikelihoods"] == pytest.approx(usual.samples[0]["loglikelihoods"], abs=1e-4)


def test_without_a_chat_template(tokenizer: Any, run: Callable[..., TaskScore]) -> None:
    tokenizer.chat_template = None
    try:
        with pytest.raises(EvaluationError, match="no chat template") as caught:
            run()
    finally:
        tokenizer.chat_template = TEMPLATE
    assert "chat_template: false" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "rows", "message"),
    [
        ({"doc_to_text": "{{quesiton}}"}, None, "there is no `quesiton`"),
        ({"doc_to_target": "anwser"}, None, "row 1: the answer 'anwser' is not one of the 4 choices"),
        (
            {},
            [*choice_rows(2), {"question": "?", "choices": ["a", "b"], "answer": 2}],
            "row 3: the answer 2 is not one",
        ),
        (
            {},
            [*choice_rows(1), {"question": "?", "choices": ["a", ""], "answer": 0}],
            "row 2: the choices are not a list",
        ),
        ({"doc_to_text": "{{ question.__class__.__mro__[1].__subclasses__() }}"}, None, "SecurityError"),
    ],
)
def test_a_wrong_task_names_the_item_or_field(
    folder: Path, run: Callable[..., TaskScore], changes: dict[str, Any], rows: Any, message: str
) -> None:
    path = write_task(folder, "wrong", rows, **changes)
    with pytest.raises(EvaluationError) as caught:
        run("wrong")
    assert message in str(caught.value) and str(path.parent) in str(caught.value)


def test_predictions_that_are_no_numbers_have_no_score(model: Any, run: Callable[..., TaskScore]) -> None:
    """The likeliest of such answers would be any: it would count as a score like others."""
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.get_output_embeddings().weight.fill_(math.nan)
    with pytest.raises(EvaluationError, match="choice: the model's predictions on item 1 are not numbers") as caught:
        run("choice", model=broken)
    assert "lower learning rate" in str(caught.value.remedy)


def test_an_interruption_is_not_disguised(run: Callable[..., TaskScore]) -> None:
    def stop(done: int, total: int, task: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(on_progress=stop)


def test_tasks_are_found_in_order_and_the_first_folder_wins(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    mine = write_task(own, "a")
    write_task(shipped, "a")
    other = write_task(shipped, "b")
    (shipped / "README.md").write_text("not a benchmark")
    assert list(available([own, shipped])) == ["a", "b"]
    found = find_tasks(["b", "a", "b"], [own, shipped, tmp_path / "absent"])
    assert list(found) == ["b", "a"]
    assert (found["a"].path, found["b"].path) == (mine, other)
    assert found["a"].files == (own / "a" / "test.jsonl",)


def test_unknown_tasks_are_all_named_with_near_matches(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(EvaluationError) as caught:
        find_tasks(["choise", "choice", "zzz", "empty", "../choice"], [folder])
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert "'choise': did you mean 'choice'?" in text
    assert "'zzz': allowed: choice, generate" in text
    with pytest.raises(EvaluationError, match="unknown benchmark"):
        find_tasks(["x" * 5000, "a\0b", ""], [folder])
    assert "has no empty.yaml" in text and "'../choice'" in text
    with pytest.raises(EvaluationError, match="these folders hold no benchmarks"):
        find_tasks(["a"], [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "other"}, "`task` is 'other', the file is bad.yaml"),
        ({"dataset_path": None}, "`dataset_path` is missing"),
        ({"doc_to_txt": "x"}, "unknown field `doc_to_txt`; did you mean 'doc_to_text'"),
        ({"include": "other.yaml"}, "`include` is not supported"),
        ({"output_type": "multi_choice"}, "did you mean 'multiple_choice'"),
        ({"doc_to_choice": None}, "`doc_to_choice` is missing"),
        ({"test_split": None}, "give `test_split` or `validation_split`"),
        (
            {"test_split": "tests"},
            "`test_split` is 'tests', but `data_files` has no such split; did you mean",
        ),
        ({"dataset_kwargs": {"data_files": {"test": "absent.jsonl"}}}, "data file 'absent.jsonl' not found"),
        ({"dataset_kwargs": {"data_files": {"test": "https://x.org/a.json"}}}, "not found"),
        ({"dataset_kwargs": {"data_files": {"test": 3}}}, "must name files, got 3"),
        ({"dataset_kwargs": {"data_files": {"test": "x" * 5000}}}, "not found"),
        ({"dataset_kwargs": {"data_files": {"test": "a\0b"}}}, "not found"),
        ({"dataset_kwargs": {"data_files": {"test": "empty.jsonl"}}}, "'empty.jsonl' is empty"),
        ({"dataset_kwargs": {"data_files": {1: "test.jsonl", "a": "test.jsonl"}}}, "`data_files` has no such split"),
        ({"test_split": ["test"]}, "`data_files` has no such split"),
        ({"dataset_kwargs": None}, "needs `dataset_kwargs.data_files`"),
        (
            {"dataset_kwargs": {"trust_remote_code": True}},
            "`dataset_kwargs.trust_remote_code` is not supported",
        ),
        ({"dataset_path": "openai/gsm8k", "dataset_kwargs": None}, "is not pinned"),
        ({"dataset_path": "./folder"}, "allowed: csv, json, parquet, or a hub id"),
        ({"metric_list": [{"metric": "acc_nrom"}]}, "did you mean 'acc_norm'"),
        ({"metric_list": [{"metric": "./evil.py"}]}, "`metric` is './evil.py'"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "`hf_evaluate` fetches code"),
        ({"metric_list": [{"metric": "acc", "aggregation": "median"}]}, "must have `aggregation: mean`"),
        ({"metric_list": ["acc"]}, "must be a list of mappings"),
        ({"generation_kwargs": {"do_sample": True}}, "`do_sample: true` makes scores depend on the batch"),
    ],
)
def test_a_malformed_task_is_explained(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_task(tmp_path, "bad", **changes)
    (path.parent / "empty.jsonl").touch()
    with pytest.raises(EvaluationError) as caught:
        find_tasks(["bad"], [tmp_path])
    assert message in str(caught.value) and str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2


LAYERS = "".join(f"{y}: &{y} [{', '.join(['*' + x] * 9)}]\n" for x, y in pairwise("abcdefghij"))
BOMB = "task: bad\na: &a [x, x, x]\n" + LAYERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [unclosed\n", "line 2: not valid YAML"),
        ("just words\n", "a task file must be a mapping"),
        ("", "a task file must be a mapping"),
        ("task: bad\nx: !!python/object/apply:os.system [echo]\n", "line 2: not valid YAML"),
        ("task: bad\nprocess_docs: !function utils.f\n", "line 2: `!function` runs Python code"),
        ("task: \x07\n", "not valid YAML"),
        ("task: bad\nmetadata: &a [*a]\n", "line 2: metadata[0]: YAML aliases are not allowed"),
        (BOMB, "line 3: b[0]: YAML aliases are not allowed"),
        ("task: bad\nmetadata: " + "[" * 20_000, "not valid YAML"),
        ("task: bad\ndoc_to_text: a\ndoc_to_text: b\n", "line 3: doc_to_text: given twice (first on line 2)"),
        ("task: bad\nmetadata: 2024-13-45\n", "not valid YAML"),
    ],
)
def test_malformed_or_dangerous_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write_task(tmp_path, "bad")
    (path.parent / "utils.py").write_text("raise SystemExit('ran')")
    path.write_text(text)
    with pytest.raises(EvaluationError) as caught:
        find_tasks(["bad"], [tmp_path])
    assert message in str(caught.value) and str(path.parent) in str(caught.value)


def test_a_shipped_task_may_use_functions(
    tmp_path: Path, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_task(tmp_path / "eval", "shipped", choice_rows(3), doc_to_text=None)
    path.write_text(path.read_text() + "doc_to_text: !function utils.text\n")
    code = path.parent / "utils.py"
    code.write_text("def text(doc):\n    return 'Asked: ' + doc['question']\n")
    with pytest.raises(EvaluationError, match="only shipped benchmarks"):
        find_tasks(["shipped"], [tmp_path / "eval"])
    monkeypatch.setattr(benchmarks, "shipped_root", lambda: tmp_path)
    tasks = find_tasks(["shipped"], [tmp_path / "eval"])
    assert tasks["shipped"].files == (path.parent / "test.jsonl", code)
    (result,) = score(model, tokenizer, tasks.values(), SPEC)
    assert result.samples[0]["prompt"] == chat_prompt("Asked: Question 0: which word?")
    before = task_fingerprint(tasks["shipped"])
    code.write_text("def text(doc):\n    return doc['question']\n")
    assert task_fingerprint(find_tasks(["shipped"], [tmp_path / "eval"])["shipped"]) != before
    path.write_text(path.read_text().replace("utils.text", "absent.text"))
    with pytest.raises(EvaluationError, match=r"with absent\.py beside"):
        find_tasks(["shipped"], [tmp_path / "eval"])


def test_fingerprint_follows_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    path = write_task(first, "a")
    write_task(second, "a")

    def fingerprint(folder: Path) -> str:
        return task_fingerprint(find_tasks(["a"], [folder])["a"])

    original = fingerprint(first)
    assert fingerprint(second) == original and len(original) == 64
    data = path.parent / "test.jsonl"
    data.write_bytes(data.read_bytes().replace(b"Question 3", b"Question X"))
    edited = fingerprint(first)
    assert edited != original
    path.write_text(path.read_text() + "num_fewshot: 1\n")
    assert fingerprint(first) not in (original, edited)


def test_data_beside_the_yaml_is_found_from_anywhere(
    tmp_path: Path, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "my [1] *tasks", tmp_path / "elsewhere"
    write_task(folder, "choice", choice_rows(3))
    elsewhere.mkdir()
    (elsewhere / "test.jsonl").write_text("not this one")
    monkeypatch.chdir(elsewhere)
    (result,) = score(model, tokenizer, find_tasks(["choice"], [folder]).values(), SPEC)
    assert result.n == 3
    monkeypatch.chdir(folder)
    assert find_tasks(["choice"], [Path(".")])["choice"].files == (folder / "choice" / "test.jsonl",)


def test_accepted_fields_are_lm_evals_own() -> None:
    from lm_eval.config.task import TaskConfig

    theirs = {f.name for f in fields(TaskConfig)}
    assert theirs >= FIELDS
    assert theirs - FIELDS - set(benchmarks.REFUSED_FIELDS) == set()


def test_protocol_key_holds_what_changes_a_score() -> None:
    def key(
        stack: tuple[object, ...] = ("s",), base: str = "b", print_: str = "f", compute: str = "float32", **changes: Any
    ) -> str:
        found = protocol_key(EvaluateSpec(**changes), {"choice": print_}, stack, base, compute)
        return json.dumps(found, sort_keys=True)

    assert key() == key(micro_tokens=1) == key(tasks=("choice", "other"))
    variants = [
        key(), key(stack=()), key(stack=(["s", 0.5],)), key(base="c"), key(print_="g"), key(limit=5),
        key(compute="bfloat16"), key(max_length=512), key(seed=2), key(chat_template=False),
        key(fewshot_as_turns=False),
    ]  # fmt: skip
    assert len(set(variants)) == len(variants)
    made = protocol_key(EvaluateSpec(), {}, (), "b", "float32")
    assert made["lm_eval"].startswith("0.") and made["transformers"].startswith("5.")


def test_importing_loads_neither_torch_nor_lm_eval() -> None:
    code = (
        "import statllama.evaluation.suite, statllama.evaluation.compare, sys; "
        "assert not {'torch', 'lm_eval', 'datasets', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ------------------------------------------------------------------ chance, the blind baseline, the answers


def test_a_score_holds_what_it_is_held_against(folder: Path, run: Callable[..., TaskScore]) -> None:
    """Chance is the mean of one over the number of choices; the answers are those of the samples."""
    rows = [{**row, "choices": row["choices"][: 2 + i % 3], "answer": 0} for i, row in enumerate(choice_rows())]
    write_task(folder, "few", rows, metadata={"version": 1.0, "blind": {"value": 0.6, "stderr": 0.1, "how": "by eye"}})
    score = run("few")
    assert score.chance == pytest.approx(sum(1 / len(row["choices"]) for row in rows) / len(rows))
    assert score.blind == Blind(0.6, 0.1, "by eye")
    places = Counter(sample["prediction"] for sample in score.samples)
    assert score.answered is not None and score.answered.times == max(places.values())
    assert TaskScore.from_json(json.loads(json.dumps(score.to_json()))) == score
    replies = run("generate")
    assert (replies.chance, replies.blind) == (None, None) and replies.answered is not None


def test_the_blind_baseline_is_of_the_benchmarks_own_items(folder: Path, model: Any, tokenizer: Any) -> None:
    write_task(folder, "known", metadata={"version": 1.0, "blind": 0.3})
    other = folder / "mine.jsonl"
    other.write_text("\n".join(json.dumps(row) for row in choice_rows(4)) + "\n")
    for spec, wanted in ((SPEC, Blind(0.3)), (EvaluateSpec(tasks=("known",), data={"known": str(other)}), None)):
        tasks = find_tasks(["known"], [folder], spec.data).values()
        (found,) = score(model, tokenizer, tasks, spec)
        assert (found.blind, found.chance) == (wanted, 0.25)


# ------------------------------------------------------------------ clusters


def clustered(column: str) -> dict[str, Any]:
    return {"metadata": {"version": 1.0, "cluster": column}}


def test_a_task_names_the_clusters_of_its_items(folder: Path, run: Callable[..., TaskScore]) -> None:
    """Their standard error is that of Liang and Zeger, by hand; it survives JSON."""
    rows = [{**row, "kind": f"kind {i // 4}"} for i, row in enumerate(choice_rows())]
    write_task(folder, "together", rows, **clustered("kind"))
    score = run("together")
    assert score.clusters == tuple(row["kind"] for row in rows)
    mean, n = score.value, len(rows)
    sums = [sum(x - mean for x in score.items[start : start + 4]) for start in range(0, n, 4)]
    assert score.stderr == pytest.approx((sum(s * s for s in sums) * 4 / 3) ** 0.5 / n)
    again = TaskScore.from_json(json.loads(json.dumps(score.to_json())))
    assert (again, again.clusters) == (score, score.clusters)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([*["a", "b"] * 7, "a", None], "`metadata.cluster` names the column 'kind', which row 16 does not have"),
        (["a"] * 16, "all 16 items have the kind 'a': one cluster says nothing of others"),
    ],
)
def test_a_cluster_column_that_says_nothing_is_refused(
    kinds: list[str | None], message: str, folder: Path, run: Callable[..., TaskScore]
) -> None:
    rows = [{**row, "kind": kind} for row, kind in zip(choice_rows(), kinds, strict=True)]
    write_task(folder, "together", rows, **clustered("kind"))
    with pytest.raises(EvaluationError, match=re.escape(message)):
        run("together")


def test_the_first_items_may_be_of_one_cluster(folder: Path, run: Callable[..., TaskScore]) -> None:
    """A limit is no fault of the column: the score has no standard error, as one cluster says nothing of others."""
    rows = [{**row, "kind": f"kind {i // 4}"} for i, row in enumerate(choice_rows())]
    write_task(folder, "together", rows, **clustered("kind"))
    first = run("together", SPEC.model_copy(update={"limit": 4}))
    assert (first.n, first.clusters, first.stderr) == (4, ("kind 0",) * 4, None)
