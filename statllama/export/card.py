"""The model card (README.md) of a release, from manifests, scores and the certificate. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from statllama.export.certificate import Certificate
from statllama.export.licences import Duties

if TYPE_CHECKING:
    from statllama.store import Store
    from statllama.subjects import Subject


@dataclass(frozen=True)
class Contents:
    """What lies in a release, relative to its folder."""

    name: str
    """Of the release."""
    adapter: bool = False
    merged: str = ""
    """Type of the merged weights (`bf16`); empty: there are none."""
    gguf: tuple[str, ...] = ()
    """Names of the files below gguf/."""
    modelfile: bool = False
    licences: tuple[str, ...] = ()
    """Names of the licence files."""


def card(
    subject: Subject,
    stage: str,
    store: Store,
    contents: Contents,
    duties: Duties,
    certificate: Certificate,
    forced: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The card's text, in Markdown with YAML metadata. `stage`: the released stack's last stage.

    `forced`: the release is published although verification failed. `notes`: more sentences for its limits.
    """
    raise NotImplementedError
