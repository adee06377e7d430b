"""Rows of datasets on the Hugging Face hub, each read of one commit. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.config.source import SourceSpec
from statllama.errors import DataError
from statllama.store.commits import commit_of


def hub_name(source: SourceSpec) -> str:
    """Return the source's name in reports: `owner/name[/config]:split`."""
    return f"{source.hub}{'/' + source.config if source.config else ''}:{source.split}"


def resolve_commit(source: SourceSpec, memory: Path | None = None) -> str:
    """Return the commit that a hub dataset's `revision` (None: main) is now. `memory`: see `commits.commit_of`."""
    return commit_of("datasets", str(source.hub), source.revision, memory)


def hub_rows(source: SourceSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where, row) for every row of a split, as they come over the network: nothing is kept but the rows at hand.

    Offline (HF_HUB_OFFLINE) the rows are those that `datasets` has in its cache, mapped from disk.
    """
    import datasets

    commit, name = resolve_commit(source), hub_name(source)
    online = not datasets.config.HF_HUB_OFFLINE
    number = 0
    try:
        dataset = datasets.load_dataset(
            source.hub, source.config, split=source.split, revision=commit, streaming=online
        )
        for number, row in enumerate(dataset, start=1):
            yield f"{name}, row {number}", dict(row)
    except Exception as error:  # the library raises many types for a wrong config, split, file or connection
        if not number and isinstance(error, ConnectionError):
            raise DataError(
                f"dataset {name} at {commit[:12]}: the hub cannot be reached. Its rows are not kept, only what was "
                "prepared of them, and the workspace has nothing that was prepared with these settings",
                remedy="run it once with the hub; or go back to the settings of an earlier run (sources, filters, "
                "max_length, packing, seed, tokenizer); or download the dataset and use `path`",
            ) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        place = f"cannot be read after row {number}" if number else "cannot be loaded"
        raise DataError(
            f"dataset {source.hub} at {commit[:12]} {place} (config {source.config!r}, split {source.split!r}): "
            f"{reason}",
            remedy="check `hub`, `config`, `split`, `revision` and the connection; or download it and use `path`",
        ) from error
