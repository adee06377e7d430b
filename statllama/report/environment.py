"""Where a run was made, for its page: versions, devices, and paths without the folders of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.config.shipped import shipped_root
from statllama.runs.subject import Subject


def environment_of(subject: Subject) -> dict[str, str]:
    """Return the versions and devices of the run. Where stages differ, all are listed."""
    manifests = [stage.entry.manifest for stage in subject.trained if stage.entry is not None]
    identity = subject.identity.get("model", {})
    found = {
        "base model": readable(subject, subject.base.model),
        "revision": identity.get("revision") or identity.get("commit") or subject.base.revision,
        "content (SHA-256)": identity.get("content"),
        "quantization": subject.base.quantization,
        "compute type": _each(manifest.get("dtype") for manifest in manifests) or subject.compute,
        "backend": _each(manifest.get("backend") for manifest in manifests),
        "statllama": _each(manifest.get("statllama") for manifest in manifests),
    }
    packages = dict.fromkeys(name for manifest in manifests for name in manifest.get("versions", {}))
    found |= {name: _each(manifest.get("versions", {}).get(name) for manifest in manifests) for name in packages}
    if subject.record.get("started"):
        found["run started"] = str(subject.record["started"])
    return {name: str(value) for name, value in found.items() if value}


def _each(values: Iterator[Any] | Any) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value))


def readable(subject: Subject, text: str) -> str:
    """Return the text without the folders of this machine: relative to the recipe, to what ships, or to the home
    folder.
    """
    places = ((shipped_root() / "recipes", ""), (subject.root.absolute(), ""), (Path.home(), f"~{os.sep}"))
    for folder, instead in places:
        if len(str(folder)) > 1:
            text = text.replace(f"{folder}{os.sep}", instead)
    return text
