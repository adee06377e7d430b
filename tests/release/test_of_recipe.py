"""Releases as part of a run: the same bytes as the command's, made once, never in the place of anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import RecipeError, UsageError
from statllama.recipe import Recipe, load_recipe
from statllama.release.of_recipe import ReleaseMaker
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import stage
from tests.running import statllama

FEW = {"steps": 2, "learning_rate": 3e-2}
WORDS = ["adapter", "merged=bf16"]


class Kept(Reporter):
    """Keeps what is said of releases and stages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def releasing(self, stage: str, out: Path) -> None:
        self.said.append(f"releasing {stage} {out.name}")

    def released(self, stage: str, out: Path, how: str) -> None:
        self.said.append(f"released {stage} {out.name}: {how}")

    def stage_finished(self, name: str, entry: Any) -> None:
        self.said.append(f"trained {name}")

    def note(self, text: str) -> None:
        self.said.append(f"note: {text}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are given, with a benchmark."""
    choice_task(tmp_path / "eval", "letters", 12)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def recipe_with(write_recipe: Callable[..., Path], release: list[dict[str, Any]], **fields: Any) -> Path:
    evaluate = {"tasks": ["letters"], "micro_tokens": 1600, **fields.pop("evaluate", {})}
    stages = [stage("one", train=FEW), stage("two", train=FEW)]
    return write_recipe(stages, evaluate=evaluate, release=release, **fields)


def run(path: Path | Recipe, workspace: Path, **given: Any) -> tuple[runner.RunResult, list[str]]:
    recipe, kept = path if isinstance(path, Recipe) else load_recipe(path), Kept()
    return runner.run(recipe, Store(workspace), kept, maker=ReleaseMaker(), **given), kept.said


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_releases_the_bytes_of_the_command(here: Path, write_recipe: Callable[..., Path]) -> None:
    path = recipe_with(write_recipe, [{"stage": "one", "forms": WORDS}, {"out": "last", "scale": {"one": 0.5}}])
    result, said = run(path, here / "w")
    order = [line.partition(":")[0] for line in said if not line.startswith("note")]
    assert order == [
        "trained one", "releasing one tiny-one", "released one tiny-one",
        "trained two", "releasing two last", "released two last",
    ]  # fmt: skip
    assert result.releases == {"tiny-one": Path.cwd() / "tiny-one", "last": Path.cwd() / "last"}
    for target, options in (("tiny-one", ["tiny:one"]), ("last", ["tiny", "--scale", "one=0.5"])):
        done = statllama("export", *options, "--out", "command", "--workspace", here / "w", cwd=Path.cwd())
        assert done.returncode == 0, done
        assert contents(Path("command")) == contents(Path(target))
        for file in sorted(Path("command").rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    assert not (here / "w" / "releases").exists() or not list((here / "w" / "releases").iterdir())
