"""The reader of safetensors files against the library, and the writer byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from statllama.release.weights import open_weights
from statllama.store.tensorfile import tensor_file

KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
SHAPES = {"vector": (7,), "matrix": (13, 5), "one": (1, 1), "number": (), "none": (0, 4), "cube": (3, 2, 4), "é": (2,)}


def drawn(kind: torch.dtype, seed: int = 0) -> dict[str, torch.Tensor]:
    """Tensors of many shapes, with infinities and numbers too small for a float16."""
    draw = torch.Generator().manual_seed(seed)
    found = {n: (torch.randn(s, generator=draw, dtype=torch.float64) * 1e-3).to(kind) for n, s in SHAPES.items()}
    found["matrix"][0, :3] = torch.tensor([float("inf"), -0.0, 1e-30]).to(kind)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_reads_as_float32(tmp_path: Path, kind: str) -> None:
    tensors = drawn(KINDS[kind])
    (tmp_path / "config.json").write_text("{}")
    save_file(tensors, tmp_path / "model.safetensors")
    weights = open_weights(tmp_path)
    assert {n: (s.dtype, s.shape, s.nbytes) for n, s in weights.tensors.items()} == {
        n: (kind, tuple(t.shape), t.nbytes) for n, t in tensors.items()
    }
    for name, tensor in tensors.items():
        assert torch.equal(torch.from_numpy(weights.float32(name)), tensor.float())
        for most in (1, 6, 1000):
            pieces = [torch.from_numpy(weights.float32(name, *rows)) for rows in weights.row_blocks(name, most)]
            if tensor.ndim and len(tensor):
                assert torch.equal(torch.cat(pieces), tensor.float())
                assert all(len(piece) == 1 or piece.numel() <= most for piece in pieces)


@given(seed=st.integers(0, 50), kind=st.sampled_from(["F32", "F16", "BF16"]))
def test_written_bytes_are_those_of_the_library(tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str) -> None:
    folder = tmp_path_factory.mktemp("written")
    tensors = drawn(KINDS[kind], seed)
    save_file(tensors, folder / "wanted", metadata={"format": "pt"})
    with tensor_file(folder / "got", kind, {n: t.shape for n, t in tensors.items()}) as file:
        for name in file.names:
            for row in tensors[name].reshape(-1, 1):
                file.append(row.view(torch.int32 if kind == "F32" else torch.int16).numpy().data)
    assert (folder / "got").read_bytes() == (folder / "wanted").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["got", "wanted"]


def test_a_file_that_is_not_finished_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 bytes were not written"), tensor_file(tmp_path / "a", "F32", {"x": (2,)}):
        pass
    with pytest.raises(KeyError), tensor_file(tmp_path / "a", "F32", {"x": (2,)}):
        raise KeyError
    assert not list(tmp_path.iterdir())
