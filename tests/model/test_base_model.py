"""The frozen base: what notices that it changed, how long its rows may be, what Unsloth may print and write."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from statllama.config.base_model import BaseModelSpec
from statllama.errors import ModelError, TrainingError
from statllama.model import base_model as model
from statllama.model.base_model import Base, checksum, load_base, resolve_dtype, start_backend
from statllama.model.identity import base_identity
from tests.conftest import stage
from tests.running import run

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def nf4(base_folder: Path) -> Base:
    """The saved small base in NF4 with double quantisation."""
    return load(base_folder, "nf4")


def load(folder: Path, quantization: Any = "none", max_length: int = 64) -> Base:
    start_backend("transformers")
    spec = BaseModelSpec(model=str(folder), quantization=quantization)
    return load_base(spec, {"model": {}, "tokenizer": {}}, "float32", max_length, "transformers")


def quant_state(base: Base) -> Any:
    return base.model.get_submodule("model.layers.1.mlp.down_proj").weight.quant_state


# ------------------------------------------------------------------ the checksum


@pytest.mark.parametrize(
    "find",
    [
        lambda state: state.absmax,
        lambda state: state.code,
        lambda state: state.offset,
        lambda state: state.state2.absmax,
        lambda state: state.state2.code,
    ],
    ids=["absmax", "code", "offset", "nested absmax", "nested code"],
)
def test_changed_scales_are_noticed(find: Callable[[Any], torch.Tensor], nf4: Base) -> None:
    """The 4-bit weights stay as they are, and mean something else."""
    scales = find(quant_state(nf4)).view(-1)
    before = scales[0].clone()
    nf4.check_unchanged()
    scales[0] += 1
    try:
        with pytest.raises(ModelError, match="the frozen base changed"):
            nf4.check_unchanged()
    finally:
        scales[0] = before
    nf4.check_unchanged()


class Numbers(torch.nn.Module):
    """A module of one buffer."""

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("size", [7, 64, 4099])
def test_swapped_values_are_noticed(dtype: torch.dtype, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a piece and across pieces, at the ends, and with a tail that fills no word."""
    monkeypatch.setattr(model, "PIECE", 128)
    values = (torch.arange(size) % 2 if dtype is torch.bool else torch.arange(size) % 101).to(dtype)
    before = checksum(Numbers(values))
    assert checksum(Numbers(values.clone())) == before
    for i, j in ((0, 1), (0, size - 1), (size - 2, size - 1), (size // 2, size // 2 + 1), (1, size - 3)):
        if values[i] != values[j]:
            swapped = values.clone()
            swapped[[i, j]] = swapped[[j, i]]
            assert checksum(Numbers(swapped)) != before, (i, j)
    assert checksum(Numbers(values[1:])) != before  # storage that does not begin at a word
    assert checksum(Numbers(values[1:])) == checksum(Numbers(values[1:].clone()))


def test_tensors_that_change_places_are_noticed(nf4: Base) -> None:
    layers = nf4.model.model.layers
    order = list(layers)
    layers[0], layers[1] = order[1], order[0]
    try:
        with pytest.raises(ModelError):
            nf4.check_unchanged()
    finally:
        layers[0], layers[1] = order
    nf4.check_unchanged()


# ------------------------------------------------------------------ lengths


@pytest.mark.parametrize(("major", "auto"), [(7, torch.float16), (8, torch.bfloat16), (9, torch.bfloat16)])
def test_no_bfloat16_before_ampere(major: int, auto: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch says that a Turing GPU supports it, and emulates it; Unsloth takes float16 there without a word."""
    assert resolve_dtype("auto") is torch.float32
    assert resolve_dtype("bfloat16") is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=major))
    assert resolve_dtype("auto") is auto
    assert resolve_dtype("float16") is torch.float16
    if major >= 8:
        assert resolve_dtype("bfloat16") is torch.bfloat16
    else:
        with pytest.raises(ModelError, match="no bfloat16"):
            resolve_dtype("bfloat16")


def test_a_base_takes_no_more_than_its_positions(base_folder: Path) -> None:
    assert load(base_folder, max_length=100).max_length == 100
    assert load(base_folder, max_length=4096).max_length == 512


def test_rows_beyond_the_positions_are_refused(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Before anything is trained, also when a later stage asks for them."""
    path = write_recipe([stage("one"), stage("two", train={"max_length": 513})])
    with pytest.raises(TrainingError, match=r"stage two: max_length is 513, but the base takes 512 tokens") as caught:
        run(path, tmp_path / "w")
    assert "--set stages.two.train.max_length=512" in str(caught.value)
    assert not list((tmp_path / "w").glob("results/*"))


# ------------------------------------------------------------------ what a base is


def test_every_file_that_makes_the_tokenizer_is_in_the_identity(base_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    spec, memory = BaseModelSpec(model=str(folder)), tmp_path / "hashes.json"
    seen = [base_identity(spec, memory)["tokenizer"]]
    for name in ("tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json", "chat_template.json"):
        (folder / name).write_text("x")
        seen.append(base_identity(spec, memory)["tokenizer"])
    assert len({str(s) for s in seen}) == len(seen)


def test_weights_that_would_not_be_keyed_are_refused(base_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no weights in safetensors"):
        base_identity(BaseModelSpec(model=str(folder)), tmp_path / "hashes.json")


# ------------------------------------------------------------------ Unsloth's import

FAKE = """
import os
print("a banner of five lines")
LOCATION = os.environ.get("UNSLOTH_COMPILE_LOCATION")
"""


@pytest.fixture
def fake_unsloth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An `unsloth` that prints as it is imported. Its file; the variables it reads are not set."""
    file = tmp_path / "packages" / "unsloth" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text(FAKE)
    (file.parent / "utils").mkdir()
    (file.parent / "utils" / "attention_dispatch.py").write_text("_TORCH_VARLEN_ATTN = None\n")
    monkeypatch.syspath_prepend(file.parents[1])
    monkeypatch.setattr(os, "environ", {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    os.environ.pop("UNSLOTH_COMPILE_LOCATION", None)
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    yield file
    for name in [name for name in sys.modules if name.partition(".")[0] == "unsloth"]:
        del sys.modules[name]


def test_unsloth_writes_into_the_cache_and_not_to_stdout(
    fake_unsloth: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "statllama.model.base_model")
    monkeypatch.setattr(model, "varlen_with_groups", lambda: "one call")
    start_backend("unsloth")
    assert sys.modules["unsloth.utils.attention_dispatch"]._TORCH_VARLEN_ATTN == "one call"
    location = tmp_path / "cache" / "statllama" / "unsloth_compiled_cache"
    assert str(location) == sys.modules["unsloth"].LOCATION
    assert capsys.readouterr().out == ""
    assert "a banner of five lines" in caplog.text


def test_an_unsloth_that_cannot_be_loaded(
    fake_unsloth: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "statllama.model.base_model")
    fake_unsloth.write_text('print("advice")\nraise NotImplementedError("no accelerator was found")\n')
    with pytest.raises(ModelError, match="no accelerator was found") as caught:
        start_backend("unsloth")
    assert "STATLLAMA_BACKEND=transformers" in str(caught.value)
    assert capsys.readouterr().out == ""
    assert "advice" in caplog.text
