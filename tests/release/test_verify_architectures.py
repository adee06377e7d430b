"""Releases of other architectures pass the whole verification, in real PEFT, Transformers and llama.cpp."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from statllama.model.adapter import load_adapter
from statllama.release.artefact import Artefact
from statllama.release.gguf import write_gguf
from statllama.release.gguf_lora import write_gguf_loras
from statllama.release.merged import write_merged
from statllama.release.source import Source
from statllama.release.verify import verify
from tests.release.making import STAGES, fewer_questions, opened, save_stages
from tests.small_models import save_model

pytest.importorskip("xllamacpp")


@pytest.mark.parametrize("kind", [pytest.param("qwen2", marks=pytest.mark.slow), "qwen3"])
def test_a_sound_release_passes(kind: str, tmp_path: Path) -> None:
    """No BOS, ChatML, biases, norms of heads; texts are asked in the tokenizer's normal form, and the check says so."""
    base = tmp_path / "base"
    folders = save_stages(save_model(kind, base), tmp_path / "stages", size=0.01)
    template = AutoTokenizer.from_pretrained(base).chat_template
    source = Source("small", base, base, template, tuple(map(load_adapter, folders)), tuple(STAGES))
    (tmp_path / "merged").mkdir()
    write_merged(source, tmp_path / "merged", "f32")
    write_gguf(source, tmp_path / "small.gguf", "q8_0")
    whole, *_ = write_gguf_loras(source, tmp_path)
    artefacts = [
        Artefact("merged", "merged", tmp_path / "merged", "f32"),
        Artefact("gguf", "gguf", tmp_path / "small.gguf", "q8_0"),
        Artefact(whole.name, "gguf-lora", whole, "f32"),
    ]
    with fewer_questions():
        certificate = verify(source, artefacts, opened(source))
    assert certificate.failures() == [] and certificate.passed
    checks = {check.name: check for check in certificate.artefacts[1].checks}
    assert "form NFC, which llama.cpp does not make" in checks["token ids"].detail
    assert {"rendered chats", "stops", "metadata", "weights", "llama.cpp"} <= checks.keys()
