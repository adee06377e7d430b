"""The stack as one ordinary PEFT adapter: every stage side by side along the rank, exactly, or recompressed by SVD.

One rank and a scale of exactly 1 for all modules: PEFT's `rank_pattern` and rsLoRA are not understood everywhere
(llama.cpp's converter ignores both), so a module that fewer stages adapted is padded with zeros and the stages' scales
are in B. Zeros cost bytes, never a bit of a logit. The arithmetic is in `lowrank.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from statllama.config.lora import LoraSpec
from statllama.errors import ExportError, UsageError
from statllama.model.adapter import ADAPTER_FILE, PREFIX, Adapter, Rows, peft_rows, write_config, write_rows
from statllama.model.lowrank import factors, folded_rank, modules_of, padded, recompress, relative_errors, size
from statllama.release.source import Progress, Source
from statllama.release.weights import Weights, open_weights
from statllama.store.files import translate_os_errors
from statllama.store.tensorfile import tensor_file

PARTS = ("lora_A", "lora_B")
_CONFIG_BYTES = 64 * 1024  # more than adapter_config.json and the header of the weights ever take


@dataclass(frozen=True)
class Recompression:
    """What it cost to give the stack fewer ranks: the Frobenius norm of what is missing, over that of the update."""

    rank: int
    folded_rank: int
    """Of the stack as it was: the sum of the stages' ranks."""
    error: float
    """Of all modules together; 0 for nothing lost, 1 for everything."""
    modules: dict[str, float]
    """The same of each module."""


def needed_bytes(source: Source, rank: int | None = None) -> int:
    """Return the bytes that `write_adapter` will write, at most."""
    rows = sum(4 * part.delta.numel() for part in summed_rows(source.adapters).values())
    shapes = _shapes(source, _rank(source, rank)).values()
    return _CONFIG_BYTES + rows + sum(4 * math.prod(shape) for shape in shapes)


def write_adapter(
    source: Source,
    folder: Path,
    rank: int | None = None,
    progress: Progress | None = None,
    *,
    base_name: str | None = None,
    revision: str | None = None,
) -> Recompression | None:
    """Write the stack into `folder` as one PEFT adapter in float32; with `rank`, recompressed if its rank is larger.

    `base_name` (hub id or path; None: the path of the base) and `revision` are what PEFT loads the base by. Returns
    what the recompression lost; None without `rank`. ExportError when the adapters are not for this base.
    """
    weights = open_weights(source.base)
    require_fit(source, weights)
    folded, kept = folded_rank(source.adapters), _rank(source, rank)
    modules, shapes = modules_of(source.adapters), _shapes(source, kept)
    if not modules:
        raise ExportError("the base alone has no adapter to export", remedy="export a stage")
    missing, whole, done, total = {}, {}, 0, needed_bytes(source, rank)
    rows = summed_rows(source.adapters)
    with translate_os_errors(folder), tensor_file(folder / ADAPTER_FILE, "F32", shapes) as file:
        for name in sorted(rows):  # before the layers' modules by name, as the file has them
            file.append(_with_base(name, rows[name], weights).numpy().data)
        for module in modules:
            a, b = factors(source.adapters, module)
            missing[module], whole[module] = 0.0, size(a, b)
            if a.shape[0] > kept:
                a, b, missing[module], whole[module] = recompress(a, b, kept)
            numbers = padded(a, b, kept)
            for tensor in (numbers.A, numbers.B):  # in the file's order: sorted by name, lora_A before lora_B
                file.append(tensor.numpy().data)
                done += tensor.nbytes
            if progress is not None:
                progress(done, total)
        lora = LoraSpec(r=kept, alpha=float(kept))
    with translate_os_errors(folder):
        tokens = write_rows(rows, folder) if rows else None
    write_config(lora, _targets(modules, weights), base_name or str(source.base), folder, revision, tokens)
    if progress is not None:
        progress(total, total)
    if rank is None:
        return None
    return Recompression(kept, folded, *relative_errors(missing, whole))


def require_fit(source: Source, weights: Weights) -> None:
    """Raise ExportError when an adapter has a module or a shape that the base has not, or a number that is not
    finite.
    """
    for stage, adapter in zip(source.stages, source.updates, strict=True):
        for module, slice_ in adapter.slices.items():
            stored = weights.tensors.get(f"{module}.weight")
            if stored is None and module == "lm_head":  # tied: it has the embedding's shape
                stored = weights.tensors.get("model.embed_tokens.weight")
            has = tuple(stored.shape) if stored is not None else None
            wants = (slice_.B.shape[0], slice_.A.shape[1])
            if has != wants:
                what = "lacks it" if has is None else f"has it as {has[0]} x {has[-1]}"
                raise ExportError(
                    f"stage {stage!r} is for another base: it adapts {module} ({wants[0]} x {wants[1]}), "
                    f"and {weights.folder} {what}",
                    remedy="export with the base that the stage was trained on",
                )
            if not (slice_.A.isfinite().all() and slice_.B.isfinite().all() and math.isfinite(slice_.scaling)):
                raise ExportError(
                    f"stage {stage!r} holds NaN or infinity in the adapter of {module}",
                    remedy="train the stage again with a lower learning rate, or export the stage before it",
                )


def _rank(source: Source, rank: int | None) -> int:
    """Return the rank to write."""
    if rank is not None and rank < 1:
        raise UsageError(f"the rank to recompress to is {rank}", remedy="give a whole number from 1")
    folded = folded_rank(source.adapters)
    return folded if rank is None else min(rank, folded)


def _shapes(source: Source, rank: int) -> dict[str, tuple[int, int]]:
    """Return {tensor name: shape} of the file."""
    rows = summed_rows(source.adapters)
    shapes = {peft_rows(name): (len(part.ids), part.delta.shape[1]) for name, part in rows.items()}
    for module in modules_of(source.adapters):
        slice_ = next(adapter.slices[module] for adapter in source.adapters if module in adapter.slices)
        both = ((rank, slice_.A.shape[1]), (slice_.B.shape[0], rank))
        shapes |= {f"{PREFIX}{module}.{part}.weight": shape for part, shape in zip(PARTS, both, strict=True)}
    return shapes


def summed_rows(adapters: Sequence[Adapter]) -> dict[str, Rows]:
    """Return the rows of tokens that the adapters change together."""
    found: dict[str, Rows] = {}
    for name in dict.fromkeys(name for adapter in adapters for name in adapter.rows):
        parts = [adapter.rows[name] for adapter in adapters if name in adapter.rows]
        ids = sorted({one for part in parts for one in part.ids})
        delta = torch.zeros(len(ids), parts[0].delta.shape[1], dtype=torch.float64)
        for part in parts:
            delta[[ids.index(one) for one in part.ids]] += part.delta.double() * part.scaling
        found[name] = Rows(tuple(ids), delta.float())
    return found


def _with_base(name: str, rows: Rows, weights: Weights) -> Tensor:
    """Return the rows themselves, which PEFT puts in the place of the base's, in float32."""
    own = [torch.from_numpy(weights.float32(f"{name}.weight", one, one + 1)) for one in rows.ids]
    return (torch.cat(own) + rows.delta).contiguous()


def _targets(modules: Sequence[str], weights: Weights) -> list[str]:
    """Return `target_modules`: the last part of the names where all modules of that name are adapted, else the full
    names.
    """

    def last(name: str) -> str:
        return name.rpartition(".")[2]

    adapted = set(modules)
    all_linear = [name.removesuffix(".weight") for name in weights.tensors if name.endswith(".weight")]
    partly = {last(module) for module in all_linear if module not in adapted}
    return sorted({module if last(module) in partly else last(module) for module in modules})
