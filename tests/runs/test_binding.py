"""One key is one result: what was hashed at the plan is what is trained and scored, and a result is there, sound, when
`run` says so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.errors import InputChanged, StatllamaError, StoreError
from statllama.evaluation.suite import Suite
from statllama.runs.plan import plan, rearranged
from statllama.runs.runner import run as run_recipe
from statllama.runs.scorebook import scored, with_samples
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import TEMPLATE, conversations, stage, write_jsonl
from tests.running import Recorder, adapter_bytes, recipe_of, run, statllama, verified

torch.set_num_threads(1)
Write = Callable[..., Path]
SHORT = {"steps": 2}
OTHER = conversations(90)[50:]


class At(Recorder):
    """Does something once: when the run is `planned`, or after a step of a stage."""

    def __init__(self, moment: str, action: Callable[[], object]) -> None:
        super().__init__()
        self.moment, self.action, self.done = moment, action, False

    def _act(self, moment: str) -> None:
        if moment == self.moment and not self.done:
            self.done = True
            self.action()

    def planned(self, recipe: Any, stages: Any) -> None:
        self._act("planned")

    def step(self, event: Any) -> None:
        super().step(event)
        self._act("step")


def fresh(path: Path, folder: Path) -> dict[str, tuple[bytes, ...]]:
    """{stage: adapter} of a run of the recipe, as its files are now, in a workspace of its own."""
    return {name: adapter_bytes(result) for name, result in run(path, folder).items()}


def refused(path: Path, workspace: Path, reporter: At, *named: str) -> str:
    """Run the recipe, which a change stops: exit code 1, the file by name. What was published is sound."""
    with pytest.raises(InputChanged) as caught:
        run(path, workspace, reporter=reporter)
    assert reporter.done and caught.value.exit_code == 1
    said = str(caught.value)
    assert "run again" in said
    for name in named:
        assert name in said
    list(verified(workspace))
    return said


# ------------------------------------------------------------------ what a stage reads


@pytest.mark.parametrize("moment", ["planned", "step"])
def test_a_data_file_that_is_edited_during_a_run(moment: str, write_recipe: Write, tmp_path: Path) -> None:
    """Between plan and preparation, and while the stage trains."""
    path, workspace, data = write_recipe([stage("a", train=SHORT)]), tmp_path / "w", tmp_path / "sft.jsonl"
    refused(path, workspace, At(moment, lambda: write_jsonl(data, OTHER)), str(data), "was edited")
    assert not Store(workspace).entries("results")
    after = run(path, workspace)["a"]
    assert adapter_bytes(after) == fresh(path, tmp_path / "fresh")["a"]


@pytest.mark.parametrize("moment", ["planned", "step"])
def test_a_data_file_that_is_deleted_during_a_run(moment: str, write_recipe: Write, tmp_path: Path) -> None:
    """Put back, the stage goes on from its checkpoint and is what it would have been."""
    path, workspace, data = write_recipe([stage("a")]), tmp_path / "w", tmp_path / "sft.jsonl"
    whole, content = fresh(path, tmp_path / "fresh"), data.read_text()
    refused(path, workspace, At(moment, data.unlink), str(data), "was deleted")
    assert not Store(workspace).entries("results")
    data.write_text(content)
    assert adapter_bytes(run(path, workspace)["a"]) == whole["a"]


def test_data_of_a_later_stage_that_are_edited_while_an_earlier_one_trains(write_recipe: Write, tmp_path: Path) -> None:
    rows = tmp_path / "cpt.jsonl"
    path, workspace = write_recipe([stage("a", train=SHORT), stage("b", "cpt", train=SHORT)]), tmp_path / "w"
    edit = At("step", lambda: write_jsonl(rows, [{"text": f"another text about the mode, {i}"} for i in range(9)]))
    said = refused(path, workspace, edit, str(rows))
    assert "stage b" in said
    assert [e.manifest["name"] for e in Store(workspace).entries("results")] == ["a"]
    assert [p.why for p in plan(recipe_of(path), Store(workspace))] == ["cached", "the data changed"]
    assert adapter_bytes(run(path, workspace)["b"]) == fresh(path, tmp_path / "fresh")["b"]


def test_a_file_that_is_new_in_a_folder_of_data(write_recipe: Write, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    write_jsonl(folder / "one.jsonl", conversations(12))
    path = write_recipe([stage("a", data=[{"path": "rows", "format": "messages"}], train=SHORT)])
    new = folder / "two.jsonl"
    refused(path, tmp_path / "w", At("planned", lambda: write_jsonl(new, OTHER)), str(new), "is new")
    assert run(path, tmp_path / "w")


def test_an_edit_that_leaves_size_and_time_as_they_were(write_recipe: Write, tmp_path: Path) -> None:
    import os

    path, data = write_recipe([stage("a", train=SHORT)]), tmp_path / "sft.jsonl"

    def edit() -> None:
        before, text = data.stat(), data.read_text()
        data.write_text(text.replace("value is", "value IS"))
        os.utime(data, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (data.stat().st_size, data.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)

    refused(path, tmp_path / "w", At("step", edit), str(data))


def test_a_plan_that_is_arranged_again_keeps_what_it_hashed(write_recipe: Write, tmp_path: Path) -> None:
    """After a gate the rows at hand are those of the first plan: a key of other bytes would not be theirs."""
    recipe = recipe_of(write_recipe([stage("a"), stage("b", "cpt")]))
    store = Store(tmp_path / "w")
    planned = plan(recipe, store)
    write_jsonl(tmp_path / "cpt.jsonl", [{"text": "other text"}])
    assert [p.key for p in rearranged(recipe, store, planned, (), ())] == [p.key for p in planned]
    assert plan(recipe, store)[1].key != planned[1].key


@pytest.fixture
def own_base(base_folder: Path, tmp_path: Path) -> Path:
    """A base whose files may be edited, and a chat template beside the recipe."""
    (tmp_path / "chat.jinja").write_text(TEMPLATE)
    return shutil.copytree(base_folder, tmp_path / "base")


@pytest.mark.parametrize("moment", ["planned", "step"])
@pytest.mark.parametrize("name", ["chat.jinja", "base/generation_config.json", "base/tokenizer_config.json"])
def test_a_file_of_the_base_that_is_edited_during_a_run(
    name: str, moment: str, own_base: Path, write_recipe: Write, tmp_path: Path
) -> None:
    base = {"model": str(own_base), "quantization": "none", "chat_template": "chat.jinja"}
    path, file = write_recipe([stage("a", train=SHORT)], base=base), tmp_path / name
    (before,) = plan(recipe_of(path), Store(tmp_path / "w"))
    refused(path, tmp_path / "w", At(moment, lambda: file.write_text(file.read_text() + "\n")), str(file))
    assert not Store(tmp_path / "w").entries("results")
    (again,) = plan(recipe_of(path), Store(tmp_path / "w"))
    assert again.key != before.key
    if moment == "step":  # a run is recorded once its data are checked
        assert ("(chat template)" if name == "chat.jinja" else f"({file.name})") in again.why
    assert set(run(path, tmp_path / "w")) == {"a"}


GRADER = "def pay(completions, **columns):\n    return [float(len(c) % {}) for c in completions]\n"


def test_a_local_reward_that_is_edited_during_a_run(write_recipe: Write, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "q.jsonl", [{"prompt": f"what is the mean of {i}", "answer": str(i)} for i in range(8)])
    train = {"steps": 2, "batch_size": 8, "max_length": 96}
    fields = {"generations": 4, "max_completion_length": 12, "rewards": [{"name": "local", "function": "grader:pay"}]}
    data = [{"path": "q.jsonl", "format": "prompt_answer"}]
    path, grader = write_recipe([stage("a", "grpo", data=data, train=train, **fields)]), tmp_path / "grader.py"
    grader.write_text(GRADER.format(5))
    recipe = recipe_of(path).model_copy(update={"trust_local_code": True})
    edit = At("step", lambda: grader.write_text(GRADER.format(7)))
    with pytest.raises(InputChanged, match=r"grader\.py was edited"):
        run_recipe(recipe, Store(tmp_path / "w"), edit)
    assert not Store(tmp_path / "w").entries("results")
    (again,) = plan(recipe, Store(tmp_path / "w"))
    assert again.why == "the file of a local reward changed"


def test_a_recipe_that_is_edited_during_a_run(write_recipe: Write, tmp_path: Path) -> None:
    """The run is of the recipe as it was read, keys and all; it says so, once. The next run reads it anew."""
    path, workspace = write_recipe([stage("a", train=SHORT), stage("b", train=SHORT)]), tmp_path / "w"
    whole, text = fresh(path, tmp_path / "fresh"), path.read_text()
    edit = At("step", lambda: path.write_text(text.replace("learning_rate: 0.01", "learning_rate: 0.02")))
    results = run(path, workspace, reporter=edit)
    assert {name: adapter_bytes(result) for name, result in results.items()} == whole
    (note,) = [note for note in edit.notes if str(path) in note]
    assert "run again" in note
    why = plan(recipe_of(path), Store(workspace))[0].why
    assert why == "train.learning_rate 0.01 -> 0.02"


def test_a_change_has_exit_code_1_and_no_traceback(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from statllama.cli.console.run import ConsoleReporter

    path, data = write_recipe([stage("a", train=SHORT)]), tmp_path / "sft.jsonl"
    monkeypatch.setattr(ConsoleReporter, "planned", lambda *_: data.unlink())
    said = statllama("run", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 1
    words = " ".join(said.stderr.split())
    assert "sft.jsonl was deleted" in words and "Traceback" not in words


# ------------------------------------------------------------------ what a score reads


def test_a_benchmark_that_is_edited_while_it_is_scored(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = choice_task(tmp_path / "eval", "letters", 8).parent / "test.jsonl"
    path = write_recipe([stage("a", train=SHORT)], evaluate={"tasks": ["letters"], "max_length": 200})
    load = Suite.load

    def edited(self: Suite, name: str) -> Any:
        found = load(self, name)
        questions.write_text(questions.read_text().replace("which word", "what word"))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Suite, "load", edited)
        with pytest.raises(InputChanged, match="letters"):
            run(path, tmp_path / "w")
    assert not Store(tmp_path / "w").entries("scores")
    assert set(run(path, tmp_path / "w")) == {"a"}


# ------------------------------------------------------------------ what is there


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


HARMS = [cut, flip, Path.unlink]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_adapter_is_made_again(
    harm: Callable[[Path], None], trained: tuple[Path, Store], tmp_path: Path
) -> None:
    path, store = trained
    one, two = (find_subject("tiny", store).stage(name).entry for name in ("one", "two"))
    assert one is not None and two is not None
    file = one.path / "adapter_model.safetensors"
    good, above = file.read_bytes(), adapter_bytes(two.path)
    harm(file)
    why = [p.why for p in plan(recipe_of(path), store)]
    if harm is flip:  # a plan reads no results
        assert why == ["cached", "cached"]
    else:
        gone = "missing" if harm is Path.unlink else "damaged"
        assert why == [f"its adapter_model.safetensors is {gone}: made again", "cached"]
        with pytest.raises(StoreError, match=r"adapter_model\.safetensors is .*\n.*statllama run tiny"):
            find_subject("tiny", store).stage("one")
        said = statllama("status", "--workspace", store.root, cwd=tmp_path)
        assert f"adapter_model.safetensors is {gone}" in " ".join(said.stdout.split())
    commands = [["export", "tiny", "--out", tmp_path / "out"], ["report", "tiny", "--out", tmp_path / "page.html"]]
    for command in commands[: 1 if harm is flip else 2]:  # a report reads no weights
        said = statllama(*command, "--workspace", store.root, cwd=tmp_path)
        assert said.returncode == 1 and "adapter_model.safetensors is" in " ".join(said.stderr.split()), command
    reporter = Recorder()
    run(path, store.root, reporter=reporter)
    assert file.read_bytes() == good and adapter_bytes(two.path) == above
    assert [p.why for p in plan(recipe_of(path), store)] == ["cached", "cached"]
    if harm is not Path.unlink:
        assert any("adapter_model.safetensors is damaged" in note for note in reporter.notes)


def test_a_damaged_adapter_that_another_process_holds_is_left_to_it(trained: tuple[Path, Store]) -> None:
    path, store = trained
    entry = find_subject("tiny", store).stage("one").entry
    assert entry is not None
    cut(entry.path / "adapter_model.safetensors")
    with store.hold("results", entry.key), pytest.raises(StoreError, match="is held by"):
        run_recipe(recipe_of(path), Store(store.root), Recorder(), wait=False)
    assert entry.path.is_dir()


@pytest.mark.parametrize("harm", HARMS)
def test_damaged_answers_are_asked_for_again(harm: Callable[[Path], None], trained: tuple[Path, Store]) -> None:
    path, store = trained
    asked = ("evaluate.tasks=[letters]", "evaluate.max_length=200")
    run(path, store.root, *asked)
    subject = find_subject("tiny", store)
    wanted = [(name, subject, subject.stack(name)) for name in ("one", "two")]
    before = scored(store, wanted)
    entry = next(e for e in store.entries("scores") if e.manifest["name"] == "two" and e.manifest["kind"] == "score")
    harm(entry.path / "samples.jsonl")
    with pytest.raises(StoreError, match=r"samples\.jsonl is (damaged|missing)"):
        scored(store, wanted)
    said = statllama("compare", "tiny:one", "tiny:two", "--workspace", store.root, cwd=path.parent)
    assert said.returncode == 1 and "samples.jsonl is" in " ".join(said.stderr.split())
    run(path, store.root, *asked)
    for old, new in zip(before, scored(store, wanted), strict=True):
        assert new.records["letters"].protocol == old.records["letters"].protocol
        assert new.records["letters"].score.samples == old.records["letters"].score.samples
    assert with_samples(store, entry.key).samples


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["data.arrow", "kept-0.npy"])
def test_a_stage_is_not_trained_on_damaged_rows(
    name: str, harm: Callable[[Path], None], write_recipe: Write, tmp_path: Path
) -> None:
    path, workspace = write_recipe([stage("a", train=SHORT)]), tmp_path / "w"
    run(path, workspace)
    (file,) = workspace.glob(f"cache/*/{name}")
    harm(file)
    reporter = Recorder()
    again = run(path, workspace, "stages.a.train.learning_rate=0.02", reporter=reporter)["a"]
    (note,) = [note for note in reporter.notes if "made again" in note]
    assert name in note
    whole = run(path, tmp_path / "fresh", "stages.a.train.learning_rate=0.02")["a"]
    assert adapter_bytes(again) == adapter_bytes(whole)


# ------------------------------------------------------------------ another machine


def test_scores_of_another_compute_type_are_found_and_never_paired(
    trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in bfloat16 is reported here as it was; what is scored here in float32 is another score."""
    from statllama.runs import plan as planning
    from statllama.runs import scorer, targets

    path, store = trained
    asked = ("evaluate.tasks=[letters]", "evaluate.max_length=200", "stages.one.train.precision=bfloat16")
    run(path, store.root, *asked)
    record = json.loads((store.root / "runs" / "tiny.json").read_text())
    assert record["compute"] == "bfloat16"
    subject = find_subject("tiny", store)
    before = scored(store, [(name, subject, subject.stack(name)) for name in ("one", "two")])
    assert {r.protocol["compute"] for s in before for r in s.records.values()} == {"bfloat16"}
    assert planning.compute_type("auto") == scorer.compute_type("auto") == targets.compute_type("auto") == "float32"
    record["precision"] = "auto"  # as a machine with a GPU leaves it
    (store.root / "runs" / "tiny.json").write_text(json.dumps(record))
    here = find_subject("tiny", store)
    assert (here.precision, here.compute) == ("auto", "bfloat16")
    score = scorer.open_scorer(here, store, Recorder())
    score.score(here.stack("base"))  # in float32, on this machine
    kinds = [e.manifest for e in store.entries("scores") if e.manifest["kind"] == "score"]
    of_base = {m["protocol"]["compute"] for m in kinds if m["name"] == "base"}
    assert of_base == {"float32", "bfloat16"}
    pair = scored(store, [("base", here, here.stack("base")), ("two", here, here.stack("two"))])
    assert {r.protocol["compute"] for s in pair for r in s.records.values()} == {"bfloat16"}


def test_only_statllama_errors_are_raised_for_damage(trained: tuple[Path, Store]) -> None:
    """A manifest that is gone is a result that is gone."""
    path, store = trained
    entry = find_subject("tiny", store).stage("one").entry
    assert entry is not None
    (entry.path / "manifest.json").write_text("{")
    with pytest.raises(StatllamaError, match="is not trained"):
        find_subject("tiny", store).stage("one")
    assert not plan(recipe_of(path), store)[0].cached
    run(path, store.root)
    assert all(p.cached for p in plan(recipe_of(path), store))
