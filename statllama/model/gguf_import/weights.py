"""The numbers of a GGUF file as Transformers' safetensors, a few rows of one tensor at a time.

PyPI's gguf turns each type into float32. Where llama.cpp has the rows of q and k in another order (it turns
neighbouring numbers with one another, Transformers the first half of a head with the second), they are put back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from statllama.errors import ModelError, UsageError, near
from statllama.model.gguf_import.header import AGAIN, Header, TensorInfo
from statllama.model.layout import FACTORS, Layout
from statllama.store.files import translate_os_errors, write_json
from statllama.store.tensorfile import BYTES, tensor_file

TYPES = {"f32": ("F32", "float32"), "f16": ("F16", "float16"), "bf16": ("BF16", "bfloat16")}
"""{what the weights can be written in: (its name in safetensors, and in config.json)}."""
SHARD_BYTES = 5_000_000_000
BLOCK = 1 << 20
"""Numbers in memory at a time: 4 MiB in float32."""
EMBEDDING, HEAD = "token_embd.weight", "output.weight"

_FLOATS = (Type.F32, Type.F16, Type.BF16)
_LARGEST_F16 = 65504.0

Rows = np.ndarray[Any, np.dtype[np.float32]]
Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True)
class Weight:
    """One tensor to be written: where it lies in the GGUF file, its name in Transformers, and the order of its rows."""

    info: TensorInfo
    name: str
    order: np.ndarray[Any, np.dtype[np.int64]] | None
    """Transformers' row i is GGUF's row order[i]; None: the same order."""
    unit: int
    """Rows that change places among themselves."""


class Numbers:
    """Reads rows of a file's tensors as float32; use it in `with`."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self._file: BinaryIO = header.path.open("rb", buffering=0)

    def __enter__(self) -> Numbers:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self, info: TensorInfo, start: int, stop: int) -> Rows:
        """Read rows `start` to `stop` of a tensor in the file's order, (rows, in); a vector is one row.

        ModelError when the file ends before.
        """
        stored = self.stored(info, start, stop)
        return np.asarray(gguf.quants.dequantize(stored, info.type), dtype=np.float32)

    def stored(self, info: TensorInfo, start: int, stop: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Read the same rows as the bytes in the file, (rows, bytes a row)."""
        found = np.empty((stop - start, info.row_bytes), dtype=np.uint8)
        with translate_os_errors(self.header.path):
            self._file.seek(info.offset + start * info.row_bytes)
            view, read = found.reshape(-1).data, 0
            while read < found.nbytes and (got := self._file.readinto(view[read:])):  # type: ignore[attr-defined]
                read += got
        if read < found.nbytes:
            raise ModelError(f"{self.header.path} ends within {info.name!r}", remedy=AGAIN)
        return found


def is_tied(header: Header) -> bool:
    """Tell whether the embedding is the head: the file has no head of its own, or one with the same
    bytes.
    """
    embedding, head = header.tensors.get(EMBEDDING), header.tensors.get(HEAD)
    if embedding is None or head is None:
        return head is None
    if (embedding.type, embedding.shape) != (head.type, head.shape):
        return False
    with Numbers(header) as numbers:
        return all(
            np.array_equal(numbers.stored(embedding, *rows), numbers.stored(head, *rows))
            for rows in _blocks(embedding.shape, 1)
        )


def rope_factors(header: Header) -> Rows | None:
    """Read what the file divides RoPE's frequencies by, (head_width / 2,); None when it does not."""
    info = header.tensors.get(FACTORS)
    if info is None:
        return None
    with Numbers(header) as numbers:
        return numbers.rows(info, 0, math.prod(info.shape[:-1])).reshape(-1)


def weights_of(header: Header, layout: Layout) -> list[Weight]:
    """List all weights of the model that the metadata describe, in the file's order.

    ModelError when one is missing, has another shape, or the file has one that the architecture has no place for.
    """
    wanted = {name: (theirs, shape) for name, theirs, shape in layout.tensors()}
    unknown = sorted(header.tensors.keys() - wanted.keys() - {FACTORS, *([HEAD] if layout.tied else [])})
    if unknown:
        raise ModelError(
            f"{header.path}: a {layout.architecture.gguf} model has no place for {unknown[0]!r} "
            f"({len(unknown)} tensors like it)",
            remedy="import a plain model of this architecture: without experts, adapters or added layers",
        )
    for name, (_, shape) in wanted.items():
        info = header.tensors.get(name)
        if info is None:
            raise ModelError(f"{header.path}: the tensor {name!r} of shape {shape} is missing", remedy=AGAIN)
        if info.shape != shape:
            raise ModelError(f"{header.path}: {name!r} has the shape {info.shape} instead of {shape}", remedy=AGAIN)
    return [
        Weight(header.tensors[name], theirs, order, 1 if order is None else layout.head_width)
        for name, (theirs, _) in wanted.items()
        for order in [layout.hf_order(name)]
    ]


def choose_type(header: Header, wanted: str | None) -> str:
    """Choose the type to write the weights in: `wanted`, or the smallest that keeps what the file holds.

    Files in bf16 or f16 stay as they are when all their float32 vectors fit that type exactly, else they become f32.
    Quantised numbers become f16, which is off by 2^-11 of each at most: an eighth of what q8_0 itself is off by.
    UsageError for a type that there is not.
    """
    if wanted is not None:
        if wanted not in TYPES:
            raise UsageError(f"weights cannot be written in {wanted!r}", remedy=near(wanted, TYPES))
        return wanted
    matrices = {info.type for info in header.tensors.values() if len(info.shape) > 1}
    if not matrices <= set(_FLOATS):
        return "f32" if Type.F32 in matrices else "f16"
    type_ = {Type.BF16: "bf16", Type.F16: "f16"}.get(min(matrices), "f32") if len(matrices) == 1 else "f32"
    vectors = [info for name, info in header.tensors.items() if len(info.shape) == 1 and name != FACTORS]
    with Numbers(header) as numbers:
        exact = all(_fits(numbers.rows(info, 0, 1), type_) for info in vectors)
    return type_ if exact else "f32"


def needed_bytes(weights: list[Weight], type_: str) -> int:
    """Count the bytes of the weights in a type."""
    return sum(math.prod(weight.info.shape) for weight in weights) * BYTES[TYPES[type_][0]]


def write_weights(
    header: Header,
    weights: list[Weight],
    folder: Path,
    type_: str,
    progress: Progress | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> list[str]:
    """Write the weights into a folder, in files of `shard_bytes` at most; their names.

    ModelError for what is no number, or beyond what the type holds; StoreError when the disk refuses.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    letters = TYPES[type_][0]
    found = {weight.name: weight for weight in weights}
    split: Any = split_state_dict_into_shards_factory(
        {name: math.prod(weight.info.shape) * BYTES[letters] for name, weight in found.items()},
        get_storage_size=lambda size: size,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    done, total = 0, int(split.metadata["total_size"])
    with Numbers(header) as numbers:
        for file_name, names in split.filename_to_tensors.items():
            shapes = {name: found[name].info.shape for name in names}
            with tensor_file(folder / file_name, letters, shapes) as file:
                for name in file.names:
                    for rows in ordered_rows(numbers, found[name]):
                        cast = _cast(rows, type_, found[name], header)
                        file.append(cast.data)
                        done += cast.nbytes
                        if progress is not None:
                            progress(done, total)
    if split.is_sharded:
        metadata = {"total_parameters": total // BYTES[letters], **split.metadata}
        write_json(
            folder / "model.safetensors.index.json", {"metadata": metadata, "weight_map": split.tensor_to_filename}
        )
    return sorted(split.filename_to_tensors)


def ordered_rows(numbers: Numbers, weight: Weight) -> Iterator[Rows]:
    """Yield a tensor's rows in Transformers' order, about `BLOCK` numbers at a time."""
    for start, stop in _blocks(weight.info.shape, weight.unit):
        rows = numbers.rows(weight.info, start, stop)
        yield rows if weight.order is None else _reordered(rows, weight.order, start, stop)


def cast_to(rows: Rows, type_: str) -> np.ndarray[Any, Any]:
    """Round the rows to the nearest numbers of a type; bfloat16 as its bytes, for numpy has none."""
    if type_ == "bf16":
        return np.ascontiguousarray(gguf.quants.quantize(rows, Type.BF16))
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(rows, dtype=np.float16 if type_ == "f16" else np.float32)


def _cast(rows: Rows, type_: str, weight: Weight, header: Header) -> np.ndarray[Any, Any]:
    largest = float(np.abs(rows).max())
    if not math.isfinite(largest):
        raise ModelError(f"{header.path}: {weight.info.name!r} holds NaN or infinity", remedy=AGAIN)
    if type_ == "f16" and largest > _LARGEST_F16:
        problem = f"{weight.info.name!r} holds {largest:.4g}, and f16 ends at {_LARGEST_F16:.0f}"
        raise ModelError(f"{header.path}: {problem}", remedy="--type bf16, or --type f32")
    return cast_to(rows, type_)


def _fits(rows: Rows, type_: str) -> bool:
    """Tell whether all numbers are the same in a type."""
    cast = cast_to(rows, type_)
    back = gguf.quants.dequantize(cast, Type.BF16) if type_ == "bf16" else cast.astype(np.float32)
    return bool(np.array_equal(back.reshape(rows.shape), rows))


def _reordered(rows: Rows, order: np.ndarray[Any, np.dtype[np.int64]], start: int, stop: int) -> Rows:
    """Put rows of whole heads into Transformers' order; a vector's numbers are its one row."""
    return rows[:, order] if len(rows) == 1 < len(order) else rows[order[start:stop] - start]


def _blocks(shape: tuple[int, ...], unit: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive rows: about `BLOCK` numbers together, and a multiple of `unit` rows."""
    rows = math.prod(shape[:-1])
    step = max(1, BLOCK // shape[-1] // unit) * unit
    yield from ((start, min(start + step, rows)) for start in range(0, rows, step))
