"""What the benchmark scripts rely on."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPO


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import common

    return common


def test_the_plain_side_has_a_process_without_unsloth(common: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unsloth", ModuleType("unsloth"))
    with pytest.raises(RuntimeError, match="Unsloth is loaded"):
        common.require_plain()
    with common.process_apart() as plainly:
        plainly(common.require_plain)
        assert plainly(common.median, [1.0, 2.0, 4.0]) == 2.0
