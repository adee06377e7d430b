"""Traps of lm-eval 0.4.13: each is shown to be there, so that it is known when it goes, and not to reach our scores."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError

from statllama.config.benchmarks import find_tasks
from statllama.config.evaluate import EvaluateSpec
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.suite import score
from tests.conftest import REPO, SHARED, WORDS, make_llama, write_jsonl

DATA = SHARED / "data"
SPEC = EvaluateSpec(tasks=("choice",), micro_tokens=2048, max_length=512)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return make_llama(len(tokenizer), seed=1, initializer_range=0.4).eval()


def rows(first: str = "mean") -> list[dict[str, Any]]:
    choices = [WORDS[i : i + 3] for i in range(6)]
    return [
        {"question": f"{first if i == 0 else 'Which'} {i}?", "choices": c, "answer": i % 3}
        for i, c in enumerate(choices)
    ]


def write_task(folder: Path, name: str = "choice", **changes: Any) -> dict[str, Any]:
    """eval/<name>/ with six questions; returns the config as lm-eval itself would be given it."""
    metrics = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
    config: dict[str, Any] = {
        "task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{question}}",
        "doc_to_choice": "choices", "doc_to_target": "answer", "metric_list": metrics, **changes,
    }  # fmt: skip
    config = {key: value for key, value in config.items() if value is not None}
    file = write_jsonl(folder / name / "test.jsonl", rows())
    (folder / name / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return config | {"dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": str(folder / "cache")}}


@pytest.fixture
def ours(tmp_path: Path, tokenizer: Any) -> Callable[..., TaskScore]:
    def scored(model: Any, spec: EvaluateSpec = SPEC, name: str = "choice") -> TaskScore:
        (result,) = score(model, tokenizer, find_tasks([name], [tmp_path]).values(), spec)
        return result

    return scored


def theirs(model: Any, tokenizer: Any, config: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A plain run of lm-eval."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    pad = tokenizer.pad_token
    try:
        results = lm_eval.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8, max_length=512),
            tasks=[json.loads(json.dumps(config))],
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
            apply_chat_template=True,
            **options,
        )
    finally:
        tokenizer.pad_token = pad
    assert results is not None
    return dict(results)


def loglikelihoods(results: dict[str, Any]) -> list[float]:
    return [float(answer[0]) for sample in results["samples"]["choice"] for answer in sample["filtered_resps"]]


def test_use_cache_knows_the_request_alone(
    tmp_path: Path, model: Any, tokenizer: Any, ours: Callable[..., TaskScore]
) -> None:
    """Their cache answers for a second model what the first one said; nothing of ours does."""
    config, cache = write_task(tmp_path), str(tmp_path / "cache.db")
    other = make_llama(len(tokenizer), seed=2, initializer_range=0.4).eval()
    first, second = (loglikelihoods(theirs(m, tokenizer, config, use_cache=cache)) for m in (model, other))
    assert first == second, "the trap is gone"
    mine = [ours(m) for m in (model, other, model)]
    assert mine[0].samples == mine[2].samples
    for a, b in zip(mine[0].samples, mine[1].samples, strict=True):
        assert all(abs(x - y) > 1e-3 for x, y in zip(a["loglikelihoods"], b["loglikelihoods"], strict=True))


def test_cache_requests_misses_an_edit(
    tmp_path: Path, model: Any, tokenizer: Any, ours: Callable[..., TaskScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their cache of prompts is keyed on the task's name; ours reads the file again, also with its old time stamp."""
    import lm_eval.caching.cache

    monkeypatch.setattr(lm_eval.caching.cache, "PATH", str(tmp_path / "requests"))
    config = write_task(tmp_path)
    file = tmp_path / "choice" / "test.jsonl"

    def prompt() -> str:
        results = theirs(model, tokenizer, config, cache_requests=True)
        return str(results["samples"]["choice"][0]["arguments"][0][0])

    before, stamp = (prompt(), ours(model).samples[0]["prompt"]), file.stat()
    write_jsonl(file, rows("range"))
    config["dataset_kwargs"]["cache_dir"] = str(tmp_path / "fresh")
    assert prompt() == before[0], "the trap is gone"
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "mean 0?" in before[1] and "range 0?" in ours(model).samples[0]["prompt"]


def test_batch_size_auto_probes_at_all_positions(
    tmp_path: Path, model: Any, tokenizer: Any, ours: Callable[..., TaskScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs first runs 64 rows as long as the context: with Llama 3's 131,072 positions more than memory holds."""
    from lm_eval.models.huggingface import HFLM

    seen: list[tuple[int, ...]] = []

    def called(self: Any, inps: torch.Tensor, **_: Any) -> torch.Tensor:
        seen.append(tuple(inps.shape))
        return torch.zeros(1, 1, 1)

    monkeypatch.setattr(HFLM, "_model_call", called)
    HFLM(pretrained=model, tokenizer=tokenizer, batch_size="auto")._detect_batch_size()
    assert set(seen) == {(64, model.config.max_position_embeddings)}, "the trap is gone"
    monkeypatch.undo()

    def detect(*_: Any, **__: Any) -> int:
        raise AssertionError("a batch size was probed")

    monkeypatch.setattr(HFLM, "_detect_batch_size", detect)
    write_task(tmp_path)
    assert ours(model).n == 6
    for value in ("auto", "auto:4", 0, 1.5):
        with pytest.raises(ValidationError):
            EvaluateSpec(micro_tokens=value)  # type: ignore[arg-type]


def test_zero_examples_cannot_be_overridden(
    tmp_path: Path, model: Any, tokenizer: Any, ours: Callable[..., TaskScore]
) -> None:
    """Theirs ignores `num_fewshot` where the task says 0. Ours has no such switch: the task file alone says it."""
    shots = {"fewshot_split": "test", "fewshot_config": {"sampler": "first_n"}}
    for stated, wanted in ((0, 0), (None, 2)):
        config = write_task(tmp_path, num_fewshot=stated, **shots)
        results = theirs(model, tokenizer, config, num_fewshot=2, fewshot_as_multiturn=True)
        prompt = results["samples"]["choice"][5]["arguments"][0][0]
        assert prompt.count("<|start_header_id|>assistant") == wanted + 1, "the trap is gone"
    for stated in (0, 1, 3):
        write_task(tmp_path, num_fewshot=stated, **shots)
        assert ours(model).samples[5]["prompt"].count("<|start_header_id|>assistant") == stated + 1
    with pytest.raises(ValidationError, match="num_fewshot"):
        EvaluateSpec(num_fewshot=3)  # type: ignore[call-arg]
    for file in (REPO / "eval").glob("*/*.yaml"):
        if file.stem == file.parent.name and not file.stem.startswith("quickstart"):
            assert "num_fewshot" in yaml.safe_load(file.read_text("utf-8")), f"{file.stem} leaves its examples open"


def test_a_template_is_compiled_once(
    tmp_path: Path, model: Any, ours: Callable[..., TaskScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs compiles each template anew for every item, several times: half of the time of a small model's score."""
    import jinja2
    import lm_eval.utils

    seen: list[str] = []
    real = jinja2.Environment.compile

    def counted(self: Any, source: Any, *rest: Any, **options: Any) -> Any:
        seen.append(str(source))
        return real(self, source, *rest, **options)

    monkeypatch.setattr(jinja2.Environment, "compile", counted)
    config = write_task(tmp_path)
    for row in rows():
        lm_eval.utils.apply_template(config["doc_to_text"], row)
    assert seen.count(config["doc_to_text"]) == 6, "the trap is gone"
    seen.clear()
    ours(model)
    assert seen.count(config["doc_to_text"]) <= 2  # once while it is loaded, once while it is scored


def test_exact_match_needs_no_network(
    tmp_path: Path, model: Any, tokenizer: Any, ours: Callable[..., TaskScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is lm-eval's own function; a metric of another name would be fetched as code from the hub."""
    from lm_eval.api.registry import get_metric

    assert get_metric("exact_match").__module__ == "lm_eval.api.metrics"

    def connect(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    write_task(
        tmp_path, "generate", output_type="generate_until", doc_to_choice=None, doc_to_target="{{choices[0]}}",
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        generation_kwargs={"do_sample": False, "until": ["\n"], "max_gen_toks": 4},
    )  # fmt: skip
    generated = [sample["generated"] for sample in ours(model, name="generate").samples]
    answers = [generated[0], *("no" for _ in generated[1:])]
    data = [{**row, "choices": [answer]} for row, answer in zip(rows(), answers, strict=True)]
    write_jsonl(tmp_path / "generate" / "test.jsonl", data)
    assert generated[0] and ours(model, name="generate").items == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def llama3() -> Any:
    if not (DATA / "llama3-tokenizer").is_dir():
        pytest.skip("needs the shared data")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(DATA / "llama3-tokenizer")


@pytest.fixture
def gsm8k(llama3: Any) -> Callable[..., TaskScore]:
    """Scores GSM8K's 8-shot prompts of Llama 3 with a model that ends each reply at once."""

    def generate(input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.cat([input_ids, torch.full((len(input_ids), 1), llama3.eos_token_id)], dim=1)

    model: Any = make_llama(len(llama3), hidden_size=8, num_attention_heads=1, num_key_value_heads=1,
                       intermediate_size=8, max_position_embeddings=131072).eval()  # fmt: skip
    model.generate = generate
    place = {"test": str(DATA / "gsm8k_test_200.jsonl"), "train": str(DATA / "gsm8k_train_1000.jsonl")}

    def scored(**fields: Any) -> TaskScore:
        spec = EvaluateSpec(tasks=("gsm8k",), data={"gsm8k": place}, **fields)
        (result,) = score(model, llama3, find_tasks(["gsm8k"], [REPO / "eval"], spec.data).values(), spec)
        return result

    return scored


@pytest.mark.parametrize(("limit", "longest"), [(24, 1820), pytest.param(152, 2078, marks=pytest.mark.slow)])
def test_eight_examples_fit_the_default_context(
    llama3: Any, gsm8k: Callable[..., TaskScore], limit: int, longest: int
) -> None:
    """The longest prompt and 256 new tokens pass 2,048; theirs would then cut the prompt's start, BOS and all."""
    result = gsm8k(limit=limit)
    lengths = [len(llama3(sample["prompt"], add_special_tokens=False).input_ids) for sample in result.samples]
    assert 2048 - 256 < max(lengths) == longest <= EvaluateSpec().max_length - 256
    assert result.truncated == 0 and result.n == limit
    assert gsm8k(limit=limit, max_length=2048).truncated == sum(length > 2048 - 256 for length in lengths)


def test_the_templates_date_is_fixed(llama3: Any, gsm8k: Callable[..., TaskScore]) -> None:
    """Llama's template asks for the day when it is not told one: the prompt of tomorrow would be another."""
    turns = [{"role": "user", "content": "?"}]
    today = f"Today Date: {datetime.now():%d %b %Y}"
    assert today in llama3.apply_chat_template(turns, tokenize=False), "the trap is gone"
    for sample in gsm8k(limit=3).samples:
        assert "Today Date: 26 Jul 2024\n" in sample["prompt"] and today not in sample["prompt"]
