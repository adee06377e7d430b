"""The examples run as a reader runs them: scripts in a process of their own, a notebook's cells one after the other."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO

EXAMPLES = REPO / "examples"


def example(folder: Path, *arguments: str | Path) -> str:
    """Run `python ARGUMENTS` in a folder, with this checkout's statllama; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "COLUMNS": "200"}
    environment.pop("STATLLAMA_WORKSPACE", None)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the first example ran with two steps, and what it printed."""
    folder = tmp_path_factory.mktemp("examples")
    return folder, example(folder, EXAMPLES / "01_own_data.py", "2")


def test_every_example_is_listed_and_tested() -> None:
    names = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))
    assert names == ["01_own_data.py", "02_own_reward.py", "03_export_and_ask.py", "04_tour.ipynb"]
    for name in names:
        assert f"]({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
        assert name in Path(__file__).read_text(encoding="utf-8")


def test_01_own_data(own_data: tuple[Path, str]) -> None:
    folder, said = own_data
    assert re.search(r"sft on own_exam: \d+\.\d ± \d+\.\d acc", said)
    assert re.search(r"^ +sft own_exam +48 +\d+\.", said, re.MULTILINE)
    assert sorted(path.name for path in folder.iterdir()) == ["own_data", "workspace"]


@pytest.mark.slow
def test_02_own_reward(own_data: tuple[Path, str]) -> None:
    folder, _ = own_data
    said = example(folder, EXAMPLES / "02_own_reward.py", "2")
    assert re.search(r"reward \d\.\d\d -> \d\.\d\d in 2 steps", said) and "compared with own_reward:sft" in said
    module: dict[str, Any] = {}
    exec(compile((folder / "own_data" / "my_rewards.py").read_text(), "my_rewards.py", "exec"), module)
    test = doctest.DocTestFinder().find(module["right_words"], globs=module)[0]
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.slow
def test_03_export_and_ask(own_data: tuple[Path, str]) -> None:
    folder, _ = own_data
    said = example(folder, EXAMPLES / "03_export_and_ask.py", "merged=f32")
    assert len(re.findall(r"  -> (.*)", said)) == len(re.findall(r"  merged: (.*)", said)) == 2
    assert json.loads((folder / "own_specialist" / "verification.json").read_text())["passed"]


RUN_CELLS = """
import json, sys
scope = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), scope)
        if "parameters" in cell["metadata"].get("tags", ()):
            scope["overrides"] = json.loads(sys.argv[2])
            done = True
assert done, "no cell is tagged `parameters`"
print("all cells ran")
"""


@pytest.mark.slow
def test_04_tour(tmp_path: Path) -> None:
    """All code cells of 04_tour.ipynb, in order, with few steps and questions."""
    few = {"train": {"epochs": None, "steps": 2}}
    overrides = {"stages": {"cpt": few, "sft": few}, "evaluate": {"limit": 8}}
    said = example(tmp_path, "-c", RUN_CELLS, EXAMPLES / "04_tour.ipynb", json.dumps(overrides))
    assert said.endswith("all cells ran\n") and "'quickstart' is not finished: dpo, dtft not trained" in said
    assert (tmp_path / "quickstart-release" / "verification.json").is_file()


def test_the_notebook_is_whole() -> None:
    """It has the outputs of one run from top to bottom, and no path of the machine that it ran on."""
    text = (EXAMPLES / "04_tour.ipynb").read_text(encoding="utf-8")
    book = json.loads(text)
    assert book["nbformat"] == 4
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["outputs"] for cell in code[1:])
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
