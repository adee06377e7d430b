"""Messages of libraries: those that say nothing to a user are left out, all others pass; in commands and in Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from statllama.store.noise import NOISE
from tests.conftest import REPO, stage


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a snippet in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


RUN = """
import sys, torch
torch.set_num_threads(1)
from statllama import cli
sys.argv = ["statllama", *sys.argv[1:]]
cli.main()
"""
EXPECTED = (
    r"tiny",
    r"  base -> one",
    r"  one <- sft\.jsonl: 48 examples, [\d,]+ tokens, \d+ % with loss",
    r"  note: all sources: only 48 examples: .*",
    r"  note: stage one: a learning rate of 0\.01 is far above .*",
    r"  loading \S+base0: [\d.]+ s",
    r"one \(sft\): 1 step of 4 rows, learning rate 0\.01, rank 4, scale 2",
    r"  step 1/1  loss .*",
    r"  one done in \d:\d\d: .*",
    r"  one drift: .*",
    r"  one: \S+",
    r"finished in \d:\d\d",
    r"next:",
    r"  statllama report tiny --workspace \S+",
    r"  statllama chat tiny --versus base --workspace \S+",
    r"  statllama export tiny --out tiny-release --workspace \S+",
)


def test_a_run_in_nf4_on_a_cpu_says_nothing_but_its_own_lines(
    write_recipe: Callable[..., Path], base_folder: Path, tmp_path: Path
) -> None:
    path = write_recipe([stage("one", train={"steps": 1})], base={"model": str(base_folder), "quantization": "nf4"})
    done = python(RUN, "run", path, "--workspace", tmp_path / "w")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(EXPECTED), done.stdout
    for line, pattern in zip(lines, EXPECTED, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_from_python_too_and_whichever_library_comes_first() -> None:
    """bitsandbytes is imported by PEFT as well; on a CPU with AVX512-BF16 it advises a package each time."""
    code = (
        "import statllama.model.base_model, bitsandbytes, logging\n"
        "from bitsandbytes.backends.cpu import ops\n"
        "ops.logger.warning('Failed to load CPU gemm_4bit_forward from kernels-community: %s. Please', 'x')\n"
        "ops.logger.warning('something that matters')\n"
    )
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "something that matters\n")


REAL = {
    "bitsandbytes.backends.cpu.ops": (
        "bitsandbytes/backends/cpu/ops.py",
        "Failed to load CPU gemm_4bit_forward from kernels-community",
    ),
    "huggingface_hub.utils._http": ("huggingface_hub/utils/_http.py", "thrown while requesting "),
    "torch.utils._pytree": ("torch/utils/_pytree.py", "is an Enum subclass and is now natively supported"),
    "trl.trainer.grpo_trainer": ("trl/trainer/grpo_trainer.py", "All reward functions returned None for the following"),
    "math_verify.parser": ("math_verify/parser.py", "Timeout is disabled"),
    "math_verify.grader": ("math_verify/grader.py", "Timeout is disabled"),
}


@pytest.mark.parametrize("logger", [name for name, _ in NOISE])
def test_the_installed_library_still_says_so(logger: str) -> None:
    """A message that a new version words otherwise would be heard again: then its line in `NOISE` is of no use."""
    from importlib.util import find_spec

    file, text = REAL[logger]
    spec = find_spec(file.partition("/")[0])
    assert spec is not None and spec.origin is not None
    assert text in (Path(spec.origin).parent.parent / file).read_text(encoding="utf-8")
    assert re.search(dict(NOISE)[logger], text + " kwargs")
