"""Ollama's Modelfile for a GGUF: the chat template in Go's syntax, and the stops. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statllama.export.source import Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def modelfile(source: Source, gguf: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The Modelfile's text. `gguf`: the file, relative to the Modelfile, with forward slashes."""
    raise NotImplementedError
