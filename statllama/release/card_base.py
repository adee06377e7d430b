"""The card on the base that a release is made of: which one exactly, how large, under which licence. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.config.shipped import readable
from statllama.model.gguf_import.provenance import RECORD
from statllama.release.licences import Duties
from statllama.release.markdown import code, plain, table
from statllama.release.weights import open_weights
from statllama.store.files import read_json

if TYPE_CHECKING:
    from statllama.runs.subject import Subject

_COMPUTED = re.compile(r"rotary_emb\.inv_freq$")  # a buffer that older files hold


@dataclass(frozen=True)
class BaseFacts:
    """What the base's files say of it."""

    architecture: str = ""
    """Such as `LlamaForCausalLM`."""
    parameters: int | None = None
    """Numbers in its weights; an embedding that is also the output layer counts once."""
    imported: str = ""
    """Name and SHA-256 of the GGUF file that `statllama import` made it of; empty for any other base."""


def facts_of(base: Path) -> BaseFacts:
    """Return what the files in a base's folder say. ExportError for weights that cannot be read."""
    config = _mapping(base / "config.json")
    tensors = open_weights(base).tensors
    tied = config.get("tie_word_embeddings") is True and len(tensors) > 1
    counted = (
        stored.count
        for name, stored in tensors.items()
        if not (_COMPUTED.search(name) or (tied and name == "lm_head.weight"))
    )
    record = _mapping(base / RECORD)
    imported = f"{record.get('file')}, SHA-256 {record['sha256']}" if isinstance(record.get("sha256"), str) else ""
    return BaseFacts(", ".join(map(str, config.get("architectures") or ())), sum(counted), imported)


def base_section(subject: Subject, facts: BaseFacts, duties: Duties) -> Iterator[str]:
    """Yield a table that tells the base from all others, and how it was used."""
    yield "## Base model"
    yield table(("what", "which"), [(what, which) for what, which in _rows(subject, facts, duties) if which])


def _rows(subject: Subject, facts: BaseFacts, duties: Duties) -> Iterator[tuple[str, str]]:
    spec, identity = subject.base, subject.identity
    yield "model", _place(spec.model, identity.get("model", {}))
    if facts.imported:
        yield "imported from", code(facts.imported)
    yield "architecture", plain(facts.architecture)
    yield "parameters", "" if facts.parameters is None else f"{facts.parameters:,}"
    yield "licence", plain(duties.name or "unknown: the base states none")
    if spec.tokenizer is not None and spec.tokenizer != spec.model:
        yield "tokenizer", _place(spec.tokenizer, identity.get("tokenizer", {}))
    if spec.chat_template is not None:
        yield "chat template", f"{code(Path(spec.chat_template).name)}, of the recipe's own"
    yield "in training", "4 bits (NF4)" if spec.quantization == "nf4" else "as stored"


def _place(model: str, identity: dict[str, Any]) -> str:
    """Return a hub repository with its commit, or a folder's name with the hash of its files."""
    if commit := identity.get("commit"):
        return f"[{plain(model)}](https://huggingface.co/{model}), commit {code(commit)}"
    content = identity.get("content")
    return f"a folder, {code(folder_name(model))}" + (f", SHA-256 of its files {code(content)}" if content else "")


def folder_name(model: str) -> str:
    """Return the name of a base's folder: `quickstart/base` of one that ships, else without the folders above it."""
    return Path(model).name if (name := readable(model)) == model else name


def _mapping(file: Path) -> dict[str, Any]:
    found = read_json(file)
    return found if isinstance(found, dict) else {}
