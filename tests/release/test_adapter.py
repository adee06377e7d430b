"""The stack as one PEFT adapter: plain PEFT gives the logits of the stack; recompression is the best there is."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file, save_file

from statllama.errors import ExportError, UsageError
from statllama.model.adapter import Adapter, Slice, load_adapter
from statllama.model.lowrank import fold, recompress
from statllama.model.stack import attach_frozen
from statllama.release.adapter import needed_bytes, write_adapter
from statllama.release.source import Source
from tests import reference
from tests.reference import ALL
from tests.release.making import STAGES, norm, save_base, save_stages, scales, source_of

IDS = reference.some_ids(320)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Path], Source]:
    """(base, folders of three very different stages, what is exported)."""
    folder = tmp_path_factory.mktemp("adapter")
    base = save_base(folder / "base")
    folders = save_stages(base, folder / "stages")
    return base, folders, source_of(folder / "base", folders)


def written(source: Source, folder: Path, **options: Any) -> Path:
    folder.mkdir()
    write_adapter(source, folder, **options)
    return folder


def by_peft(base: Any, folder: Path) -> Any:
    return PeftModel.from_pretrained(copy.deepcopy(base), folder)


def dense(folders: list[Path]) -> dict[str, np.ndarray]:
    """{module: the stack's update in float64}, by numpy."""
    updates: dict[str, Any] = {}
    for folder, scale in zip(folders, scales(), strict=True):
        for module, (a, b) in reference.tensors(folder).items():
            updates[module] = updates.get(module, 0.0) + scale * (b.numpy() @ a.numpy())
    return updates


def test_plain_peft_gives_the_stacks_logits(made: Any, tmp_path: Path) -> None:
    base, folders, source = made
    got = reference.logits(by_peft(base, written(source, tmp_path / "adapter")), IDS)
    merged = reference.merged(base.double(), zip(folders, scales(), strict=True))
    wanted = reference.logits(merged, IDS)
    base.float()
    stacked = reference.logits(attach_frozen(copy.deepcopy(base), source.adapters), IDS)
    assert reference.relative(got, wanted) < 2e-6
    assert reference.relative(got, stacked) < 2e-6
    assert reference.relative(got, reference.logits(base, IDS)) > 0.1, "the adapter does something"


def test_the_folder_is_an_ordinary_adapter(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    folder = written(source, tmp_path / "adapter", base_name="owner/base", revision="c0ffee")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (13, 13, False)  # q_proj has 6 + 5 + 2
    assert not config["rank_pattern"] and not config["alpha_pattern"] and not config["use_dora"]
    assert config["target_modules"] == sorted(ALL)
    assert (config["base_model_name_or_path"], config["revision"]) == ("owner/base", "c0ffee")
    assert config["task_type"] == "CAUSAL_LM" and config["inference_mode"] is True
    tensors = load_file(folder / "adapter_model.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float32}
    assert {t.shape[0] for n, t in tensors.items() if "lora_A" in n} == {13}
    assert sorted(p.name for p in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_bytes_are_those_of_safetensors_and_always_the_same(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    first, second = (written(source, tmp_path / name) for name in ("one", "two"))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    weights = first / "adapter_model.safetensors"
    save_file(load_file(weights), tmp_path / "again.safetensors", metadata={"format": "pt"})
    assert weights.read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    size = sum(p.stat().st_size for p in first.iterdir())
    assert size <= needed_bytes(source) <= size + 100_000


def test_folding_keeps_the_update(made: Any) -> None:
    _, folders, source = made
    folded = fold(source.adapters)
    wanted = dense(folders)
    assert folded.slices.keys() == wanted.keys()
    for module, slice_ in folded.slices.items():
        assert slice_.scaling == 1.0 and slice_.A.shape[0] == slice_.B.shape[1] == 13
        np.testing.assert_allclose((slice_.B.double() @ slice_.A.double()).numpy(), wanted[module], atol=1e-7)


def test_folding_is_exact_where_scales_are_powers_of_two() -> None:
    a, b = torch.randn(3, 8), torch.randn(6, 3)
    slice_ = fold([Adapter({"x": Slice(a, b, 2.0)}), Adapter({"x": Slice(a, b, 0.5)})]).slices["x"]
    assert torch.equal(slice_.A, torch.cat([a, a])) and torch.equal(slice_.B, torch.cat([2 * b, b / 2], 1))


def test_a_dials_factor_is_in_the_scale(made: Any, tmp_path: Path) -> None:
    """Factor 0 takes a stage out of the update, to the bit."""
    _, _, source = made
    off = Adapter({m: replace(s, scaling=0.0) for m, s in source.adapters[2].slices.items()})
    with_off, without = fold([*source.adapters[:2], off]), fold(source.adapters[:2])
    for module, slice_ in with_off.slices.items():
        assert not slice_.B[:, -2:].any()
        if module in without.slices:
            other = without.slices[module]
            torch.testing.assert_close(slice_.B @ slice_.A, other.B @ other.A, rtol=0, atol=1e-7)


def test_an_adapter_of_some_layers_names_them(made: Any, tmp_path: Path) -> None:
    """Short names would make PEFT adapt the other layers too."""
    base, _, source = made
    some = {m: s for m, s in source.adapters[0].slices.items() if "layers.1." in m or m.endswith("v_proj")}
    folder = written(replace(source, adapters=(Adapter(some),), stages=("cpt",)), tmp_path / "adapter")
    targets = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert "v_proj" in targets and "model.layers.1.mlp.up_proj" in targets and "up_proj" not in targets
    adapted = {n for n, _ in by_peft(base, folder).named_parameters() if "lora_A" in n}
    assert len(adapted) == len(some)


def test_recompression_is_what_numpy_calls_the_best(made: Any, tmp_path: Path) -> None:
    base, folders, source = made
    folder = tmp_path / "small"
    folder.mkdir()
    result = write_adapter(source, folder, rank=7)
    assert result is not None and (result.rank, result.folded_rank) == (7, 13)
    tails, wholes = [], []
    stored = load_adapter(folder)
    for module, update in dense(folders).items():
        values = np.linalg.svd(update, compute_uv=False)
        tails.append(norm(values[7:]))
        wholes.append(norm(values))
        assert result.modules[module] == pytest.approx(tails[-1] / wholes[-1], rel=1e-9, abs=1e-12)
        slice_ = stored.slices[module]
        assert slice_.A.shape[0] == 7
        left = np.linalg.norm(update - (slice_.B.double() @ slice_.A.double()).numpy())
        assert left == pytest.approx(tails[-1], rel=1e-4, abs=1e-5)
    assert result.error == pytest.approx(norm(tails) / norm(wholes), rel=1e-9)
    assert 0.05 < result.error < 0.9
    reference.logits(by_peft(base, folder), IDS)
    assert sum(p.stat().st_size for p in folder.iterdir()) <= needed_bytes(source, 7)


def test_recompression_to_all_ranks_loses_nothing(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    plain = written(source, tmp_path / "plain")
    (tmp_path / "wide").mkdir()
    result = write_adapter(source, tmp_path / "wide", rank=64)
    assert result is not None and result.rank == 13 and result.error == 0.0 and not any(result.modules.values())
    for path in plain.iterdir():
        assert path.read_bytes() == (tmp_path / "wide" / path.name).read_bytes()


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    inner=st.integers(1, 16),
    rank=st.integers(1, 16),
    seed=st.integers(0, 99),
)
def test_recompression_equals_eckart_and_young(rows: int, columns: int, inner: int, rank: int, seed: int) -> None:
    """Also where the rank is above the sides of the matrix."""
    draw = torch.Generator().manual_seed(seed)
    a = torch.randn(inner, columns, generator=draw, dtype=torch.float64)
    b = torch.randn(rows, inner, generator=draw, dtype=torch.float64)
    product = (b @ a).numpy()
    u, s, vh = np.linalg.svd(product, full_matrices=False)
    new_a, new_b, missing, whole = recompress(a, b, rank)
    best = u[:, :rank] * s[:rank] @ vh[:rank]
    np.testing.assert_allclose((new_b @ new_a).numpy(), best, atol=1e-9)
    assert missing == pytest.approx(norm(s[rank:]), abs=1e-9) and whole == pytest.approx(norm(s), rel=1e-12)


def test_a_zero_update_has_no_error(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    zero = Adapter({m: replace(s, B=torch.zeros_like(s.B)) for m, s in source.adapters[0].slices.items()})
    (tmp_path / "out").mkdir()
    result = write_adapter(replace(source, adapters=(zero,), stages=("cpt",)), tmp_path / "out", rank=2)
    assert result is not None and result.error == 0.0 and not any(result.modules.values())


def test_progress_ends_at_the_total(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    seen: list[tuple[int, int]] = []
    written(source, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1


def changed(source: Source, module: str, **fields: Any) -> Source:
    """The source with one slice of the last stage changed."""
    last = dict(source.adapters[-1].slices)
    last[module] = replace(last[module], **fields)
    return replace(source, adapters=(*source.adapters[:-1], Adapter(last)))


def test_what_cannot_be_exported(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    module = "model.layers.0.self_attn.q_proj"
    bad = source.adapters[-1].slices[module]
    nan = bad.A.clone()
    nan[0, 0] = float("nan")
    wrong_name = Adapter({"model.layers.7.self_attn.q_proj": bad})
    cases = {
        "'dpo' is for another base: it adapts model.layers.0.self_attn.q_proj": changed(source, module, A=bad.A[:, 1:]),
        "lacks it": replace(source, adapters=(*source.adapters[:2], wrong_name)),
        "'dpo' holds NaN or infinity": changed(source, module, A=nan),
        "the base alone has no adapter": replace(source, adapters=(), stages=()),
    }
    for message, broken in cases.items():
        with pytest.raises(ExportError, match=message) as caught:
            write_adapter(broken, tmp_path)
        assert caught.value.remedy and not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="rank to recompress to is 0"):
        write_adapter(source, tmp_path, rank=0)


def test_stages_have_different_shapes() -> None:
    """The fixture tests what it is meant to."""
    assert len({lora.r for lora in STAGES.values()}) == 3 and len({lora.modules for lora in STAGES.values()}) == 3
    assert {lora.rslora for lora in STAGES.values()} == {True, False}
