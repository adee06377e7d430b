"""Rows of float32 as the bytes of a GGUF type, with llama.cpp's own quantiser for all but the 16-bit types.

llama.cpp comes compiled in PyPI's xllamacpp, whose library exports `ggml_quantize_chunk` on Linux and macOS. Without it
PyPI's gguf makes q8_0, the same bytes at half the speed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

from statllama.errors import ExportError

FLOATS = {Type.F32: torch.float32, Type.F16: torch.float16, Type.BF16: torch.bfloat16}
WITHOUT_LIBRARY = frozenset({*FLOATS, Type.Q8_0})
"""Types that need no xllamacpp."""
SYMBOL = "ggml_quantize_chunk"

_ROWS = 64  # that one thread takes at a time: enough for a call's cost to vanish, few enough to share rows evenly

Rows = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def quantise(rows: Rows, type_: Type, threads: int | None = None) -> Bytes:
    """Return the bytes of `rows` (n, columns) in a type, (n, bytes a row). Every row is by itself.

    `threads` is the most that llama.cpp's quantiser uses; None: all cores of this process. ExportError as
    `require_quantiser`.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    if type_ in FLOATS:
        return torch.from_numpy(rows).to(FLOATS[type_]).view(torch.uint8).numpy()
    if type_ in WITHOUT_LIBRARY and not lends_quantiser():
        return gguf.quants.quantize(rows, type_)
    function = require_quantiser()
    count, columns = rows.shape
    out = np.empty((count, gguf.quant_shape_to_byte_shape((columns,), type_)[0]), dtype=np.uint8)

    def one(start: int) -> int:
        here = min(_ROWS, count - start)
        return int(function(int(type_), rows.ctypes.data, out.ctypes.data, start * columns, here, columns, None))

    with ThreadPoolExecutor(threads or cores()) as pool:
        written = sum(pool.map(one, range(0, count, _ROWS)))
    if written != out.nbytes:
        raise ExportError(f"llama.cpp wrote {written:,} bytes of {type_.name} where {out.nbytes:,} were expected")
    return out


@cache
def require_quantiser() -> Any:
    """Return `ggml_quantize_chunk(type, float*, void*, start, rows, columns, importance)` of xllamacpp's library.

    ExportError when the extra is not installed, or its build for this platform does not export the function.
    """
    path = library_path()
    if path is None:
        raise ExportError(
            "k-quants need llama.cpp, which is not installed",
            remedy="run `pip install 'statllama[gguf]'`, or choose f32, f16, bf16 or q8_0, which need nothing else",
        )
    try:
        function = getattr(ctypes.CDLL(str(path)), SYMBOL)
    except (OSError, AttributeError) as error:
        raise ExportError(
            f"xllamacpp's library for this platform ({sys.platform}) has no quantiser: {error}",
            remedy="choose f32, f16, bf16 or q8_0 here, or make k-quants on Linux or macOS (WSL on Windows)",
        ) from None
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    return function


def lends_quantiser() -> bool:
    """Return whether `require_quantiser` finds one."""
    try:
        return require_quantiser() is not None
    except ExportError:
        return False


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def library_path() -> Path | None:
    """Return xllamacpp's compiled module, without importing it; None when it is not installed."""
    spec = importlib.util.find_spec("xllamacpp")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [p for folder in folders for p in sorted(Path(folder).glob("xllamacpp*")) if p.suffix in (".so", ".pyd")]
    return found[0] if found else None
