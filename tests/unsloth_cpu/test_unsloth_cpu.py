"""The stack under Unsloth's real kernels, on a CPU (see `spoof`): each test is one function of `checks`."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tests.unsloth_cpu.harness import check_names, report, run_worker, selected

SLOW = {"recipe_runs", "eight_bit_optimizers", "asking_a_benchmark_leaves_training_alone"}
TESTS = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in check_names()]


def why_not() -> str | None:
    """Why these tests cannot run here; None when they can."""
    missing = [name for name in ("unsloth", "triton") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (see CONTRIBUTING.md)"
    return None


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Outcomes of all selected checks, run in one process of their own."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return run_worker("cpu", tmp_path_factory.mktemp("unsloth"), selected(request))


@pytest.mark.parametrize("name", TESTS)
def test_unsloth_cpu(name: str, outcomes: dict[str, Any]) -> None:
    report(outcomes[name])
