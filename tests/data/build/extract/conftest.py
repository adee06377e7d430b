"""PDFs of known text, and one reader for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.extract.options import Options
from statllama.data.build.extract.reader import Reader
from statllama.data.build.extract.spec import ExtractSpec
from statllama.data.build.extract.step import Extract
from statllama.data.build.records import Json, Kept, LeftOut

Outcomes = tuple[list[Json], list[LeftOut]]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(60, Options()) as reader:
        yield reader


def record_of(path: Path, **more: Any) -> Json:
    return {
        "id": f"file:{path.name}",
        "origin": {"collector": "files", "place": path.name},
        "file": str(path),
        "form": path.suffix[1:],
        **more,
    }


def extract(*records: Json, **settings: Any) -> Outcomes:
    """What the step makes of records, with the process apart."""
    outcomes = list(Extract(ExtractSpec(**settings)).apply(records, None, Path()))
    kept = [dict(outcome.record) for outcome in outcomes if isinstance(outcome, Kept)]
    return kept, [outcome for outcome in outcomes if isinstance(outcome, LeftOut)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file; returns its path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write
