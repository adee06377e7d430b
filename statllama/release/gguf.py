"""One GGUF file for llama.cpp and Ollama, straight from a base's safetensors and the adapters on it.

Every tensor is read, merged in float32 and quantised a few rows at a time: there is no 16-bit model in between, and
memory holds a block of rows, never the model. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

from statllama.errors import ExportError
from statllama.model.architectures import EMBEDDING, HEAD
from statllama.model.layout import FACTORS, Layout
from statllama.release.adapter import require_fit
from statllama.release.gguf_layout import add_metadata, is_linear, read_for_gguf
from statllama.release.gguf_vocab import Vocabulary, read_vocabulary
from statllama.release.kept import Update
from statllama.release.mixture import KINDS, require_kind, tensor_type
from statllama.release.quantise import WITHOUT_LIBRARY, quantise, require_quantiser
from statllama.release.source import Progress, Source
from statllama.release.weights import Weights, open_weights
from statllama.store.files import translate_os_errors

BLOCK = 1 << 22
"""Numbers read and quantised at a time: 16 MiB in float32."""
IGNORED = ("rotary_emb.inv_freq",)  # old bases store what the config says
LARGEST_F16 = 65504.0

Rows = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file to be: names in GGUF and of the weight and the module it comes from, shape and type."""

    name: str
    weight: str
    module: str
    shape: tuple[int, ...]
    """(out, in), or (numbers,)."""
    type: Type

    @property
    def nbytes(self) -> int:
        """Return the bytes in the file, without padding."""
        return prod(gguf.quant_shape_to_byte_shape(self.shape, self.type))


@dataclass(frozen=True)
class Written:
    """What a file holds. `types` counts the tensors of each type, `{"Q4_K": 150, "F32": 57, ...}`."""

    path: Path
    kind: str
    nbytes: int
    types: Mapping[str, int]


def write_gguf(source: Source, path: Path, kind: str, progress: Progress | None = None) -> Written:
    """Write the base with the stack merged in, in one of `mixture.KINDS`, to the new file `path`.

    ExportError when llama.cpp could not run the model as it was trained, a number does not fit the type, or the kind
    needs xllamacpp and it is missing; StoreError when the disk refuses. Then no file is left. The same source gives the
    same bytes.
    """
    layout, weights, plan, vocabulary = _prepare(source, kind)
    writer = gguf.GGUFWriter(path, layout.architecture.gguf)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(source.name)
    writer.add_file_type(int(KINDS[kind][0]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_metadata(writer, layout)
    vocabulary.write(writer, source.chat_template)
    with translate_os_errors(path), whole_or_nothing(writer, path):
        _write(writer, plan, source, layout, weights, progress)
    return Written(path, kind, path.stat().st_size, dict(Counter(t.type.name for t in plan)))


def require_writable(source: Source, kind: str) -> None:
    """Raise what `write_gguf` would raise before it writes, UsageError or ExportError."""
    _prepare(source, kind)


def _prepare(source: Source, kind: str) -> tuple[Layout, Weights, list[Tensor], Vocabulary]:
    require_kind(kind)
    layout, weights = read_for_gguf(source.base), open_weights(source.base)
    _require_place(source, layout, weights)
    plan = _plan(source, layout, weights, kind)
    if any(t.type not in WITHOUT_LIBRARY for t in plan):
        require_quantiser()
    return layout, weights, plan, read_vocabulary(source.tokenizer, layout.vocabulary)


@contextmanager
def whole_or_nothing(writer: gguf.GGUFWriter, path: Path) -> Iterator[None]:
    """Close the file at the end of the block; delete it when the block fails."""
    try:
        yield
    except BaseException:
        writer.close()
        path.unlink(missing_ok=True)
        raise
    writer.close()


def needed_bytes(source: Source, kind: str) -> int:
    """Return the bytes that `write_gguf` writes, at most a few per cent too many: the tensors exactly, the vocabulary
    about.
    """
    require_kind(kind)
    layout, weights = read_for_gguf(source.base), open_weights(source.base)
    tensors = sum(t.nbytes + 32 for t in _plan(source, layout, weights, kind))
    text = sum(p.stat().st_size for p in (source.tokenizer / "tokenizer.json",) if p.exists())
    return tensors + text + 64 * layout.vocabulary + 4 * len(source.chat_template or "") + (1 << 16)


# ------------------------------------------------------------------ what to write


def _plan(source: Source, layout: Layout, weights: Weights, kind: str) -> list[Tensor]:
    """Return all tensors of the file, in order. A head that is tied but has an adapter becomes a tensor of its own."""
    rows = [(name, weight, weight.removesuffix(".weight"), shape) for name, weight, shape in layout.tensors()]
    tied = layout.tied
    if tied and any(HEAD in adapter.slices for adapter in source.updates):
        tied = False
        embedding = (layout.vocabulary, layout.width)
        rows.append(("output.weight", f"{EMBEDDING}.weight", HEAD, embedding))
    plan = []
    for name, weight, module, shape in rows:
        found = weights.tensors.get(weight)
        if found is None or found.shape != shape:
            raise ExportError(
                f"{source.base}: config.json asks for {weight} of shape {shape}, "
                f"the weights have {'none' if found is None else found.shape}",
                remedy="take config.json and the weights from the same model",
            )
        type_ = Type.F32 if len(shape) == 1 else tensor_type(kind, name, shape[1], layout, tied)
        plan.append(Tensor(name, weight, module, shape, type_))
    return plan


def _require_place(source: Source, layout: Layout, weights: Weights) -> None:
    """Raise ExportError for weights or adapters that the file could not hold, or a tied head unlike the embedding."""
    require_fit(source, weights)
    for stage, adapter in zip(source.stages, source.adapters, strict=True):
        if odd := [module for module in adapter.slices if not is_linear(layout, module)]:
            raise ExportError(f"stage {stage!r} adapts {odd[0]}, and GGUF holds adapted linear modules alone")
    known = {weight for _, weight, _ in layout.tensors()} | {f"{HEAD}.weight"}
    if left := sorted(n for n in weights.tensors if n not in known and not n.endswith(IGNORED)):
        raise ExportError(
            f"{source.base}: {layout.architecture.gguf} in GGUF has no place for {left[0]} "
            f"({len(left)} tensors like it)",
            remedy="export the adapter or the merged weights, which hold any base",
        )
    head, embedding = f"{HEAD}.weight", f"{EMBEDDING}.weight"
    if not layout.tied or head not in weights.tensors or embedding not in weights.tensors:
        return
    same = weights.tensors[head].shape == weights.tensors[embedding].shape and all(
        np.array_equal(weights.float32(embedding, *rows), weights.float32(head, *rows), equal_nan=True)
        for rows in weights.row_blocks(embedding, BLOCK)
    )
    if not same:
        raise ExportError(
            f"{source.base}: config.json ties {head} to {embedding}, and they differ",
            remedy='if both are intended, set "tie_word_embeddings": false in config.json',
        )


# ------------------------------------------------------------------ writing


def _write(
    writer: gguf.GGUFWriter,
    plan: list[Tensor],
    source: Source,
    layout: Layout,
    weights: Weights,
    progress: Progress | None,
) -> None:
    factors = layout.rope_factors()
    for tensor in plan:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, tensor.type)
    if factors is not None:
        writer.add_tensor_info(FACTORS, factors.shape, factors.dtype, factors.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    file, done, total = writer.fout[0], 0, sum(t.nbytes for t in plan)
    writer.write_padding(file, file.tell())
    for tensor in plan:
        for rows in merged_rows(tensor, source, layout, weights):
            _require_range(rows, tensor)
            written = quantise(rows, tensor.type)
            file.write(written.data)
            done += written.nbytes
            if progress is not None:
                progress(done, total)
        writer.write_padding(file, tensor.nbytes)
    if factors is not None:
        file.write(factors.data)
        writer.write_padding(file, factors.nbytes)


def merged_rows(tensor: Tensor, source: Source, layout: Layout, weights: Weights) -> Iterator[Rows]:
    """Yield a tensor's rows in GGUF's order, merged as in `merged.py`, about `BLOCK` numbers at a time.

    Shapes are (rows, in), or (rows,) of norms and biases.
    """
    order = layout.rope_order(tensor.name)
    adapted = any(tensor.module in adapter.slices for adapter in source.updates)
    update = Update(source.updates, tensor.module) if adapted else None
    unit = 1 if order is None else layout.head_width  # rows change places within a head
    step = max(1, BLOCK // prod(tensor.shape[1:]) // unit) * unit
    for start in range(0, tensor.shape[0], step):
        stop = min(start + step, tensor.shape[0])
        rows = weights.float32(tensor.weight, start, stop)
        if update is not None:
            rows = update.add_to(torch.from_numpy(rows), start).float().numpy()
        yield rows if order is None else rows[order[start:stop] - start]


def _require_range(rows: Rows, tensor: Tensor) -> None:
    """Raise ExportError for what is no number, or beyond what the type's 16-bit floats hold."""
    least, most = torch.from_numpy(rows).aminmax()
    largest = float(max(-least, most))
    if not isfinite(largest):
        raise ExportError(
            f"{tensor.weight} holds NaN or infinity once the stack is merged in",
            remedy="the base is damaged, or a stage diverged: look at the losses and scores of the stages",
        )
    if tensor.type not in (Type.F32, Type.BF16) and largest > LARGEST_F16:
        raise ExportError(
            f"{tensor.weight} holds {largest:.4g}, and {tensor.type.name} ends at {LARGEST_F16:.0f}",
            remedy="choose bf16 or f32",
        )
