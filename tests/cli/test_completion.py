"""Shell completion: what Tab offers, in a real bash too; quick, silent, and without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.cli import completion
from statllama.config.shipped import shipped_recipes, shipped_studies
from tests.cli.test_app import HEAVY
from tests.conftest import REPO
from tests.running import statllama

PROGRAM = "import sys; sys.argv[0] = 'statllama'; from statllama.cli import main; main()"
SCRIPT = f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the program, a recipe and one that is broken."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "statllama").write_text(SCRIPT)
    (tmp_path / "bin" / "statllama").chmod(0o755)
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nextends: quickstart\nkeep: [cpt]\nstages: [{name: own, type: sft}]\n"
    )
    (tmp_path / "broken.yaml").write_text("name: [\n")
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    return {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(REPO), "HOME": str(place)}


def offered(place: Path, *words: str) -> list[str]:
    """What a shell is told for a line whose last word is being typed."""
    done = subprocess.run(
        ["statllama"],
        env={**environment(place), "COMP_WORDS": " ".join(("statllama", *words)), "COMP_CWORD": str(len(words)),
             "_STATLLAMA_COMPLETE": "complete_bash"},
        cwd=place, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_tab_offers_what_the_line_means(place: Path) -> None:
    assert offered(place, "pl") == ["plan"]
    assert offered(place, "data", "ch") == ["check"]
    assert offered(place, "run", "q") == ["quickstart"]
    assert offered(place, "run", "m") == ["miniature/base_instruct_pipeline", "miniature/base_pipeline",
                                          "miniature/instruct_pipeline", "mine.yaml"]  # fmt: skip
    assert offered(place, "run", "mine.yaml", "--until", "") == ["cpt", "own"]
    assert offered(place, "run", "mine.yaml", "--set", "stages.own.train.st") == ["stages.own.train.steps="]
    assert offered(place, "eval", "--task", "gsm") == ["gsm8k"]
    assert offered(place, "chat", "quickstart/") == ["quickstart/base"]
    assert offered(place, "eval", "quickstart", "--set", "evaluate.l") == ["evaluate.limit="]
    assert offered(place, "eval", "quickstart", "--set", "stages.") == [], "a run takes only `evaluate`"


def test_everything_that_ships_is_offered(place: Path) -> None:
    assert set(offered(place, "study", "")) >= {*shipped_recipes(), *shipped_studies()}
    assert "notes.txt" not in offered(place, "run", "") and "bin/" in offered(place, "run", "")


def test_broken_lines_and_files_offer_nothing(place: Path) -> None:
    for words in (("run", "broken.yaml", "--until", ""), ("run", "nothing", "--until", ""),
                  ("run", "nowhere/x"), ("run", "quickstart", "--set", "nothing.x")):  # fmt: skip
        assert offered(place, *words) == [], words


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_real_bash_completes(place: Path) -> None:
    """The script that `--show-completion` prints, loaded into bash, asked as Tab asks."""
    ask = (
        'eval "$(statllama --show-completion bash)"\n'
        'COMP_WORDS=(statllama run quickstart --until d); COMP_CWORD=4\n'
        '_statllama_completion statllama\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )  # fmt: skip
    done = subprocess.run(
        ["bash", "--norc", "-c", ask], env=environment(place), cwd=place, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["dpo", "dtft"] and done.stderr == ""


def test_zsh_gets_values_and_what_a_field_is(place: Path) -> None:
    def zsh(line: str) -> str:
        env = {**environment(place), "_TYPER_COMPLETE_ARGS": line, "_STATLLAMA_COMPLETE": "complete_zsh"}
        return subprocess.run(["statllama"], env=env, cwd=place, capture_output=True, text=True, check=True).stdout

    assert '"stages.cpt.train.schedule=cosine"' in zsh("statllama run mine.yaml --set stages.cpt.train.schedule=c")
    assert '"base.model=quickstart/base"' in zsh("statllama run mine.yaml --set base.model=q")
    assert '"stages.cpt.train.steps=":"Optimizer steps' in zsh("statllama run mine.yaml --set stages.cpt.train.st")


def test_runs_of_the_workspace_are_targets(place: Path) -> None:
    runs = place / "workspace" / "runs"
    runs.mkdir(parents=True)
    (runs / "gardener.json").write_text('{"order": ["a", "b"], "stages": {"a": {"type": "sft"}, "b": {"type": "dpo"}}}')
    assert offered(place, "chat", "gard") == ["gardener"]
    assert offered(place, "chat", "gardener", "--stage", "") == ["a", "b", "base"]


def test_nothing_heavy_is_loaded(place: Path) -> None:
    code = (
        "import sys; sys.argv = ['statllama']; from statllama.cli import main\n"
        "try: main()\nexcept SystemExit: print('loaded', *{m.partition('.')[0] for m in sys.modules})"
    )
    for words in ("statllama run quickstart --set stages.", "statllama chat q", "statllama eval quickstart --task "):
        env = {**environment(place), "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")),
               "_STATLLAMA_COMPLETE": "complete_bash"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=place, capture_output=True, text=True, check=True
        )
        assert not set(HEAVY) & set(done.stdout.splitlines()[-1].split())


def test_help_names_the_options() -> None:
    said = statllama("--help", cwd=REPO).stdout
    assert "--install-completion" in said and "--show-completion" in said


class Line:
    """A line as the functions see it: typer's context, as far as they look."""

    def __init__(self, recipe: str, words: list[str]) -> None:
        self.params, self.args = {"recipe": recipe, "workspace": None}, words


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    recipe=st.text(max_size=12),
    begun=st.text(max_size=12),
    start=st.sampled_from(["quickstart", "~", "/", "..", "stages.", "base."]),
)
def test_any_text_offers_only_what_goes_on_from_it(
    recipe: str, begun: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = Line(recipe, [begun, "quickstart"])
    for offer in (
        completion.recipes,
        completion.targets,
        completion.stages,
        completion.benchmarks,
        completion.settings,
    ):
        for incomplete in (begun, start + begun):
            found = [word if isinstance(word, str) else word[0] for word in offer(line, incomplete)]  # type: ignore[arg-type]
            assert all(word.startswith(incomplete) for word in found)
