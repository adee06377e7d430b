"""A base, to GGUF and back: the same configuration, numbers and logits; and refusals of all that does not fit."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from statllama.errors import ModelError, StatllamaError, UsageError
from statllama.model.gguf_import import read_source, weights, write_base
from statllama.model.gguf_import.provenance import record_of, write_provenance
from statllama.release.licences import duties_of
from tests.model.gguf_making import MODELS, SIZES, Numbers, make_model, make_rules, rewrite, write_model

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def import_into(path: Path, folder: Path, type_: str | None = None) -> str:
    """The base of a file, in a new folder; returns the type it was written in."""
    source = read_source(path, type_)
    folder.mkdir()
    write_base(source, folder)
    return source.type


def settings(folder: Path) -> dict[str, Any]:
    """All fields of a base's configuration that its predictions depend on."""
    body = AutoConfig.from_pretrained(folder).to_dict()
    body.setdefault("head_dim", SIZES["hidden_size"] // SIZES["num_attention_heads"])
    apart = ("_name_or_path", "transformers_version", "initializer_range")
    return {field: value for field, value in body.items() if field not in apart}


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", MODELS)
def test_there_and_back_every_number_and_field_is_the_same(name: str, kind: str, tmp_path: Path) -> None:
    path = write_model(tmp_path, kind, name, dtype=DTYPES[kind])
    assert import_into(path, tmp_path / "back") == kind
    before, after = (
        load_file(tmp_path / "base" / "model.safetensors"),
        load_file(tmp_path / "back" / "model.safetensors"),
    )
    assert after.keys() == before.keys()
    for tensor, numbers in before.items():
        assert after[tensor].dtype is DTYPES[kind] and torch.equal(after[tensor], numbers), tensor
    if name != "mistral":  # GGUF calls it a Llama, and llama.cpp computes it as one
        assert settings(tmp_path / "back") == settings(tmp_path / "base")
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / f, dtype=torch.float32) for f in ("base", "back")]
    ids = torch.arange(90)[None] * 7 % SIZES["vocab_size"]
    with torch.no_grad():
        logits, again = (model(ids).logits for model in models)
    assert torch.equal(logits, again)
    assert GenerationConfig.from_pretrained(tmp_path / "back").eos_token_id == [2, 0], "and <|endoftext|>, as llama.cpp"


@pytest.mark.parametrize("type_", ["f32", "f16"])
def test_quantised_numbers_are_those_of_the_gguf_package(type_: str, tmp_path: Path) -> None:
    path = write_model(tmp_path, "q8_0", "untied")
    assert import_into(path, tmp_path / "back", type_) == type_
    after = load_file(tmp_path / "back" / "model.safetensors")
    stored = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    for ours, theirs in (("lm_head", "output"), ("model.layers.1.mlp.down_proj", "blk.1.ffn_down")):
        wanted = torch.from_numpy(stored[f"{theirs}.weight"].copy()).to(DTYPES[type_])
        assert torch.equal(after[f"{ours}.weight"], wanted)
    original = load_file(tmp_path / "base" / "model.safetensors")
    for tensor, numbers in original.items():  # the rows of q and k are in their places: each is near its own
        blocks = numbers.float().reshape(-1, 32 if numbers.ndim > 1 else 1)
        allowed = blocks.abs().amax(1, keepdim=True) * 0.005
        assert ((after[tensor].float().reshape(blocks.shape) - blocks).abs() <= allowed).all(), tensor


def test_types_that_keep_what_the_file_holds(tmp_path: Path) -> None:
    """float32 norms that 16 bits cannot hold make the whole base float32; quantised ones become f16."""
    path = write_model(tmp_path, "f16", "untied")  # of a float32 base: its norms are random float32 numbers
    assert read_source(path).type == "f32" and read_source(path, "f16").type == "f16"
    quantised = write_model(tmp_path / "q", "q8_0", "untied")
    assert read_source(quantised).type == "f16"
    with pytest.raises(UsageError, match="cannot be written in 'f8'"):
        read_source(quantised, "f8")


@pytest.mark.parametrize("change", [0.0, 1.0])
def test_a_head_with_the_bytes_of_the_embedding_is_tied(change: float, tmp_path: Path) -> None:
    path = write_model(tmp_path, "f32", "untied")
    embedding = next(np.array(t.data) for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight")
    head = embedding + np.float32(change)
    path = rewrite(path, tmp_path / "a.gguf", tensors=changed("output.weight", lambda _: head))
    source = read_source(path)
    assert source.config["tie_word_embeddings"] is (change == 0)
    assert ("lm_head.weight" in {weight.name for weight in source.weights}) is (change != 0)


def test_shards_are_those_of_transformers(tmp_path: Path) -> None:
    path = write_model(tmp_path, "f32", "qwen3")
    source = read_source(path)
    (tmp_path / "back").mkdir()
    write_base(source, tmp_path / "back")
    files = weights.write_weights(source.header, list(source.weights), tmp_path / "back", "f32", shard_bytes=100_000)
    (tmp_path / "back" / "model.safetensors").unlink()
    assert len(files) > 2 and files[0].startswith("model-00001-of-")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "back", dtype=torch.float32)
    for (name, one), other in zip(back.named_parameters(), make_model("qwen3").parameters(), strict=True):
        assert torch.equal(one, other), name


def test_memory_holds_a_block_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "vocab_size", 60_000)
    path = write_model(tmp_path, "f16", "untied", dtype=torch.float16)
    source = read_source(path)
    monkeypatch.setattr(weights, "BLOCK", 1 << 16)
    (tmp_path / "back").mkdir()
    reported: list[tuple[int, int]] = []
    tracemalloc.start()
    weights.write_weights(
        source.header,
        list(source.weights),
        tmp_path / "back",
        "f16",
        lambda done, total: reported.append((done, total)),
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = weights.needed_bytes(list(source.weights), "f16")
    assert size > 14 << 20 and peak < 3 << 20
    assert reported[-1] == (size, size) and len(reported) > 100


def test_generation_settings_of_the_file(tmp_path: Path) -> None:
    path = write_model(tmp_path, "f32")
    sampling = {"general.sampling.temp": 0.5, "general.sampling.top_k": 40, "general.sampling.penalty_repeat": 1.25}
    generation = read_source(rewrite(path, tmp_path / "a.gguf", sampling)).generation
    assert generation == {
        "bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 0,
        "do_sample": True, "temperature": 0.5, "top_k": 40, "repetition_penalty": 1.25,
    }  # fmt: skip
    assert "do_sample" not in read_source(path).generation


# ------------------------------------------------------------------ where it came from


@pytest.mark.parametrize(
    ("stated", "licence", "notice"),
    [
        ({"general.license": "apache-2.0"}, "apache-2.0", ""),
        ({"general.license": "llama3.2", "general.name": "Llama 3.2 1B"}, "llama3.2", "Llama 3.2 is licensed"),
        ({"general.license": "Our own terms\n---\nlicense: mit"}, "other", ""),
        ({}, "other", ""),
    ],
)
def test_a_release_takes_its_duties_from_the_card(
    stated: dict[str, Any], licence: str, notice: str, tmp_path: Path
) -> None:
    path = rewrite(write_model(tmp_path, "f32"), tmp_path / "a.gguf", stated)
    record = record_of(read_source(path).header, "f32")
    write_provenance(tmp_path, record)
    assert record["sha256"] == gguf_sha(path) and record["file"] == "a.gguf" and record["tensor_types"] == {"F32": 21}
    assert json.loads((tmp_path / "imported.json").read_text(encoding="utf-8")) == record
    duties = duties_of(tmp_path, str(tmp_path))
    assert duties.id == licence and notice in duties.notice
    assert record["sha256"] in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_the_model_it_was_made_from(tmp_path: Path) -> None:
    url = {"general.base_model.0.repo_url": "https://huggingface.co/some-one/A.Model-1B"}
    path = rewrite(write_model(tmp_path, "f32"), tmp_path / "a.gguf", url)
    write_provenance(tmp_path, record_of(read_source(path).header, "f32"))
    assert "base_model: some-one/A.Model-1B" in (tmp_path / "README.md").read_text(encoding="utf-8")


def gguf_sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------ what does not fit


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float32 file that can be imported."""
    return write_model(tmp_path_factory.mktemp("sound"), "f32", "untied", tokenizer=make_rules("smollm"))


def without(name: str) -> Callable[[str, Numbers], tuple[str, Numbers] | None]:
    return lambda tensor, data: None if tensor == name else (tensor, data)


def changed(name: str, change: Callable[[Numbers], Numbers]) -> Callable[[str, Numbers], tuple[str, Numbers]]:
    return lambda tensor, data: (tensor, change(data) if tensor == name else data)


TENSORS: dict[str, tuple[Callable[[str, Numbers], Any], str]] = {
    "missing": (without("blk.1.attn_k.weight"), r"'blk\.1\.attn_k\.weight' of shape \(32, 64\) is missing"),
    "no embedding": (without("token_embd.weight"), r"'token_embd\.weight' of shape \(700, 64\) is missing"),
    "shape": (changed("blk.0.ffn_up.weight", lambda a: a[:-1]), r"has the shape \(95, 64\) instead of \(96, 64\)"),
    "turned": (changed("blk.0.ffn_up.weight", lambda a: a.T.copy()), r"has the shape \(64, 96\) instead of"),
    "rows of the embedding": (changed("token_embd.weight", lambda a: a[:-1]), r"\(699, 64\) instead of \(700, 64\)"),
    "unknown tensor": (
        lambda n, d: (n.replace("blk.1.ffn_norm", "blk.1.attn_sinks"), d),
        r"a llama model has no place for 'blk\.1\.attn_sinks\.weight' \(1 tensors like it\)",
    ),
    "NaN": (
        changed("output.weight", lambda a: np.where(a == a.max(), np.nan, a).astype(np.float32)),
        "NaN or infinity",
    ),
    "infinity": (
        changed("blk.0.attn_q.weight", lambda a: np.full_like(a, np.inf)),
        "'blk.0.attn_q.weight' holds NaN or inf",
    ),
}
FIELDS: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "architecture": ({"general.architecture": "mamba"}, (), r"architecture mamba; supported: llama, mistral, qwen2"),
    "experts": ({"llama.expert_count": 8}, (), r"llama\.expert_count is 8"),
    "no layers": ({}, ("llama.block_count",), r"llama\.block_count is None"),
    "heads of a text": ({"llama.attention.head_count_kv": 0}, (), r"llama\.attention\.head_count_kv is 0"),
    "layers without end": ({"llama.block_count": 2**31 - 1}, (), r"llama\.block_count is 2,147,483,647"),
    "more layers than tensors": ({"llama.block_count": 999}, (), "is 999, and the file has 21 tensors"),
    "heads without end": ({"llama.attention.key_length": 2**31 - 2}, (), "key_length is 2,147,483,646; at most"),
    "heads that make no groups": ({"llama.attention.head_count_kv": 3}, (), "it has 4 heads of 32 and 3 kv heads"),
    "yarn": ({"llama.rope.scaling.type": "yarn"}, (), r"llama\.rope\.scaling\.type is 'yarn'"),
    "SentencePiece": ({"tokenizer.ggml.model": "llama"}, (), r"SentencePiece \(llama\); allowed: byte-level BPE"),
    "no tokenizer": ({}, ("tokenizer.ggml.model",), "the tokenizer is None"),
    "rules": ({"tokenizer.ggml.pre": "tekken"}, (), "rules are 'tekken'.*llama-bpe.*smollm"),
    "no rules": ({}, ("tokenizer.ggml.pre",), "rules are None"),
    "space": ({"tokenizer.ggml.add_space_prefix": True}, (), "add_space_prefix is true"),
    "no merges": ({}, ("tokenizer.ggml.merges",), "merges is missing"),
    "merge of no tokens": ({"tokenizer.ggml.merges": ["t qqq"]}, (), "merge 0, 't qqq', takes or makes 'qqq'"),
    "merge of one": ({"tokenizer.ggml.merges": ["th"]}, (), "merge 0, 'th'"),
    "fewer tokens": ({"tokenizer.ggml.tokens": ["a", "b"]}, (), "2 tokens for an embedding of 700 rows"),
    "a token twice": ({"tokenizer.ggml.tokens": ["a"] * 700}, (), "token 1 cannot be told from others: token 0 is 'a'"),
    "empty token": ({"tokenizer.ggml.tokens": [""] * 700}, (), "token 0 cannot be told from others: it is empty"),
    "types": ({"tokenizer.ggml.token_type": [1, 1]}, (), "700 tokens, and another number of"),
    "bytes": ({"tokenizer.ggml.token_type": [6] * 700}, (), "token 0 stands for a byte"),
    "unused": ({"tokenizer.ggml.token_type": [5] * 700}, (), "all 700 tokens are unused"),
    "no end": ({}, ("tokenizer.ggml.eos_token_id",), "says which token ends a text.*gguf-new-metadata"),
    "end beyond": ({"tokenizer.ggml.eos_token_id": 700}, (), "eos_token_id is 700, and the file has no such token"),
    "no BOS to add": ({"tokenizer.ggml.add_bos_token": True}, ("tokenizer.ggml.bos_token_id",), "begin with BOS"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit(name: str, sound: Path, tmp_path: Path) -> None:
    change, says = TENSORS[name]
    path = rewrite(sound, tmp_path / "a.gguf", tensors=change)
    with pytest.raises(ModelError, match=rf"a\.gguf.*{says}") as error:
        import_into(path, tmp_path / "back", "f32")
    assert error.value.remedy


@pytest.mark.parametrize("name", FIELDS)
def test_metadata_that_does_not_fit(name: str, sound: Path, tmp_path: Path) -> None:
    changes, left_out, says = FIELDS[name]
    path = rewrite(sound, tmp_path / "a.gguf", changes, left_out)
    with pytest.raises(ModelError, match=rf"(?s)a\.gguf.*{says}") as error:
        read_source(path)
    assert error.value.remedy


def test_a_number_beyond_f16(sound: Path, tmp_path: Path) -> None:
    path = rewrite(sound, tmp_path / "a.gguf", tensors=changed("blk.0.ffn_up.weight", lambda a: a * np.float32(1e6)))
    with pytest.raises(ModelError, match=r"'blk\.0\.ffn_up\.weight' holds .* f16 ends at 65504\n  -> --type bf16"):
        import_into(path, tmp_path / "f16", "f16")
    import_into(path, tmp_path / "bf16", "bf16")


def test_any_byte_of_the_header_may_be_wrong(sound: Path, tmp_path: Path) -> None:
    """Each is read as it is, or refused in words: never a crash, never more memory than the file has bytes."""
    whole = sound.read_bytes()
    random = np.random.default_rng(0)
    end = min(t.data_offset for t in gguf.GGUFReader(sound).tensors)
    path, refusals = tmp_path / "a.gguf", []
    for place in [*range(60), *random.integers(60, end, 100)]:
        for value in (0xFF, int(random.integers(256))):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read_source(path)
            except StatllamaError as error:
                refusals.append(error)
    assert len(refusals) > 100 and all(error.remedy for error in refusals)
