"""The source of a release: the base's original weights on disk, and the adapters stacked on them. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from statllama.errors import ExportError
from statllama.model.architectures import EMBEDDING
from statllama.release.weights import open_weights

if TYPE_CHECKING:
    from statllama.model.adapter import Adapter
    from statllama.runs.loaded import Loaded
    from statllama.runs.subject import StackRef, Subject

FROM_HUB = (
    *("*.json", "*.safetensors", "*.jinja", "*.txt", "*.md", "tokenizer.model"),
    *("NOTICE*", "LICEN*", "USE_POLICY*"),
)

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True)
class Source:
    """A base and the stack on it, as every release format gets it."""

    name: str
    """Of the release; safe as a part of a file name."""
    base: Path
    """Folder with the base's original weights, never a quantised copy: config.json, *.safetensors, and the index of
    shards if there are several."""
    tokenizer: Path
    """Folder with the tokenizer's files; often `base`."""
    chat_template: str | None
    """The template's text; None when the tokenizer has none."""
    adapters: tuple[Adapter, ...]
    """In stack order, in float32; a factor on a stage is in its slices' `scaling` already."""
    stages: tuple[str, ...]
    """Names of the adapters' stages."""
    base_name: str | None = None
    """What others load the base by: hub id, or its folder's name, since a path is of this machine; None: its path."""
    revision: str | None = None
    """Commit of the hub id."""

    @cached_property
    def updates(self) -> tuple[Adapter, ...]:
        """Return the adapters with their rows of tokens as slices of the embedding and the head: what is added to the
        base's matrices.
        """
        return tuple(self._with_rows(adapter) if adapter.rows else adapter for adapter in self.adapters)

    def _with_rows(self, adapter: Adapter) -> Adapter:
        stored = open_weights(self.base).tensors.get(f"{EMBEDDING}.weight")
        shape = (stored.shape[0], stored.shape[1]) if stored is not None and len(stored.shape) == 2 else (0, 0)
        rows = {name: part.as_slice(part.shape(shape)[0]) for name, part in adapter.rows.items()}
        return replace(adapter, slices={**adapter.slices, **rows}, rows={})


def source_of(subject: Subject, stack: StackRef, loaded: Loaded, name: str) -> Source:
    """Return the base's original weights, from its folder or the hub, and the stack's adapters. ExportError without
    them.
    """
    names = {stage.key: stage.name for stage in subject.stages}
    model, commit = subject.base.model, subject.identity["model"].get("commit")
    base = _folder(model, commit)
    own = subject.base.tokenizer
    tokenizer = _folder(own, subject.identity["tokenizer"].get("commit")) if own else base
    template = loaded.tokenizer.chat_template
    return Source(
        name=name,
        base=base,
        tokenizer=tokenizer,
        chat_template=str(template) if template else None,
        adapters=loaded.adapters(stack.parts),
        stages=tuple(names[key] for key, _ in stack.parts),
        base_name=model if commit else Path(model).name,
        revision=commit,
    )


def _folder(model: str, commit: str | None) -> Path:
    """Return the folder of a model's files: its own, or the hub's cache at that commit, filled if need be."""
    if commit is None:
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=commit, allow_patterns=list(FROM_HUB)))
    except Exception as error:
        raise ExportError(
            f"the original weights of {model} (commit {commit[:12]}) are unavailable: {type(error).__name__}",
            remedy="connect to the hub once, or set `base.model` to a folder that holds them",
        ) from error


def local_folder(model: str, commit: str | None) -> Path | None:
    """Return the folder of a model's files if they are on this machine; nothing is fetched."""
    if commit is None:
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(model, revision=commit, allow_patterns=list(FROM_HUB), local_files_only=True)
    except Exception:  # not in the cache
        return None
    return Path(found) if list(Path(found).glob("*.safetensors")) else None
