"""A base's layout as a GGUF file has it: read, or refused with what holds it instead; and written as metadata."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf

from statllama.errors import ExportError, ModelError
from statllama.model.architectures import HEAD
from statllama.model.layout import Layout, layout_of
from statllama.release.weights import read_config


def read_for_gguf(folder: Path) -> Layout:
    """Read the layout of a base's folder. ExportError for one that llama.cpp does not compute as it was trained."""
    with refused_as("export the adapter or the merged weights, which hold any base"):
        return layout_of(read_config(folder), str(folder))


@contextmanager
def refused_as(remedy: str) -> Iterator[None]:
    """Turn what a model or tokenizer is refused for into an ExportError that says what to export instead."""
    try:
        yield
    except ModelError as error:
        raise ExportError(error.message, remedy=remedy) from error


def is_linear(layout: Layout, module: str) -> bool:
    """Tell whether a module can have an adapter in GGUF: a layer's linear modules and the head."""
    return module == HEAD or module.partition("model.layers.")[2].partition(".")[2] in layout.architecture.linear


def add_metadata(writer: gguf.GGUFWriter, layout: Layout) -> None:
    """Put the hyperparameters into the file's metadata; `general.architecture` is there since it was opened."""
    for key, value in layout.metadata().items():
        if key == gguf.Keys.General.ARCHITECTURE:
            continue
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)
