"""The front door, `import statllama`: the same results as the command line, errors before anything is written."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

import statllama
from statllama.cli import app as cli
from statllama.errors import NotFoundError, RecipeError, UsageError
from statllama.evaluation.scorecard import IncomparableError
from statllama.runs.api import override_texts
from statllama.runs.reporting import Reporter
from statllama.runs.tables import Table
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import REPO, stage
from tests.reference import logits, merged, relative, some_ids
from tests.running import adapter_bytes

torch.set_num_threads(1)
FEW = {"evaluate": {"max_length": 200, "micro_tokens": 1600}}
CARD = ("tasks", "rows", "tests", "smallest", "notes")  # what `--out` holds of a scorecard
SETTINGS = ("--set", "evaluate.max_length=200", "--set", "evaluate.micro_tokens=1600")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run `statllama ARGUMENTS` in this process; it must succeed."""
    monkeypatch.setattr(sys, "argv", ["statllama", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code


def files(folder: Path) -> list[str]:
    """Names of everything below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Parts(HTMLParser):
    """Tags and texts of a piece of HTML; every tag that is opened must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        assert all(name == "style" and "url" not in (value or "") for name, value in attrs)  # self-contained

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_importing_is_instant_and_signatures_are_real() -> None:
    """Nothing but the standard library's light parts is loaded; the functions are functions, not `__getattr__`'s."""
    heavy = ("torch", "pydantic", "yaml", "rich", "typer", "transformers", "pandas", "statllama.recipe")
    program = (
        "import sys, statllama\n"
        f"assert not [m for m in {heavy!r} if m in sys.modules], sys.modules\n"
        "assert statllama.errors.UsageError and statllama.__version__ and callable(statllama.load_recipe)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPO)
    for name in ("run", "plan", "evaluate", "export", "load", "compare"):
        function = getattr(statllama, name)
        parameters = list(inspect.signature(function).parameters.values())
        assert [p.name for p in parameters[1:2]] == ["workspace"] and function.__doc__
        needed = [p.name for p in parameters if p.default is p.empty]
        assert len(needed) == 1, "a name or a path, and nothing else"
    assert set(statllama.__all__) <= set(dir(statllama))
    with pytest.raises(AttributeError, match="has no attribute 'fly'"):
        statllama.fly  # noqa: B018


@pytest.mark.slow
def test_mypy_sees_types(tmp_path: Path) -> None:
    program = tmp_path / "user.py"
    program.write_text(
        "import statllama\n"
        "reveal_type(statllama.run('quickstart', overrides={'stages.sft.train.steps': 2}, progress=True))\n"
        "reveal_type(statllama.load('x').ask('q'))\n"
        "reveal_type(statllama.compare(['a', 'b']).comparison)\n"
        "statllama.plan(3)\n"
        "statllama.fly\n"
    )
    options = ("--config-file", os.devnull, "--ignore-missing-imports")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)], capture_output=True, text=True, cwd=REPO
    )
    for word in (
        'user.py:2: note: Revealed type is "statllama.runs.results.Run"',
        'user.py:3: note: Revealed type is "str"',
        'user.py:4: note: Revealed type is "statllama.evaluation.compare.Comparison"',
        'user.py:5: error: Argument 1 to "plan" has incompatible type "int"',
        'user.py:6: error: Module has no attribute "fly"',
    ):
        assert word in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a.b=1", ["a.b=1"]),
        (["a=1", "b=x"], ["a=1", "b=x"]),
        ({"stages.sft.train.steps": 20}, ["stages.sft.train.steps=20"]),
        ({"stages": {"sft": {"train": {"steps": 20, "learning_rate": 1e-5}}}}, None),
        ({"report_to": [], "evaluate": {"limit": None}}, ["report_to=[]", "evaluate.limit=null"]),
        ({"base.model": Path("/x y")}, ['base.model="/x y"']),
        (None, []),
    ],
)
def test_overrides_are_those_of_the_command_line(given: Any, texts: list[str] | None) -> None:
    wanted = ["stages.sft.train.steps=20", "stages.sft.train.learning_rate=1e-05"] if texts is None else texts
    assert override_texts(given) == wanted


def test_overrides_arrive_in_the_recipe(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe([stage("sft")])
    given = {"stages": {"sft": {"train": {"learning_rate": 1e-05}}}, "description": "é 😀: {a}\n- b"}
    plan = statllama.plan(path, path.parent / "w", overrides=given)
    assert plan.stages[0].spec.train.learning_rate == 1e-05  # type: ignore[attr-defined]
    assert statllama.load_recipe(path, override_texts(given)).description == given["description"]
    with pytest.raises(UsageError, match="cannot hold"):
        statllama.plan(path, path.parent / "w", overrides={"description": float("nan")})
    with pytest.raises(UsageError, match="takes no overrides"):
        statllama.plan(statllama.load_recipe(path), path.parent / "w", overrides="description=x")


def test_a_run_is_the_commands(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Keys, adapters and scores; in a thread, where no signal can be caught, and without a word."""
    choice_task(tmp_path / "eval", "letters", 12)
    path = write_recipe([stage("a"), stage("b", "dpo")], evaluate={"tasks": ["letters"], "max_length": 200})
    steps = {f"stages.{name}.train.steps": 2 for name in "ab"}
    plan = statllama.plan(path, tmp_path / "api", overrides=steps)
    assert [row["runs"] for row in plan.rows()] == [True, True] and "2 of 2 stages would run" in repr(plan)

    results: list[Any] = []
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(
        target=lambda: results.append(statllama.run(path, tmp_path / "api", overrides=steps)), daemon=True
    )
    capfd.readouterr()
    thread.start()
    thread.join()
    said = capfd.readouterr()
    (run,) = results
    assert said.out + said.err == ""
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert statllama.run(path, tmp_path / "api", overrides=steps, progress=True).rows() == run.rows()
    assert "every stage is trained" in capfd.readouterr().out

    settings = [word for name, value in steps.items() for word in ("--set", f"{name}={value}")]
    command(monkeypatch, "run", path, "--workspace", tmp_path / "cli", *settings)
    ours, theirs = Store(tmp_path / "api"), Store(tmp_path / "cli")
    for kind in ("results", "scores"):
        assert [e.key for e in ours.entries(kind)] == [e.key for e in theirs.entries(kind)] != []  # type: ignore[arg-type]
    assert ours.last_run("tiny")["overrides"] == theirs.last_run("tiny")["overrides"]
    assert {row["key"] for row in plan.rows()} == {folder.name for folder in run.stages.values()}
    for folder in run.stages.values():
        assert adapter_bytes(folder) == adapter_bytes(theirs.root / "results" / folder.name)
    command(monkeypatch, "eval", path, "--workspace", tmp_path / "cli", "--out", tmp_path / "card.json", *settings)
    card = json.loads((tmp_path / "card.json").read_text())
    assert json.loads(json.dumps(run.scores.scorecard.to_json())) == {k: card[k] for k in CARD}
    frame = run.to_pandas()
    assert list(frame["stack"]) == ["base", "a", "b"] and frame["score"].tolist() == [
        100 * row["cells"][0]["value"] for row in card["rows"]
    ]
    assert frame["from_base"].isna().tolist() == [True, False, False] and frame["drift_to_base"][2] > 0
    check_table(run)
    check_table(plan)


def check_table(table: Table) -> None:
    """What holds of every result: text, HTML and frame show the same rows, and nothing in it is obeyed."""
    shown, html = table.shown(), Parts(table._repr_html_())
    assert html.tags.count("tr") == 1 + len(shown) == 1 + len(table.to_pandas())
    for row in shown:
        assert all(text in html.texts for text in row.values() if text)
        assert all(text in repr(table) for text in row.values())
    assert table.title in html.texts and len(repr(table).splitlines()) == 2 + len(shown) + len(table.notes())


def test_evaluate_and_compare_are_the_commands(
    trained: tuple[Path, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store = trained
    twin = Store(shutil.copytree(store.root, tmp_path / "twin"))
    scores = statllama.evaluate("tiny", store.root, tasks=["letters", "replies"], overrides=FEW)
    tasks = ("--task", "letters", "--task", "replies")
    card, out = tmp_path / "card.json", tmp_path / "compared.json"
    command(monkeypatch, "eval", "tiny", *tasks, *SETTINGS, "--out", card, "--workspace", twin.root)
    wanted = json.loads(card.read_text())
    assert json.loads(json.dumps(scores.scorecard.to_json())) == {k: wanted[k] for k in CARD}
    assert [e.key for e in store.entries("scores")] == [e.key for e in twin.entries("scores")] != []
    check_table(scores)

    compared = statllama.compare(["tiny:base", "tiny"], store.root)
    command(monkeypatch, "compare", "tiny:base", "tiny", "--out", out, "--workspace", twin.root)
    wanted = json.loads(out.read_text())
    del wanted["statllama"]
    assert json.loads(json.dumps(compared.comparison.to_json())) == wanted
    check_table(compared)
    stages = statllama.compare("tiny", store.root)
    assert stages.comparison.reference == "tiny:base" and stages.comparison.others == ("tiny:one", "tiny:two")
    assert sorted(row["task"] for row in stages.rows()) == ["letters", "letters", "replies", "replies"]
    statllama.evaluate(path, store.root, stage="base", tasks="letters", limit=5, overrides=FEW)
    scaled = statllama.evaluate("tiny:two", store.root, tasks="letters", overrides=FEW, scale={"one": 0})
    assert [row.name for row in scaled.scorecard.rows] == ["base", "two", "two (one x 0)"]


def test_scores_made_in_different_ways_are_not_compared(trained: tuple[Path, Store], tmp_path: Path) -> None:
    path, store = trained
    rows = (path.parent / "eval/letters/test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "own.jsonl").write_text("".join(rows[:4]))
    with pytest.raises(UsageError, match="no score is recorded for tiny:one"):
        statllama.compare(["tiny:one", "tiny:two"], store.root)
    own = {"letters": {"test": tmp_path / "own.jsonl"}}
    scores = statllama.evaluate("tiny:one", store.root, tasks="letters", data=own, overrides=FEW)
    assert [cell.n for row in scores.scorecard.rows for cell in row.cells] == [4, 4]
    statllama.evaluate("tiny:two", store.root, tasks="letters", limit=5, overrides=FEW)
    with pytest.raises(IncomparableError, match="data differ"):
        statllama.compare(["tiny:one", "tiny:two"], store.root)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": 0}, "limit"),
        ({"tasks": "leters"}, "unknown benchmark 'leters': did you mean 'letters'"),
        ({"stage": ["one", "thre"]}, "has no stage 'thre'"),
        ({"scale": {"two": "much"}}, "expected STAGE=FACTOR"),
        ({"scale": {"three": 1}}, "has no stage 'three'"),
        ({"data": {"letters": 3}}, "should be a file"),
        ({"overrides": {"stages.one.train.steps": 3}}, "only fields of `evaluate`"),
        ({"overrides": "evaluate.batchsize=3"}, "batchsize"),
    ],
)
def test_wrong_options_are_value_errors(trained: tuple[Path, Store], wrong: dict[str, Any], message: str) -> None:
    before = files(trained[1].root)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        statllama.evaluate("tiny", trained[1].root, **{"tasks": "letters", **wrong})
    assert isinstance(caught.value, statllama.errors.StatllamaError)
    assert files(trained[1].root) == before


def test_load_gives_the_stack_by_its_definition(trained: tuple[Path, Store], base_folder: Path) -> None:
    """Logits equal the base with `s B A` of each stage added to its weights in float64; replies equal plain greedy."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path, store = trained
    record = store.last_run("tiny")["stages"]
    scale = 8 / 4  # of `stage()`: alpha / r
    adapters = [(store.root / "results" / record[name]["key"], scale) for name in ("one", "two")]
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    ids = some_ids(base.config.vocab_size)
    definition = merged(base, adapters)
    model, _ = statllama.load("tiny", store.root)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert relative(logits(model, ids), logits(definition, ids)) < 1e-5
    assert relative(logits(model, ids), logits(base, ids)) > 1e-3  # the stack is at work
    for target, stage_name, parts in (("tiny:one", None, adapters[:1]), (path, "one", adapters[:1])):
        found = statllama.load(target, store.root, stage=stage_name)
        assert relative(logits(found.model, ids), logits(merged(base, parts), ids)) < 1e-5
    assert relative(logits(statllama.load("tiny:base", store.root).model, ids), logits(base, ids)) == 0
    halved = merged(base, [adapters[0], (adapters[1][0], scale / 2)])
    assert (
        relative(logits(statllama.load("tiny", store.root, scale={"two": 0.5}).model, ids), logits(halved, ids)) < 1e-5
    )

    plain = AutoTokenizer.from_pretrained(base_folder)
    prompt = plain.apply_chat_template(
        [{"role": "user", "content": "what is the mean"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    for _ in range(8):  # greedy, one token after the other, of the definition
        prompt = torch.cat([prompt, logits(definition, prompt)[:, -1:].argmax(-1)], 1)
        if prompt[0, -1] == plain.eos_token_id:
            break
    reply = plain.decode(prompt[0], skip_special_tokens=False).rpartition("<|end_header_id|>\n\n")[2]
    specialist = statllama.load("tiny", store.root)
    assert specialist.ask("what is the mean", max_tokens=8) == reply.removesuffix("<|eot_id|>")
    assert repr(specialist) == "<tiny, stage two: PeftModelForCausalLM, 512 positions>"
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(specialist.ask("what is the mean", max_tokens=8)))
    thread.start()
    thread.join()
    assert answers == [reply.removesuffix("<|eot_id|>")]


def test_a_model_needs_no_run(base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATLLAMA_WORKSPACE", raising=False)
    model, tokenizer = statllama.load(base_folder)
    assert type(model).__name__ == "LlamaForCausalLM" and len(tokenizer) == model.config.vocab_size
    assert statllama.load(base_folder).stage == "base"


@pytest.mark.parametrize("call", ["evaluate", "compare", "export", "load"])
def test_names_and_workspaces_that_are_not_there(
    call: str, trained: tuple[Path, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says what is missing and how to get it, is what the standard library calls it, and writes nothing."""
    path, store = trained
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    function = getattr(statllama, call)
    before = files(tmp_path)
    for target, workspace, message, remedy in (
        ("tinny", store.root, "'tinny' is not a recipe file, a run in .*did you mean 'tiny'", "statllama status"),
        ("tiny", tmp_path / "nowhere", "no run 'tiny': the workspace .*nowhere does not exist", "name the workspace"),
        ("quickstart", tmp_path / "nowhere", "nowhere does not exist", "statllama.run.'quickstart', '.*nowhere'."),
        (path, tmp_path / "empty", "empty holds no run", "statllama.run"),
        ("quickstart", None, "empty/workspace does not exist", "train it: statllama.run"),
    ):
        with pytest.raises(NotFoundError, match=message) as caught:
            function(target, workspace)
        assert isinstance(caught.value, FileNotFoundError) and isinstance(caught.value, ValueError)
        assert caught.value.remedy is not None
        assert re.search(remedy, caught.value.remedy)
    with pytest.raises(UsageError, match="has no stage 'three'"):
        function("tiny:three", store.root)
    assert files(tmp_path) == before


def test_recipes_that_are_not_there_or_wrong(
    write_recipe: Callable[..., Path], tmp_path: Path, base_folder: Path
) -> None:
    path = write_recipe([stage("sft")])
    before = files(tmp_path)
    for function in (statllama.run, statllama.plan):
        with pytest.raises(NotFoundError, match=r"no recipe 'quickstrat'.*did you mean 'quickstart'"):
            function("quickstrat", tmp_path / "w")
        with pytest.raises(RecipeError, match="learning_rat"):
            function(path, tmp_path / "w", overrides={"stages.sft.train.learning_rat": 1})
        with pytest.raises(UsageError, match="no stage 'dpo'"):
            function(path, tmp_path / "w", until="dpo")
        with pytest.raises(UsageError, match="is not a folder"):
            function(path, path)
    with pytest.raises(ValueError):
        statllama.compare(["tiny", "tiny"], tmp_path / "w")
    assert files(tmp_path) == before


def test_an_unfinished_run(write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_recipe([stage("a", train={"steps": 2}), stage("b", train={"steps": 2})])
    run = statllama.run(path, "w", until="a")
    assert list(run.stages) == ["a"] and run.scores is None
    check_table(run)
    assert run.to_pandas()["steps"].tolist() == [2]
    before = files(tmp_path)
    for function in (statllama.evaluate, statllama.compare, statllama.export, statllama.load):
        for target in ("tiny", path):
            with pytest.raises(UsageError, match="'tiny' is not finished: b not trained") as caught:
                function(target, "w")  # type: ignore[operator]
            assert "finish it: statllama.run(" in str(caught.value) and "stage='a'" in str(caught.value)
        with pytest.raises(UsageError, match="stage 'b' of 'tiny' is not trained"):
            function("tiny:b", "w")  # type: ignore[operator]
    assert [name for name in files(tmp_path) if name not in before] == []
    assert statllama.load("tiny", "w", stage="a").stage == "a"
    assert statllama.load("tiny:base", "w").stage == "base"


def test_export_is_the_command(
    trained: tuple[Path, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, store = trained
    monkeypatch.chdir(tmp_path)
    released = statllama.export("tiny", store.root, formats="adapter")
    said = capfd.readouterr()
    assert said.out + said.err == ""
    assert released.folder == tmp_path / "tiny-two" and released.certificate.passed
    command(monkeypatch, "export", "tiny", "--adapter", "--out", "theirs", "--workspace", store.root)
    theirs = json.loads(Path("theirs/verification.json").read_text())
    ours = json.loads((released.folder / "verification.json").read_text())
    assert ours == theirs and files(released.folder) == files(tmp_path / "theirs")
    for name in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json"):
        assert (released.folder / name).read_bytes() == Path("theirs", name).read_bytes()
    html, frame = Parts(released._repr_html_()), released.to_pandas()
    assert "adapter" in html.texts and frame["passed"].all() and len(frame) == len(theirs["artefacts"][0]["checks"])
    before = files(tmp_path)
    for wrong, message in (
        ({}, "tiny-two: it exists already"),
        ({"out": "new", "formats": "ggufs"}, "'ggufs' is not one: did you mean 'gguf'"),
        ({"out": "new", "formats": {"rank": "x"}}, "rank=x: expected a whole number"),
        ({"out": "new", "formats": ["gguf"]}, "gguf needs a value, as in gguf=TYPE"),
        ({"out": "new", "formats": "gguf=q9"}, "q9"),
        ({"out": "new", "name": "a b"}, "letters, digits"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            statllama.export("tiny", store.root, **wrong)  # type: ignore[arg-type]
    assert files(tmp_path) == before


class Hostile(Table):
    """A table of texts that mean something to HTML or a terminal."""

    title = "a <b>run</b>\x1b[31m"  # type: ignore[assignment]

    def rows(self) -> list[dict[str, Any]]:
        return [{"<i>": '"><script>alert(1)</script>'}]

    def shown(self) -> list[dict[str, str]]:
        return [{"<i>": '"><script>alert(1)</script>\u202e'}]

    def notes(self) -> tuple[str, ...]:
        return ("& <img src=x onerror=alert(1)>",)


def test_texts_of_others_are_shown_not_obeyed() -> None:
    html = Hostile()._repr_html_()
    assert set(Parts(html).tags) == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert "&lt;script&gt;" in html and "&amp; &lt;img" in html
    assert "\x1b" not in html + repr(Hostile()) and "\u202e" not in html + repr(Hostile())
    assert "\\x1b[31m" in repr(Hostile())


def test_a_reporter_of_the_callers_own(trained: tuple[Path, Store]) -> None:
    seen: list[str] = []

    class Listener(Reporter):
        def scored(self, name: str, score: Any) -> None:
            seen.append(f"{name} {score.task}")

    statllama.evaluate("tiny:two", trained[1].root, tasks="letters", overrides=FEW, progress=Listener())
    assert seen == ["base letters", "two letters"]
