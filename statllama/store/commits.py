"""The current commit of a hub repository's branch or tag, as a workspace remembers it. Loads no torch.

Reading by commit leaves no trace of the branch in the hub's local cache, so the workspace keeps the answer.
It serves only when the hub is unreachable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

from statllama.errors import DataError, ModelError, StatllamaError
from statllama.store.memory import recall, remember
from statllama.store.noise import hush

Kind = Literal["models", "datasets"]
COMMIT_LENGTH = 40  # hex digits of a commit
BUSY = (408, 429)  # answers of a hub that is there, but not now; so are all from 500 on
_WORDS: dict[Kind, tuple[str, type[StatllamaError], str]] = {
    "models": (
        "base model",
        ModelError,
        "for a gated model log in with `hf auth login`; fetch it where there is a network: `statllama fetch RECIPE`; "
        "or use a folder: --set base.model=FOLDER",
    ),
    "datasets": (
        "dataset",
        DataError,
        "log in with `hf auth login` if it is gated; fetch it where there is a network: `statllama fetch RECIPE`; or "
        "download it and use `path`",
    ),
}


def commit_of(kind: Kind, repo: str, revision: str | None, memory: Path | None) -> str:
    """Return the commit that `revision` (None: main) of a hub repository is now; a commit is itself.

    `memory`: see `memory.py`; it keeps the answer. When the hub cannot be reached it is taken from there, else from the
    hub's local cache, and the log says so. ModelError or DataError when there is none.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hush()
    name = revision or "main"
    if is_commit(name):
        return name
    what, failure, remedy = _WORDS[kind]
    ask = HfApi().model_info if kind == "models" else HfApi().dataset_info
    try:
        commit = str(ask(repo, revision=name, timeout=20).sha)
    except HFValidationError:
        raise failure(f"{repo!r} is neither a folder nor a hub id `owner/name`") from None
    except HfHubHTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        cause, reached = f"the hub answered {status or 'nothing'}", 0 < status < 500 and status not in BUSY
    except Exception as error:  # no network shows as OSError, as the HTTP client's own errors, or as offline mode
        cause, reached = f"the hub cannot be reached ({type(error).__name__})", False
    else:
        remember(memory, f"{kind}/{repo}@{name}", commit)
        return commit
    folder = Path(constants.HF_HUB_CACHE) / f"{kind}--{repo.replace('/', '--')}"
    known = None if reached else recall(memory).get(f"{kind}/{repo}@{name}") or _cached(folder / "refs" / name)
    if known is None:
        asked = "" if reached else f", and neither the workspace nor the local cache ({folder}) knows its commit"
        raise failure(
            f"{what} {repo} (revision {name}): {cause}{asked}", remedy=f"check the name and the connection; {remedy}"
        )
    _say_once(f"{what} {repo} (revision {name}): {cause}; taking commit {known}")
    return known


@contextmanager
def known_to_be_there(dataset: str) -> Iterator[str]:
    """Enclose work that reads a hub dataset; yield why the hub cannot be reached, nothing where it can.

    Without it the libraries would try each file six times, 23 seconds long, before they take it from the local cache or
    give up. They are told to be offline meanwhile.
    """
    import datasets
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    reason = ""
    try:
        HfApi().dataset_info(dataset, timeout=20)
    except HfHubHTTPError as error:  # it answers; what it says of this dataset is for whoever reads that
        status = 0 if error.response is None else error.response.status_code
        reason = f"the hub answered {status}" if status in BUSY or status >= 500 else ""
    except Exception as error:
        reason = f"the hub cannot be reached ({type(error).__name__})"
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = (offline or bool(reason) for offline in before)
    try:
        yield reason
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


@cache
def _say_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)


def is_commit(name: str) -> bool:
    """Return whether a revision is a commit, which never means anything else."""
    return len(name) == COMMIT_LENGTH and all(c in "0123456789abcdef" for c in name)


def _cached(ref: Path) -> str | None:
    return ref.read_text(encoding="utf-8").strip() if ref.is_file() else None
