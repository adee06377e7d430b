"""The memory model against published peaks of a GPU, hand arithmetic, and its own order."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.model.shape import Shape
from statllama.stages import stage_module
from statllama.train.fit import Place, Rows, device_bytes, fits, largest_budget, recomputed, stage_need
from statllama.train.memory import GIB, Pass, Setting, need, nf4
from tests.train.published import LLAMA_3B, RTX4080, Published

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.mark.parametrize("record", RTX4080, ids=str)
def test_published_peaks_are_met_within_one_and_a_half_percent(record: Published) -> None:
    float32 = record.preparation == "float32"
    setting = Setting(
        record.shape,
        width=4 if float32 else 2,
        rank=record.rank,
        modules=ATTENTION,
        optimizer=record.optimizer,
        recompute=record.recompute,
        loss="whole",
        masked=False,
        unfused=float32,
        float_base=True,
    )
    found = need(setting, Pass(record.rows * record.length, record.length)).allocated / GIB
    assert found == pytest.approx(record.allocated, rel=0.015)


def test_what_the_allocator_reserved_is_within_the_usual_and_the_worst() -> None:
    shares = sorted(record.reserved / record.allocated - 1 for record in RTX4080)
    place = Place()
    assert shares[-1] <= place.overhead.worst
    assert place.overhead.usual == pytest.approx((shares[5] + shares[6]) / 2, abs=0.01)


# ------------------------------------------------------------------ by hand


def test_nf4_by_hand() -> None:
    # 64 x 96 weights: 3072 bytes packed; 96 scales of 8 bits; one scale of those; 16 + 256 numbers and an offset.
    assert nf4(64 * 96) == 3072 + 96 + 4 + 4 * (16 + 256 + 1)


def test_nf4_is_what_bitsandbytes_keeps() -> None:
    import bitsandbytes as bnb
    import torch

    packed, state = bnb.functional.quantize_4bit(torch.randn(96, 1024), compress_statistics=True, quant_type="nf4")
    inner = state.state2
    kept = [packed, state.absmax, state.code, state.offset, inner.absmax, inner.code]
    assert nf4(96 * 1024) == sum(each.nbytes for each in kept)


def test_the_base_of_3b_takes_what_the_readme_says() -> None:
    # 2.818 G weights at 0.516 bytes, and 0.394 G of the embedding at 2: 1.36 + 0.73 GiB.
    assert Setting(LLAMA_3B).weights / GIB == pytest.approx(2.09, abs=0.01)


def test_a_stages_static_part_by_hand() -> None:
    shape = Shape(2, 8, 16, 2, 1, 4, 10, tied=True, bias=False)
    setting = Setting(shape, quantization="none", width=4, rank=2, modules=("q_proj", "down_proj"), below=3, frozen=4)
    matrices = 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8 + 3 * 8 * 16
    weights = 4 * (2 * matrices + 10 * 8 + 2 * 2 * 8 + 8)
    below = 4 * 2 * 3 * ((8 + 8) + 2 * (8 + 4) + (8 + 8) + 3 * (8 + 16))
    trained = 2 * 2 * ((8 + 8) + (16 + 8))
    assert setting.static == weights + below + trained * (4 + 8)


def test_rows_that_are_recomputed_keep_the_layers_inputs_alone() -> None:
    setting = Setting(LLAMA_3B, masked=False)
    assert need(setting, Pass(1024, 1024)).kept == 28 * 3072 * 1024 * 2


def test_gradients_that_several_devices_add_up_are_there_once_more() -> None:
    """Joined in float32 while the passes' memory is free again: as much as the optimizer takes, so no peak moves."""
    alone, shared = (need(Setting(LLAMA_3B, devices=devices), Pass(2048, 1024)) for devices in (1, 4))
    trained = 28 * 16 * (2 * (3072 + 1024) + 2 * (3072 + 3072) + 3 * (3072 + 8192))
    assert shared.phases["sum over devices"] == pytest.approx(shared.static + 8 * trained)
    assert shared.allocated == alone.allocated and "sum over devices" not in alone.phases


# ------------------------------------------------------------------ order


def spec(kind: str, *, r: int = 16, length: int = 1024, batch: int = 16, **train: Any) -> Any:
    body: dict[str, Any] = {"name": "s", "type": kind, "data": [{"path": "rows.jsonl"}], "lora": {"r": r}}
    body["train"] = {"max_length": length, "batch_size": batch, **train}
    if kind == "grpo":
        body |= {"rewards": [{"name": "correctness"}], "generations": 2, "max_completion_length": length // 2}
    return stage_module(kind).Spec.model_validate(body)


KINDS = st.sampled_from(["cpt", "sft", "dpo", "kto", "grpo"])
PLACES = st.builds(
    Place,
    cuda=st.booleans(),
    backend=st.sampled_from(["transformers", "unsloth"]),
    quantization=st.sampled_from(["nf4", "none"]),
    compute=st.sampled_from(["float32", "bfloat16", "float16"]),
    below=st.sampled_from([0, 16, 80]),
)


@given(kind=KINDS, place=PLACES, recompute=st.booleans(), budget=st.integers(1024, 16384), more=st.integers(1, 4096))
def test_more_tokens_never_take_less(kind: str, place: Place, recompute: bool, budget: int, more: int) -> None:
    rows = Rows(1024)
    stage = spec(kind, batch=64)
    a, b = (stage_need(LLAMA_3B, stage, place, rows, t, recompute, 24 * GIB).allocated for t in (budget, budget + more))
    assert a <= b


@given(kind=KINDS, place=PLACES, recompute=st.booleans(), r=st.integers(1, 128))
def test_a_higher_rank_a_longer_row_and_more_below_take_more(kind: str, place: Place, recompute: bool, r: int) -> None:
    def allocated(r: int, length: int, below: int) -> float:
        where = replace(place, below=below)
        stage = spec(kind, r=r, length=length, batch=2)
        return stage_need(LLAMA_3B, stage, where, Rows(length), 2 * length, recompute, 80 * GIB).allocated

    here = allocated(r, 512, 16)
    assert here < allocated(r + 1, 512, 16)
    assert here <= allocated(r, 1024, 16)  # equal where the optimizer needs most
    assert here < allocated(r, 512, 17)


@given(
    kind=KINDS, place=PLACES, free=st.floats(3, 96), batch=st.sampled_from([2, 16, 64]), length=st.integers(64, 4096)
)
def test_the_largest_budget_fits_and_the_next_does_not(
    kind: str, place: Place, free: float, batch: int, length: int
) -> None:
    stage, rows = spec(kind, batch=batch, length=length), Rows(length)
    item = length * (2 if kind == "dpo" else 1)
    again = recomputed(LLAMA_3B, stage, free * GIB, place)
    budget = largest_budget(LLAMA_3B, stage, free * GIB, place, recompute=again)
    assert budget == 0 or item <= budget <= item * batch
    if budget:
        assert fits(LLAMA_3B, stage, place, rows, budget, again, free * GIB)
    if budget < item * batch:
        assert not fits(LLAMA_3B, stage, place, rows, max(budget + 1, item), again, free * GIB)


def test_a_budget_of_auto_may_recompute_and_true_and_false_are_obeyed() -> None:
    stage = spec("sft", length=2048, batch=16)
    place = Place(backend="transformers")
    free = 12 * GIB
    auto = largest_budget(LLAMA_3B, stage, free, place)
    on, off = (
        largest_budget(LLAMA_3B, spec("sft", length=2048, gradient_checkpointing=c), free, place) for c in (True, False)
    )
    assert auto == on > off
    assert recomputed(LLAMA_3B, stage, free, place)
    assert not recomputed(LLAMA_3B, stage, 139 * GIB, place)
    assert not recomputed(LLAMA_3B, stage, free, replace(place, cuda=False, compute="float32"))


def test_a_card_holds_more_than_tensors_and_at_worst_more_still() -> None:
    usual, worst = device_bytes(4 * GIB, Place())
    assert 4 * GIB * 1.08 + 0.5 * GIB < usual < worst < 6 * GIB
    assert not math.isclose(usual, worst)
