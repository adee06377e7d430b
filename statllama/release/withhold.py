"""Separates published forms from withheld ones: a failed form does not keep the others back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from statllama.release.certificate import Certificate, Verified
from statllama.release.formats import release_format


def withhold(certificate: Certificate, unwritten: Sequence[Verified], force: bool) -> Certificate:
    """Return the certificate with what failed among the withheld, and with what to take in its place.

    `force`: publish forms despite a failed verification. `unwritten` ones cannot be published.
    """
    passed = [one for one in certificate.artefacts if one.passed]
    judged = [one if one.passed else _advised(one, passed) for one in certificate.artefacts]
    held = tuple(one for one in judged if one.passed or force)
    kept_back = [one for one in judged if not (one.passed or force)]
    return replace(certificate, artefacts=held, withheld=(*kept_back, *(_advised(one, passed) for one in unwritten)))


def _advised(failed: Verified, passed: Sequence[Verified]) -> Verified:
    return replace(failed, instead=release_format(failed.kind).instead(failed, passed))
