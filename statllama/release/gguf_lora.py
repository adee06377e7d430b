"""GGUF LoRA files for llama.cpp's `--lora`: the stack, and each of its stages where there are several.

llama.cpp multiplies B A by alpha / rank, and by 1 when alpha is 0. So alpha is scaling x rank here, which holds for
rsLoRA and for a stage's factor too, and what one alpha cannot say goes into B (`lowrank.fold`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

from statllama.errors import ExportError
from statllama.model.adapter import Adapter
from statllama.model.architectures import HEAD
from statllama.model.layout import Layout
from statllama.model.lowrank import fold, folded_rank
from statllama.release.adapter import require_fit
from statllama.release.gguf import whole_or_nothing
from statllama.release.gguf_layout import is_linear, read_for_gguf
from statllama.release.source import Progress, Source
from statllama.release.weights import open_weights
from statllama.store.files import translate_os_errors


def write_gguf_loras(source: Source, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write NAME-lora.gguf, the whole stack, and NAME-STAGE-lora.gguf of each stage where there is more than one.

    In float32, in which adapters are trained. ExportError when they are not for this base, or llama.cpp could not apply
    them; StoreError when the disk refuses.
    """
    layout, files = require_writable(source), _files(source)
    done, total = 0, sum(map(_numbers, files.values()))
    for name, adapters in files.items():
        write_gguf_lora(fold_once(adapters), layout, folder / name, name.removesuffix(".gguf"))
        done += _numbers(adapters)
        if progress is not None:
            progress(done, total)
    return [folder / name for name in files]


def require_writable(source: Source) -> Layout:
    """Return the base's layout. ExportError when adapters and base do not fit, or llama.cpp could not apply one."""
    require_fit(source, open_weights(source.base))
    layout = read_for_gguf(source.base)
    for stage, adapter in zip(source.stages, source.adapters, strict=True):
        if adapter.rows:
            raise ExportError(
                f"stage {stage!r} has rows of tokens (`lora.token_rows`), which llama.cpp cannot take from a LoRA file",
                remedy="export a GGUF file of the whole model, into which the adapter is merged",
            )
    for adapters in _files(source).values():
        for adapter in adapters:
            for module in adapter.slices:
                _name(module, layout)
    return layout


def needed_bytes(source: Source) -> int:
    """Return the bytes that `write_gguf_loras` writes, at most about."""
    return sum(_numbers(adapters) + (1 << 16) for adapters in _files(source).values())


def write_gguf_lora(adapter: Adapter, layout: Layout, path: Path, name: str) -> None:
    """Write one adapter with the same rank and scaling on all modules to the new file `path`.

    A: (rank, in), B: (out, rank) in GGUF's order of rows. ExportError for a module that llama.cpp has no LoRA for.
    """
    writer = gguf.GGUFWriter(path, layout.architecture.gguf)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_file_type(int(gguf.LlamaFileType.ALL_F32))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    first = next(iter(adapter.slices.values()))
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, first.scaling * first.A.shape[0])
    names = {module: _name(module, layout) for module in adapter.slices}
    for module in sorted(names, key=lambda module: (len(names[module]), names[module])):
        part, name = adapter.slices[module], f"{names[module]}.weight"
        order = layout.rope_order(name)
        b = part.B.numpy() if order is None else part.B.numpy()[order]
        writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(part.A.numpy()))
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b))
    with translate_os_errors(path), whole_or_nothing(writer, path):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def fold_once(adapters: Sequence[Adapter]) -> Adapter:
    """Return one adapter that one alpha can describe: the adapter itself if it is such, else the stack folded."""
    if len(adapters) == 1:
        kinds = {(part.A.shape[0], part.scaling) for part in adapters[0].slices.values()}
        if len(kinds) == 1 and kinds.pop()[1] != 0:
            return adapters[0]
    return fold(adapters)


def _files(source: Source) -> dict[str, Sequence[Adapter]]:
    """Return {file: the adapters in it}."""
    if not source.adapters:
        raise ExportError("the base alone has no adapter to export", remedy="export a stage")
    files: dict[str, Sequence[Adapter]] = {f"{source.name}-lora.gguf": source.adapters}
    if len(source.adapters) > 1:
        for stage, adapter in zip(source.stages, source.adapters, strict=True):
            files[f"{source.name}-{stage}-lora.gguf"] = (adapter,)
    return files


def _numbers(adapters: Sequence[Adapter]) -> int:
    """Return the bytes of the A and B of the adapters folded."""
    sizes = {m: part.A.shape[1] + part.B.shape[0] for adapter in adapters for m, part in adapter.slices.items()}
    return 4 * folded_rank(adapters) * sum(sizes.values())


def _name(module: str, layout: Layout) -> str:
    name = layout.architecture.gguf_name(module)
    if name is None or not is_linear(layout, module) or (module == HEAD and layout.tied):
        why = "is tied to the embedding" if module == HEAD else "is none of the base's linear modules"
        raise ExportError(
            f"llama.cpp cannot put a LoRA on {module}, which {why}",
            remedy="export a GGUF file of the whole model, into which the adapter is merged",
        )
    return name
