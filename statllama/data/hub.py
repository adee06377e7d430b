"""Rows of datasets on the Hugging Face hub, each read of one commit. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.errors import DataError
from statllama.specs import SourceSpec

COMMIT_LENGTH = 40  # hex digits of a commit


def hub_name(source: SourceSpec) -> str:
    """How reports call the source: `owner/name[/config]:split`."""
    return f"{source.hub}{'/' + source.config if source.config else ''}:{source.split}"


def resolve_commit(source: SourceSpec) -> str:
    """The commit that a hub dataset's `revision` (None: main) is now; offline, the one in the local cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    name = source.revision or "main"
    if _is_commit(name):
        return name
    try:
        return str(HfApi().dataset_info(str(source.hub), revision=name, timeout=20).sha)
    except HFValidationError:
        raise DataError(f"{source.hub!r} is not a hub dataset id `owner/name`") from None
    except HfHubHTTPError as error:
        cause = f"the hub answered {error.response.status_code if error.response is not None else 'nothing'}"
    except (OfflineModeIsEnabled, OSError) as error:
        cause = f"the hub cannot be reached ({type(error).__name__})"
    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{str(source.hub).replace('/', '--')}"
    if (folder / "refs" / name).is_file():
        return (folder / "refs" / name).read_text(encoding="utf-8").strip()
    raise DataError(
        f"dataset {source.hub} (revision {name}): {cause}, and the local cache has no commit ({folder})",
        remedy="check the name and the connection; log in with `hf auth login` if it is gated; or download "
        "it and use `path`",
    )


def _is_commit(name: str) -> bool:
    return len(name) == COMMIT_LENGTH and all(c in "0123456789abcdef" for c in name)


def hub_rows(source: SourceSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, row) for every row of a split, as they come over the network: nothing is kept but the rows at hand.

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
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        place = f"cannot be read after row {number}" if number else "cannot be loaded"
        raise DataError(
            f"dataset {source.hub} at {commit[:12]} {place} (config {source.config!r}, split {source.split!r}): "
            f"{reason}",
            remedy="check `hub`, `config`, `split`, `revision` and the connection; or download it and use `path`",
        ) from error
