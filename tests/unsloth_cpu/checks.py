"""What must hold of the stack under Unsloth. The same functions run on a CPU (see `spoof`) and on a GPU.

Each takes a `World` and raises AssertionError. They run inside `worker`, never in the process of pytest.
"""

from __future__ import annotations

from tests.unsloth_cpu import drift_checks, run_checks, stack_checks, stage_checks
from tests.unsloth_cpu.common import CHECKS, make_world

__all__ = ["CHECKS", "drift_checks", "make_world", "run_checks", "stack_checks", "stage_checks"]
