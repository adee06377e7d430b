"""Releases of a stack with rows of tokens: each format against the base's matrices with the rows added; verified."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from statllama.errors import ExportError
from statllama.model.adapter import Adapter, Rows, Slice, load_adapter
from statllama.release.adapter import write_adapter
from statllama.release.artefact import Artefact
from statllama.release.gguf import write_gguf
from statllama.release.gguf_lora import write_gguf_loras
from statllama.release.merged import write_merged
from statllama.release.source import Source
from statllama.release.verify import verify
from statllama.release.verify_weights import check_adapter
from tests.conftest import TEMPLATE
from tests.model.test_token_rows import logits
from tests.release.gguf_reading import expected, numbers
from tests.release.making import fewer_questions, opened, save_base

torch.set_num_threads(1)


def adapter_of(base: torch.nn.Module, ids: tuple[int, ...], seed: int, tied: bool) -> Adapter:
    """A random adapter of two modules with rows."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    slices = {f"model.layers.{i}.self_attn.q_proj": Slice(random(3, 64), random(64, 3), 0.5) for i in (0, 1)}
    names = ("model.embed_tokens",) if tied else ("model.embed_tokens", "lm_head")
    return Adapter(slices, {name: Rows(ids, random(len(ids), 64), 0.5 + seed) for name in names})


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("base")
    model = save_base(folder, tie_word_embeddings=request.param)
    adapters = (adapter_of(model, (31, 300), 0, request.param), adapter_of(model, (17, 300), 1, request.param))
    return Source("small", folder, folder, TEMPLATE, adapters, ("cpt", "sft"))


def plain(source: Source) -> torch.nn.Module:
    """The base with all updates added to its matrices."""
    model = AutoModelForCausalLM.from_pretrained(source.base, dtype=torch.float32).eval()
    with torch.no_grad():
        for adapter in source.adapters:
            for name, part in adapter.slices.items():
                model.get_submodule(name).weight += part.scaling * part.B @ part.A
            for name, rows in adapter.rows.items():
                model.get_submodule(name).weight[list(rows.ids)] += rows.delta * rows.scaling
    return model


def test_every_format_has_the_rows(source: Source, tmp_path: Path) -> None:
    """Merged weights in Transformers, the adapter in plain PEFT and on the stack, GGUF number by number."""
    right = plain(source)
    for name in ("merged", "adapter"):
        (tmp_path / name).mkdir()
    report = write_merged(source, tmp_path / "merged", "f32")
    assert all(share == pytest.approx(1, abs=1e-4) for share in report.kept.values())
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert torch.allclose(logits(model), logits(right), atol=1e-5)
    write_adapter(source, tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(source.base, dtype=torch.float32).eval()
    peft = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / "adapter"))
    assert torch.allclose(logits(peft), logits(right), atol=1e-5)
    again = replace(source, adapters=(load_adapter(tmp_path / "adapter"),), stages=("all",))
    assert torch.allclose(logits(plain(again)), logits(right), atol=1e-5)
    assert not torch.allclose(logits(base), logits(right), atol=0.1)
    write_gguf(source, tmp_path / "small-f32.gguf", "f32")
    found, wanted = numbers(tmp_path / "small-f32.gguf"), expected(right)
    assert found.keys() == wanted.keys()
    assert all(np.allclose(found[name], wanted[name], atol=1e-6) for name in wanted)
    with pytest.raises(ExportError, match=r"stage 'cpt' has rows of tokens .* cannot take from a LoRA file"):
        write_gguf_loras(source, tmp_path)


def test_a_sound_release_passes_and_a_row_amiss_does_not(source: Source, tmp_path: Path) -> None:
    folders = {kind: tmp_path / kind for kind in ("adapter", "merged")}
    for folder in folders.values():
        folder.mkdir()
    write_adapter(source, folders["adapter"])
    write_merged(source, folders["merged"], "bf16")
    write_gguf(source, tmp_path / "small.gguf", "q8_0")
    artefacts = [Artefact(kind, kind, path, "f32" if kind == "adapter" else "bf16") for kind, path in folders.items()]
    artefacts.append(Artefact("small.gguf", "gguf", tmp_path / "small.gguf", "q8_0"))
    with fewer_questions():
        certificate = verify(source, artefacts, opened(source))
    assert certificate.passed, certificate.failures()
    first = source.adapters[0]
    name, rows = next(iter(first.rows.items()))
    changed = {**first.rows, name: replace(rows, delta=rows.delta * 1.01)}
    other = replace(source, adapters=(replace(first, rows=changed), source.adapters[1]))
    assert all(check.passed for check in check_adapter(source, folders["adapter"], 0.0))
    (check,) = check_adapter(other, folders["adapter"], 0.0)
    assert not check.passed and "the rows of tokens of model.embed_tokens differ" in check.detail
    (check,) = check_adapter(replace(source, adapters=source.adapters[:1]), folders["adapter"], 0.0)
    assert not check.passed


def test_rows_of_another_base(source: Source, tmp_path: Path) -> None:
    other = tmp_path / "other"
    tied = json.loads((source.base / "config.json").read_text())["tie_word_embeddings"]
    save_base(other, hidden_size=32, tie_word_embeddings=tied)
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="is for another base"):
        write_merged(replace(source, base=other), tmp_path / "out")
