"""Values as bytes, between processes of one run: what JSON can say, and tensors. Unlike pickle it runs no code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TENSOR = "__tensor__"


def packed(value: Any) -> bytes:
    """Return a value as bytes: JSON's kinds, with tuples as lists, and tensors on the CPU anywhere among them."""
    from safetensors.torch import save
    from torch import Tensor

    tensors: list[Tensor] = []

    def said(part: object) -> object:
        if isinstance(part, Tensor):
            tensors.append(part)
            return {TENSOR: len(tensors) - 1}
        raise TypeError(f"a {type(part).__name__} is no message between ranks")

    text = json.dumps(value, default=said).encode()
    body = save({str(i): tensor.detach().clone() for i, tensor in enumerate(tensors)}) if tensors else b""
    return len(text).to_bytes(8, "little") + text + body


def unpacked(data: bytes) -> Any:
    """Return what `packed` was given."""
    from safetensors.torch import load

    end = 8 + int.from_bytes(data[:8], "little")
    tensors = load(data[end:]) if len(data) > end else {}

    def meant(part: dict[str, Any]) -> Any:
        return tensors[str(part[TENSOR])] if TENSOR in part else part

    return json.loads(data[8:end], object_hook=meant)
