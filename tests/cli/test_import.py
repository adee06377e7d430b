"""The command import: what it says, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.gguf_making import rewrite, write_model
from tests.running import statllama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.gguf in it."""
    path = tmp_path_factory.mktemp("import")
    stated = {"general.license": "apache-2.0", "general.name": "A [bold] name\x1b[2J"}
    rewrite(write_model(path, "f32", "untied"), path / "small.gguf", stated)
    return path


def test_what_it_says(folder: Path) -> None:
    done = statllama("import", "small.gguf", "--out", "base model", "--no-verify", cwd=folder)
    assert done.returncode == 0, done.stderr
    for said in (
        r"A [bold] name\x1b[2J: LlamaForCausalLM, 167,744 parameters",
        "read: small.gguf (21 F32)",
        "licence: apache-2.0",
        "passed: numbers 0 (allowed: 0): of 21 tensors (167,744 numbers)",
        "note: not compared with llama.cpp: it was not wanted (--no-verify)",
        "talk to it: statllama chat './base model'",
        "in a recipe here: base: {model: base model}",
    ):
        assert said in done.stdout, done.stdout
    again = statllama("import", "small.gguf", "--out", "base model", cwd=folder)
    assert again.returncode == 2 and "--out base model: it exists already" in again.stderr


def test_errors_in_words(folder: Path) -> None:
    (folder / "cut.gguf").write_bytes((folder / "small.gguf").read_bytes()[:-100])
    (folder / "photo.gguf").write_bytes(b"\x89PNG\r\n")
    for name, code, said in (
        ("none.gguf", 2, "does not exist"),
        ("cut.gguf", 1, "within 'output.weight', which ends at"),
        ("photo.gguf", 1, r"is no GGUF file: it begins with b'\x89PNG'"),
    ):
        done = statllama("import", name, "--out", "other", cwd=folder)
        assert done.returncode == code and said in done.stderr and "->" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and not (folder / "other").exists()
    done = statllama("import", "small.gguf", "--out", "other", "--type", "q8_0", cwd=folder)
    assert done.returncode == 2 and "weights cannot be written in 'q8_0'" in done.stderr
