"""constraints.txt pins all that any extra brings, in agreement with pyproject.toml and what `doctor` calls good."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical
from packaging.version import Version

from statllama.store.versions import KNOWN_GOOD
from tests.conftest import REPO

LINES = [line for line in (REPO / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINS = {canonical(name): Version(version) for name, _, version in (line.partition("==") for line in LINES)}
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BY_TORCH = re.compile(r"triton$|nvidia-|cuda-")  # a build of PyTorch asks for its own


def declared() -> Iterator[Requirement]:
    """Every requirement of pyproject.toml, of all extras too, but for the project itself."""
    for text in (*PROJECT["dependencies"], *(text for texts in EXTRAS.values() for text in texts)):
        if (requirement := Requirement(text)).name != "statllama":
            yield requirement


def brought(requirements: Iterator[Requirement]) -> Iterator[str]:
    """The installed packages that these bring, with all that those bring."""
    waiting = [(canonical(r.name), extra) for r in requirements for extra in ("", *r.extras)]
    seen = set()
    while waiting:
        name, extra = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        yield name
        for further in map(Requirement, found.requires or ()):
            if further.marker is None or further.marker.evaluate({"extra": extra}):
                waiting += [(canonical(further.name), inner) for inner in ("", *further.extras)]


def test_every_requirement_is_pinned_within_its_range() -> None:
    assert len(PINS) == len(LINES) == len({line.lower() for line in LINES})
    for requirement in declared():
        name = canonical(requirement.name)
        assert name in PINS, f"constraints.txt lacks {name}: write it anew with .ci/constraints"
        assert requirement.specifier.contains(PINS[name]), f"{requirement} excludes {PINS[name]}"


def test_all_that_they_bring_is_pinned() -> None:
    names = {name for name in brought(declared()) if not BY_TORCH.match(name)}
    assert len(names) > 80
    assert not names - PINS.keys(), "constraints.txt lacks these: write it anew with .ci/constraints"


def test_it_is_the_known_good_set() -> None:
    assert {name: str(PINS[canonical(name)]) for name in KNOWN_GOOD} == KNOWN_GOOD


def test_what_is_installed_is_what_is_pinned() -> None:
    """In CI, which installs by it. Elsewhere the differences are told (`pytest -rs`)."""
    differ = []
    for name in sorted({*brought(declared())} & PINS.keys()):
        installed = Version(distribution(name).version)
        if installed.public != PINS[name].public:
            differ.append(f"{name} {installed} (pinned: {PINS[name]})")
    if differ and os.environ.get("STATLLAMA_PINNED") != "1":
        pytest.skip(f"not the known-good set: {', '.join(differ)}")
    assert not differ
