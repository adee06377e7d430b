"""Writes one safetensors file front to back, so that no more than a piece of one tensor is in memory. Loads no torch.

The bytes are those of the safetensors library for the same tensors: sorted by name, behind one header.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from statllama.store.files import sync, translate_os_errors

BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of one number of each type that is written."""


class TensorFile:
    """An open file: `names` is the order in which the tensors' bytes are to be appended."""

    def __init__(self, file: BinaryIO, dtype: str, shapes: Mapping[str, Sequence[int]]) -> None:
        self.names = tuple(sorted(shapes))
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in self.names:
            start, end = end, end + math.prod(shapes[name]) * BYTES[dtype]
            header[name] = {"dtype": dtype, "shape": list(shapes[name]), "data_offsets": [start, end]}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)  # the tensors start at a multiple of 8 bytes
        self.missing = end
        self._file = file
        file.write(struct.pack("<Q", len(text)) + text)

    def append(self, numbers: memoryview) -> None:
        """Append the next bytes, row-major and little-endian."""
        self._file.write(numbers)
        self.missing -= numbers.nbytes


@contextmanager
def tensor_file(path: Path, dtype: str, shapes: Mapping[str, Sequence[int]]) -> Iterator[TensorFile]:
    """Write `path`: it appears whole and synced to disk at the end of the block, or not at all.

    dtype: F32, F16 or BF16, of all tensors. StoreError when the disk refuses.
    """
    partial = path.with_name(f".{path.name}.partial")
    with translate_os_errors(path):
        try:
            with partial.open("wb") as file:
                tensors = TensorFile(file, dtype, shapes)
                yield tensors
                if tensors.missing:
                    raise ValueError(f"{path}: {tensors.missing:,} bytes were not written")
            sync(partial)
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        sync(path.parent)
