"""`statllama init` as a newcomer uses it: a folder of files, then a run with no edit. Wrong input says what to do."""

from __future__ import annotations

import csv
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.config.shipped import shipped_root
from statllama.recipe import load_recipe
from tests.conftest import write_jsonl
from tests.running import statllama

QUICKSTART = shipped_root() / "recipes" / "quickstart" / "data"
BASE = ("--base", "quickstart/base")


def rows_of(name: str, count: int) -> list[dict[str, Any]]:
    """The first rows of one of the quickstart's files."""
    return [json.loads(line) for line in (QUICKSTART / f"{name}.jsonl").read_text().splitlines()[:count]]


def newcomer(folder: Path, size: int) -> Path:
    """A newcomer's folder: a CSV with columns of another language in Latin-1, notes, preference pairs, a quiz."""
    (folder / "notes").mkdir(parents=True)
    with (folder / "faq.csv").open("w", newline="", encoding="latin-1") as stream:
        table = csv.writer(stream, delimiter=";")
        table.writerow(["Nr", "Frage", "Antwort"])
        for i, row in enumerate(rows_of("sft", size)):
            table.writerow([i, row["messages"][-2]["content"], row["messages"][-1]["content"] + " é" * (i == 3)])
    for i, row in enumerate(rows_of("cpt", size // 4)):
        (folder / "notes" / f"{i}.md").write_text(f"# Note {i}\n\n{row['text']}", encoding="utf-8")
    write_jsonl(folder / "preferences.jsonl", rows_of("dpo", size))
    items = [json.loads(x) for x in (shipped_root() / "eval/quickstart_stats/test.jsonl").read_text().splitlines()]
    four = [item for item in items if len(item["choices"]) == 4][:size]
    with (folder / "quiz.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["Question", "A", "B", "C", "D", "Correct"])
        table.writerows([item["question"], *item["choices"], "ABCD"[item["answer"]]] for item in four)
    return folder


def warnings_of(said: str) -> list[str]:
    """The warnings of `data check` that more rows alone would mend are left out."""
    found = [line.strip() for line in said.splitlines() if line.strip().startswith(("warning", "error"))]
    return [line for line in found if "the model will memorise them" not in line]


def test_a_newcomers_folder_runs_with_no_edit(tmp_path: Path) -> None:
    """init, data check and run, through the command line. The rows are few: as many as make every kind of stage."""
    newcomer(tmp_path / "mydata", 14)
    before = {path: path.read_bytes() for path in (tmp_path / "mydata").rglob("*") if path.is_file()}
    goal = "Answer questions on statistics."
    made = statllama("init", "mine", "--data", "mydata", *BASE, "--goal", goal, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "faq.csv: 14 rows, question answer (Latin-1, semicolons)" in made.stdout
    assert "question = Frage, answer = Antwort" in made.stdout and "quiz.csv: 14 rows, multiple choice" in made.stdout
    commands = [line.strip() for line in made.stdout.splitlines() if line.startswith("  statllama ")]
    assert [c.split("  #")[0] for c in commands] == [
        f"statllama {c} mine/recipe.yaml" for c in ("data check", "plan", "run")
    ]
    assert {path: path.read_bytes() for path in before} == before

    recipe = load_recipe(tmp_path / "mine" / "recipe.yaml")
    assert [stage.type for stage in recipe.stages] == ["cpt", "sft", "dpo"] and recipe.description == goal
    checked = statllama("data", "check", "mine/recipe.yaml", cwd=tmp_path)
    assert checked.returncode == 0 and warnings_of(checked.stdout) == [], checked.stdout
    assert "none is copied" in checked.stdout

    ran = statllama("run", "mine/recipe.yaml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "mine_quiz (acc, 3 items" in ran.stdout
    assert "held-out loss, bits per byte (lower is better): base " in ran.stdout


@pytest.mark.slow
def test_more_rows_and_all_their_benchmarks(tmp_path: Path) -> None:
    newcomer(tmp_path / "mydata", 80)
    assert statllama("init", "mine", "--data", "mydata", *BASE, cwd=tmp_path).returncode == 0
    ran = statllama("run", "mine/recipe.yaml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for form in ("quiz", "exact", "answers", "pairs"):
        assert f"mine_{form} (" in ran.stdout


KINDS = {
    "three rows": [{"question": f"what is {i} and {i}?", "answer": f"it is {2 * i}"} for i in range(3)],
    "documents": [{"text": f"Note {i}. " + f"The mean of sample {i} is known. " * 5} for i in range(12)],
    "preferences": [{"prompt": f"say number {i}", "chosen": f"{i}", "rejected": "no"} for i in range(12)],
    "judged": [{"prompt": f"say number {i}", "completion": f"it is {i}", "label": i % 3 > 0} for i in range(12)],
    "quiz": [{"question": f"{i} and 1?", "choices": [str(i), str(i + 1)], "answer": 1} for i in range(12)],
    "checked": [{"question": f"what is {i} times {i + 3}?", "answer": str(i * (i + 3))} for i in range(40)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_gives_a_recipe_that_loads_and_checks(tmp_path: Path, kind: str) -> None:
    write_jsonl(tmp_path / "rows.jsonl", KINDS[kind])
    made = statllama("init", "mine", "--data", "rows.jsonl", *BASE, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = statllama("data", "check", "mine/recipe.yaml", cwd=tmp_path)
    assert checked.returncode == 0 and warnings_of(checked.stdout) == [], checked.stdout
    text = (tmp_path / "mine" / "recipe.yaml").read_text()
    if kind == "checked":  # the stage in comments is one that loads, too
        lines = text.splitlines()
        start = next(i for i, line in enumerate(lines) if line == "  # - name: grpo")
        end = next(i for i in range(start, len(lines)) if not lines[i])
        lines[start:end] = [line.replace("  # ", "  ", 1) for line in lines[start:end]]
        (tmp_path / "mine" / "grpo.yaml").write_text("\n".join(lines))
        assert [s.type for s in load_recipe(tmp_path / "mine" / "grpo.yaml").stages] == ["sft", "grpo"]
        checked = statllama("data", "check", "mine/grpo.yaml", "--stage", "grpo", cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout
    assert yaml.safe_load(text)["name"] == "mine"


def test_rows_out_of_templates_are_held_out_by_whole_templates(tmp_path: Path) -> None:
    """`data check` finds no held-out question in training; of three templates, the console says what would help."""
    draw = random.Random(4)
    templates = (
        "A sample of {} values has mean {} and standard deviation {}. What is the standard error of its mean?",
        "Of {} patients in a clinical trial {} recovered within {} weeks of treatment. Which share of them recovered?",
        "The train covers {} miles in {} hours although it stops for {} minutes at the bridge. How fast does it go?",
        "A farmer sells {} baskets of pears for {} dollars each and pays {} dollars for a stall. How much is left?",
        "An urn holds {} red, {} green and {} blue balls, and one is drawn blindly. How likely is it that it is blue?",
    )
    rows = [
        {"question": templates[i % 5].format(*(draw.randint(2, 9999) for _ in range(3))), "answer": f"it is {i}"}
        for i in range(300)
    ]
    write_jsonl(tmp_path / "five.jsonl", rows)
    made = statllama("init", "five", "--data", "five.jsonl", *BASE, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "1 kind of question held out whole: 60 rows, 60 of them asked" in made.stdout
    checked = statllama("data", "check", "five/recipe.yaml", cwd=tmp_path)
    assert checked.returncode == 0 and warnings_of(checked.stdout) == [], checked.stdout
    assert "looked for in 240 rows" in checked.stdout and "none is copied" in checked.stdout

    write_jsonl(tmp_path / "three.jsonl", [row for i, row in enumerate(rows) if i % 5 < 3])
    made = statllama("init", "three", "--data", "three.jsonl", *BASE, cwd=tmp_path)
    assert made.returncode == 0 and "held out: nothing: rows are too much alike" in made.stdout, made.stderr
    assert "0 of 36 questions held out" in made.stdout and "`--holdout 60` may hold out one more kind" in made.stdout
    assert "`decontaminate: ignore`" in made.stdout
    made = statllama("init", "more", "--data", "three.jsonl", *BASE, "--holdout", "60", cwd=tmp_path)
    assert made.returncode == 0 and "60 rows, 60 of them asked" in made.stdout, made.stdout


def test_the_same_files_give_the_same_folder(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", KINDS["quiz"])
    for name in ("one/mine", "two/mine"):
        (tmp_path / name).parent.mkdir()
        assert statllama("init", name, "--data", "rows.jsonl", *BASE, cwd=tmp_path).returncode == 0
    first, second = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in sorted((tmp_path / n).rglob("*")) if p.is_file()}
        for n in ("one", "two")
    )
    assert first == second and len(first) > 5


def test_wrong_input_says_what_to_do_and_writes_nothing(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", KINDS["quiz"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "odd.csv").write_text("x1,x2\nsky,blue\nsea,green\n")
    (tmp_path / "old.xlsx").write_bytes(b"PK")
    given = ("--data", "rows.jsonl")
    for arguments, said in (
        (("new",), "`--data FILE` is missing"),
        (("full", *given), "DIR full: it exists already"),
        (("a/b/new", *given), "there is no folder"),
        (("new", "--data", "row.jsonl"), "did you mean 'rows.jsonl'?"),
        (("new", "--data", "odd.csv"), "--columns odd.csv:question=COLUMN,answer=COLUMN"),
        (("new", "--data", "odd.csv", "--columns", "question"), "'question' is not NAME=COLUMN"),
        (("new", "--data", "odd.csv", "--columns", "question=x3"), "no column 'x3'"),
        (("new", "--data", "odd.csv", "--columns", "od.csv:question=x1"), "did you mean 'odd.csv'?"),
        (("new", "--data", "old.xlsx"), "save the sheet as CSV"),
        (("new", *given, "--memory", "much"), "write it as in --memory 12GB"),
        (("new", *given, "--base", "nowhere"), "no such folder, and no hub id"),
        (("new", *given, "--base", "full"), "no config.json in full"),
    ):
        left = statllama("init", *arguments, cwd=tmp_path)
        words = left.stderr.replace("\n", " ")
        assert left.returncode == 2 and said in words, (arguments, words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "odd.csv", "old.xlsx", "rows.jsonl"]
    named = ("--columns", 'odd.csv:question=x1,answer="x2"')
    made = statllama("init", "new", "--data", "odd.csv", "rows.jsonl", *named, *BASE, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "question = x1, answer = x2" in made.stdout


def test_hostile_texts_and_names_give_a_recipe_that_loads(tmp_path: Path) -> None:
    """Characters that YAML or UTF-8 does not take, in rows, file names and the goal; a name that YAML calls false."""
    from os import fsdecode

    from statllama.runs.forecast.device import found_device
    from statllama.runs.init.draft import draft, look, recipe_name
    from statllama.runs.init.settings import look_at_base
    from statllama.runs.init.write import write

    odd = "hei\x7f\x85\u2028\ufeff\uffffth \N{GRINNING FACE}"
    rows: list[dict[str, Any]] = [{"text": "an odd first row"}]
    rows += [{"question": f"{odd} {i}?", "answer": f"It is {i}."} for i in range(40)]
    rows[7]["answer"] = "half of a \ud800 character"
    file = tmp_path / fsdecode(b"lat\xe4n: # \x07.jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "nul.md").write_text("a \0 in a document\n" * 9)
    (tmp_path / "note.md").write_text("a document without one\n" * 9)
    looked = look([str(file), str(tmp_path / "*.md")])
    faults = {(Path(f.file).name, f.row): f.why for found in looked.found for f in found.faults}
    assert next(why for (name, _), why in faults.items() if name == "nul.md").startswith("a NUL character")
    assert sorted(row for name, row in faults if name != "nul.md") == [1, 8]
    assert not any(why.startswith("row") for why in faults.values())
    for folder, goal in (("no", 'yes: "no" # \x7f'), ("null", ""), ("1e5", odd)):
        made = draft(recipe_name(folder), looked, look_at_base("quickstart/base"), found_device(), goal)
        recipe = load_recipe(write(made, tmp_path / folder))
        assert recipe.name == folder and (
            recipe.description == goal or (not goal and "quickstart/base learns" in recipe.description)
        )
        assert any(odd in prompt for prompt in recipe.evaluate.prompts)
        left = [
            json.loads(line) for line in (tmp_path / folder / "data/left_out.jsonl").read_text().split("\n") if line
        ]
        assert {row["row"].get("answer") for row in left} >= {"half of a \ud800 character"}


def test_a_full_disk_is_named(tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of TMPDIR, then the one of the new folder; neither has to do with a workspace."""
    rows = [{"question": f"what is {i} times {i + 3}?", "answer": str(i * (i + 3)) + " so" * 300} for i in range(300)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    (small_disk / "ballast").write_bytes(b"x" * 200_000)
    made = statllama("init", "mine", "--data", "rows.jsonl", *BASE, cwd=tmp_path)
    assert made.returncode == 1 and not (tmp_path / "mine").exists()
    assert "cannot use disk: no space is left" in made.stderr
    assert "set TMPDIR to a folder on another disk" in made.stderr and "workspace" not in made.stderr
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = statllama("init", small_disk / "mine", "--data", "rows.jsonl", *BASE, cwd=tmp_path)
    assert made.returncode == 1 and not (small_disk / "mine").exists()
    assert "disk/mine: no space is left" in made.stderr and "name a DIR on another disk" in made.stderr
    assert "workspace" not in made.stderr
