"""The stack merged into the base's original weights, as an ordinary Transformers model folder.

A few rows of one tensor are in memory at a time, whatever the size of the model. The update is added in float64, the
sum rounded to float32 and cast to the released type at the end; `kept.py` says what that cast removes of each stage.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from statllama.errors import ExportError, UsageError, near
from statllama.model.identity import TOKENIZER_FILES
from statllama.release.adapter import require_fit
from statllama.release.kept import Update, kept_shares
from statllama.release.source import Progress, Source
from statllama.release.weights import INDEX_FILE, Weights, open_weights, read_config
from statllama.store.files import require_bytes, sync, translate_os_errors, write_json, write_text
from statllama.store.tensorfile import BYTES, TensorFile, tensor_file

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
SHARD_BYTES = 5_000_000_000
MOST_LOST = 0.1
"""Share of a stage's update that the cast may remove without a warning."""

BLOCK = 1 << 19  # numbers in memory at a time: 4 MiB in float64
_STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_AS_BYTES = {4: torch.int32, 2: torch.int16}  # numpy has no bfloat16
_HEADERS = 4 << 20  # bytes; of all shards, and config.json


@dataclass(frozen=True)
class MergeReport:
    """The written files, and the cost of the cast to their type."""

    dtype: str
    files: tuple[str, ...]
    """Of the weights, without the index."""
    parameters: int
    bytes: int
    """Of the tensors."""
    kept: dict[str, float]
    """{stage: share of its update that is left in the released weights}, about 1 when nothing is lost (`kept.py`)."""
    warnings: tuple[str, ...]


class _Tally:
    """Sums over the tensors: bytes, and the input of `kept_shares`."""

    def __init__(self, total: int, stages: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress
        self.gram = torch.zeros(stages, stages, dtype=torch.float64)
        self.removed = torch.zeros(stages, dtype=torch.float64)

    def advance(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def needed_bytes(source: Source, dtype: str) -> int:
    """Return the bytes that `write_merged` will write, at most. UsageError for an unknown type, ExportError for an
    unfit base.
    """
    weights = open_weights(source.base)
    numbers = sum(stored.count for stored in weights.tensors.values()) * torch_type(dtype).itemsize
    return numbers + sum(path.stat().st_size for path in _side_files(source)) + _HEADERS


def write_merged(
    source: Source,
    folder: Path,
    dtype: str = "bf16",
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
    most_lost: float = MOST_LOST,
) -> MergeReport:
    """Write the merged model in `dtype` (bf16, f16 or f32) into an empty folder, in files of `shard_bytes` at most.

    config.json comes last: a folder without it is no model, so a killed export never looks like one; after an error
    nothing is left. ExportError when base, adapters and type do not fit together, StoreError when the disk refuses.
    """
    kind, weights, config = torch_type(dtype), open_weights(source.base), read_config(source.base)
    require_fit(source, weights)
    shapes = _shapes(source, weights)
    require_bytes(folder, needed_bytes(source, dtype))
    split = _shards({name: weights.tensors[name].count * kind.itemsize for name in shapes}, shard_bytes)
    tally = _Tally(split.metadata["total_size"], len(source.stages), progress)
    with translate_os_errors(folder), _nothing_left_on_error(folder):
        for name, names in split.filename_to_tensors.items():
            inside = {tensor: shapes[tensor] for tensor in names}
            with tensor_file(folder / name, _letters(kind), inside) as file:
                for tensor in file.names:
                    _write_tensor(file, tensor, source, weights, kind, tally)
        parameters = sum(weights.tensors[name].count for name in shapes)
        if split.is_sharded:
            metadata = {"total_parameters": parameters, **split.metadata}
            write_json(folder / INDEX_FILE, {"metadata": metadata, "weight_map": split.tensor_to_filename})
        _write_side_files(source, folder)
        for key in {"dtype", "torch_dtype"} & config.keys() or {"dtype"}:  # the older name is still widely used
            config[key] = str(kind).removeprefix("torch.")
        write_json(folder / "config.json", config)
    kept = dict(zip(source.stages, kept_shares(tally.gram, tally.removed), strict=True))
    warnings = tuple(_warning(stage, share, dtype) for stage, share in kept.items() if abs(1 - share) > most_lost)
    return MergeReport(dtype, tuple(split.filename_to_tensors), parameters, tally.total, kept, warnings)


# ------------------------------------------------------------------ what is written


def torch_type(dtype: str) -> torch.dtype:
    """Return the type by its name. UsageError for one that there is not."""
    if dtype not in DTYPES:
        raise UsageError(f"merged weights cannot be written in {dtype!r}", remedy=near(dtype, DTYPES))
    return DTYPES[dtype]


def _letters(kind: torch.dtype) -> str:
    """Return the type's name in safetensors."""
    return next(name for name in BYTES if _STORED[name] is kind)


def _shapes(source: Source, weights: Weights) -> dict[str, tuple[int, ...]]:
    """Return {tensor: shape} of the model that config.json describes, in its order; tied ones once, as Transformers
    saves it.

    ExportError when the weights are not of that model, or a tied tensor differs from the one it is tied to.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source.base, local_files_only=True))
    except Exception as error:  # Transformers raises of all kinds, by architecture
        raise ExportError(
            f"{source.base}: Transformers cannot build the model of config.json: {error}",
            remedy="only causal language models whose code is in Transformers can be merged",
        ) from error
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    kept_name = {id(parameter): name for name, parameter in model.named_parameters()}
    for name, shape in shapes.items():
        found = weights.tensors.get(name)
        if found is None or found.shape != shape:
            has = "is missing" if found is None else f"has shape {found.shape}"
            raise ExportError(
                f"{source.base}: {name} {has} in the weights; config.json asks for {shape}",
                remedy="take config.json and the weights from the same model",
            )
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name not in shapes:
            _require_equal(name, kept_name[id(parameter)], weights)
    for stage, adapter in zip(source.stages, source.updates, strict=True):
        if tied := [module for module in adapter.slices if f"{module}.weight" not in shapes]:
            raise ExportError(
                f"stage {stage!r} adapts {tied[0]}, whose weights this base ties to the embedding: merged weights "
                "would change both",
                remedy="export the adapter, which keeps them apart",
            )
    return shapes


def _require_equal(name: str, other: str, weights: Weights) -> None:
    """Raise ExportError when a tensor is stored, and unlike the one that config.json ties it to."""
    if name not in weights.tensors:
        return
    same = weights.tensors[name].shape == weights.tensors[other].shape and all(
        torch.equal(_rows(weights, name, *rows).double(), _rows(weights, other, *rows).double())
        for rows in weights.row_blocks(other, BLOCK)
    )
    if not same:
        raise ExportError(
            f"{weights.folder}: config.json ties {name} to {other}, and they differ",
            remedy='if both are intended, set "tie_word_embeddings": false in config.json',
        )


def _shards(sizes: dict[str, int], shard_bytes: int) -> Any:
    """Assign tensors to files: huggingface_hub's StateDictSplit, by which Transformers names and fills
    them.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    return split_state_dict_into_shards_factory(
        sizes,
        get_storage_size=lambda size: size,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )


# ------------------------------------------------------------------ numbers


def _write_tensor(
    file: TensorFile, name: str, source: Source, weights: Weights, kind: torch.dtype, tally: _Tally
) -> None:
    """Append one tensor, merged and cast, a few rows at a time."""
    module = name.removesuffix(".weight")
    adapted = any(module in adapter.slices for adapter in source.updates)
    update = Update(source.updates, module) if adapted else None
    for start, stop in weights.row_blocks(name, BLOCK):
        rows = _rows(weights, name, start, stop)
        exact = rows if update is None else update.add_to(rows, start)
        cast = exact if exact.dtype is kind else exact.float().to(kind)
        if not _finite(cast):
            raise _not_finite(name, rows, exact, kind, weights)
        if update is not None:
            update.observe(exact, cast, start)
        file.append(cast.view(_AS_BYTES[kind.itemsize]).numpy().data)
        tally.advance(cast.nbytes)
    if update is not None:
        tally.gram += update.gram()
        tally.removed += update.removed()


def _rows(weights: Weights, name: str, start: int, stop: int) -> Tensor:
    """Return the rows of a tensor in the type they are stored in."""
    return torch.from_numpy(weights.read(name, start, stop)).view(_STORED[weights.tensors[name].dtype])


def _finite(numbers: Tensor) -> bool:
    """Return whether there is no NaN or infinity. The sum shows them ten times faster than a look at each; a sum alone
    can overflow.
    """
    return bool(numbers.sum(dtype=torch.float32).isfinite()) or bool(numbers.isfinite().all())


def _not_finite(name: str, rows: Tensor, exact: Tensor, kind: torch.dtype, weights: Weights) -> ExportError:
    """Return the error for a number of a tensor that is not finite."""
    if not rows.isfinite().all():
        return ExportError(f"{weights.folder}: {name} holds NaN or infinity", remedy="download the base again")
    largest = float(exact.abs().max())
    limit = torch.finfo(kind).max
    remedy = "choose bf16" if kind is torch.float16 else "a stage diverged: check its losses and scores"
    return ExportError(f"{name} holds {largest:.6g} once merged, and {kind} ends at {limit:.6g}", remedy=remedy)


def _warning(stage: str, share: float, dtype: str) -> str:
    wider = "f32" if dtype == "f16" else "f16 or f32"
    return (
        f"{dtype} keeps {share:.0%} of what stage {stage!r} changed: its update is smaller than the type's rounding; "
        f"export in {wider}, or use the adapter"
    )


# ------------------------------------------------------------------ the other files


def _side_files(source: Source) -> list[Path]:
    """Return the files that are copied unchanged, except for a chat template in them."""
    wanted = [source.base / "generation_config.json", *(source.tokenizer / name for name in TOKENIZER_FILES)]
    return [path for path in wanted if path.is_file()]


def _write_side_files(source: Source, folder: Path) -> None:
    """Write the generation defaults and the tokenizer, with the release's chat template wherever one is kept."""
    template = source.chat_template
    for path in _side_files(source):
        if path.name == "tokenizer_config.json" and template is not None:
            config = json.loads(path.read_bytes())
            if config.get("chat_template", template) != template:  # older readers look here
                write_json(folder / path.name, {**config, "chat_template": template})
                continue
        if not path.name.startswith("chat_template") or template is None:
            shutil.copyfile(path, folder / path.name)
            sync(folder / path.name)
    if template is not None:
        write_text(folder / "chat_template.jinja", [template])


@contextmanager
def _nothing_left_on_error(folder: Path) -> Iterator[None]:
    """Delete what appeared in the folder when the block fails."""
    before = set(folder.iterdir())
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in set(folder.iterdir()) - before:
                path.unlink()
        raise
