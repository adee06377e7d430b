"""GGUF files byte by byte, so that any of them can be wrong. Format: ggml's docs/gguf.md."""

from __future__ import annotations

import struct
from collections.abc import Sequence

UINT32, FLOAT32, TEXT, ARRAY = 4, 6, 8, 9


def text(value: str | bytes) -> bytes:
    """A length and its bytes."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def key(name: str, type_: int, value: bytes) -> bytes:
    """One entry of the metadata."""
    return text(name) + struct.pack("<I", type_) + value


def tensor(name: str, shape: Sequence[int], type_: int, offset: int, dimensions: int | None = None) -> bytes:
    """What the header says of one tensor. `shape`: row-major."""
    count = len(shape) if dimensions is None else dimensions
    return (
        text(name)
        + struct.pack("<I", count)
        + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        + struct.pack("<IQ", type_, offset)
    )


def gguf_bytes(
    keys: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    numbers: bytes = b"",
    version: int = 3,
    key_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    """A whole file; the counts are those of `keys` and `tensors` unless they are given."""
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(keys) if key_count is None else key_count,
    )
    head = b"GGUF" + struct.pack("<I", version) + struct.pack("<QQ", *counts) + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + numbers
