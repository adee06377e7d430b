"""A stage on several processes learns what it learns on one. The ranks here are processes of one machine, over gloo."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from statllama.errors import InputChanged, Interrupted, TrainingError
from statllama.model.stack import slice_seed
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.train import ranks
from statllama.train.messages import packed, unpacked
from tests.conftest import stage, write_jsonl
from tests.reference import Lora, peft_lora
from tests.running import adapter_bytes, recipe_of, run
from tests.train.ranked import Group, free_port
from tests.train.test_step import unequal

torch.set_num_threads(1)
KINDS = ("sft", "dpo", "kto", "grpo")
TRAIN = {"steps": None, "batch_size": 4, "micro_tokens": 400, "max_length": 160, "learning_rate": 3e-3}
TRAIN |= {"adam_epsilon": 1e-4, "checkpoint_every": 2}
GRPO = {"generations": 4, "max_completion_length": 24, "beta": 0.1, "iterations": 2}
GRPO |= {"rewards": [{"name": "length", "target": 4, "unit": "words"}]}
GSPO = {"importance_sampling_level": "sequence", "mask_truncated_completions": True, "max_completion_length": 60}


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    one = Group(tmp_path_factory.mktemp("group"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """A stage of each type on the same parent, on 9 rows of unequal length: with steps of 4, the last of an epoch has a
    single row, so that other ranks have none. dpo knows its reference, kto does not; grpo uses completions twice.
    """
    folder = tmp_path_factory.mktemp("recipe")
    for kind in ("sft", "dpo", "kto"):
        unequal(kind, folder, 9)
    asked = [{"prompt": f"what is {'the mean of ' * (i * 3 % 7)}{i}", "answer": str(i)} for i in range(7)]
    write_jsonl(folder / "grpo.jsonl", asked)
    stages = [
        stage("sft", train=TRAIN | {"epochs": 2.0}, drift={"max": 100.0, "every": 2}),
        stage("dpo", "dpo", parents=["sft"], train=TRAIN | {"epochs": 1.4}),
        stage("kto", "kto", parents=["sft"], train=TRAIN),
        stage("grpo", "grpo", parents=["sft"], train=TRAIN | {"steps": 3, "batch_size": 8}, **GRPO),
    ]
    return written(folder, stages, base_folder)


def written(folder: Path, stages: list[dict[str, Any]], base: Path) -> Path:
    body = {"name": "ranks", "base": {"model": str(base), "quantization": "none"}, "stages": stages}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def alone(group: Group, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{stage: its result} of one process."""
    return paths(group.run("train", 1, recipe, tmp_path_factory.mktemp("alone")))


def paths(answers: list[Any]) -> dict[str, Path]:
    """{stage: its result}, the same on all ranks."""
    assert all(answer["paths"] == answers[0]["paths"] for answer in answers)
    return {name: Path(path) for name, path in answers[0]["paths"].items()}


def updates(result: Path) -> torch.Tensor:
    """The B A of all modules, in one vector."""
    weights = load_file(result / "adapter_model.safetensors")
    names = sorted(name for name in weights if "lora_A" in name)
    return torch.cat([(weights[n.replace("lora_A", "lora_B")] @ weights[n]).flatten() for n in names])


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def metrics(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result / "manifest.json").read_text())["metrics"]
    return found


def history(result: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((result / "history.json").read_text())
    return found


# ------------------------------------------------------------------ what is said


def test_messages_are_what_was_said() -> None:
    """Numbers to the last bit, tensors of any shape and type; and no code."""
    said = {"a": [1, 0.1, math.inf, None, True, ""], "b": {"c": torch.arange(3), "d": [torch.zeros(0, 2).bfloat16()]}}
    heard = unpacked(packed(said))
    assert heard["a"] == said["a"]
    assert torch.equal(heard["b"]["c"], torch.arange(3))
    assert (heard["b"]["d"][0].shape, heard["b"]["d"][0].dtype) == ((0, 2), torch.bfloat16)
    assert math.isnan(unpacked(packed(math.nan)))
    with pytest.raises(TypeError, match="is no message between ranks"):
        packed(Path("x"))


def test_ranks_hear_each_other(group: Group) -> None:
    """Also long and empty messages; torch's own group, which libraries look for, is not there."""
    for rank, heard in enumerate(group.run("ask", 3)):
        assert heard == {
            "any": (True, False),
            "gather": [{"rank": 0}, {"rank": 1}, {"rank": 2}],
            "lengths": [0, 5000, 10000],
            "broadcast": 0,
            "tensors": [[], [0], [0, 1]],
            "add": [[6.0, 6.0, 6.0], 6.0],
            "first": rank == 0,
            "known": False,
            "unlike": "the hour on rank 2 of 3 is not what it is on rank 0\n  -> set the clocks",
        }
    assert group.run("ask", 1)[0]["gather"] == [{"rank": 0}]


# ------------------------------------------------------------------ what is learned


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_learn_what_one_process_learns(
    size: int, group: Group, recipe: Path, alone: dict[str, Path], tmp_path: Path
) -> None:
    """All types, with steps of fewer rows than ranks: adapters, figures of every step, what was counted, keys."""
    answers = group.run("train", size, recipe, tmp_path)
    found = paths(answers)
    for kind in KINDS:
        ours, theirs = found[kind], alone[kind]
        assert ours.name == theirs.name, "`devices` is not in the key"
        assert apart(updates(ours), updates(theirs)) < 1e-5
        assert len(history(ours)) == len(history(theirs))
        for got, wanted in zip(history(ours), history(theirs), strict=True):
            assert got.keys() == wanted.keys()
            for name in wanted.keys() - {"rewards/accuracies"}:  # of equal policies it is rounding's
                assert got[name] == pytest.approx(wanted[name], rel=1e-3, abs=1e-5), (kind, name)
        assert metrics(ours)["tokens"] == metrics(theirs)["tokens"]
        for counted in ("trained", "read"):
            assert metrics(ours)["work"][counted]["logits"] == metrics(theirs)["work"][counted]["logits"]
    first, *others = answers
    assert first["steps"] == sum(len(history(path)) for path in found.values())
    for other in others:
        assert (other["steps"], other["notes"], other["changed"]) == (0, [], [])


def test_ranks_share_replayed_and_anchored_rows(group: Group, recipe: Path, base_folder: Path, tmp_path: Path) -> None:
    """With fewer of them than ranks in a step, and a coefficient that adapts to what all of them measured."""
    folder = recipe.parent
    unequal("cpt", folder, 5)
    replay = {"data": [{"path": str(folder / "cpt.jsonl"), "format": "text"}], "share": 0.25, "train_on": "all"}
    both = {"replay": replay, "anchor": {"on": "replay", "target": 0.01}}
    stages = [
        stage("sft", train=TRAIN | {"epochs": 1.0}, **both),
        stage("dpo", "dpo", train=TRAIN, replay={**replay, "share": 0.75}, anchor={"on": "own", "coefficient": 2.0}),
        stage("kto", "kto", train=TRAIN, anchor={"on": "own", "coefficient": 2.0}),
    ]
    for one in stages:
        one["data"] = [{**one["data"][0], "path": str(folder / one["data"][0]["path"])}]
    path = written(tmp_path, json.loads(json.dumps(stages)), base_folder)
    alone = paths(group.run("train", 1, path, tmp_path / "alone"))
    found = paths(group.run("train", 3, path, tmp_path / "ranks"))
    for name, theirs in alone.items():
        assert apart(updates(found[name]), updates(theirs)) < 1e-5, name
        for got, wanted in zip(history(found[name]), history(theirs), strict=True):
            assert got.keys() == wanted.keys()
            figures = [k for k in wanted if k.startswith(("loss", "replay", "anchor", "grad_norm"))]
            assert len(figures) > 3
            assert all(got[k] == pytest.approx(wanted[k], rel=1e-3, abs=1e-6) for k in figures)
        for counted in ("trained", "read"):
            assert metrics(found[name])["work"][counted]["logits"] == metrics(theirs)["work"][counted]["logits"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_other_settings(
    size: int, group: Group, recipe: Path, base_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """Packed documents with rows of tokens, a reference not known, one known with a KL divergence, other losses and
    scales of grpo.
    """
    folder = recipe.parent
    unequal("cpt", folder, 12)
    twice = {"epochs": 2.0}
    tokens = [str(tokenizer.convert_ids_to_tokens(i)) for i in (290, 300)]
    grpo = GRPO | {"iterations": 1, "temperature": 1.3, "top_p": 0.9}
    stages = [
        stage("cpt", "cpt", train=TRAIN | {"packing": True, "max_length": 120}, lora={"r": 4, "token_rows": tokens}),
        stage("ipo", "dpo", parents=["cpt"], train=TRAIN, loss="ipo"),
        stage("apo", "kto", parents=["cpt"], train=TRAIN, loss="apo_zero_unpaired"),
        stage("known", "kto", parents=["cpt"], train=TRAIN | twice | {"batch_size": 5, "micro_tokens": 150}),
        stage("dapo", "grpo", parents=["cpt"], train=TRAIN | {"batch_size": 8}, **grpo | {"beta": 0.0, "loss": "dapo"}),
        stage("gspo", "grpo", parents=["cpt"], train=TRAIN | {"batch_size": 8}, **GRPO | GSPO),
        stage("dr", "grpo", parents=["cpt"], train=TRAIN, **grpo | {"loss": "dr_grpo", "scale_rewards": "batch"}),
    ]
    stages = [json.loads(json.dumps(one)) for one in stages]  # one list in two stages would be an alias in YAML
    for one in stages:
        for source in one["data"]:
            source["path"] = str(folder / source["path"])
    path = written(tmp_path, stages, base_folder)
    alone = paths(group.run("train", 1, path, tmp_path / "alone"))
    found = paths(group.run("train", size, path, tmp_path / "ranks"))
    for name, theirs in alone.items():
        assert apart(updates(found[name]), updates(theirs)) < 1e-5, name
        if name == "cpt":
            rows = (
                load_file(result / "token_rows.safetensors")["model.embed_tokens"] for result in (found[name], theirs)
            )
            assert apart(*rows) < 1e-5
        assert [e["loss"] for e in history(found[name])] == pytest.approx(
            [e["loss"] for e in history(theirs)], 1e-4, 1e-6
        )


def test_three_ranks_take_the_step_of_a_plain_loop(
    group: Group, base_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """In float64, with PEFT and AdamW alone: the mean over all supervised tokens of a step, one row after the other."""
    unequal("sft", tmp_path, 10)
    train = TRAIN | {"steps": 3, "batch_size": 10, "weight_decay": 0.1, "max_grad_norm": 0.3, "seed": 7}
    path = written(tmp_path, [stage("sft", train=train)], base_folder)
    ours = paths(group.run("train", 3, path, tmp_path / "w"))["sft"]

    recipe = recipe_of(path)
    session = runner.Session(recipe, Store(tmp_path / "w"), Reporter(), StopSignal())
    rows = session.prepare(recipe.trained[0]).dataset
    from transformers import AutoModelForCausalLM

    model = peft_lora(AutoModelForCausalLM.from_pretrained(base_folder), Lora(4, 8.0), slice_seed(7, 0)).double()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 3e-3, eps=1e-4, weight_decay=0.1)
    losses = []
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 3e-3 * (3 - step) / 3
        total, count = torch.zeros((), dtype=torch.float64), 0
        for row in rows:
            ids, labels = torch.tensor(row["input_ids"]), torch.tensor(row["labels"])
            logits = model(input_ids=ids[None]).logits[0, :-1]
            total = total + torch.nn.functional.cross_entropy(logits, labels[1:], reduction="sum")
            count += int((labels[1:] >= 0).sum())
        loss = total / count
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.3)
        optimizer.step()
        losses.append(float(loss))
    named = dict(model.named_parameters())
    names = sorted(name for name in named if "lora_A" in name)
    wanted = torch.cat([(named[n.replace("lora_A", "lora_B")] @ named[n]).detach().flatten() for n in names])
    assert apart(updates(ours).double(), wanted) < 1e-5
    assert [entry["loss"] for entry in history(ours)] == pytest.approx(losses, rel=1e-5)


# ------------------------------------------------------------------ broken off, and resumed on other ranks


@pytest.mark.parametrize(
    ("before", "after", "stops"), [(2, 1, {"grpo": 1, "dpo": 0}), (1, 3, {"grpo": 1})], ids=["2 then 1", "1 then 3"]
)
def test_a_stage_goes_on_with_other_ranks(
    before: int, after: int, stops: dict[str, int], group: Group, recipe: Path, alone: dict[str, Path], tmp_path: Path
) -> None:
    """Ctrl-C on one rank of two: all save and leave at that step, with one checkpoint. grpo is in the middle of a batch
    of completions.
    """
    for kind, step in stops.items():
        fault = {"rank": before - 1, "kind": "signal", "step": step}
        errors = group.errors("train", before, recipe, tmp_path / kind, [], {**fault, "stage": kind}, kind)
        assert all(isinstance(error, Interrupted) for error in errors)
        assert all("the checkpoint is saved" in error.message for error in errors)
        assert len(list((tmp_path / kind).glob("partial/results-*/checkpoints/checkpoint-*/sealed.json"))) == 1
        answers = group.run("train", after, recipe, tmp_path / kind, [], None, kind)
        assert any(f"resuming from the checkpoint of step {step + 1}" in note for note in answers[0]["notes"])
        ours = paths(answers)[kind]
        assert metrics(ours)["resumed_from"] == step + 1
        assert apart(updates(ours), updates(alone[kind])) < 1e-5
        assert metrics(ours)["tokens"] == metrics(alone[kind])["tokens"]


def test_a_stage_that_another_has_made_is_taken(group: Group, recipe: Path, alone: dict[str, Path]) -> None:
    answers = group.run("train", 2, recipe, alone["sft"].parent.parent, [], None, "sft")
    assert paths(answers)["sft"] == alone["sft"]
    assert [answer["steps"] for answer in answers] == [0, 0]


# ------------------------------------------------------------------ what goes wrong on one rank


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """An sft stage alone, of 5 steps."""
    folder = tmp_path_factory.mktemp("short")
    unequal("sft", folder, 9)
    return written(folder, [stage("sft", train=TRAIN | {"steps": 5})], base_folder)


def test_memory_that_one_rank_lacks_is_saved_on_all(group: Group, short: Path, tmp_path: Path) -> None:
    """The step is taken again in smaller passes everywhere; what is learned is the same."""
    theirs = run(short, tmp_path / "alone")["sft"]
    fault = {"rank": 1, "kind": "memory", "step": 1, "most": 150}
    answers = group.run("train", 2, short, tmp_path / "ranks", [], fault)
    ours = paths(answers)["sft"]
    assert any("out of memory in a forward pass" in note for note in answers[0]["notes"])
    assert metrics(ours)["micro_tokens"] < metrics(theirs)["micro_tokens"]
    assert apart(updates(ours), updates(theirs)) < 1e-5
    assert metrics(ours)["tokens"] == metrics(theirs)["tokens"]


def test_the_heaviest_pass_is_tried_on_all_where_one_lacks_memory(group: Group, recipe: Path, tmp_path: Path) -> None:
    """Before the first step: kto's ranks exchange log-probabilities in it too."""
    fault = {"rank": 1, "kind": "memory", "step": 0, "most": 260, "stage": "kto", "tight": True}
    answers = group.run("train", 2, recipe, tmp_path, [], fault, "kto")
    assert metrics(paths(answers)["kto"])["micro_tokens"] <= 260
    assert len([note for note in answers[0]["notes"] if "out of memory in a forward pass" in note]) == 1


def test_a_row_that_fits_no_rank_ends_all(group: Group, short: Path, tmp_path: Path) -> None:
    fault = {"rank": 1, "kind": "memory", "step": 2, "most": 0}
    errors = group.errors("train", 2, short, tmp_path, [], fault)
    assert all(isinstance(error, TrainingError) and "a single row or pair" in error.message for error in errors)


def test_an_error_on_one_rank_is_told_on_all(group: Group, short: Path, tmp_path: Path) -> None:
    """And the stage goes on from its checkpoint: bit for bit as if nothing had been, dropout included."""
    drops = ["stages.sft.lora.dropout=0.2"]
    whole = paths(group.run("train", 2, short, tmp_path / "whole", drops))["sft"]
    first, other = group.errors("train", 2, short, tmp_path / "w", drops, {"rank": 1, "kind": "error", "step": 2})
    assert isinstance(first, TrainingError)
    assert first.message == "rank 1 of 2 failed: RuntimeError: a fault of another kind"
    assert "a fault of another kind" in repr(other)
    resumed = paths(group.run("train", 2, short, tmp_path / "w", drops))["sft"]
    assert metrics(resumed)["resumed_from"] == 2
    assert adapter_bytes(resumed) == adapter_bytes(whole)
    told = [[{**entry, "num_tokens": 0} for entry in history(result)] for result in (resumed, whole)]
    assert told[0] == told[1], "but for TRL's own count, which begins anew"


def test_drift_ends_all_at_the_step_at_which_it_ends_one(group: Group, base_folder: Path, tmp_path: Path) -> None:
    """Rank 0 measures; the adapter of the last step within the cap is published."""
    unequal("sft", tmp_path, 9)
    train = TRAIN | {"steps": 6, "learning_rate": 2e-2, "schedule": "constant", "warmup": 0}
    path = written(tmp_path, [stage("sft", train=train, drift={"max": 100.0, "every": 1})], base_folder)
    free = [entry["drift"] for entry in history(run(path, tmp_path / "free")["sft"])]
    cap = f"stages.sft.drift.max={(free[2] + free[3]) / 2}"
    assert free[2] < free[3]
    theirs = run(path, tmp_path / "alone", cap)["sft"]
    ours = paths(group.run("train", 2, path, tmp_path / "ranks", [cap]))["sft"]
    for result in (ours, theirs):
        assert (metrics(result)["steps"], metrics(result)["adapter_step"], metrics(result)["ended_by"]) == (
            4,
            3,
            "drift",
        )
    assert apart(updates(ours), updates(theirs)) < 1e-5


def test_ranks_choose_alike(group: Group, base_folder: Path, tmp_path: Path) -> None:
    """Rank 0 validates; all end after the same step, and publish what one process publishes."""
    unequal("sft", tmp_path, 24)
    select = {"on": "holdout", "every": 1, "patience": 1}
    train = TRAIN | {"steps": 8, "learning_rate": 5e-2, "schedule": "constant", "warmup": 0, "select": select}
    data = [{"path": "sft.jsonl", "format": "messages", "holdout": 0.3}]
    path = written(tmp_path, [stage("sft", train=train, data=data)], base_folder)
    theirs = run(path, tmp_path / "alone")["sft"]
    assert metrics(theirs)["ended_by"] == "patience"
    ours = paths(group.run("train", 2, path, tmp_path / "ranks", []))["sft"]
    for name in ("steps", "adapter_step", "ended_by"):
        assert metrics(ours)[name] == metrics(theirs)[name]
    alone, together = (metrics(result)["selected"] for result in (theirs, ours))
    assert together == alone | {name: pytest.approx(alone[name], rel=1e-4) for name in ("value", "last")}
    assert apart(updates(ours), updates(theirs)) < 1e-5
    assert metrics(ours)["work"]["read"] == metrics(theirs)["work"]["read"]


def test_ranks_that_part_are_found_out_at_the_next_checkpoint(group: Group, short: Path, tmp_path: Path) -> None:
    """By the last digit of one weight; nothing is written of it."""
    errors = group.errors("train", 2, short, tmp_path, [], {"rank": 1, "kind": "perturbed", "step": 2})
    assert all("the slice in training on rank 1 of 2 is not what it is on rank 0" in str(error) for error in errors)
    assert [path.name for path in tmp_path.glob("partial/*/checkpoints/*")] == ["checkpoint-2"]


def test_an_error_before_training_reaches_those_who_wait(group: Group, base_folder: Path, tmp_path: Path) -> None:
    unequal("sft", tmp_path, 9)
    path = written(tmp_path, [stage("sft", train=TRAIN)], base_folder)
    fault = {"rank": 0, "kind": "gone", "file": str(tmp_path / "sft.jsonl")}
    first, other = group.errors("train", 2, path, tmp_path / "w", [], fault)
    assert isinstance(first, InputChanged)
    assert other.message == f"rank 0 of 2 failed: {first.message}"
    assert other.remedy == first.remedy


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_whose_others_do_not_come(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "JOINING", timedelta(seconds=1))
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(TrainingError, match=f"rank {rank} of 2 has not met the others"), ranks.joined(rank, 2, address):
        raise AssertionError("it met somebody")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"rank": 1, "kind": "killed"}, "one of them ended"),
        ({"rank": 1, "kind": "silent", "seconds": 4.0}, "gave no word for 1.5 s"),
    ],
    ids=["killed", "silent"],
)
def test_a_rank_that_says_nothing_holds_nobody(
    fault: dict[str, Any], said: str, group: Group, short: Path, tmp_path: Path
) -> None:
    group.start("train", 3, short, tmp_path, [], {"step": 2, **fault}, patience=1.5)
    answers = group.answers()
    for rank in (0, 2):
        error = answers[rank].error
        assert isinstance(error, TrainingError), answers[rank].said
        assert said in error.message or "rank 1 of 3 failed" in error.message


@pytest.mark.slow
def test_noise_first_values_and_rates_do_not_depend_on_the_ranks(
    group: Group, base_folder: Path, tmp_path: Path
) -> None:
    """NEFTune draws by the example, EVA looks at the same rows everywhere, LoRA+ has two rates on each rank."""
    unequal("sft", tmp_path, 9)
    more = {"epochs": 1.0, "neftune_alpha": 50.0}
    path = written(tmp_path, [stage("sft", train=TRAIN | more, lora={"init": "eva", "plus_ratio": 4.0})], base_folder)
    one, two = (paths(group.run("train", n, path, tmp_path / str(n)))["sft"] for n in (1, 2))
    assert apart(updates(two), updates(one)) < 1e-3


def test_more_steps_go_on_from_a_state_on_all_ranks(group: Group, short: Path, tmp_path: Path) -> None:
    """Kept by two ranks, dropout included: bit for bit the unbroken run of two. On one it goes on too, up to
    rounding.
    """
    kept = ["stages.sft.train.schedule=constant", "stages.sft.train.keep_state=true"]
    drops, more = [*kept, "stages.sft.lora.dropout=0.2"], "stages.sft.train.steps=5"
    whole = paths(group.run("train", 2, short, tmp_path / "whole", [*drops, more]))["sft"]
    group.run("train", 2, short, tmp_path / "w", [*drops, "stages.sft.train.steps=3"])
    answers = group.run("train", 2, short, tmp_path / "w", [*drops, more])
    assert any("going on from step 3 of an earlier run of 3" in note for note in answers[0]["notes"])
    assert answers[0]["steps"] == 2 and not answers[1]["notes"]
    extended = paths(answers)["sft"]
    assert adapter_bytes(extended) == adapter_bytes(whole)

    alone = run(short, tmp_path / "alone", *kept, more)["sft"]
    group.run("train", 2, short, tmp_path / "one", [*kept, "stages.sft.train.steps=3"])
    onward = run(short, tmp_path / "one", *kept, more)["sft"]
    assert metrics(onward)["resumed_from"] == 3 and apart(updates(onward), updates(alone)) < 1e-5
