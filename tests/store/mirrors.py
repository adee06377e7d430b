"""Entries to mirror, and what a mirror is held to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statllama.store import Store
from statllama.store.canonical import digest
from statllama.store.mirror import MADE_OF, SAYS, Mirror
from statllama.store.mirrored import MirroredStore
from statllama.store.workspace import Kind


def made_of(number: int) -> dict[str, Any]:
    return {"number": number}


def key_of(number: int) -> str:
    return digest(made_of(number))


def said(kind: Kind) -> dict[str, Any]:
    return {name: {} for name in SAYS[kind]}


def publish(store: Store, number: int, kind: Kind = "results", files: Mapping[str, bytes] | None = None) -> str:
    """Publish an entry of two files, as a stage or a score would; its key."""
    key = key_of(number)
    contents = {"adapter.bin": bytes([number]) * 4000, "tokenizer/vocab.json": b"{}"} if files is None else files
    with store.hold(kind, key):
        out = store.fresh_out(kind, key)
        for name, content in contents.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
        store.publish(kind, key, {"name": f"n{number}", MADE_OF[kind]: made_of(number), **said(kind)})
    return key


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def opened(root: Path, url: str, notes: list[str] | None = None, *, preview: bool = False) -> MirroredStore:
    """Return a workspace with a mirror that was listed just now."""
    mirror = Mirror(url)
    mirror.connect(write=not preview)
    return MirroredStore(root, mirror, (notes if notes is not None else []).append, preview=preview)


def push_all(store: MirroredStore, *keys: str, kind: Kind = "results") -> dict[Any, str]:
    """Push entries and wait; what could not be pushed."""
    store.offer(kind, keys)
    return store.pusher.finish(lambda done, total: None).left


def whole(root: Path, url: str, key: str, kind: Kind = "results") -> bool:
    """Return whether a new workspace gets the entry from the mirror, sound in every byte."""
    store = opened(root, url)
    if store.bring(kind, key) is None:
        return False
    store.verify(kind, key)
    return True
