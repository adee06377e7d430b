"""4-bit QLoRA in bfloat16 through Unsloth on a real GPU: each test is one function of `tests.unsloth_cpu.checks`.

No network is needed: weights are random and the tokenizer is made here. The same functions pass on a CPU in float32,
where Triton interprets Unsloth's kernels, so what is new here is CUDA, compiled kernels, bfloat16 and real memory.
`-rP` prints what was measured, peak memory too.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tests.unsloth_cpu.harness import check_names, report, run_worker, selected

pytestmark = pytest.mark.gpu


def why_not() -> str | None:
    """Why these tests cannot run here; None when they can."""
    import torch

    if not torch.cuda.is_available():
        return "no CUDA GPU"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return "the GPU has no bfloat16"
    return "unsloth not installed" if importlib.util.find_spec("unsloth") is None else None


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Outcomes of all selected checks, run in one process of their own: Unsloth must not be imported in this one."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return run_worker("cuda", tmp_path_factory.mktemp("gpu"), selected(request))


@pytest.mark.parametrize("name", check_names())
def test_gpu(name: str, outcomes: dict[str, Any]) -> None:
    report(outcomes[name])
