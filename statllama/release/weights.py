"""The tensors of a saved model, read from its safetensors files a few rows at a time.

Not memory-mapped: pages of a mapped file count as the process's memory once they are touched, so copying a model
through a map looks, to the user and to a memory limit, like loading it. Format:
https://github.com/huggingface/safetensors, 8 bytes of header length, the header in JSON, then the tensors, row-major,
little-endian. Loads no torch.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from statllama.errors import ExportError
from statllama.store.files import read_json, translate_os_errors

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Types of original weights, and how numpy holds them: it has no bfloat16, so those are their 16 bits."""

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_MOST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
_AGAIN = "download the base again, or save it with Transformers' `save_pretrained`"
_ORIGINAL = "give the base's original 16- or 32-bit weights: set `base.model` to the model that the quantised one is of"


@dataclass(frozen=True)
class Stored:
    """One tensor and where it lies."""

    file: Path
    dtype: str
    """As safetensors names it: F32, F16, BF16, F64."""
    shape: tuple[int, ...]
    offset: int
    """Bytes from the start of the file."""

    @property
    def count(self) -> int:
        """Return the numbers in the tensor."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Return the bytes on disk."""
        return self.count * _BYTES[self.dtype]


class Weights:
    """All tensors of a model folder: `tensors` says what there is, `read` and `float32` get the numbers."""

    def __init__(self, folder: Path, tensors: dict[str, Stored]) -> None:
        self.folder = folder
        self.tensors = tensors

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray[Any, Any]:
        """Return the rows `start` to `stop` (all without) as they are stored, bfloat16 as uint16; ExportError if
        unreadable.
        """
        stored = self.tensors[name]
        rows, *rest = stored.shape or (1,)
        stop = rows if stop is None else min(stop, rows)
        row_bytes = math.prod(rest) * _BYTES[stored.dtype]
        numbers = np.empty((max(stop - start, 0) * row_bytes,), dtype=np.uint8)
        with translate_os_errors(stored.file), stored.file.open("rb", buffering=0) as file:
            file.seek(stored.offset + start * row_bytes)
            read = 0
            while read < len(numbers) and (got := file.readinto(numbers.data[read:])):
                read += got
        if read < len(numbers):
            raise ExportError(f"{stored.file}: ends within {name}", remedy=_AGAIN)
        shape = (stop - start, *rest) if stored.shape else ()
        return numbers.view(FLOATS[stored.dtype]).reshape(shape)

    def float32(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the rows `start` to `stop` (all without) in float32: exact, but for float64, which is rounded."""
        numbers = self.read(name, start, stop)
        if self.tensors[name].dtype != "BF16":
            return numbers.astype(np.float32, copy=False)
        wide = numbers.astype(np.uint32)  # a bfloat16 is the upper half of a float32
        wide <<= 16
        return wide.view(np.float32)

    def row_blocks(self, name: str, most: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of consecutive rows with at most `most` numbers together, but at least one row."""
        rows, *rest = self.tensors[name].shape or (1,)
        step = max(1, most // max(1, math.prod(rest)))
        yield from ((start, min(start + step, rows)) for start in range(0, rows, step))


def open_weights(folder: Path) -> Weights:
    """Return the weights in a model folder, checked against its index and for holding original floats.

    ExportError when they are missing, damaged or quantised.
    """
    config = read_config(folder)
    if "quantization_config" in config:
        method = (config["quantization_config"] or {}).get("quant_method", "quantised")
        raise ExportError(f"{folder}: the base's weights are quantised ({method})", remedy=_ORIGINAL)
    tensors: dict[str, Stored] = {}
    with translate_os_errors(folder):
        for file, names in _files(folder).items():
            found = _header(file)
            if missing := sorted(names - found.keys()) if names is not None else []:
                raise ExportError(f"{file}: {missing[0]} is missing, which {INDEX_FILE} says is here", remedy=_AGAIN)
            tensors |= {name: stored for name, stored in found.items() if names is None or name in names}
    if packed := next((name for name, stored in tensors.items() if stored.dtype not in FLOATS), None):
        kind = tensors[packed].dtype
        raise ExportError(f"{folder}: the base's weights are quantised: {packed} is of type {kind}", remedy=_ORIGINAL)
    return Weights(folder, tensors)


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a model folder. ExportError when there is none."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise ExportError(f"{folder}: config.json is missing or not JSON", remedy="give the folder of a saved model")
    return config


def _files(folder: Path) -> dict[Path, set[str] | None]:
    """Return {file: names of the tensors to take from it, None for all}, as Transformers chooses them."""
    if (folder / WEIGHTS_FILE).exists():
        return {folder / WEIGHTS_FILE: None}
    index = read_json(folder / INDEX_FILE)
    if index is None:
        raise ExportError(f"{folder} holds neither {WEIGHTS_FILE} nor {INDEX_FILE}", remedy=_AGAIN)
    files: dict[Path, set[str] | None] = {}
    placed = index.get("weight_map") if isinstance(index, dict) else None
    for name, file in (placed if isinstance(placed, dict) else {}).items():
        if not isinstance(file, str) or Path(file).name != file:
            raise ExportError(f"{folder / INDEX_FILE}: {name} is said to be in {file!r}", remedy=_AGAIN)
        cast(set[str], files.setdefault(folder / file, set())).add(name)
    if not files:
        raise ExportError(f"{folder / INDEX_FILE} names no weights", remedy=_AGAIN)
    if absent := [file for file in files if not file.exists()]:
        raise ExportError(f"{absent[0]} is missing: {len(absent)} of {len(files)} shards are", remedy=_AGAIN)
    return files


def _header(file: Path) -> dict[str, Stored]:
    """Return every tensor of one file. ExportError when the header and the size of the file do not fit."""
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > min(size, _MOST_HEADER):
                raise ValueError(f"a header of {length:,} bytes")
            header: dict[str, Any] = json.loads(opened.read(length))
        tensors, ends = {}, [8 + length]
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                tensors[name] = Stored(file, entry["dtype"], tuple(entry["shape"]), 8 + length + begin)
                if entry["dtype"] in _BYTES and end - begin != tensors[name].nbytes:
                    raise ValueError(f"{name} has {end - begin:,} bytes")
                ends.append(8 + length + end)
        if max(ends) != size:
            raise ValueError(f"{max(ends):,} bytes were expected, and it has {size:,}")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{file} is not a whole safetensors file: {error}", remedy=_AGAIN) from None
    return tensors
