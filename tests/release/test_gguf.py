"""GGUF files, read by PyPI's gguf: tensors are the dense merge in llama.cpp's order, keys what the base says."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from statllama.errors import ExportError, UsageError
from statllama.model.adapter import Adapter, Slice
from statllama.release import gguf as writing
from statllama.release.gguf import needed_bytes, write_gguf
from statllama.release.mixture import KINDS
from statllama.release.quantise import require_quantiser
from statllama.release.source import Source
from tests import reference
from tests.conftest import TEMPLATE
from tests.release.gguf_reading import expected, metadata, numbers, raw
from tests.release.making import save_base, save_stages, scales, source_of
from tests.small_models import ARCHITECTURES

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
BASES: dict[str, dict[str, Any]] = {
    "tied": {"rope_parameters": LLAMA3},
    "untied": {"tie_word_embeddings": False, "num_key_value_heads": 1, "head_dim": 32},
    "bf16": {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}, "num_key_value_heads": 4},
    **{kind: {"model_type": kind} for kind in ARCHITECTURES if kind != "llama"},
}
"""{name: what is unlike the small Llama}."""
needs_quantiser = pytest.mark.skipif("not __import__('importlib').util.find_spec('xllamacpp')", reason="no xllamacpp")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Source]]:
    """{name: (the base with its three stages merged densely in float64, what is exported)}."""
    found = {}
    for name, changes in BASES.items():
        folder = tmp_path_factory.mktemp(name)
        dtype = torch.bfloat16 if name == "bf16" else torch.float32
        base = save_base(folder / "base", dtype, **changes).float()
        folders = save_stages(base, folder / "stages")
        dense = reference.merged(copy.deepcopy(base).double(), list(zip(folders, scales(), strict=True)))
        found[name] = dense, source_of(folder / "base", folders)
    return found


# ------------------------------------------------------------------ tensors


@pytest.mark.parametrize("name", BASES)
def test_float32_tensors_are_the_dense_merge(name: str, bases: dict[str, Any], tmp_path: Path) -> None:
    dense, source = bases[name]
    write_gguf(source, tmp_path / "a.gguf", "f32")
    found, wanted = numbers(tmp_path / "a.gguf"), expected(dense.float())
    factors = found.pop("rope_freqs.weight", None)
    assert found.keys() == wanted.keys()
    for tensor, rows in wanted.items():
        assert found[tensor].shape == rows.shape
        np.testing.assert_allclose(found[tensor], rows, rtol=0, atol=1.2e-7 * np.abs(rows).max(), err_msg=tensor)
    assert (factors is not None) == (name == "tied")


def test_rope_factors_are_those_of_transformers(bases: dict[str, Any], tmp_path: Path) -> None:
    dense, source = bases["tied"]
    write_gguf(source, tmp_path / "a.gguf", "q8_0")
    factors = numbers(tmp_path / "a.gguf")["rope_freqs.weight"]
    scaled, attention = ROPE_INIT_FUNCTIONS["llama3"](dense.config, torch.device("cpu"))
    plain = 1.0 / LLAMA3["rope_theta"] ** (np.arange(0, 16, 2) / 16)
    assert attention == 1.0
    np.testing.assert_allclose(plain / factors, scaled.numpy(), rtol=2e-6)
    assert factors[0] == 1.0 and factors[-1] == 32.0 and ((factors > 1) & (factors < 32)).any(), "all three parts"


@pytest.mark.parametrize(("kind", "worst"), [("f16", 2**-11), ("bf16", 2**-8)])
def test_sixteen_bits_are_the_nearest(kind: str, worst: float, bases: dict[str, Any], tmp_path: Path) -> None:
    dense, source = bases["untied"]
    write_gguf(source, tmp_path / "a.gguf", kind)
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}[kind]
    found = numbers(tmp_path / "a.gguf")
    types = {tensor: type_ for tensor, (type_, _) in raw(tmp_path / "a.gguf").items()}
    for tensor, rows in expected(dense.float()).items():
        if rows.ndim == 1:
            assert types[tensor] == "F32" and np.array_equal(found[tensor], rows)
            continue
        nearest = torch.from_numpy(rows.copy()).to(dtype).float().numpy()
        differs = found[tensor] != nearest  # only where the merge itself was a hair's breadth from the middle
        assert types[tensor] == kind.upper() and differs.mean() < 1e-3
        np.testing.assert_allclose(found[tensor], rows, rtol=worst, atol=1e-7)


def test_q8_0_is_its_definition(bases: dict[str, Any], tmp_path: Path) -> None:
    """Blocks of 32: the largest becomes 127, the scale a float16 (quantize_row_q8_0_ref in ggml-quants.c)."""
    _, source = bases["tied"]
    write_gguf(source, tmp_path / "whole.gguf", "f32")
    write_gguf(source, tmp_path / "a.gguf", "q8_0")
    whole, packed = numbers(tmp_path / "whole.gguf"), raw(tmp_path / "a.gguf")
    checked = 0
    for tensor, rows in whole.items():
        type_, data = packed[tensor]
        if type_ == "F32":
            assert np.array_equal(data, rows)
            continue
        blocks = rows.reshape(-1, 32)
        scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
        times = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0) * blocks
        codes = (np.sign(times) * np.floor(np.abs(times) + np.float32(0.5))).astype(np.int8)
        wanted = np.concatenate([scale.astype(np.float16).view(np.uint8), codes.view(np.uint8)], 1)
        assert type_ == "Q8_0" and np.array_equal(data.reshape(-1, 34), wanted), tensor
        checked += 1
    assert checked == 15


@needs_quantiser
@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith("q")])
def test_every_quantised_type_is_near(kind: str, bases: dict[str, Any], tmp_path: Path) -> None:
    dense, source = bases["untied"]
    written = write_gguf(source, tmp_path / "a.gguf", kind)
    found, types = numbers(tmp_path / "a.gguf"), raw(tmp_path / "a.gguf")
    worst = {"Q8_0": 0.01, "Q5_1": 0.05, "Q5_0": 0.06, "Q4_1": 0.1, "Q4_0": 0.12}
    for tensor, rows in expected(dense.float()).items():
        error = np.linalg.norm(found[tensor] - rows) / np.linalg.norm(rows)
        assert error <= worst.get(types[tensor][0], 1e-7), (tensor, types[tensor][0])
    assert sum(written.types.values()) == len(types) and written.nbytes == (tmp_path / "a.gguf").stat().st_size


def test_a_head_with_an_adapter_on_a_tied_base_is_written_apart(bases: dict[str, Any], tmp_path: Path) -> None:
    """Merged into the shared tensor it would change the embedding, too."""
    _, source = bases["tied"]
    a, b = torch.randn(2, 64), torch.randn(320, 2)
    head = Adapter({"lm_head": Slice(a, b, 0.5)})
    write_gguf(replace(source, adapters=(head,), stages=("head",)), tmp_path / "a.gguf", "f32")
    found = numbers(tmp_path / "a.gguf")
    difference = found["output.weight"] - found["token_embd.weight"]
    np.testing.assert_allclose(difference, 0.5 * (b @ a).numpy(), atol=1e-5)


def test_the_size_of_blocks_changes_no_byte(
    bases: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of q and k change places within a head, which must be in one block whole."""
    _, source = bases["tied"]
    plain = replace(source, adapters=(), stages=())
    for name, block in (("large", writing.BLOCK), ("small", 64 * 24)):
        monkeypatch.setattr(writing, "BLOCK", block)
        write_gguf(plain, tmp_path / name, "q8_0")
    assert (tmp_path / "large").read_bytes() == (tmp_path / "small").read_bytes()


# ------------------------------------------------------------------ metadata


def test_what_the_file_says_of_the_model(bases: dict[str, Any], tmp_path: Path) -> None:
    dense, source = bases["untied"]
    write_gguf(source, tmp_path / "a.gguf", "bf16")
    said = metadata(tmp_path / "a.gguf")
    wanted = {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "small",
        "general.file_type": int(gguf.LlamaFileType.MOSTLY_BF16),
        "general.quantization_version": 2,
        "llama.vocab_size": 320,
        "llama.context_length": 512,
        "llama.embedding_length": 64,
        "llama.block_count": 2,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 1,
        "llama.attention.key_length": 32,
        "llama.attention.value_length": 32,
        "llama.rope.dimension_count": 32,
        "llama.rope.freq_base": 10_000.0,
        "tokenizer.chat_template": TEMPLATE,
    }
    assert {key: said.get(key) for key in wanted} == wanted
    assert said["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(dense.config.rms_norm_eps)
    assert not any("rope.scaling" in key for key in said)


def test_linear_scaling_is_said(bases: dict[str, Any], tmp_path: Path) -> None:
    write_gguf(bases["bf16"][1], tmp_path / "a.gguf", "q8_0")
    said = metadata(tmp_path / "a.gguf")
    assert said["llama.rope.scaling.type"] == "linear" and said["llama.rope.scaling.factor"] == 2.0


@pytest.mark.parametrize("kind", ["f16", pytest.param("q4_k_m", marks=needs_quantiser)])
def test_the_same_source_gives_the_same_bytes(kind: str, bases: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        write_gguf(bases["tied"][1], tmp_path / name, kind)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


@pytest.mark.parametrize("kind", ["f32", "f16", "q8_0"])
def test_progress_and_the_room_it_asks_for(kind: str, bases: dict[str, Any], tmp_path: Path) -> None:
    _, source = bases["untied"]
    calls: list[tuple[int, int]] = []
    written = write_gguf(source, tmp_path / "a.gguf", kind, lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] == sum(t.n_bytes for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    needed = needed_bytes(source, kind)
    assert written.nbytes <= needed <= written.nbytes * 1.05 + 150_000


def test_unknown_kinds_are_refused(bases: dict[str, Any], tmp_path: Path) -> None:
    for call in (
        lambda: write_gguf(bases["tied"][1], tmp_path / "a", "q4_m"),
        lambda: needed_bytes(bases["tied"][1], "x"),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError, match="did you mean 'q4_k_m'"):
        write_gguf(bases["tied"][1], tmp_path / "a", "q4_m")
    assert not list(tmp_path.iterdir())


def test_without_the_extra(bases: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """k-quants say what to install; the other types go on."""
    from statllama.release import quantise

    require_quantiser.cache_clear()
    monkeypatch.setattr(quantise, "library_path", lambda: None)
    with pytest.raises(ExportError, match=r"pip install 'statllama\[gguf\]'"):
        write_gguf(bases["tied"][1], tmp_path / "a.gguf", "q4_k_m")
    assert not list(tmp_path.iterdir())
    for kind in ("f32", "f16", "bf16", "q8_0"):
        write_gguf(bases["tied"][1], tmp_path / kind, kind)
    require_quantiser.cache_clear()


def test_a_library_without_the_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where the compiled module lends nothing."""
    import ctypes

    from statllama.release import quantise

    require_quantiser.cache_clear()
    monkeypatch.setattr(quantise, "library_path", lambda: Path(ctypes.__file__))
    with pytest.raises(ExportError, match="has no quantiser"):
        require_quantiser()
    monkeypatch.setattr(quantise, "SYMBOL", "no_such_function")
    monkeypatch.setattr(quantise, "library_path", lambda: Path(__import__("_ctypes").__file__))
    with pytest.raises(ExportError, match="has no quantiser") as refused:
        require_quantiser()
    assert "q8_0" in str(refused.value.remedy)
    require_quantiser.cache_clear()
