"""`statllama data`: what it shows of good and bad data, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import UsageError
from statllama.recipe import load_recipe
from statllama.runs.data_check import StageCheck, check, preview
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.store import Store
from tests.conftest import conversations, stage, write_jsonl
from tests.data.test_contamination import BAKER, benchmark
from tests.data.test_judging import KEY, Server, completion
from tests.running import statllama

Write = Callable[..., Path]


def checked(recipe: Path, workspace: Path, *overrides: str) -> list[StageCheck]:
    return list(check(load_recipe(str(recipe), list(overrides)), Store(workspace), Reporter()))


def levels(found: StageCheck) -> list[str]:
    return [verdict.level for verdict in found.verdicts]


def test_sound_data(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("sft"), stage("dpo", "dpo"), stage("cpt", "cpt")])
    found = checked(path, tmp_path / "w")
    assert [c.spec.name for c in found] == ["sft", "dpo", "cpt"]
    for c in found:
        assert c.selection is not None and c.report is not None and "error" not in levels(c)
        assert c.report.sources[0].rows_read == len(c.selection.sources[0].kept)
    assert "⟦the" in found[0].report.sources[0].sample  # type: ignore[union-attr]


def test_all_faulty_rows_at_once(write_recipe: Write, tmp_path: Path) -> None:
    rows = conversations(6)
    rows[1] = {"messages": [{"role": "user", "content": "no answer"}]}
    rows[4] = {"prompt": "another format", "completion": "x"}
    path = write_recipe([stage("sft")])
    write_jsonl(tmp_path / "sft.jsonl", rows)
    (found,) = checked(path, tmp_path / "w")
    assert found.selection is not None and found.report is None
    source = found.selection.sources[0]
    assert source.faulty == 2 and ["row 2" in source.faults[0], "row 5" in source.faults[1]] == [True, True]
    assert levels(found) == ["error"] and "2 rows cannot be used" in found.verdicts[0].text


def test_copies_of_benchmark_questions(write_recipe: Write, tmp_path: Path) -> None:
    benchmark(tmp_path / "eval")
    path = write_recipe([stage("sft")], evaluate={"tasks": ["exam"]})
    turns = [{"role": "user", "content": BAKER.replace("48", "50")}, {"role": "assistant", "content": "56 dollars"}]
    write_jsonl(tmp_path / "sft.jsonl", [*conversations(60), {"messages": turns}])
    (found,) = checked(path, tmp_path / "w", "stages.sft.train.max_length=256")
    assert found.selection is not None and found.report is not None
    assert levels(found)[0] == "error" and "1 row copies" in found.verdicts[0].text
    printed = statllama("data", "check", str(path), "--workspace", "w", cwd=tmp_path)
    assert printed.returncode == 1
    assert "copies question 1 of exam" in printed.stdout and "50 rolls" in printed.stdout.replace("\n", " ")
    (dropped,) = checked(path, tmp_path / "w", "stages.sft.decontaminate=drop", "stages.sft.train.max_length=256")
    assert "error" not in levels(dropped) and dropped.report is not None and dropped.report.examples == 60


REWORDED = (
    "Mr. Ortega bakes 60 rolls every morning and another 30 rolls in the afternoon. How much money does he earn in a "
    "day if he sells all the rolls in bags of 5 and takes $3 for each bag?"
)


@pytest.fixture
def suspect_recipe(write_recipe: Write, tmp_path: Path) -> Path:
    """A recipe whose row 61 asks the question of `exam` in other words, and row 62 too."""
    benchmark(tmp_path / "eval")
    path = write_recipe([stage("sft", train={"max_length": 512})], evaluate={"tasks": ["exam"]})
    again = REWORDED.replace("60", "90").replace("Mr. Ortega", "A baker")
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": "$54"}]}
        for q in (REWORDED, again)
    ]
    write_jsonl(tmp_path / "sft.jsonl", [*conversations(60), *rows])
    return path


def test_what_was_looked_for_is_said_when_nothing_is_found(write_recipe: Write, tmp_path: Path) -> None:
    benchmark(tmp_path / "eval")
    path = write_recipe([stage("sft")], evaluate={"tasks": ["exam"]})
    write_jsonl(tmp_path / "sft.jsonl", conversations(60))
    clean = statllama("data", "check", str(path), "--workspace", "w", cwd=tmp_path)
    assert clean.returncode == 0
    assert "benchmark questions looked for in 60 rows: 1 of exam; none is copied" in clean.stdout
    ignored = statllama(
        "data", "check", str(path), "--set", "stages.sft.decontaminate=ignore", "--workspace", "w", cwd=tmp_path
    )
    assert "looked for" not in ignored.stdout


def test_suspects_are_shown_and_stop_nothing(suspect_recipe: Path, tmp_path: Path) -> None:
    shown = statllama(
        "data", "check", str(suspect_recipe), "--suspects", "review.jsonl", "--workspace", "w", cwd=tmp_path
    )
    assert shown.returncode == 0 and "may ask question 1 of exam in other words" in shown.stdout
    assert "2 rows resemble a question" in shown.stdout and "and 1 more row like it" in shown.stdout
    lines = [json.loads(line) for line in (tmp_path / "review.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["row"].rpartition(", ")[2] for line in lines} == {"row 61", "row 62"}
    assert all(line["verdict"] is None and line["question"] == BAKER for line in lines)
    (found,) = checked(suspect_recipe, tmp_path / "w")
    assert found.selection is not None and len(found.selection.sources[0].kept) == 62
    assert found.selection.contamination()["suspects"] == 2
    (dropping,) = checked(suspect_recipe, tmp_path / "w", "stages.sft.decontaminate=drop")
    assert dropping.selection is not None and len(dropping.selection.sources[0].kept) == 62


def test_a_judge_on_demand(suspect_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two suspects it takes one for the question; then it goes away, and what it said is still known."""
    monkeypatch.setenv("STATLLAMA_JUDGE_KEY", KEY)
    monkeypatch.setattr("statllama.data.judging.WAITS", ())
    server = Server()
    server.reply = lambda prompt: completion("Yes." if "Mr. Ortega bakes" in prompt else "I am not sure.")
    command = ("data", "check", str(suspect_recipe), "--suspects", "review.jsonl", "--workspace", "w")
    asked = (*command, "--judge", server.url, "--judge-model", "small")
    said = statllama(*asked, cwd=tmp_path)
    assert said.returncode == 0 and "judged, the same question or not: 1 yes, 1 unclear" in said.stdout
    assert "asks question 1 of exam" in said.stdout
    server.reply = lambda prompt: completion("I am a teapot.")
    nonsense = statllama(*asked[:-1], "teapot", cwd=tmp_path)
    assert nonsense.returncode == 0 and "2 unclear" in nonsense.stdout
    assert "no answer is yes or no; the first: I am a teapot." in nonsense.stdout
    server.close()
    away = statllama(*asked, cwd=tmp_path)
    assert away.returncode == 1 and "1 of 2 suspects" in away.stderr and "run the same command again" in away.stderr
    lines = [json.loads(line) for line in (tmp_path / "review.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(str(line["verdict"]) for line in lines) == ["None", "yes"]
    assert "may ask question 1" in away.stdout
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(KEY.encode() in text for text in [*written, said.stdout.encode(), away.stderr.encode()])


def test_a_judge_needs_an_address_and_a_model(suspect_recipe: Path, tmp_path: Path) -> None:
    for option in (
        ("--judge", "http://localhost:1/v1"),
        ("--judge-model", "small"),
        ("--judge", "x", "--judge-model", "m"),
    ):
        said = statllama("data", "check", str(suspect_recipe), *option, "--workspace", "w", cwd=tmp_path)
        assert said.returncode == 2 and "--judge" in said.stderr and said.stdout == ""


def test_a_cached_stage_is_held_to_a_new_benchmark(write_recipe: Write, tmp_path: Path) -> None:
    """What was trained before a benchmark was added to the recipe is looked at when it is."""
    turns = [{"role": "user", "content": BAKER}, {"role": "assistant", "content": "56 dollars"}]
    short = stage("sft", train={"steps": 1, "max_length": 256})
    path = write_recipe([short])
    write_jsonl(tmp_path / "sft.jsonl", [*conversations(4), {"messages": turns}])
    store = Store(tmp_path / "w")
    run(load_recipe(str(path)), store, Reporter())
    (entry,) = store.entries("results")
    searched = entry.manifest["data"]["contamination"]
    assert searched == {"looked_for": {}, "copies": 0, "suspects": 0, "nearest": None}
    benchmark(tmp_path / "eval")
    path = write_recipe([short], evaluate={"tasks": ["exam"]})
    write_jsonl(tmp_path / "sft.jsonl", [*conversations(4), {"messages": turns}])
    stopped = statllama("run", str(path), "--workspace", "w", cwd=tmp_path)
    assert stopped.returncode != 0 and "copies question 1 of exam" in stopped.stderr


def test_duplicates_and_odd_characters(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("cpt", "cpt", deduplicate="near")])
    texts = [f"the mean of {i} values is the average value of the sample of size {i} " * 3 for i in range(60)]
    write_jsonl(tmp_path / "cpt.jsonl", [{"text": t} for t in (*texts, texts[3], "it\u00e2\u20ac\u2122s <p>odd</p>")])
    (found,) = checked(path, tmp_path / "w")
    assert found.selection is not None
    text = " ".join(verdict.text for verdict in found.verdicts)
    assert "UTF-8 read as Latin-1" in text and "HTML" in text
    assert found.repeats[-1][0] == texts[3] and found.repeats[-1][2] == 1.0
    plain = checked(path, tmp_path / "w", "stages.cpt.deduplicate=none")[0]
    assert any("repeat an earlier one" in verdict.text for verdict in plain.verdicts)


def test_prompts_that_are_too_long(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("sft", train={"max_length": 32})])
    long = [{"role": "user", "content": "the mean " * 50}, {"role": "assistant", "content": "x"}]
    write_jsonl(tmp_path / "sft.jsonl", [*conversations(5), {"messages": long}])
    (found,) = checked(path, tmp_path / "w")
    assert any("skipped: their prompt alone is too long" in verdict.text for verdict in found.verdicts)


def test_preview_shows_what_is_learned(write_recipe: Write, tmp_path: Path) -> None:
    recipe = load_recipe(str(write_recipe([stage("sft"), stage("dpo", "dpo")])), [])
    store = Store(tmp_path / "w")
    shown = preview(recipe, store, None, 1, 2)
    ((title, tokens),) = shown.sequences
    learned = [i for i, keep in zip(tokens.ids, tokens.learned, strict=True) if keep]
    answer = conversations(2)[1]["messages"][1]["content"]
    assert title == "" and shown.tokenizer.decode(learned) == f"{answer}<|eot_id|>"
    pair = preview(recipe, store, "dpo", 1, 1)
    assert [title for title, _ in pair.sequences] == ["chosen", "rejected"]


@pytest.mark.parametrize(
    ("stage_name", "source", "row", "message"),
    [("sftt", 1, 1, "sftt"), (None, 2, 1, "has no source 2"), (None, 1, 999, "48 rows, no row 999")],
)
def test_preview_of_what_is_not_there(
    write_recipe: Write, tmp_path: Path, stage_name: str | None, source: int, row: int, message: str
) -> None:
    recipe = load_recipe(str(write_recipe([stage("sft")])), [])
    with pytest.raises(Exception, match=message) as caught:
        preview(recipe, Store(tmp_path / "w"), stage_name, source, row)
    assert getattr(caught.value, "exit_code", None) == UsageError.exit_code


def test_problems_command(tmp_path: Path) -> None:
    made = statllama(
        *("data", "problems", "--count", "20", "--form", "grpo", "--topics", "means,slopes", "--out", "p.jsonl"),
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 20 and {row["topic"] for row in rows} == {"means", "slopes"}
    wrong = statllama("data", "problems", "--topics", "meens", "--out", "q.jsonl", cwd=tmp_path)
    assert wrong.returncode == 2 and "means" in wrong.stderr and not (tmp_path / "q.jsonl").exists()
    nowhere = statllama("data", "problems", cwd=tmp_path)
    assert nowhere.returncode == 2 and "--out" in nowhere.stderr
    written = statllama(
        *("data", "problems", "--count", "20", "--topics", "means", "--math", "latex", "--out", "m.jsonl"), cwd=tmp_path
    )
    assert written.returncode == 0 and r"\\frac{" in (tmp_path / "m.jsonl").read_text(encoding="utf-8")
    listed = statllama("data", "problems", "--list", cwd=tmp_path)
    assert listed.returncode == 0 and "sampling_distributions" in listed.stdout


def test_problems_as_a_source(write_recipe: Write, tmp_path: Path) -> None:
    pairs: dict[str, Any] = {"problems": {"form": "dpo", "count": 12, "seed": 4}}
    stages = [stage("sft", data=[{"problems": {"count": 30}}]), stage("dpo", "dpo", data=[pairs])]
    for s in stages:
        s["train"]["max_length"] = 1024
    first, second = checked(write_recipe(stages), tmp_path / "w")
    assert (first.formats, second.formats) == (("messages",), ("preference",))
    assert first.report is not None and first.report.examples == 30
    assert second.report is not None and second.report.examples == 12


def test_cache_command(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("sft")])
    empty = statllama("data", "cache", "--workspace", "w", cwd=tmp_path)
    assert empty.returncode == 0 and "no prepared data" in empty.stdout
    checked(path, tmp_path / "w")
    listed = statllama("data", "cache", "--workspace", "w", cwd=tmp_path)
    assert "tokenised data" in listed.stdout and "sft.jsonl" in listed.stdout and "2 entries" in listed.stdout
    kept = statllama("data", "cache", "--prune", "--workspace", "w", cwd=tmp_path)
    assert "0 entries" in kept.stdout
    gone = statllama("data", "cache", "--prune", "--days", "0", "--workspace", "w", cwd=tmp_path)
    assert "2 entries" in gone.stdout


def test_a_benchmark_on_a_local_file(write_recipe: Write, tmp_path: Path) -> None:
    """`evaluate.data` reaches the contamination check: the questions of that file are what is kept out."""
    row = {"id": "1", "question": BAKER, "choices": {"text": ["48", "56"], "label": ["A", "B"]}, "answerKey": "B"}
    write_jsonl(tmp_path / "arc.jsonl", [row])
    evaluate = {"tasks": ["arc_challenge"], "data": {"arc_challenge": "arc.jsonl"}}
    path = write_recipe([stage("sft", train={"max_length": 256})], evaluate=evaluate)
    (clean,) = checked(path, tmp_path / "w")
    assert "error" not in levels(clean)
    turns = [{"role": "user", "content": BAKER.replace("48", "50")}, {"role": "assistant", "content": "56 dollars"}]
    write_jsonl(tmp_path / "sft.jsonl", [*conversations(48), {"messages": turns}])
    (found,) = checked(path, tmp_path / "w")
    assert levels(found)[0] == "error" and found.selection is not None
    assert found.selection.hits[0].question.task == "arc_challenge"


@pytest.mark.parametrize(
    ("kind", "form", "remedy"),
    [("sft", "grpo", "form: sft"), ("sft", "dpo", "set `form: sft`"), ("dpo", "chat", "set `form: dpo`"),
     ("cpt", "sft", "in a stage of type sft")],
)  # fmt: skip
def test_problems_of_the_wrong_form(write_recipe: Write, tmp_path: Path, kind: str, form: str, remedy: str) -> None:
    path = write_recipe([stage("a", kind, data=[{"problems": {"form": form, "count": 4}}])])
    (found,) = checked(path, tmp_path / "w")
    assert levels(found)[0] == "error" and remedy in found.verdicts[0].remedy
