"""The identity of a base model, for keys: a hub commit, or the hash of a folder's bytes. Loads no torch.

A folder's large files are hashed once: the workspace remembers the result until the file changes (`content.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from statllama.config.base_model import BaseModelSpec
from statllama.config.shipped import shipped_bases
from statllama.errors import InputChanged, ModelError, StatllamaError
from statllama.model.architectures import architecture_of
from statllama.store.canonical import digest
from statllama.store.commits import commit_of
from statllama.store.content import content_hash
from statllama.store.files import read_json

MODEL_FILES = (
    "config.json",
    "generation_config.json",  # which tokens end a reply: it bears on grpo's completions and on generated answers
    "*.safetensors",
    "*.safetensors.index.json",
)
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
        identity["chat_template"] = content_hash(Path(spec.chat_template), memory)
    return identity


def require_identity(spec: BaseModelSpec, identity: Mapping[str, Any], memory: Path) -> None:
    """Raise InputChanged, naming the files, when a local file of base, tokenizer or chat template is not as in
    `identity`. What is on the hub is pinned by its commit.
    """
    if changed := list(_changed(spec, identity, memory)):
        raise InputChanged(
            f"the base model changed since its hash was taken: {', '.join(changed)}",
            remedy="run again with the files as they are now, or put the old ones back first",
        )


def _changed(spec: BaseModelSpec, identity: Mapping[str, Any], memory: Path) -> Iterator[str]:
    """Yield each local file that is not as in `identity`, with what became of it."""
    for name, model, patterns in (
        ("model", spec.model, MODEL_FILES),
        ("tokenizer", spec.tokenizer or spec.model, TOKENIZER_FILES),
    ):
        if (before := identity.get(name, {}).get("files")) is not None:
            now = {path.name: content_hash(path, memory) for path in _files(Path(model), patterns)}
            for file in sorted({*before, *now}):
                if before.get(file) != now.get(file):
                    yield f"{Path(model) / file} {_became(before.get(file), now.get(file))}"
    if "chat_template" in identity and spec.chat_template is not None:
        template = Path(spec.chat_template)
        hashed = content_hash(template, memory) if template.is_file() else None
        if hashed != identity["chat_template"]:
            yield f"{template} {_became('', hashed)}"


def _became(before: str | None, now: str | None) -> str:
    return "is new" if before is None else "was deleted" if now is None else "was edited"


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})


def _part(model: str, revision: str | None, patterns: tuple[str, ...], memory: Path) -> dict[str, Any]:
    folder = Path(model)
    if not folder.is_absolute() or not folder.is_dir():
        try:
            return {"repo": model, "commit": commit_of("models", model, revision, memory)}
        except StatllamaError as error:
            if close := get_close_matches(model, shipped_bases(), n=1):
                error.remedy = f"did you mean {close[0]!r}, the base that ships?"
            raise
    files = _files(folder, patterns)
    if not files:
        raise ModelError(f"{folder} holds none of {', '.join(patterns)}", remedy="give a folder saved by Transformers")
    if patterns == MODEL_FILES and not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(
            f"{folder} holds no weights in safetensors", remedy="save the model with Transformers' `save_pretrained`"
        )
    hashes = {path.name: content_hash(path, memory) for path in files}
    return {"content": digest(hashes), "files": hashes}


def _require_supported(model: str, part: Mapping[str, Any]) -> None:
    """Raise ModelError for a base whose config.json names an architecture without a record.

    Without a config.json at hand nothing is said here: the base is asked again when it is loaded.
    """
    if (config := config_of(model, part)) is not None:
        architecture_of(config, f"the base model {model}")


def config_of(model: str, part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the body of a base's config.json; None where it cannot be had. `part`: `model` of its identity."""
    config = read_json(Path(model) / "config.json" if "content" in part else _from_hub(part))
    return config if isinstance(config, dict) else None


def _from_hub(part: Mapping[str, Any]) -> Path:
    """Return a repository's config.json in the hub's cache, fetched if it is not there; no such file if it cannot
    be.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(part["repo"], "config.json", revision=part["commit"]))
    except (OSError, ValueError):  # the hub's own errors are of these two kinds
        return Path("config.json that the hub did not give")
