"""The command line: what each command says, exit codes, and that torch is loaded only where a model is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from statllama import __version__
from statllama.cli import app as cli
from statllama.cli import on_demand
from statllama.cli.console import terminal
from tests.conftest import REPO, stage

Write = Callable[..., Path]
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "lm_eval", "bitsandbytes", "unsloth")

WATCH = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from statllama import cli
found = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["statllama", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as left:
            code = left.code or 0
    found.append([code, sorted({m.partition(".")[0] for m in sys.modules}), out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""


def watched(*commands: list[str]) -> list[tuple[int, set[str], str, str]]:
    """Run commands one after another in a fresh process: (exit code, heavy libraries loaded, out, err) of each."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": str(REPO), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(code, set(HEAVY) & set(m), out, err) for code, m, out, err in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """A recipe whose base is never loaded."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "base" / "tokenizer.json").write_text("{}")
    (tmp_path / "sft.jsonl").write_text("")
    path = tmp_path / "recipe.yaml"
    body = {"name": "light", "base": {"model": "base"}, "stages": [stage("one")]}
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    return path


def test_nothing_heavy_is_loaded_without_a_model(light: Path, tmp_path: Path) -> None:
    recipe, workspace = str(light), str(tmp_path / "w")
    commands = {
        ("--help",): (0, "Usage", ""),
        ("--version",): (0, f"statllama {__version__}", ""),
        ("run", "--help"): (0, "--set", ""),
        ("show", recipe): (0, "learning_rate: 0.01", ""),
        ("show", recipe, "--set", "stages.one.train.stps=3"): (2, "", "did you mean 'steps'?"),
        ("run", "nothing-of-that-name"): (2, "", "no recipe 'nothing-of-that-name'"),
        ("run", recipe, "--set", "name=3"): (2, "", "name"),
        ("plan", recipe, "--until", "x", "--workspace", workspace): (2, "", "no stage 'x'"),
        ("status", "--workspace", workspace): (0, "holds no run yet", ""),
        ("nonsense",): (2, "", "nonsense"),
        ("rn", recipe): (2, "", "did you mean 'run'?"),
        ("train", recipe, "--set", "a=b c"): (2, "", f"-> statllama run {recipe} --set 'a=b c'"),
        ("ls",): (2, "", "no command 'ls': here it is `statllama status`"),
        ("data", "verify"): (2, "", "allowed: build, cache, check"),
        ("recipes",): (0, "copy one:  statllama recipes quickstart > mine.yaml", ""),
        ("recipes", "dtft"): (0, "extends: instruct_pipeline\n", ""),
        ("recipes", "quikstart"): (2, "", "did you mean 'quickstart'?"),
        ("run",): (2, "", "run --help"),
        ("run", "light"): (2, "", "no recipe 'light'"),
        ("run", recipe.removesuffix("recipe.yaml") + "recpe.yaml"): (2, "", f"did you mean {recipe!r}?"),
        ("run", str(tmp_path)): (2, "", "is a folder, not a recipe"),
        ("run", "x" * 5000): (2, "", "no recipe"),
        ("run", "~nobody-of-this-name/x.yaml"): (2, "", "no recipe"),
    }
    found = watched(*map(list, commands))
    for (arguments, (code, out, err)), got in zip(commands.items(), found, strict=True):
        assert got[0] == code, (arguments, got)
        assert got[1] == set(), arguments
        assert out in got[2], (arguments, got)
        assert err in got[3], (arguments, got)
        assert "Traceback" not in got[2] + got[3]
    assert not found[3][3]
    assert not Path(workspace).exists()


def test_help_loads_only_what_prints_it() -> None:
    """A help text needs Typer, rich and the command that it is of: no recipe, no workspace, no other command."""
    code = (
        "import sys; from statllama import cli; sys.argv = ['statllama', *sys.argv[1:]]\n"
        "try: cli.main()\nexcept SystemExit: print(*sys.modules)"
    )
    texts = {"errors", "cli", "cli.app", "cli.on_demand"}
    for arguments, needs in (
        (["--help"], set()),
        (["data", "--help"], set()),
        (["plan", "--help"], {"cli.run", "cli.options", "cli.completion"}),
        (["data", "check", "--help"], {"cli.data", "cli.options", "cli.completion"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        loaded = set(done.stdout.splitlines()[-1].split())
        assert {m.removeprefix("statllama.") for m in loaded if m.startswith("statllama.")} == texts | needs, arguments
        assert not {"yaml", "numpy", "filelock"} & loaded, arguments
        assert arguments != ["--help"] or "pydantic" not in loaded  # Typer itself takes it to a command's values


def test_the_list_of_commands_says_what_each_command_says() -> None:
    """The list reads docstrings from the source; a command's own help has the function's."""
    for group, table in cli.COMMANDS.items():
        for name, module in table.items():
            command = on_demand.load(module, name)
            assert command.name == name
            assert command.help == on_demand.documented(module)[name], (group, name)


def test_every_command_is_in_the_table() -> None:
    """One that is written and not registered would be dead code that no test meets."""
    folder = Path(cli.__file__).parent
    written = {p.stem for p in folder.glob("*.py")} - {"__init__", "app", "completion", "on_demand", "options"}
    defined = {(module, name) for module in written for name in on_demand.documented(module)}
    assert {(module, name) for table in cli.COMMANDS.values() for name, module in table.items()} == defined


def test_importing_the_package_is_light() -> None:
    code = "import statllama, statllama.runs.runner, statllama.recipe, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert not {"torch", "transformers", "trl", "peft"} & set(done.stdout.split())


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`statllama ARGUMENTS` in this process: exit code and what it printed."""
    monkeypatch.setenv("STATLLAMA_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.setattr(terminal.Out, "width", 200, raising=False)

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["statllama", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out + printed.err

    return call


def rows_of(text: str, name: str) -> list[str]:
    """Cells of the first table row that begins with `name`."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    cells = next(row for row in rows if row[0] == name and len(row) > 1)
    return cells


def test_plan_run_status(write_recipe: Write, command: Any, tmp_path: Path) -> None:
    path = write_recipe([stage("one", train={"steps": 3}), stage("two", "dpo", train={"steps": 2})])
    code, said = command("plan", path)
    assert code == 0
    assert rows_of(said, "one")[:5] == ["one", "sft", "base", "yes", "new"]
    assert rows_of(said, "one")[5::2] == ["48", "3"]
    assert rows_of(said, "two")[:5] == ["two", "dpo", "one", "yes", "new"]
    assert rows_of(said, "two")[5::2] == ["32", "2"]
    assert "2 of 2 stages would run" in said
    assert not (tmp_path / "w" / "results").exists()

    code, said = command("run", path, "--until", "one")
    assert code == 0
    assert "base -> one" in said
    assert "step 3/3" in said
    assert "one done in" in said

    code, said = command("status")
    assert code == 0
    done = rows_of(said, "one")
    (key,) = (p.name for p in (tmp_path / "w" / "results").iterdir())
    assert done[1:3] == ["done", "3"]
    assert done[-1] == key[:12]
    assert rows_of(said, "two")[1] == "not reached"
    assert "1 adapter, 0 scores" in said

    code, said = command("plan", path)
    assert rows_of(said, "one")[3:5] == ["cached", "cached"]
    assert "1 of 2 stages would run" in said

    code, said = command("run", path)
    assert code == 0
    assert "one: cached (3 steps" in said
    assert "1 of 2 stages are cached" in said
    assert rows_of(command("status")[1], "two")[1:3] == ["done", "2"]
    code, said = command("run", path)
    assert (code, "every stage is trained: nothing to do" in said) == (0, True)


def test_show_prints_a_recipe(write_recipe: Write, command: Any) -> None:
    path = write_recipe([stage("one")])
    code, said = command("show", path, "--set", "stages.one.lora.r=7")
    assert code == 0
    assert said.splitlines()[:2] == [f"# {path}", "# --set stages.one.lora.r=7"]
    shown = yaml.safe_load(said)
    assert shown["stages"][0]["lora"]["r"] == 7
    assert shown["stages"][0]["train"]["weight_decay"] == 0.0
    path.write_text(said)
    assert yaml.safe_load(command("show", path)[1]) == shown


def test_no_command_prints_the_help_and_no_empty_error(command: Any) -> None:
    code, said = command()
    assert code == 2
    assert "Usage" in said
    assert "error:" not in said


HOSTILE = "[red]x[/red] [/] \x1b[31m\r\x9b\u202e"
SHOWN = "[red]x[/red] [/] \\x1b[31m\\r\\x9b\\u202e"


def test_texts_of_others_are_shown_as_they_are(write_recipe: Write, command: Any, tmp_path: Path) -> None:
    """No markup, no escape sequence, no line break that a text brings along is obeyed."""
    path = write_recipe([stage("one", train={"steps": 1})], description=HOSTILE)
    code, said = command("run", path, "--workspace", tmp_path / "[blue]w")
    assert code == 0
    assert f"tiny: {SHOWN}" in said
    assert f"one: '{tmp_path}/[blue]w/results/" in said
    assert "[blue]w" in command("status", "--workspace", tmp_path / "[blue]w")[1]
    assert "[blue]empty" in command("status", "--workspace", tmp_path / "[blue]empty")[1]
    assert f"unknown key: {SHOWN}"[:12] in command("show", path, "--set", f"{HOSTILE}=1")[1]
    for arguments in (("show", HOSTILE), ("show", path, "--set", f"{HOSTILE}=1"), (HOSTILE,)):
        code, said = command(*arguments)
        assert code == 2
        assert not set("\x1b\r\x9b\u202e") & set(said)


def test_show_keeps_an_override_in_its_comment(write_recipe: Write, command: Any) -> None:
    code, said = command("show", write_recipe([stage("one")]), "--set", "description=a\nevil: 1\x1b")
    assert code == 0
    assert said.splitlines()[1] == r"# --set description=a\nevil: 1\x1b"
    assert yaml.safe_load(said)["description"] == "a\nevil: 1\x1b"
    assert "evil" not in yaml.safe_load(said)


def test_status_of_a_foreign_folder(command: Any, tmp_path: Path) -> None:
    """`runs` is a common name for a folder: what is in it need not be ours."""
    (tmp_path / "w" / "runs").mkdir(parents=True)
    for content in ('{"a": 1}', "[1]", '{"order": ["a"], "stages": {"a": {"key": "x"}}}'):
        (tmp_path / "w" / "runs" / "x.json").write_text(content)
        code, said = command("status")
        assert (code, "x.json is not a record of a run" in said) == (1, True)


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "statllama", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPO), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_reader_that_left_is_no_traceback() -> None:
    """`statllama show quickstart | head -0`."""
    process = start("show", "quickstart")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    assert (process.wait(), said) == (1, b"")


def test_a_closed_stdout() -> None:
    """`statllama show quickstart >&-`, as some services start their children."""
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m statllama show quickstart >&-'],
        env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_terminal_that_knows_only_ascii() -> None:
    out, error = start("run", "caf\xe9", PYTHONIOENCODING="ascii").communicate()
    assert (out, error.startswith(b"error: no recipe 'caf\\xe9'")) == (b"", True)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_tables_lose_nothing_on_a_narrow_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from statllama.cli.console import scores as console_scores
    from statllama.cli.console import terminal as console
    from statllama.evaluation.scorecard import scorecard
    from tests.evaluation.test_scorecard import task_score

    for module in (console, console_scores):
        monkeypatch.setattr(module, "Out", Console(width=width, highlight=False))
    before, after = [0.0, 1.0] * 100, [1.0] * 150 + [0.0] * 50
    rows = [("base", None, [task_score(before)]), ("a-stage-of-some-length", "base", [task_score(after)])]
    console_scores.print_scorecard(scorecard(rows))
    said = capsys.readouterr().out
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    for text in ("a-stage-of-some-length", "75.0 ± 3.1", "+25.0 [+16, +34]", "from base", "from parent", "<0.001"):
        assert text in said
    assert said.count("+25.0") == 2


def test_debug_shows_the_traceback(write_recipe: Write, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATLLAMA_DEBUG", "")  # so that what the command sets is undone
    path = write_recipe([stage("one", train={"stps": 1})])
    assert "Traceback" not in command("run", path)[1]
    code, said = command("--debug", "run", path)
    assert code == 2
    assert "Traceback" in said
    assert "RecipeError" in said


def test_an_unforeseen_error_asks_for_a_report(
    write_recipe: Write, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import statllama.recipe

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(statllama.recipe, "load_recipe", fail)
    code, said = command("show", write_recipe([stage("one")]))
    assert code == 1
    assert "unexpected: ZeroDivisionError: by zero" in said
    assert "--debug" in said
    assert "Traceback" not in said


def test_ctrl_c_leaves_with_130(write_recipe: Write, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import statllama.recipe

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(statllama.recipe, "load_recipe", stop)
    code, said = command("show", write_recipe([stage("one")]))
    assert code == 130
    assert said.startswith("stopped: by Ctrl-C")


def test_python_m_statllama() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "statllama", "--help"], env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    for name in ("run", "plan", "show", "status", "doctor"):
        assert name in done.stdout
