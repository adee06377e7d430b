"""The origin of an imported base: a record for programs, and a card from which a release takes its licence duties."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from statllama.model.gguf_import.header import Header
from statllama.store.files import file_sha256, translate_os_errors, write_json, write_text
from statllama.store.versions import __version__

RECORD, CARD = "imported.json", "README.md"
SCHEMA = 1
MOST_TEXT = 2000
"""Characters of a text of the metadata that are kept."""
_HUB = re.compile(r"https?://huggingface\.co/([\w.-]+/[\w.-]+?)/?")


def record_of(header: Header, type_: str) -> dict[str, Any]:
    """Collect what is known of a file: name, bytes, SHA-256, types of tensors, `general.` metadata with the licence.

    `type_`: what the weights were written in. Reads the whole file for its SHA-256.
    """
    with translate_os_errors(header.path):
        digest = file_sha256(header.path)
    return {
        "schema": SCHEMA,
        "file": header.path.name,
        "bytes": header.path.stat().st_size,
        "sha256": digest,
        "gguf_version": header.version,
        "tensor_types": header.types,
        "parameters": header.parameters,
        "written_as": type_,
        "general": _general(header.fields),
        "statllama": __version__,
        "verification": None,
    }


def write_provenance(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record, and the card with the licence that the GGUF file states, into the folder."""
    write_json(folder / RECORD, record)
    write_text(folder / CARD, [card(record)])


def card(record: Mapping[str, Any]) -> str:
    """Write a model card: the hub's fields for licence and origin, and the source in words."""
    general = record["general"]
    stated = {
        "license": _licence(general.get("license")),
        "license_name": general.get("license.name"),
        "license_link": general.get("license.link"),
        "base_model": _origin(general),
        "language": general.get("languages"),
    }
    fields = {key: value for key, value in stated.items() if value}
    types = ", ".join(f"{count} {name}" for name, count in record["tensor_types"].items())
    licence = fields.get("license")
    lines = [
        f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---\n" if fields else "",
        f"# {' '.join(str(general.get('name') or record['file']).split())}\n",
        f"Imported from the GGUF file `{record['file']}` by statllama {record['statllama']}.\n",
        f"- SHA-256 of the file: `{record['sha256']}`",
        f"- Tensors of the file: {types}",
        f"- Weights here: {record['written_as']}",
        f"- Licence that the file states: {licence or 'none: find out what it allows before you share what you make'}",
        f"\n`{RECORD}` holds all that the file says of its origin.",
    ]
    return "\n".join(lines) + "\n"


def _general(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the keys under `general.`, without the prefix; long texts are cut, numbers that JSON lacks are words."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value[:100]]
        if isinstance(value, float):
            return value if abs(value) < float("inf") else str(value)
        return value[:MOST_TEXT] if isinstance(value, str) else value

    return {key.removeprefix("general."): plain(value) for key, value in fields.items() if key.startswith("general.")}


def _licence(stated: Any) -> str | None:
    """Name the licence as the hub does, such as `apache-2.0` or `llama3.2`; `other` for a text of another
    shape.
    """
    if not isinstance(stated, str) or not stated.strip():
        return None
    plain = stated.strip().lower()
    return plain if re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", plain) else "other"


def _origin(general: Mapping[str, Any]) -> str | None:
    """Find the hub's name of the model, or of what it was made from; None when the file has neither."""
    for key in ("source.repo_url", "repo_url", "base_model.0.repo_url"):
        if isinstance(url := general.get(key), str) and (found := _HUB.fullmatch(url)):
            return found[1]
    return None
