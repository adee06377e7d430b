"""Which type each tensor gets, against what llama.cpp made of well-known models; and the bytes of each type."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from statllama.model.architectures import architecture
from statllama.model.layout import Layout
from statllama.release import quantise as quantising
from statllama.release.mixture import KINDS, tensor_type
from statllama.release.quantise import library_path, quantise, require_quantiser

QUANTISED = sorted({whole for _, whole in KINDS.values() if whole.name.startswith("Q")})
needs_quantiser = pytest.mark.skipif(library_path() is None, reason="no xllamacpp")


def llama(**sizes: int) -> Layout:
    """A Llama of 4096 numbers, 32 heads, 32 layers; tied when `tied` is 1."""
    plain = {"layers": 32, "width": 4096, "feed_forward": 14336, "heads": 32, "kv_heads": 8, "vocabulary": 128256}
    plain |= {"head_width": 128, "positions": 8192, "tied": 0} | sizes
    rope = {"rope_type": "default", "rope_theta": 1e4}
    return Layout(architecture("llama"), **{**plain, "tied": bool(plain["tied"])}, epsilon=1e-5, rope=rope)  # type: ignore[arg-type]


def types(kind: str, model: Layout) -> dict[str, Type]:
    return {
        name: tensor_type(kind, name, shape[1], model, model.tied)
        for name, _, shape in model.tensors()
        if len(shape) == 2
    }


# What `llama_model_loader` prints of published files ("- type q4_K:  168 tensors"), without the float32 ones.
SMALL = {"layers": 28, "width": 3072, "feed_forward": 8192, "heads": 24, "kv_heads": 8, "tied": 1}  # Llama-3.2-3B
MISTRAL = {"vocabulary": 32000}  # Mistral-7B has the sizes of Llama-3-8B, but for the vocabulary
PUBLISHED = [
    ("q4_k_m", SMALL, {"Q4_K": 168, "Q6_K": 29}),  # Ollama's llama3.2
    ("q4_k_m", MISTRAL, {"Q4_K": 193, "Q6_K": 33}),
    ("q5_k_m", MISTRAL, {"Q5_K": 193, "Q6_K": 33}),
    ("q3_k_m", MISTRAL, {"Q3_K": 129, "Q4_K": 92, "Q5_K": 4, "Q6_K": 1}),
    ("q3_k_l", {}, {"Q3_K": 129, "Q5_K": 96, "Q6_K": 1}),  # Llama-3.1-8B
    ("q4_0", MISTRAL, {"Q4_0": 225, "Q6_K": 1}),
    ("q8_0", MISTRAL, {"Q8_0": 226}),
    ("q6_k", MISTRAL, {"Q6_K": 226}),
]


@pytest.mark.parametrize(("kind", "sizes", "counts"), PUBLISHED)
def test_mixtures_are_those_of_published_files(kind: str, sizes: dict[str, int], counts: dict[str, int]) -> None:
    assert Counter(t.name for t in types(kind, llama(**sizes)).values()) == counts


def test_which_layers_of_a_published_file_get_more_bits() -> None:
    """Mistral-7B in Q4_K_M: layers 28 to 31 have q6_K in attn_v and ffn_down, as do the first four."""
    found = types("q4_k_m", llama(**MISTRAL))
    six = [i for i in range(32) if found[f"blk.{i}.attn_v.weight"] is Type.Q6_K]
    assert six == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert all((found[f"blk.{i}.ffn_down.weight"] is Type.Q6_K) == (i in six) for i in range(32))
    assert found["output.weight"] is Type.Q6_K and found["token_embd.weight"] is Type.Q4_K


def test_a_tied_embedding_is_the_head() -> None:
    tied, untied = types("q4_k_m", llama(tied=1)), types("q4_k_m", llama())
    assert tied["token_embd.weight"] is Type.Q6_K and untied["token_embd.weight"] is Type.Q4_K


@pytest.mark.parametrize(
    ("width", "kind", "wanted"),
    [
        (4160, "q4_k_m", {Type.Q5_0, Type.Q8_0}),  # 4160 = 16.25 blocks of 256, 130 of 32
        (4160, "q5_k_m", {Type.Q5_1, Type.Q8_0}),
        (4160, "q2_k", {Type.Q4_0, Type.Q8_0}),
        (4112, "q4_k_m", {Type.F16}),  # not even blocks of 32
        (4112, "q8_0", {Type.F16}),
    ],
)
def test_rows_that_are_not_whole_blocks(width: int, kind: str, wanted: set[Type]) -> None:
    model = llama(width=width, feed_forward=width, heads=1, kv_heads=1, head_width=width)
    found = set(types(kind, model).values())
    assert found == wanted and all(width % gguf.GGML_QUANT_SIZES[t][0] == 0 for t in found)


def test_many_heads_to_a_value_get_more_bits() -> None:
    """In q2_k with four heads or more to each kv head, and in the 70B model."""
    assert types("q2_k", llama(kv_heads=8))["blk.5.attn_v.weight"] is Type.Q4_K
    assert types("q2_k", llama(kv_heads=16))["blk.5.attn_v.weight"] is Type.Q3_K
    large = llama(layers=80, heads=64, width=8192)
    assert types("q4_k_m", large)["blk.11.attn_v.weight"] is Type.Q5_K


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16"])
def test_float_files_are_one_type(kind: str) -> None:
    assert set(types(kind, llama()).values()) == {KINDS[kind][1]}


# ------------------------------------------------------------------ bytes


def rows(seed: int = 0, count: int = 130, columns: int = 512) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Normal numbers, some of them outliers, a row of zeros and one of tiny numbers."""
    found = np.random.default_rng(seed).standard_normal((count, columns)).astype(np.float32)
    found[1], found[2] = 0, found[2] * 1e-7
    found[::7, ::11] *= 20
    return found


@needs_quantiser
@pytest.mark.parametrize("type_", QUANTISED, ids=lambda t: t.name)
def test_gguf_reads_what_llamacpp_reads(type_: Type) -> None:
    """Our bytes, dequantised by PyPI's gguf and by llama.cpp itself, are the same numbers, near the first ones."""
    whole = rows()
    packed = quantise(whole, type_, threads=3)
    one = gguf.quants.dequantize(packed, type_)
    other = np.empty_like(whole)
    function = getattr(ctypes.CDLL(str(library_path())), f"dequantize_row_q{type_.name[1:]}")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function(packed.ctypes.data, other.ctypes.data, whole.size)
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
    normal = slice(8, 14)  # rows without outliers
    error = np.linalg.norm((one - whole)[normal]) / np.linalg.norm(whole[normal])
    assert error < 1.4 * 2.0 ** -int(type_.name[1])  # half a step of 2^bits over about six standard deviations


@pytest.mark.parametrize(
    "type_",
    [Type.F16, Type.BF16, *(pytest.param(t, marks=needs_quantiser) for t in QUANTISED if t.name[-2:] in ("_0", "_1"))],
    ids=lambda t: t.name,
)
def test_bytes_are_those_that_gguf_writes(type_: Type) -> None:
    """PyPI's gguf has definitions of its own of these."""
    whole = rows(1)
    assert np.array_equal(quantise(whole, type_), gguf.quants.quantize(whole, type_).view(np.uint8))


def test_q8_0_has_the_same_bytes_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(1)
    wanted = quantise(whole, Type.Q8_0)
    monkeypatch.setattr(quantising, "lends_quantiser", lambda: False)
    assert np.array_equal(quantise(whole, Type.Q8_0), wanted)


@needs_quantiser
@pytest.mark.parametrize("type_", [Type.Q4_K, Type.Q6_K, Type.Q2_K], ids=lambda t: t.name)
def test_threads_and_blocks_change_no_byte(type_: Type) -> None:
    whole = rows(2)
    wanted = quantise(whole, type_, threads=1)
    assert np.array_equal(quantise(whole, type_, threads=4), wanted)
    assert np.array_equal(np.concatenate([quantise(whole[:65], type_), quantise(whole[65:], type_)]), wanted)
    assert np.array_equal(quantise(np.asfortranarray(whole), type_), wanted)


@needs_quantiser
def test_q4_k_by_its_definition() -> None:
    """A block of 256: two float16, 8 scales and minima of 6 bits, 256 codes of 4 (block_q4_K in ggml-common.h)."""
    whole = rows(3, 4, 256)
    packed = quantise(whole, Type.Q4_K)
    for block, numbers in zip(packed, gguf.quants.dequantize(packed, Type.Q4_K), strict=True):
        d, least = (float(x) for x in block[:4].view(np.float16))
        s = [int(x) for x in block[4:16]]
        codes = block[16:]
        for part in range(8):
            scale = s[part] & 63 if part < 4 else (s[part + 4] & 15) | (s[part - 4] >> 6 << 4)
            minimum = s[part + 4] & 63 if part < 4 else (s[part + 4] >> 4) | (s[part] >> 6 << 4)
            pair = codes[32 * (part // 2) : 32 * (part // 2) + 32]
            four = pair & 15 if part % 2 == 0 else pair >> 4
            wanted = d * scale * four.astype(float) - least * minimum
            np.testing.assert_allclose(numbers[32 * part : 32 * part + 32], wanted, rtol=1e-5, atol=1e-6)


def test_the_function_is_found_once() -> None:
    if library_path() is not None:
        assert require_quantiser() is require_quantiser()
