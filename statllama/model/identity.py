"""The identity of a base model, for keys: a hub commit, or the hash of a folder's bytes. Loads no torch.

A folder's large files are hashed once: the result is remembered in the workspace by path, size and modification time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statllama.config.specs import BaseModelSpec
from statllama.errors import ModelError
from statllama.model.architectures import architecture_of
from statllama.store.commits import commit_of
from statllama.store.files import file_sha256, read_json
from statllama.store.memory import recall, remember

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
    """Return the canonical description of base, tokenizer and chat template. `memory`: keeps hashes and commits
    (`memory.py`).

    ModelError when a folder holds no model, the hub cannot say which commit a revision is, or the base has an
    architecture that is not supported.
    """
    identity: dict[str, Any] = {"quantization": spec.quantization}
    identity["model"] = _part(spec.model, spec.revision, MODEL_FILES, memory)
    _require_supported(spec.model, identity["model"])
    same = spec.tokenizer is None or spec.tokenizer == spec.model
    if same and "commit" in identity["model"]:
        identity["tokenizer"] = dict(identity["model"])
    else:
        identity["tokenizer"] = _part(spec.tokenizer or spec.model, None, TOKENIZER_FILES, memory)
    if spec.chat_template is not None:
        identity["chat_template"] = file_sha256(Path(spec.chat_template))
    return identity


def _part(model: str, revision: str | None, patterns: tuple[str, ...], memory: Path) -> dict[str, str]:
    folder = Path(model)
    if not folder.is_absolute() or not folder.is_dir():
        return {"repo": model, "commit": commit_of("models", model, revision, memory)}
    files = sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})
    if not files:
        raise ModelError(f"{folder} holds none of {', '.join(patterns)}", remedy="give a folder saved by Transformers")
    if patterns == MODEL_FILES and not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(
            f"{folder} holds no weights in safetensors", remedy="save the model with Transformers' `save_pretrained`"
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{_hash(path, memory)}\n".encode())
    return {"content": digest.hexdigest()}


def _require_supported(model: str, part: Mapping[str, str]) -> None:
    """Raise ModelError for a base whose config.json names an architecture without a record.

    Without a config.json at hand nothing is said here: the base is asked again when it is loaded.
    """
    config = read_json(Path(model) / "config.json" if "content" in part else _from_hub(part))
    if isinstance(config, dict):
        architecture_of(config, f"the base model {model}")


def _from_hub(part: Mapping[str, str]) -> Path:
    """Return a repository's config.json in the hub's cache, fetched if it is not there; no such file if it cannot
    be.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(part["repo"], "config.json", revision=part["commit"]))
    except (OSError, ValueError):  # the hub's own errors are of these two kinds
        return Path("config.json that the hub did not give")


def _hash(path: Path, memory: Path) -> str:
    stat = path.stat()
    mark = f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
    found = recall(memory).get(mark) or file_sha256(path)
    remember(memory, mark, found)
    return found
