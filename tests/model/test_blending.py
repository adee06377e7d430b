"""Blends against dense arithmetic and PEFT's own add_weighted_adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel

from statllama.errors import TrainingError
from statllama.model.adapter import Adapter, Slice, load_adapter
from statllama.model.blending import Method, blend, dropped, ties, trimmed
from statllama.model.lowrank import compress, modules_of
from tests.conftest import make_llama
from tests.reference import Lora, saved_lora

SIBLINGS = {
    "one": Lora(r=5, alpha=9.0, modules=("q_proj", "v_proj", "gate_proj")),
    "two": Lora(r=3, alpha=4.0, rslora=True, modules=("q_proj", "v_proj", "o_proj")),
}


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of one base, of different rank, scale and modules, saved by PEFT."""
    folder = tmp_path_factory.mktemp("siblings")
    return {
        name: saved_lora(make_llama(64), lora, folder / name, seed=i, size=0.2)
        for i, (name, lora) in enumerate(SIBLINGS.items())
    }


def update(adapter: Adapter, module: str) -> torch.Tensor:
    s = adapter.slices[module]
    return s.scaling * (s.B.double() @ s.A.double())


def dense(adapters: Sequence[Adapter], module: str) -> list[torch.Tensor]:
    shape = next(update(a, module).shape for a in adapters if module in a.slices)
    return [update(a, module) if module in a.slices else torch.zeros(shape, dtype=torch.float64) for a in adapters]


def close(got: torch.Tensor, wanted: torch.Tensor, allowed: float = 1e-6) -> bool:
    return float((got - wanted).norm()) <= allowed * float(wanted.norm())


def of_peft(siblings: dict[str, Path], weights: Sequence[float], kind: str, **options: Any) -> Adapter:
    """The same combination by PEFT, read from what it saves."""
    model = PeftModel.from_pretrained(make_llama(64), siblings["one"], adapter_name="one")
    model.load_adapter(siblings["two"], adapter_name="two")
    model.add_weighted_adapter(["one", "two"], list(weights), "mix", combination_type=kind, **options)
    slices = {}
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_A") and "mix" in layer.lora_A:
            a, b = layer.lora_A["mix"].weight.detach(), layer.lora_B["mix"].weight.detach()
            slices[name.removeprefix("base_model.model.")] = Slice(a, b, layer.scaling["mix"])
    return Adapter(slices)


def test_linear_is_the_weighted_mean_of_the_updates(siblings: dict[str, Path]) -> None:
    adapters = [load_adapter(folder) for folder in siblings.values()]
    mixed = blend(adapters, [2, 3])
    assert mixed.rank == 8 and mixed.error == 0 and set(mixed.adapter.slices) == set(modules_of(adapters))
    theirs = of_peft(siblings, [0.4, 0.6], "cat")
    for module in modules_of(adapters):
        one, two = dense(adapters, module)
        assert close(update(mixed.adapter, module), 0.4 * one + 0.6 * two), module
        if module in theirs.slices:
            assert close(update(mixed.adapter, module), update(theirs, module), 1e-5), module
    # What averages A and B by themselves gives is far from it.
    a, b = (adapter.slices["model.layers.0.self_attn.q_proj"] for adapter in adapters)
    rank = min(a.A.shape[0], b.A.shape[0])
    naive = (0.4 * a.B[:, :rank] + 0.6 * b.B[:, :rank]) @ (0.4 * a.A[:rank] + 0.6 * b.A[:rank])
    assert not close(naive.double(), update(mixed.adapter, "model.layers.0.self_attn.q_proj"), 0.3)


def test_ties_is_that_of_peft(siblings: dict[str, Path]) -> None:
    """With equal weights: PEFT divides by the number of updates that agree, and not by their weights."""
    adapters = [load_adapter(folder) for folder in siblings.values()]
    rank = 30
    mixed = blend(adapters, [1, 1], "ties", density=0.4, rank=rank)
    theirs = of_peft(siblings, [1.0, 1.0], "ties_svd", density=0.4, svd_rank=rank)
    for module in theirs.slices:
        assert close(update(mixed.adapter, module), update(theirs, module), 1e-4), module


def test_dare_without_dropping_is_linear_as_in_peft(siblings: dict[str, Path]) -> None:
    adapters = [load_adapter(folder) for folder in siblings.values()]
    mixed, linear = blend(adapters, [2, 3], "dare"), blend(adapters, [2, 3])
    theirs = of_peft(siblings, [0.4, 0.6], "svd", svd_rank=8)
    for module in modules_of(adapters):
        assert close(update(mixed.adapter, module), update(linear.adapter, module))
        if module in theirs.slices:
            assert close(update(mixed.adapter, module), update(theirs, module), 1e-4)


def test_dare_keeps_the_update_on_average_and_is_drawn_under_its_seed(siblings: dict[str, Path]) -> None:
    draws = torch.Generator().manual_seed(0)
    ones = torch.ones(400, 400, dtype=torch.float64)
    kept = dropped(ones, 0.3, draws)
    assert set(kept.unique().tolist()) == {0.0, 1 / 0.3}
    assert float(kept.mean()) == pytest.approx(1, abs=4 * (0.7 / 0.3 / ones.numel()) ** 0.5)
    adapters = [load_adapter(folder) for folder in siblings.values()]
    module = modules_of(adapters)[0]
    same, again, other = (blend(adapters, [1, 1], "dare", density=0.5, seed=s).adapter for s in (3, 3, 4))
    assert torch.equal(same.slices[module].B, again.slices[module].B)
    assert not torch.equal(same.slices[module].B, other.slices[module].B)


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_a_smaller_rank_costs_the_error_that_is_said(siblings: dict[str, Path], method: Method) -> None:
    """Eckart and Young: the best approximation leaves the rest of the singular values."""
    adapters = [load_adapter(folder) for folder in siblings.values()]
    exact, small = (blend(adapters, [2, 3], method, density=0.5, rank=rank) for rank in (200, 3))
    missing = whole = 0.0
    for module in modules_of(adapters):
        wanted = update(exact.adapter, module)
        values = torch.linalg.svdvals(wanted)
        assert close(update(small.adapter, module), wanted, float(values[3:].norm() / values.norm()) * 1.001 + 1e-6)
        assert small.modules[module] == pytest.approx(float(values[3:].norm() / values.norm()), abs=1e-5)
        missing, whole = missing + float(values[3:].square().sum()), whole + float(values.square().sum())
    assert small.error == pytest.approx((missing / whole) ** 0.5, abs=1e-5) and small.rank == 3
    assert exact.error < 1e-6


numbers = st.lists(st.floats(-4, 4, allow_nan=False, width=32), min_size=6, max_size=6)


@settings(max_examples=60)
@given(numbers, numbers, numbers, st.tuples(*[st.floats(0.1, 5)] * 3))
def test_ties_entry_by_entry(one: list[float], two: list[float], three: list[float], given: tuple[float, ...]) -> None:
    shares = [w / sum(given) for w in given]
    found = ties([torch.tensor(values, dtype=torch.float64) for values in (one, two, three)], shares)
    for i, entries in enumerate(zip(one, two, three, strict=True)):
        sign = 1 if sum(entries) >= 0 else -1
        agree = [(w, x) for w, x in zip(shares, entries, strict=True) if x * sign > 0]
        wanted = sum(w * x for w, x in agree) / sum(w for w, _ in agree) if agree else 0.0
        assert float(found[i]) == pytest.approx(wanted, abs=1e-9)


def test_the_largest_entries_are_kept() -> None:
    values = torch.tensor([[0.1, -5.0, 2.0], [3.0, -0.2, 0.0]])
    assert trimmed(values, 0.5).tolist() == [[0, -5, 2], [3, 0, 0]]
    assert trimmed(values, 1.0) is values and not trimmed(values, 0.1).any()


def test_a_large_update_is_compressed_almost_as_well_as_can_be() -> None:
    draw = torch.Generator().manual_seed(1)
    noise = torch.randn(1100, 1050, generator=draw, dtype=torch.float64)
    values = torch.linalg.svdvals(noise)
    a, b, missing, whole = compress(noise, 40)
    assert (a.shape, b.shape) == ((40, 1050), (1100, 40))
    assert whole == pytest.approx(float(values.norm()))
    least = float(values[40:].norm())
    assert least <= missing <= 1.002 * least, "flat singular values are the hardest case"
    assert missing == pytest.approx(float((noise - b @ a).norm()))


def test_a_blend_that_changes_nothing_is_refused(siblings: dict[str, Path]) -> None:
    one = load_adapter(siblings["one"])
    zero = Adapter({name: Slice(s.A, torch.zeros_like(s.B), s.scaling) for name, s in one.slices.items()})
    with pytest.raises(TrainingError, match="the adapters are zero"):
        blend([zero, zero], [2, 3])
    minus = Adapter({name: Slice(s.A, -s.B, s.scaling) for name, s in one.slices.items()})
    with pytest.raises(TrainingError, match="cancel"):
        blend([one, minus], [1, 1])
    assert blend([one, zero], [1, 1]).share == pytest.approx(1)
    assert blend([one, minus], [1, 3]).share == pytest.approx(0.5)
