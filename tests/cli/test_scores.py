"""eval, compare, attribute, dial and report as a user calls them: right and wrong input."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from statllama.cli import app as cli
from statllama.cli.console import terminal
from statllama.cli.console.attribution import print_dial
from statllama.cli.console.scores import change_cells, print_scorecard
from statllama.errors import UsageError
from statllama.evaluation.compare import Record, Scored, compare
from statllama.evaluation.paired import judge, paired_change
from statllama.evaluation.scorecard import scorecard
from statllama.evaluation.unit import SHARE
from statllama.runs.attribution import Dial, Notch
from statllama.runs.targets import find_subject, split_stage
from statllama.store import Store
from tests.conftest import make_llama, make_tokenizer, write_jsonl
from tests.evaluation.test_scorecard import task_score

torch.set_num_threads(1)
Command = Callable[..., tuple[int, str]]
FEW = ("--set", "evaluate.max_length=200", "--set", "evaluate.micro_tokens=1600")


@pytest.fixture
def command(
    trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command beside the trained recipe; (exit code, what it printed)."""
    path, store = trained
    monkeypatch.chdir(path.parent)
    monkeypatch.delenv("STATLLAMA_DEBUG", raising=False)

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["statllama", *map(str, arguments), "--workspace", str(store.root)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    return call


def test_eval_compare_attribute_dial_report(command: Command, trained: tuple[Path, Store], tmp_path: Path) -> None:
    path, store = trained
    code, said = command("eval", path, "--task", "letters", "--task", "replies", *FEW, "--out", "card.json")
    assert code == 0, said
    for stack in ("base", "one", "two"):
        assert re.search(rf"{stack} on letters: \d+\.\d ± \d", said) and re.search(rf"{stack} on replies: ", said)
    assert "against the base: one, two: no evidence of a difference" in said
    assert "letters (acc, 12 items; chance 25.0)" in said and "not shown to be above chance (25.0): " in said
    card = json.loads(Path("card.json").read_text())
    assert [row["name"] for row in card["rows"]] == ["base", "one", "two"]
    assert card["protocol"]["max_length"] == 200 and card["protocol"]["date_string"] == "26 Jul 2024"
    before = {entry.key for entry in store.entries("scores")}

    # The run is known by its name now, and what was scored is not scored again.
    code, said = command("eval", "tiny", "--task", "letters", *FEW, "--stage", "two")
    assert code == 0 and "one on letters" not in said and "two on letters" in said
    assert {entry.key for entry in store.entries("scores")} == before

    code, said = command("compare", "tiny:base", "tiny", "tiny:one", "--items", "1", "--topics", "--out", "cmp.json")
    assert code == 0, said
    assert "for all 3 together (Bonferroni)" in said and "topic 1" in said
    comparison = json.loads(Path("cmp.json").read_text())
    assert comparison["reference"] == "tiny:base" and comparison["others"] == ["tiny", "tiny:one"]
    for contrast in comparison["contrasts"]:
        assert contrast["overall"]["verdict"] == "no evidence of a difference"
        assert len(contrast["gained"]) == contrast["overall"]["change"]["gained"]

    code, said = command("eval", "tiny:base", "--task", "letters", *FEW)
    assert code == 0 and "one on letters" not in said and "from base" not in said and "against" not in said
    code, said = command("eval", "tiny:nobody", "--task", "letters", *FEW)
    assert code == 2 and "'tiny' has no stage 'nobody'" in said
    for verb in ("eval", "attribute"):
        code, said = command(verb, "tiny", "--task", "letters", *FEW, "--out", "nowhere/x.json")
        assert code == 2 and "nowhere does not exist" in said and "on letters" not in said, "told before the work"

    code, said = command("attribute", "tiny", "--task", "letters", *FEW, "--out", "shares.json")
    assert code == 0 and "two without one on letters" in said
    shares = json.loads(Path("shares.json").read_text())["shares"]
    assert [share["stage"] for share in shares] == ["one", "two"]
    assert "letters (acc, 12 items; chance 25.0)" in said and "not shown to be above chance (25.0): " in said
    last = shares[1]
    assert last["step"] == last["kept"]

    code, said = command(
        "dial", "tiny", "--stage", "one", "--grid", "0,0.5", "--task", "letters", *FEW, "--out", "dial.json"
    )
    assert code == 0 and "two (one x 0.5) on letters" in said
    notches = json.loads(Path("dial.json").read_text())["notches"]
    assert [notch["factor"] for notch in notches] == [0, 0.5, 1]
    without = next(s for s in shares if s["stage"] == "one")["kept"]
    assert notches[0]["from_1"]["letters"]["change"]["difference"] == -without["change"]["difference"]
    assert notches[2]["from_1"] == {}

    code, said = command("dial", "tiny", "--stage", "one", "--grid", "0", "--task", "letters", *FEW, "--out", "d.html")
    assert code == 0 and Path("d.html").read_text().startswith("<!DOCTYPE html>")
    code, said = command("report", "tiny", "--task", "letters", *FEW, "--out", "r.html")
    assert code == 0 and "letters" in Path("r.html").read_text()


def test_a_scaled_stack_is_set_beside_the_one_that_was_trained(command: Command) -> None:
    code, said = command("eval", "tiny", "--task", "letters", "--limit", "6", *FEW, "--scale", "one=0.5")
    assert code == 0, said
    assert "(first 6 of 12 items)" in said and "two (one x 0.5)" in said and "one on letters" not in said


def test_a_model_of_ones_own_is_scored_and_compared(command: Command, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    make_llama(len(tokenizer), seed=3).save_pretrained(tmp_path / "merged")
    tokenizer.save_pretrained(tmp_path / "merged")
    code, said = command("eval", tmp_path / "merged", "--task", "letters", *FEW)
    assert code == 0 and "merged" not in said.partition("(acc")[2]  # a model without stages is the base itself
    code, said = command("eval", "tiny", "--task", "ap_statistics", "--limit", "8", *FEW)
    assert code == 0
    code, said = command("eval", tmp_path / "merged", "--task", "ap_statistics", "--limit", "8", *FEW)
    assert code == 0, said
    known = r"chance 25\.0, blind baseline 2\d\.\d ± 1\.\d"
    assert re.search(rf"ap_statistics \(acc, 8 items, only a part of the items; {known}\)", said)
    code, said = command("compare", "tiny", tmp_path / "merged")
    assert code == 0 and re.search(f"ap_statistics: {known}", said) and "loading" not in said


def test_questions_of_ones_own(command: Command, tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "choices": list("vwxyz"), "answer": "ABCDE"[i % 5], "topic": "t"} for i in range(7)]
    file = write_jsonl(tmp_path / "mine.jsonl", rows)
    code, said = command("eval", "tiny", "--task", "ap_statistics", "--data", f"ap_statistics={file}", *FEW)
    assert code == 0 and "(acc, 7 items; chance 20.0)" in said  # and no blind baseline, which is of other items
    code, said = command("eval", "tiny", "--task", "ap_statistics", "--limit", "7", *FEW)
    assert code == 0
    code, said = command("compare", "tiny:base", "tiny")  # of the two ways both have, the one with more items or either
    assert code == 0
    rows[3]["id"] = rows[5]["id"] = "same"
    rows[6]["answer"] = "F"
    for what, line in (("`id` of row 4", rows), ("row 7: the answer", [*rows[:3], *rows[4:5], *rows[6:]])):
        write_jsonl(file, line)
        code, said = command("eval", "tiny", "--task", "ap_statistics", "--data", f"ap_statistics={file}", *FEW)
        assert code == 2
        assert "mine.jsonl" in said and (what in said or "the answer" in said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval", "tiny"), "names no benchmark to score"),
        (("eval", "tiny", "--task", "leters"), "did you mean 'letters'"),
        (("eval", "tinny", "--task", "letters"), "did you mean 'tiny'"),
        (("eval", "tiny", "--task", "letters", "--stage", "tow"), "did you mean 'two'"),
        (("eval", "tiny", "--task", "letters", "--scale", "one"), "expected STAGE=FACTOR"),
        (("eval", "tiny", "--task", "letters", "--scale", "one=nan"), "expected STAGE=FACTOR"),
        (("eval", "tiny", "--task", "letters", "--stage", "one", "--scale", "two=1"), "not in the stack of one"),
        (("eval", "tiny", "--task", "letters", "--data", "letters"), "expected TASK=FILE"),
        (("eval", "tiny", "--task", "letters", "--data", "letters=gone.jsonl"), "no such file"),
        (("eval", "tiny", "--task", "letters", "--set", "evaluate.micro_token=2"), "did you mean 'micro_tokens'"),
        (("eval", "tiny", "--task", "letters", "--set", "base.model=x"), "only fields of `evaluate`"),
        (("eval", "eval", "--task", "letters"), "holds none of config.json"),
        (("compare", "tiny"), "two models or more"),
        (("compare", "tiny", "tiny"), "given twice"),
        (("compare", "tiny", "tiny:one"), "no score is recorded for tiny"),
        (("dial", "tiny", "--stage", "one", "--task", "letters", "--grid", "a,b"), "expected numbers"),
        (("dial", "tiny", "--stage", "one", "--task", "letters", "--out", "x.png"), "ends in .html or .json"),
        (("dial", "tiny", "--stage", "one", "--on", "base", "--task", "letters"), "not in the stack of base"),
        (("report", "nothing"), "is not a recipe file, a run"),
    ],
)
def test_wrong_input(command: Command, arguments: tuple[str, ...], message: str) -> None:
    code, said = command(*arguments)
    assert code == (1 if "config.json" in message else 2), said
    assert message in said and "Traceback" not in said


def test_scores_of_another_protocol_are_not_compared(command: Command) -> None:
    assert command("eval", "tiny", "--task", "letters", "--stage", "base", *FEW)[0] == 0
    other = ("--set", "evaluate.max_length=180", "--set", "evaluate.chat_template=false")
    assert command("eval", "tiny", "--task", "letters", "--stage", "one", *other)[0] == 0
    # `eval` scores the base beside every stage, so take what only one side has.
    code, said = command("compare", "tiny:base", "tiny:one")
    assert code == 0
    store = Store(Path("w").absolute())
    for entry in store.entries("scores"):
        protocol = entry.manifest["protocol"]
        if entry.manifest["kind"] == "score" and not protocol["stack"] and protocol["max_length"] == 180:
            store.discard("scores", entry.key)
    code, said = command("compare", "tiny:base", "tiny:one")
    assert code == 2
    assert "`max_length` is 200 and 180" in said and "`chat_template` is True and False" in said


def test_targets(trained: tuple[Path, Store], tmp_path: Path) -> None:
    path, store = trained
    subject = find_subject(str(path), store)
    assert [s.name for s in subject.trained] == ["one", "two"] and subject.last == "two"
    same = find_subject("tiny", store)
    assert same.stack("two") == subject.stack("two") and same.identity == subject.identity
    changed = find_subject(str(path), store, ["stages.two.train.learning_rate=0.5"])
    assert [s.name for s in changed.trained] == ["one"]
    with pytest.raises(UsageError, match="not trained"):
        changed.stack("two")
    adapter = store.root / "results" / subject.stack("one").keys[0]
    with pytest.raises(UsageError, match="an adapter, not a model"):
        find_subject(str(adapter), store)
    assert split_stage("tiny:one") == ("tiny", "one")
    assert split_stage("C:\\models\\x") == ("C:\\models\\x", None)
    assert split_stage("owner/name") == ("owner/name", None)


def test_a_run_is_evaluated_after_its_recipe_is_gone(trained: tuple[Path, Store], command: Command) -> None:
    path, _ = trained
    path.unlink()
    code, said = command("eval", "tiny", "--task", "letters", "--limit", "3", *FEW)
    assert code == 0, said


def test_a_damaged_record_is_said_to_be(trained: tuple[Path, Store], command: Command) -> None:
    _, store = trained
    file = store.root / "runs" / "tiny.json"
    record: dict[str, Any] = json.loads(file.read_text())
    del record["identity"]
    file.write_text(json.dumps(record))
    code, said = command("eval", "tiny", "--task", "letters")
    assert code == 1 and "record of this run" in said and "run the recipe again" in said


def test_one_cluster_is_called_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    base, after = (replace(task_score(items), clusters=("one",) * 4) for items in ([0.0, 1, 0, 1], [1.0, 1, 0, 1]))
    print_scorecard(scorecard([("base", None, [base]), ("sft", "base", [after])]))
    said = " ".join(capsys.readouterr().out.split())
    assert "all 4 items are one cluster, which says nothing of others" in said and "1 clusters" not in said


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.3, 12.4, "[+0.3, +12]"),
        (-0.4, 3, "[-0.4, +3.0]"),
        (-0.04, 5, "[0, +5.0]"),
        (0.6, 1.4, "[+0.6, +1.4]"),
        (13.2, 28.9, "[+13, +29]"),
    ],
)
def test_an_end_near_nothing_keeps_its_side(low: float, high: float, shown: str) -> None:
    """A change that is shown has an interval without 0 in print too."""
    judged = judge(replace(paired_change([0] * 9, [1] * 9), difference=2.0, low=low, high=high))
    assert shown in change_cells(judged, SHARE)[0]


def test_one_item_is_an_item(capsys: pytest.CaptureFixture[str]) -> None:
    print_scorecard(scorecard([("base", None, [task_score([1.0])]), ("one", "base", [task_score([0.0])])]))
    said = capsys.readouterr().out
    assert "(acc, 1 item" in said and "1 items" not in said


def test_chance_is_shown_where_only_a_newer_record_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A base that was scored before chance was kept, and a stage scored since."""
    old, new = task_score([1.0, 0.0] * 20), replace(task_score([1.0, 1.0] * 20), chance=0.25)
    card = scorecard([("base", None, [old]), ("one", "base", [new])])
    print_scorecard(card)
    assert "(acc, 40 items; chance 25.0)" in capsys.readouterr().out
    record = {name: Record(score, {}) for name, score in (("base", old), ("one", new))}
    compared = compare([Scored(name, {"stats": each}) for name, each in record.items()])
    assert [contrast.chance for contrast in compared.contrasts] == [0.25]


def test_compare_shows_what_is_asked(command: Command) -> None:
    command("eval", "tiny")
    plain = command("compare", "tiny:base", "tiny")[1]
    assert "exploratory" not in plain and "scores higher" not in plain and "scores lower" not in plain
    asked = command("compare", "tiny:base", "tiny", "--items", "1", "--topics")[1]
    for option, text in (("--items 3", "scores "), ("--topics", "exploratory")):
        assert (option in plain) == (text in asked)
        assert option not in asked


def test_tables_have_one_style() -> None:
    """One function makes them all; grids, which have neither head nor lines, are no tables."""
    import ast

    folder = Path(terminal.__file__).parent
    for file in folder.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        made = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Table"]
        assert len(made) == (file.name == "terminal.py"), f"{file.name}:{made}"


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_table_cuts_nothing(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "Out", Console(width=columns))
    table = terminal.new_table("source", "format", *map(terminal.figure, ("rows", "usable", "tokens", "with loss")))
    table.add_row("a/folder/of/some/length/rows.jsonl", "question_answer", "123,456", "123,456", "123,456,789", "54%")
    terminal.print_table(table)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= columns
    assert "…" not in said
    cells = ["".join(column) for column in zip(*(line.ljust(columns) for line in said.splitlines()), strict=True)]
    assert sum(sign.isdigit() for sign in "".join(cells)) == 6 + 6 + 9 + 2


def test_a_dial_on_many_benchmarks_stays_readable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns that do not stand beside each other go below each other; a note says which benchmark it is on."""
    monkeypatch.setattr(terminal.Out, "_width", 80)
    scores = tuple(task_score([1.0, 0, 1, 1], f"benchmark{i}") for i in range(6))
    print_dial(Dial("two", "one", (Notch(0.5, scores, {}), Notch(1.0, scores, {})), {"benchmark4": ("one",)}))
    said = capsys.readouterr().out
    assert all(f"benchmark{i} (acc, 4)" in said for i in range(6)), said
    assert said.count("75.0 ± 25.0") == 12
    assert "note: benchmark4: selected on, so this is no test of it any more: " in " ".join(said.split())
