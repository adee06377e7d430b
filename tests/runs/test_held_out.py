"""Hold-outs of a recipe: what is refused, keys, what a run shows and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.data import held_rows
from statllama.data.cache import described
from statllama.errors import InputChanged, RecipeError
from statllama.recipe import Recipe, load_recipe
from statllama.runs.data_check import check, check_holdouts
from statllama.runs.keys import difference
from statllama.runs.plan import plan, rearranged
from statllama.runs.reporting import Reporter
from statllama.runs.runner import sizes
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from tests.conftest import conversations, preferences, stage, write_jsonl
from tests.running import Recorder, run, statllama

Write = Callable[..., Path]


def source(name: str = "sft", **fields: Any) -> dict[str, Any]:
    return {"path": f"{name}.jsonl", **fields}


def session_of(recipe: Recipe, workspace: Path, reporter: Reporter | None = None) -> Session:
    return Session(recipe, Store(workspace), reporter or Reporter(), StopSignal())


def keys_of(path: Path, workspace: Path, *overrides: str) -> dict[str, str]:
    return {p.spec.name: p.key for p in plan(load_recipe(path, overrides), Store(workspace))}


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, "should be a share of the rows above 0 and below 1, such as 0.05, or a file; got 5"),
        (1.0, "got 1.0"),
        (0, "got 0"),
        (-0.1, "got -0.1"),
        (True, "got True"),
        ("", "got ''"),
        (["x"], "got ['x']"),
    ],
)
def test_what_is_no_share_and_no_file(write_recipe: Write, value: Any, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        load_recipe(write_recipe([stage("sft", data=[source(holdout=value)])]))
    (problem,) = raised.value.problems
    assert problem.where == "stages[0].data[0].holdout (stage sft)" and said in problem.message and problem.line


def test_a_held_out_file_that_is_not_there(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "heldout.jsonl", conversations(3))
    held = {"general": {"path": "helfout.jsonl"}}
    path = write_recipe([stage("sft", data=[source(holdout="heldot.jsonl")])], evaluate={"holdouts": held})
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    own, general = raised.value.problems
    assert own.where == "stages[0].data[0].holdout (stage sft)" and own.line
    assert general.where == "evaluate.holdouts.general.path" and general.line
    for problem, setting in ((own, "stages.sft.data.0.holdout"), (general, "evaluate.holdouts.general.path")):
        assert "did you mean 'heldout.jsonl'" in problem.message
        assert f"--set {setting}=FILE" in str(problem.remedy)
    load_recipe(path, [f"{s}=heldout.jsonl" for s in ("stages.sft.data.0.holdout", "evaluate.holdouts.general.path")])


def test_what_cannot_be_held_out(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "grpo.jsonl", [{"prompt": "q", "answer": "a"}])
    asks = stage("ask", "grpo", data=[source("grpo", holdout=0.1)], rewards=[{"name": "correctness"}])
    held = {"sft": source(), "a": source(holdout=0.1), "b": source(limit=2)}
    with pytest.raises(RecipeError) as raised:
        load_recipe(write_recipe([stage("sft"), asks], evaluate={"holdouts": held}))
    said = {p.where: (p.message, str(p.remedy), p.line) for p in raised.value.problems}
    assert set(said) == {
        "stages[1].data[0].holdout (stage ask)",
        "evaluate.holdouts.sft",
        "evaluate.holdouts.a.holdout",
        "evaluate.holdouts.b.limit",
    }
    assert all(line for _, _, line in said.values())
    assert "no text to take a loss on" in said["stages[1].data[0].holdout (stage ask)"][0]
    assert "`evaluate.holdouts`" in said["stages[1].data[0].holdout (stage ask)"][1]
    assert "the name of a stage" in said["evaluate.holdouts.sft"][0]
    assert "source of a stage" in said["evaluate.holdouts.a.holdout"][1]


def test_a_recipe_that_is_extended_or_printed_finds_the_files(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "held.jsonl", conversations(3))
    held = {"general": source("held")}
    path = write_recipe([stage("sft", data=[source(holdout="held.jsonl")])], evaluate={"holdouts": held})
    below = tmp_path / "below" / "more.yaml"
    below.parent.mkdir()
    below.write_text(yaml.safe_dump({"name": "more", "extends": "../recipe.yaml", "stages": []}))
    printed = tmp_path / "else" / "printed.yaml"
    printed.parent.mkdir()
    printed.write_text(load_recipe(path).to_yaml())
    found = {tuple(held_.source.path for held_ in load_recipe(p).held) for p in (below, printed)}
    assert found == {(str(tmp_path / "held.jsonl"),) * 2}


# ------------------------------------------------------------------ keys


def test_keys_without_hold_outs_do_not_move(write_recipe: Write, tmp_path: Path) -> None:
    """The material has no word of hold-outs, and what it has of sources is what it was."""
    path = write_recipe([stage("sft")])
    (planned,) = plan(load_recipe(path), Store(tmp_path / "w"))
    assert "held_out" not in json.dumps(planned.material) and "holdout" not in json.dumps(planned.material)
    (found,) = described(load_recipe(path).trained[0].data, tmp_path)
    assert "holdout" not in found


def test_what_is_held_out_is_in_the_key_of_every_stage(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "held.jsonl", conversations(3))
    path, work = write_recipe([stage("sft"), stage("dpo", "dpo", parents="base")]), tmp_path / "w"
    plain = keys_of(path, work)
    ways = (
        ["stages.sft.data.0.holdout=0.1"],
        ["stages.sft.data.0.holdout=0.2"],
        ["stages.sft.data.0.holdout=held.jsonl"],
        ["evaluate.holdouts.a.path=sft.jsonl"],
        ["evaluate.holdouts.a.path=sft.jsonl", "evaluate.holdouts.b.path=held.jsonl"],
    )
    found = [plain, *(keys_of(path, work, *way) for way in ways)]
    for name in ("sft", "dpo"):
        assert len({keys[name] for keys in found}) == len(found)
    # What a name is, how rows are used, and where the files lie, is no matter.
    used = keys_of(path, work, "evaluate.holdouts.c.path=held.jsonl", "evaluate.holdouts.b.path=sft.jsonl")
    assert used == found[-1]
    before = keys_of(path, work, "stages.sft.data.0.holdout=held.jsonl")
    (tmp_path / "held.jsonl").rename(tmp_path / "moved.jsonl")
    assert keys_of(path, work, "stages.sft.data.0.holdout=moved.jsonl") == before
    write_jsonl(tmp_path / "moved.jsonl", conversations(4))
    assert keys_of(path, work, "stages.sft.data.0.holdout=moved.jsonl") != before


def test_another_seed_holds_out_the_same_rows(write_recipe: Write, tmp_path: Path) -> None:
    """Runs of a study with other seeds are scored on the same rows, and stages that are not repeated keep their key."""
    path = write_recipe([stage("sft", data=[source(holdout=0.1)]), stage("dpo", "dpo")])
    one, other = (plan(load_recipe(path, [f"stages.dpo.train.seed={s}"]), Store(tmp_path / "w")) for s in (1, 2))
    assert one[0].key == other[0].key and one[1].key != other[1].key
    assert one[1].material["held_out"] == other[1].material["held_out"]


def test_a_difference_is_said_in_words(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = write_recipe([stage("sft")]), Store(tmp_path / "w")

    def material(*overrides: str) -> dict[str, Any]:
        return plan(load_recipe(path, overrides), store)[0].material

    none, small, large = (
        material(),
        material("stages.sft.data.0.holdout=0.1"),
        material("stages.sft.data.0.holdout=0.2"),
    )
    general = material("stages.sft.data.0.holdout=0.1", "evaluate.holdouts.a.path=dpo.jsonl")
    assert difference(none, small) == "rows of the recipe are now held out"
    assert difference(small, none) == "no row of the recipe is held out any more"
    assert difference(small, large) == "what the recipe holds out of training changed (shares 0.1 -> 0.2)"
    assert difference(small, general) == "what the recipe holds out of training changed"
    monkeypatch.setattr(held_rows, "HOLDOUT_NUMERICS", held_rows.HOLDOUT_NUMERICS + 1)
    after = material("stages.sft.data.0.holdout=0.1")
    assert difference(small, after) == "this version of statllama chooses its rows differently"


def test_stages_that_are_left_out_still_hold_out(write_recipe: Write, tmp_path: Path) -> None:
    """One recipe, one split: with `--until`, and of a part of it as a study runs it."""
    stages = [stage("sft"), stage("more", data=[source(holdout=0.25)], parents=["sft"])]
    path, work = write_recipe(stages), tmp_path / "w"
    recipe = load_recipe(path)
    part = recipe.down_to("sft")
    assert [s.name for s in part.stages] == ["sft"] and part.down_to("sft").held == part.held == recipe.held
    whole = plan(recipe, Store(work))
    assert plan(part, Store(work))[0].key == plan(recipe, Store(work), "sft")[0].key == whole[0].key
    assert rearranged(recipe, Store(work), whole, (), ())[0].key == whole[0].key
    session = session_of(part, work)
    (held,) = session.holdouts()
    assert held.name == "more" and session.holdout("more") is held and session.holdout("sft") is None
    chosen = session.choose(part.trained[0])
    assert chosen.held_copied == 12 == len(held.ids) and chosen.held_out == 0


# ------------------------------------------------------------------ what a session gives


def test_hold_outs_of_every_kind(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pairs.jsonl", preferences(3))
    write_jsonl(tmp_path / "talk.jsonl", conversations(5))
    stages = [
        stage("cpt", "cpt", data=[source("cpt", holdout=0.25)]),
        stage("sft", data=[source(holdout="talk.jsonl"), source("talk", holdout=0.4)], train_on="all"),
        stage("dpo", "dpo", data=[source("dpo", holdout=0.25)]),
        stage("kto", "kto", data=[source("kto", holdout=0.2)]),
    ]
    held = {"pairs": source("pairs"), "talk": source("talk")}
    recipe = load_recipe(write_recipe(stages, evaluate={"holdouts": held}))
    session = session_of(recipe, tmp_path / "w")
    found = session.holdouts()
    assert [(h.name, h.kind) for h in found] == [
        ("cpt", "documents"), ("sft", "conversations"), ("dpo", "preferences"), ("kto", "conversations"),
        ("pairs", "preferences"), ("talk", "conversations"),
    ]  # fmt: skip
    by_name = {h.name: h for h in found}
    assert len(by_name["sft"].ids) == 5 + 2 and len(by_name["dpo"].ids) == 8
    assert set(by_name["dpo"].dataset.column_names) == {"prompt_ids", "chosen_ids", "rejected_ids"}
    assert set(by_name["sft"].dataset.column_names) == {"input_ids", "labels", "seq_lengths"}
    assert by_name["talk"].ids == by_name["sft"].ids[:5]  # the same rows, but for what is learned of them
    assert by_name["talk"].fingerprint != by_name["sft"].fingerprint
    again = session_of(recipe, tmp_path / "w").holdouts()
    assert [h.fingerprint for h in again] == [h.fingerprint for h in found]


def test_a_set_of_no_stage_is_cut_where_scores_are(write_recipe: Write, tmp_path: Path) -> None:
    """At `evaluate.max_length`, or what the base takes; the base is loaded for rows of that length."""
    write_jsonl(tmp_path / "long.jsonl", [{"text": "mean " * 2000}])
    path = write_recipe([stage("sft")], evaluate={"holdouts": {"long": source("long")}})
    for given, length in ((None, 512), (100, 100)):
        recipe = load_recipe(path, [] if given is None else [f"evaluate.max_length={given}"])
        (held,) = session_of(recipe, tmp_path / "w").holdouts()
        assert max(map(len, held.dataset["input_ids"])) == length <= recipe.longest_row


def test_a_run_records_what_it_left_out(write_recipe: Write, tmp_path: Path) -> None:
    rows = conversations(12)
    write_jsonl(tmp_path / "sft.jsonl", rows)
    write_jsonl(tmp_path / "general.jsonl", rows[:2])
    stages = [stage("sft", data=[source(holdout=0.25)], train={"steps": 1})]
    path = write_recipe(stages, evaluate={"holdouts": {"general": source("general")}})
    recorder = Recorder()
    recipe = load_recipe(path)
    session = session_of(recipe, tmp_path / "w")
    result = run(path, tmp_path / "w", reporter=recorder)["sft"]
    found = json.loads((result / "manifest.json").read_text())["data"]["held_out"]
    (planned,) = plan(recipe, Store(tmp_path / "w"))
    copies = session.choose(planned.spec).held_copied  # type: ignore[arg-type]
    by = {"the same prompt": copies} if copies else {}
    assert planned.cached and found == {
        "sets": {"sft": 3, "general": 2},
        "rows": 3,
        "copies": copies,
        "by": by,
    }
    assert 0 <= copies <= 2 and any("3 rows are held out" in note for note in recorder.notes)
    record = Store(tmp_path / "w").last_run("tiny")["stages"]["sft"]["cache"]
    assert all((tmp_path / "w" / "cache" / key).is_dir() for key in record) and len(record) >= 4


def test_a_held_out_file_that_is_edited_stops_a_run(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "held.jsonl", conversations(3))
    recipe = load_recipe(write_recipe([stage("sft", data=[source(holdout="held.jsonl")])]))
    (planned,) = plan(recipe, Store(tmp_path / "w"))
    write_jsonl(tmp_path / "held.jsonl", conversations(4))
    with pytest.raises(InputChanged, match=r"held\.jsonl was edited"):
        planned.require_inputs(tmp_path, (), recipe.held)


# ------------------------------------------------------------------ what a user sees


def test_plan_and_data_check_say_what_is_held_out(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "copies.jsonl", [*conversations(2), *conversations(48)])
    path = write_recipe([stage("sft", data=[source(holdout=0.25)]), stage("b", data=[source("copies")])])
    said = statllama("data", "check", path, cwd=tmp_path)
    assert said.returncode == 0
    flat = " ".join(said.stdout.split())
    assert "sft.jsonl: 12 rows left out: held out" in flat
    assert "copies a held-out row" in flat and "has the same prompt as a held-out row" in flat
    assert "warning copies.jsonl" in flat and "copy a held-out row, so the stage is not trained on them" in flat
    assert "sft sft.jsonl conversations 12 0" in flat
    recipe = load_recipe(path)
    store = Store(tmp_path / "w")
    planned = plan(recipe, store)
    measures = sizes(session_of(recipe, tmp_path / "w"), planned)
    assert measures["sft"].held_out == "12 rows are held out: not trained on"
    assert measures["b"].held_out.endswith("rows copy a held-out row (the same prompt: "
                                           f"{measures['b'].held_out.split()[0]}): not trained on")  # fmt: skip


def test_a_stage_of_which_nothing_is_left_is_told(write_recipe: Write, tmp_path: Path) -> None:
    held = {"general": source()}
    path = write_recipe([stage("sft"), stage("dpo", "dpo")], evaluate={"holdouts": held})
    (found, _) = check(load_recipe(path), Store(tmp_path / "w"), Reporter())
    (verdict,) = found.verdicts
    assert verdict.level == "error" and "none of 48 rows is left; copies a held-out row: 48" in verdict.text
    assert "`evaluate.holdouts`" in verdict.remedy
    said = statllama("run", path, cwd=tmp_path)
    assert said.returncode == 2 and "none of its 48 rows is usable (copies a held-out row: 48)" in said.stderr
    assert "Traceback" not in said.stderr


def test_faults_of_a_hold_out_are_told(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "ask.jsonl", [{"prompt": "q", "answer": "a"}])
    path = write_recipe([stage("sft")], evaluate={"holdouts": {"ask": source("ask")}})
    (found,) = check_holdouts(load_recipe(path), Store(tmp_path / "w"), Reporter())
    assert found.holdout is None and found.fault is not None and "worked answer" in found.fault.text
    said = statllama("data", "check", path, cwd=tmp_path)
    assert said.returncode == 1 and "worked answer" in said.stdout
