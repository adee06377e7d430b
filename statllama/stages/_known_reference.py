"""The reference of DPO and KTO, computed once for a stage that sees its rows more than once.

The reference never changes, so its log-probabilities of a row are the same in every epoch. They are computed before the
first step, by the trainer's own reference pass over the rows in order, and kept in the stage's folder, which is its
key's: base, parents and data. A resumed stage reads them there. Several ranks share the rows among them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from statllama.data.budget import deal, out_of_memory, split
from statllama.data.work import Work
from statllama.errors import Interrupted, TrainingError
from statllama.store.files import sync
from statllama.train.job import Job
from statllama.train.step import free_memory
from statllama.train.steps import rows_come_again

FILE = "reference.safetensors"
WINDOW = 256  # rows that are put into passes together, and between two looks for a request to stop


class KnownReference:
    """Rows with the reference's log-probabilities beside them, as TRL's collators take both."""

    def __init__(self, rows: Any, values: Mapping[str, Tensor]) -> None:
        """Take `values`: {TRL's name: one number a row, (rows,)}."""
        self.rows, self.values = rows, values

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the row with its numbers; a float32 is the same as a Python float."""
        return {**self.rows[index], **{name: float(column[index]) for name, column in self.values.items()}}


def seen_again(job: Job) -> bool:
    """Return whether the stage sees some rows more than once."""
    return rows_come_again(job.spec.train, len(job.dataset))


@contextmanager
def kept_if_right(job: Job) -> Iterator[None]:
    """Remove the file when the check within fails, or it would fail the mended run as well."""
    try:
        yield
    except TrainingError:
        (job.folder / FILE).unlink(missing_ok=True)
        raise


def with_reference(
    trainer: Any,
    names: Sequence[str],
    length: Callable[[Mapping[str, Any]], int],
    collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]],
    rows_per_item: int = 1,
) -> KnownReference:
    """Return the trainer's rows with the reference's log-probabilities, read from the stage's folder or computed now.

    `names`: TRL's, of what `compute_ref_log_probs` returns (it returns None for what the loss does not need);
    `length`: tokens of an item's longest row. Interrupted when asked to stop meanwhile.
    """
    job: Job = trainer.job
    path, made_for = job.folder / FILE, _made_for(job, trainer.train_dataset) if job.ranks.first else ""
    values = job.ranks.broadcast(_read(path, made_for) if job.ranks.first else None)
    if values is None:
        job.on_note(f"the reference's log-probabilities of {len(trainer.train_dataset):,} rows are computed once")
        values = _computed(trainer, names, length, collate, rows_per_item)
        if job.ranks.first:
            _write(path, values, made_for)
    return KnownReference(trainer.train_dataset, values)


def _computed(trainer: Any, names: Sequence[str], length: Any, collate: Any, rows_per_item: int) -> dict[str, Tensor]:
    job: Job = trainer.job
    rows, ranks = trainer.train_dataset, job.ranks
    found: dict[str, Tensor] = {}
    budget = trainer.micro_tokens
    trainer.model.eval()
    for start in range(0, len(rows), WINDOW):
        if ranks.any(job.stop_requested()):
            raise Interrupted(
                f"stage {job.spec.name}: stopped before its first step, while it computed its reference",
                remedy="run the same command again",
            )
        waiting = list(range(start, min(start + WINDOW, len(rows))))
        if ranks.size > 1:
            share = deal([length(rows[i]) for i in waiting], trainer.micro_tokens, ranks.size, rows_per_item)
            waiting = [waiting[i] for i in share[ranks.rank]]
        while waiting:
            group, *_ = split([length(rows[i]) for i in waiting], budget, rows_per_item)
            indices = [waiting[i] for i in group]
            batch = collate([rows[i] for i in indices])
            values = _of_pass(trainer, batch, len(indices))
            if values is None:
                budget = max(length(rows[i]) for i in indices) * rows_per_item * len(indices) // 2
                free_memory()
                continue
            count, width = len(indices) * rows_per_item, max(length(rows[i]) for i in indices)
            passes = sum(column is not None for column in values) // rows_per_item
            done = Work.of_rows(count, width, float(batch["completion_mask"][:, 1:].sum()))
            trainer.read += done * passes
            for name, column in zip(names, values, strict=True):
                if column is not None:
                    found.setdefault(name, torch.zeros(len(rows)))[indices] = column.float().cpu()
            waiting = [i for i in waiting if i not in set(indices)]
    if ranks.size == 1:
        return found
    parts = ranks.gather(found)  # each with 0 for the others' rows, or without what it had no row of
    columns = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: torch.stack(column).sum(0) for name, column in columns.items() if column}


def _of_pass(trainer: Any, batch: dict[str, Any], items: int) -> tuple[Tensor | None, ...] | None:
    """Return what the trainer's reference pass gives; None when memory runs out. TrainingError for a single item."""
    try:
        with trainer.compute_loss_context_manager():
            values: tuple[Tensor | None, ...] = trainer.compute_ref_log_probs(
                trainer.model, trainer._prepare_inputs(batch)
            )
        return values
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if items == 1:
            name = trainer.job.spec.name
            raise TrainingError(
                f"stage {name}: out of memory in the reference's forward pass of a single row or pair",
                remedy=f"shorten the rows: --set stages.{name}.train.max_length="
                f"{trainer.job.spec.train.max_length // 2}, or use a smaller base",
            ) from None
        return None


# ------------------------------------------------------------------ the file


def _made_for(job: Job, rows: Any) -> str:
    """Return a hash of what the numbers depend on beside the parents, whose keys are in the folder's name."""
    state = hashlib.sha256(json.dumps([job.base.checksum, str(job.base.dtype), job.base.backend]).encode())
    for i in range(len(rows)):
        for name, value in sorted(rows[i].items()):
            state.update(name.encode() + np.asarray(value, dtype=np.int64).tobytes())
    return state.hexdigest()


def _digest(values: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(b"".join(values[name].numpy().tobytes() for name in sorted(values))).hexdigest()


def _read(path: Path, made_for: str) -> dict[str, Tensor] | None:
    """Return the numbers in the file; None where there is none, or it is damaged or made for something else."""
    try:
        with safe_open(path, "pt") as file:
            record, values = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return values if record == {"made_for": made_for, "sha256": _digest(values)} else None


def _write(path: Path, values: dict[str, Tensor], made_for: str) -> None:
    """Write the file: it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    save_file(values, partial, metadata={"made_for": made_for, "sha256": _digest(values)})
    sync(partial)
    os.replace(partial, path)
