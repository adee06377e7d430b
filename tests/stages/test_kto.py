"""The stage type `kto`: against plain TRL, its reference, its estimate of the KL divergence, its data, wrong input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import statllama.model.stack
from statllama.config.source import SourceSpec
from statllama.data.examples import Judgement
from statllama.data.formats import parse_row, recognise
from statllama.errors import DataError, RecipeError, TrainingError
from statllama.model.stack import slice_seed
from statllama.recipe import load_recipe
from statllama.stages import kto
from tests.conftest import judgements, preferences, stage, write_jsonl
from tests.reference import merged, relative, tensors, worst
from tests.running import adapter_bytes, losses, run
from tests.train.test_parity import (
    LORA,
    PARENTS,
    SCALES,
    SEED,
    TRAIN,
    curve,
    load,
    order_of,
    plain_arguments,
    plain_lora,
    prompt_ids,
    turn,
)
from tests.train.test_resume import StopAt

torch.set_num_threads(1)
Write = Callable[..., Path]
PAIRS = [{"path": "dpo.jsonl", "format": "preference"}]


def history(result: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((result / "history.json").read_text())
    return found


# ------------------------------------------------------------------ against plain TRL


def plain_kto(
    model: Any, tokenizer: Any, rows: list[dict[str, Any]], folder: Path, dropout: float, depth: int, **fields: Any
) -> Any:
    """TRL's KTOTrainer on raw rows, a whole step in one forward pass, so that its KL divergence is of the step."""
    import trl
    from datasets import Dataset
    from transformers import set_seed

    set_seed(slice_seed(SEED, depth))
    sizes = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "max_steps": 12}
    config = trl.KTOConfig(**plain_arguments(folder) | sizes, max_length=96, disable_dropout=False, **fields)
    lora = plain_lora()
    lora.lora_dropout = dropout
    return trl.KTOTrainer(
        model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora
    )


@pytest.mark.parametrize(
    ("parents", "budget", "loss", "dropout"),
    [([], 8192, "kto", 0.1), (PARENTS, 1, "kto", 0.0), ([], 150, "apo_zero_unpaired", 0.0)],
    ids=["on the base, with dropout", "on two parents, one row a pass", "apo_zero_unpaired"],
)
def test_kto_is_a_plain_kto_trainer_on_the_merged_base(
    parents: list[dict[str, Any]], budget: int, loss: str, dropout: float, write_recipe: Write, base_folder: Path,
    tokenizer: Any, tmp_path: Path,
) -> None:  # fmt: skip
    """Whatever the budget; 30 rows in steps of 4, so that the last step of an epoch is a short one."""
    rows = judgements(30)
    fields = {"beta": 0.3, "desirable_weight": 0.8, "undesirable_weight": 1.7}
    train = TRAIN | {"micro_tokens": budget, "steps": 12}
    last = stage("last", "kto", lora=LORA | {"dropout": dropout}, train=train, loss=loss, **fields)
    path = write_recipe([*parents, last])
    results = run(path, tmp_path / "w")

    order = order_of(path, tmp_path / "w", "prompt_ids", prompt_ids(tokenizer, rows))
    data = [
        {"prompt": turn("user", r["prompt"]), "completion": turn("assistant", r["completion"]), "label": r["label"]}
        for r in (rows[i] for i in order)
    ]
    model = merged(load(base_folder), [(results[name], SCALES[name]) for name in results if name != "last"])
    trainer = plain_kto(model, tokenizer, data, tmp_path / "plain", dropout, len(parents), loss_type=loss, **fields)
    wanted, got = curve(trainer), losses(results["last"])
    assert len(got) == len(wanted) == 12
    assert worst(got, wanted) < 1e-4
    assert max(wanted) - min(wanted) > 0.1
    estimates = [entry["kl"] for entry in trainer.state.log_history if "kl" in entry]
    assert [h["kl"] for h in history(results["last"])] == pytest.approx(estimates, abs=1e-4)
    if loss == "kto":
        assert max(estimates) > 0.05  # the estimate has an effect on the losses compared
    trainer.save_model(str(tmp_path / "plain" / "adapter"))
    ours, theirs = tensors(results["last"]), tensors(tmp_path / "plain" / "adapter")
    assert ours.keys() == theirs.keys()
    assert max(relative(b @ a, theirs[name][1] @ theirs[name][0]) for name, (a, b) in ours.items()) < 1e-3


# ------------------------------------------------------------------ the first batch


def test_it_starts_at_the_loss_of_equal_policies(
    write_recipe: Write, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the mean weight, on two parents; the reference gives the log-probabilities of the parents merged."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    labels: list[bool] = []
    check = kto.check_reference

    def spy(trainer: Any, model: Any, inputs: Any, log_probs: Any) -> None:
        check(trainer, model, inputs, log_probs)
        reference = log_probs()
        labels.extend(inputs["label"].tolist())
        parents = merged(load(base_folder), [(path, SCALES[name]) for name, path in results.items()])
        with torch.no_grad():
            output = parents(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        picked = output[:, :-1].log_softmax(-1).gather(-1, inputs["input_ids"][:, 1:, None])[..., 0]
        seen.append((reference, (picked * inputs["completion_mask"][:, 1:]).sum(1)))

    monkeypatch.setattr(kto, "check_reference", spy)
    results = run(write_recipe(PARENTS), tmp_path / "w")
    sizes = {"steps": 2, "micro_tokens": 8192}
    last = stage("last", "kto", train=sizes, desirable_weight=0.5, undesirable_weight=3.0)
    path = write_recipe([*PARENTS, last])
    found = losses(run(path, tmp_path / "w")["last"])
    good = sum(labels)
    assert found[0] == pytest.approx((0.5 * good + 3.0 * (4 - good)) / 8, rel=1e-6)
    assert abs(found[1] - found[0]) > 1e-6  # and it trains
    reference, truth = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert len(truth) == 4 and relative(reference, truth) < 1e-5


def test_a_wrong_reference_stops_the_run(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL's own reference, without the parents, is found out before the first step, by two checks."""
    path = write_recipe([*PARENTS, stage("last", "kto")])
    monkeypatch.setattr(statllama.model.stack, "refer_to_parents", lambda model: None)
    with pytest.raises(TrainingError, match="the reference is not the parent stack"):
        run(path, tmp_path / "w")
    monkeypatch.setattr(kto, "check_reference", lambda *a: None)
    with pytest.raises(TrainingError, match=r"the first kto loss is .* and must be 0\.500000"):
        run(path, tmp_path / "w")


# ------------------------------------------------------------------ resuming


def test_a_resumed_run_equals_an_unbroken_one(write_recipe: Write, tmp_path: Path) -> None:
    """Bit for bit, with dropout in the estimate of the KL divergence too, and over the end of an epoch."""
    path = write_recipe([stage("last", "kto", lora={"dropout": 0.2}, train={"steps": 9, "checkpoint_every": 3})])
    (whole,) = run(path, tmp_path / "unbroken").values()
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "broken", reporter=StopAt(7))
    reporter = StopAt(-1)
    (resumed,) = run(path, tmp_path / "broken", reporter=reporter).values()
    assert "resuming from the checkpoint of step 6" in reporter.notes
    assert all("kl" in event.extra and "rewards/chosen" in event.extra for event in reporter.steps[:1])
    assert adapter_bytes(resumed) == adapter_bytes(whole)
    assert losses(resumed) == losses(whole)


# ------------------------------------------------------------------ mismatched answers


@given(rows=st.integers(2, 40), per_step=st.integers(2, 9))
def test_every_step_pairs_its_own_answers_anew(rows: int, per_step: int) -> None:
    data = [{"prompt_ids": [9, i], "completion_ids": [i], "label": [i % 2]} for i in range(rows)]
    found = kto.Mismatched(data, per_step)
    made = [found[i] for i in range(len(found))]
    assert [(r["completion_ids"], r["label"]) for r in made] == [([i], bool(i % 2)) for i in range(rows)]
    others = [r["KL_completion_ids"][0] for r in made]
    assert all(i != other for i, other in enumerate(others))
    for start in range(0, rows, per_step):
        step = list(range(start, min(start + per_step, rows)))
        borrowed = others[start : start + per_step]
        assert sorted(borrowed) == step if len(step) > 1 else borrowed == [start - 1]


# ------------------------------------------------------------------ data


def read(row: dict[str, Any], **fields: Any) -> Any:
    return parse_row(SourceSpec(path="x.jsonl", format="judged", **fields), row, "x.jsonl, row 1")


QUESTION = {"prompt": "what is it", "completion": "the mean"}


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (1.0, True),
        ("true", True),
        (" False ", False),
        ("0", False),
    ],
)
def test_labels(label: Any, wanted: bool) -> None:
    assert read(QUESTION | {"label": label}).label is wanted


@pytest.mark.parametrize("label", [2, 0.5, "good", "", [True], {"of": 1}])
def test_what_is_no_label_is_refused(label: Any) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl, row 1: label is .*, expected true or false"):
        read(QUESTION | {"label": label})


def test_texts_and_messages_say_the_same() -> None:
    turns = {
        "prompt": [{"role": "user", "content": "what is it"}],
        "completion": [{"role": "assistant", "content": "the mean"}],
        "label": True,
    }
    assert read(turns) == read(QUESTION | {"label": True})
    assert read(QUESTION | {"label": True}, render="plain") == Judgement("what is it", "the mean", True)
    with pytest.raises(DataError, match="completion must be one assistant turn after the prompt; it is user"):
        read(turns | {"completion": turns["prompt"] * 2})
    with pytest.raises(DataError, match="completion is empty"):
        read(QUESTION | {"completion": " ", "label": True})


def test_a_label_that_is_a_class_is_none() -> None:
    """A table for fine-tuning may have a column of that name."""
    assert recognise(QUESTION | {"label": True}, {}) == "judged"
    assert recognise(QUESTION | {"label": "FALSE"}, {}) == "judged"
    assert recognise(QUESTION | {"label": 3}, {}) == "prompt_completion"
    assert recognise(QUESTION | {"label": "means"}, {}) == "prompt_completion"


def prepared(path: Path, workspace: Path) -> Any:
    from statllama.runs.reporting import Reporter
    from statllama.runs.session import Session
    from statllama.runs.signals import StopSignal
    from statllama.store import Store

    recipe = load_recipe(path)
    return Session(recipe, Store(workspace), Reporter(), StopSignal()).prepare(recipe.stages[-1])


def test_a_pair_is_two_judged_answers(write_recipe: Write, tokenizer: Any, tmp_path: Path) -> None:
    """And the same as the rows that say so themselves."""
    rows = preferences(5)
    single = [
        {"prompt": r["prompt"], "completion": r[name], "label": name == "chosen"}
        for r in rows
        for name in ("chosen", "rejected")
    ]
    write_jsonl(tmp_path / "few.jsonl", rows)
    write_jsonl(tmp_path / "single.jsonl", single)
    made = {}
    for name in ("few", "single"):
        path = write_recipe([stage("last", "kto", data=[{"path": f"{name}.jsonl"}])])
        found = prepared(path, tmp_path / "w")
        made[name] = {
            tokenizer.decode(r["prompt_ids"] + r["completion_ids"]): bool(r["label"][0]) for r in found.dataset
        }
        assert found.report.examples == len(found.dataset) == 10
        lengths = [len(r["prompt_ids"]) + len(r["completion_ids"]) for r in found.dataset]
        assert found.report.tokens == sum(lengths)
        assert found.report.supervised_tokens == sum(len(r["completion_ids"]) for r in found.dataset)
    assert made["few"] == made["single"]
    for row in single:
        (text,) = [t for t in made["few"] if row["prompt"] in t and row["completion"] in t]
        assert made["few"][text] is row["label"]


def test_generated_pairs(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe(
        [stage("last", "kto", data=[{"problems": {"count": 4, "form": "dpo"}}], train={"max_length": 512})]
    )
    assert sorted(label for (label,) in prepared(path, tmp_path / "w").dataset["label"]) == [0] * 4 + [1] * 4


def test_a_pair_that_is_one_answer_once_cut_is_left_out(write_recipe: Write, tmp_path: Path) -> None:
    """Else one text would be good and bad."""
    long = "the mean " * 40
    rows = [{"prompt": "what is it", "chosen": f"{long} 1", "rejected": f"{long} 2"}, *preferences(3)]
    write_jsonl(tmp_path / "dpo.jsonl", rows)
    path = write_recipe([stage("last", "kto", data=PAIRS)])
    report = prepared(path, tmp_path / "w").report
    assert report.examples == 6
    assert report.sources[0].dropped == {"chosen equals rejected once cut to max_length": 1}


@pytest.mark.parametrize(("label", "said", "missing"), [(True, "true", "false"), (False, "false", "true")])
def test_labels_that_are_all_the_same_are_refused(
    label: bool, said: str, missing: str, write_recipe: Write, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "kto.jsonl", [r | {"label": label} for r in judgements(9)])
    path = write_recipe([stage("last", "kto")])
    with pytest.raises(DataError, match=f"all 9 completions have the label {said}") as caught:
        run(path, tmp_path / "w")
    assert f"add completions with the label {missing}" in str(caught.value.remedy)
    mixed = [{"path": "kto.jsonl", "format": "judged"}, *PAIRS]
    run(write_recipe([stage("last", "kto", data=mixed, train={"steps": 1})]), tmp_path / "w")


@pytest.mark.parametrize(
    ("kind", "file", "said"),
    [
        ("kto", "sft.jsonl", "format messages gives a conversation, but this stage needs judgements"),
        ("dpo", "kto.jsonl", "format judged gives a judgement, but this stage needs preferences"),
        ("sft", "kto.jsonl", "format judged gives a judgement, but this stage needs conversations"),
    ],
)
def test_data_of_another_kind(kind: str, file: str, said: str, write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("last", kind, data=[{"path": file}])])
    with pytest.raises(DataError, match=said):
        run(path, tmp_path / "w")


# ------------------------------------------------------------------ recipes


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"train": {"packing": True}}, "judged answers are trained unpacked"),
        ({"train": {"batch_size": 1}}, "there must be 2 or more"),
        ({"beta": 0.0}, "beta"),
        ({"desirable_weight": -1.0}, "desirable_weight"),
        ({"loss": "sigmoid"}, "loss"),
        ({"label_smoothing": 0.1}, "label_smoothing"),
        ({"type": "orpo"}, "so they are not offered"),
        ({"type": "dpo", "loss": "simpo"}, "so they are not offered"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], said: str, write_recipe: Write) -> None:
    path = write_recipe([stage("last", "kto", **fields)])
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert said in "\n".join(p.message + p.where for p in caught.value.problems)


def test_a_step_of_one_row_without_a_kl_divergence(write_recipe: Write) -> None:
    one = {"batch_size": 1}
    recipe = load_recipe(write_recipe([stage("a", "kto", loss="apo_zero_unpaired", train=one)]))
    assert recipe.training_stage("a").train.batch_size == 1
