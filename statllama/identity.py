"""What a base model *is*, for keys: a hub commit, or the hash of a folder's bytes. Loads no torch.

A folder's large files are hashed once: the result is remembered in the workspace by path, size and modification time.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from statllama.errors import ModelError
from statllama.specs import BaseModelSpec
from statllama.store import file_sha256, write_json

MODEL_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    # Transformers makes a fast tokenizer of these where there is no tokenizer.json.
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)


def base_identity(spec: BaseModelSpec, memory: Path) -> dict[str, Any]:
    """Canonical description of base, tokenizer and chat template. `memory`: JSON file that remembers hashes.

    ModelError when a folder holds no model, or the hub cannot say which commit a revision is.
    """
    known = _recall(memory)
    before = dict(known)
    identity: dict[str, Any] = {"quantization": spec.quantization}
    identity["model"] = _part(spec.model, spec.revision, MODEL_FILES, known)
    same = spec.tokenizer is None or spec.tokenizer == spec.model
    revision = spec.revision if same else None
    identity["tokenizer"] = _part(spec.tokenizer or spec.model, revision, TOKENIZER_FILES, known)
    if spec.chat_template is not None:
        identity["chat_template"] = file_sha256(Path(spec.chat_template))
    if known != before:
        write_json(memory, known)
    return identity


def commit_of(repo: str, revision: str | None) -> str:
    """The commit that `revision` of a hub model is now; offline, the one in the local cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    name = revision or "main"
    try:
        return str(HfApi().model_info(repo, revision=name, timeout=20).sha)
    except HFValidationError:
        raise ModelError(f"{repo!r} is neither a folder nor a hub id `owner/name`") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        cause = f"the hub answered {status}"
    except Exception as error:  # no network shows as OSError, as the HTTP client's own errors, or as offline mode
        cause = f"the hub cannot be reached ({type(error).__name__})"
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    if (folder / "snapshots" / name).is_dir():
        return name
    if (folder / "refs" / name).is_file():
        return (folder / "refs" / name).read_text(encoding="utf-8").strip()
    raise ModelError(
        f"base model {repo} (revision {name}): {cause}, and it is not in the local cache ({folder})",
        remedy="check the name and the connection; for a gated model log in with `hf auth login`; or use a folder: "
        "--set base.model=FOLDER",
    )


def _part(model: str, revision: str | None, patterns: tuple[str, ...], known: dict[str, str]) -> dict[str, str]:
    folder = Path(model)
    if not folder.is_absolute() or not folder.is_dir():
        return {"repo": model, "commit": commit_of(model, revision)}
    files = sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})
    if not files:
        raise ModelError(f"{folder} holds none of {', '.join(patterns)}", remedy="give a folder saved by Transformers")
    if patterns == MODEL_FILES and not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(
            f"{folder} holds no weights in safetensors", remedy="save the model with Transformers' `save_pretrained`"
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{_hash(path, known)}\n".encode())
    return {"content": digest.hexdigest()}


def _hash(path: Path, known: dict[str, str]) -> str:
    stat = path.stat()
    mark = f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
    if mark not in known:
        known[mark] = file_sha256(path)
    return known[mark]


def _recall(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}
