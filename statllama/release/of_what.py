"""What a release is of, as its certificate records it: by this a run knows one that it made. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statllama.errors import UsageError
from statllama.release.artefact import Order
from statllama.runs.subject import StackRef, Subject
from statllama.store.canonical import digest
from statllama.store.files import read_json
from statllama.store.new_folder import require_free

CERTIFICATE, SUMS = "verification.json", "SHA256SUMS"
OF_WHAT = "of"
"""Field of the certificate's file."""


def of_what(subject: Subject, stack: StackRef, orders: Sequence[Order], name: str | None) -> dict[str, Any]:
    """Return what tells a release from others, as plain JSON: base, stack, forms, name. Equal for equal files, but for
    the card, whose scores may have changed.
    """
    forms = [{"format": one.format, "type": one.type, "settings": dict(one.settings)} for one in orders]
    named = name or f"{subject.name}-{stack.name}"
    return {"base": digest(subject.identity), "stack": list(stack.identity), "forms": forms, "name": named}


def stands(out: Path, wanted: Mapping[str, Any]) -> bool:
    """Return whether the folder holds this release: whole, with the forms that are wanted, those left out that failed.

    UsageError for a folder that is there and holds anything else, or a place where none can be.
    """
    if not (out.is_dir() and any(out.iterdir())):
        require_free(out, "release: out")
        return False
    if (wrong := _difference(out, wanted)) is not None:
        raise UsageError(
            f"release: {out} exists already, and {wrong}",
            remedy=f"remove it (rm -r {out}), or give the release another `out`",
        )
    return True


def withheld(out: Path) -> list[str]:
    """Return the names of the files that a release was to hold and that failed."""
    body = read_json(out / CERTIFICATE)
    return [str(one["name"]) for one in body.get("withheld", ())] if isinstance(body, dict) else []


def _difference(out: Path, wanted: Mapping[str, Any]) -> str | None:
    """Say why a folder is not the release that is wanted; None when it is."""
    body = read_json(out / CERTIFICATE)
    found = body.get(OF_WHAT) if isinstance(body, dict) else None
    if not isinstance(found, dict):
        return "it is no release of a run" if body is None else "its certificate does not say what stack it is of"
    for part, what in (("base", "base"), ("stack", "stack"), ("name", "name")):
        if found.get(part) != wanted[part]:
            return f"it is a release of another {what}"
    left_out = [(one["kind"], one["type"]) for one in body.get("withheld", ())]
    held = [form for form in found.get("forms", ()) if (form["format"], form["type"]) not in left_out]
    if wanted["forms"] not in (found.get("forms"), held):
        return "it holds other forms"
    try:
        lines = (out / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"its {SUMS} is missing"
    missing = [name for _, _, name in (line.partition("  ") for line in lines) if not (out / name).is_file()]
    return f"{missing[0]} is missing in it" if missing else None
