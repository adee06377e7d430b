"""Against llama.cpp's own converters and quantiser, where they can be had: the same bytes in every tensor.

The converters are scripts in llama.cpp's source; the quantiser is compiled by llama-cpp-python (about ten minutes of a
core), whose source package holds both. From an empty folder:

    pip download --no-deps --no-binary :all: llama-cpp-python && tar xzf llama_cpp_python-*.tar.gz
    pip install sentencepiece ./llama_cpp_python-*/          # the second for the quantiser alone
    LLAMA_CPP=$PWD/llama_cpp_python-*/vendor/llama.cpp pytest tests/release/test_gguf_converter.py -m slow
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from statllama.release.gguf import write_gguf
from statllama.release.gguf_lora import write_gguf_loras
from statllama.release.mixture import KINDS
from statllama.release.source import Source
from tests import reference
from tests.conftest import SHARED, make_llama
from tests.release.gguf_reading import metadata, raw
from tests.release.making import STAGES, save_base, save_stages, scales, source_of
from tests.release.test_gguf import BASES, LLAMA3

pytestmark = pytest.mark.slow
LLAMA_CPP = Path(os.environ.get("LLAMA_CPP", "/nowhere"))
REAL = SHARED / "data" / "llama3-tokenizer"
needs_converter = pytest.mark.skipif(not (LLAMA_CPP / "convert_hf_to_gguf.py").exists(), reason="no LLAMA_CPP")

# What one of the two writes and the other does not: names, and what llama.cpp would assume anyway.
APART = {
    "general.name",
    "general.size_label",
    "general.base_model.count",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_sep_token",
    "tokenizer.ggml.add_space_prefix",
}
# Of Qwen alone: llama.cpp takes the width of a head, the number of tokens and no BOS where nothing is said.
APART_QWEN = APART | {
    "qwen2.vocab_size",
    "qwen3.vocab_size",
    "qwen2.attention.key_length",
    "qwen2.attention.value_length",
    "qwen2.rope.dimension_count",
    "qwen3.rope.dimension_count",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.unknown_token_id",
}
# The converter knows tokenizers by a hash of what they make of a text, and so not those of tests.
CONVERT = """
import sys
root, pre = sys.argv[1:3]
sys.path[:0] = [root, root + "/gguf-py"]
sys.argv = sys.argv[2:]
import convert_hf_to_gguf
from conversion import base
if pre:
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
convert_hf_to_gguf.main()
"""


def convert(base: Path, out: Path, kind: str, pre: str) -> None:
    command = [sys.executable, "-c", CONVERT, str(LLAMA_CPP), pre, str(base), "--outfile", str(out), "--outtype", kind]
    subprocess.run(command, check=True, capture_output=True)


def assert_same(ours: Path, theirs: Path, apart: set[str] = APART) -> None:
    """Equal tensors, and equal metadata but for `apart`."""
    one, other = raw(ours), raw(theirs)
    assert one.keys() == other.keys()
    for name, (type_, data) in one.items():
        assert type_ == other[name][0] and np.array_equal(data, other[name][1]), name
    said, wanted = metadata(ours), metadata(theirs)
    differing = {k for k in said.keys() | wanted.keys() if said.get(k) != wanted.get(k)}
    assert differing <= apart, {k: (said.get(k), wanted.get(k)) for k in differing - apart}


@needs_converter
@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0"])
@pytest.mark.parametrize("name", BASES)
def test_the_converter_writes_the_same_of_the_merged_weights(name: str, kind: str, tmp_path: Path) -> None:
    """It is given the stack merged densely in float64, by the tests."""
    base = save_base(tmp_path / "base", **BASES[name])
    folders = save_stages(base, tmp_path / "stages")
    dense = reference.merged(base.double(), list(zip(folders, scales(), strict=True))).float()
    dense.save_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "merged")
    qwen = name.startswith("qwen")
    convert(tmp_path / "merged", tmp_path / "theirs.gguf", kind, "qwen2" if qwen else "gpt-2")
    source = replace(source_of(tmp_path / "base", folders), chat_template=tokenizer.chat_template)
    write_gguf(source, tmp_path / "ours.gguf", kind)
    assert_same(tmp_path / "ours.gguf", tmp_path / "theirs.gguf", APART_QWEN if qwen else APART)


@needs_converter
@pytest.mark.skipif(not REAL.exists(), reason="no shared data")
def test_the_converter_writes_the_same_of_a_base_with_the_real_tokenizer(tmp_path: Path) -> None:
    """It finds `llama-bpe` by itself."""
    tokenizer = AutoTokenizer.from_pretrained(REAL)
    special = {"bos_token_id": 128_000, "eos_token_id": 128_009, "pad_token_id": 128_004}
    make_llama(len(tokenizer), rope_parameters=LLAMA3, **special).to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    convert(tmp_path, tmp_path / "theirs.gguf", "bf16", "")
    write_gguf(Source("real", tmp_path, tmp_path, tokenizer.chat_template, (), ()), tmp_path / "ours.gguf", "bf16")
    assert_same(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")


@needs_converter
@pytest.mark.parametrize("stage", STAGES)
def test_the_converter_writes_the_same_lora(stage: str, tmp_path: Path) -> None:
    """But for rsLoRA, which it ignores: it is given that stage with the scale in B."""
    base = save_base(tmp_path / "base", **BASES["untied"])
    (folder,) = save_stages(base, tmp_path / "stages", {stage: STAGES[stage]})
    (ours,) = write_gguf_loras(source_of(tmp_path / "base", [folder]), tmp_path)
    command = [sys.executable, str(LLAMA_CPP / "convert_lora_to_gguf.py"), "--base", str(tmp_path / "base")]
    subprocess.run([*command, "--outfile", str(tmp_path / "t.gguf"), str(folder)], check=True, capture_output=True)
    one, other = raw(ours), raw(tmp_path / "t.gguf")
    assert one.keys() == other.keys() and all(np.array_equal(one[n][1], other[n][1]) for n in one)
    alpha, theirs = metadata(ours)["adapter.lora.alpha"], metadata(tmp_path / "t.gguf")["adapter.lora.alpha"]
    assert alpha == pytest.approx(theirs * (STAGES[stage].r ** 0.5 if STAGES[stage].rslora else 1))


# ------------------------------------------------------------------ the quantiser


def quantised_by_llamacpp(source: Path, out: Path, kind: str) -> None:
    """llama.cpp's llama_model_quantize on one thread, through llama-cpp-python."""
    llama_cpp: Any = pytest.importorskip("llama_cpp")
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = int(KINDS[kind][0]), 1
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(params))
    assert code == 0


def wide_base(folder: Path, tied: bool) -> Source:
    """A Llama of 18 layers with rows of 256 and 512 numbers, of which some are outliers."""
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 18, "num_attention_heads": 8}
    save_base(folder, tie_word_embeddings=tied, rope_parameters=LLAMA3, **sizes)
    tensors = load_file(folder / "model.safetensors")
    for rows in tensors.values():
        rows.view(-1)[::101] *= 8
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return source_of(folder)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("q")])
def test_llamacpps_quantiser_makes_the_same_file(kind: str, tied: bool, tmp_path: Path) -> None:
    """Types of all tensors and all their bytes, from a float32 file of ours."""
    pytest.importorskip("llama_cpp")
    source = wide_base(tmp_path / "base", tied)
    write_gguf(source, tmp_path / "f32.gguf", "f32")
    quantised_by_llamacpp(tmp_path / "f32.gguf", tmp_path / "theirs.gguf", kind)
    write_gguf(source, tmp_path / "ours.gguf", kind)
    assert_same(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
