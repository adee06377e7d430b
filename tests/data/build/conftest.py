"""PDFs of known text, for the tests of extraction and of whole builds."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.conftest import REPO


@pytest.fixture(scope="session")
def typesetting() -> Any:
    """The module `benchmarks/typeset.py`."""
    pytest.importorskip("reportlab")
    sys.path.insert(0, str(REPO / "benchmarks"))
    try:
        import typeset
    finally:
        sys.path.remove(str(REPO / "benchmarks"))
    return typeset
