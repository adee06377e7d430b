"""Losses of held-out rows against Transformers' own loss on merged models, and TRL's evaluation loss."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from statllama.config.base_model import BaseModelSpec
from statllama.data.collate import RowCollator
from statllama.data.work import Work
from statllama.errors import EvaluationError
from statllama.evaluation import held_loss
from statllama.evaluation.held_loss import Loss, RowLoss, per_token, prefers, row_losses
from statllama.model.adapter import load_adapter
from statllama.model.base_model import load_base, scoring, start_backend
from tests.reference import Lora, merged, saved_lora
from tests.small_models import ARCHITECTURES, make_model

torch.set_num_threads(1)


def language_rows(count: int = 9, longest: int = 40) -> list[dict[str, list[int]]]:
    """Rows of random ids, of which about half carry loss; the last row has none that does."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        ids = [draw.randrange(6, 300) for _ in range(draw.randrange(2, longest))]
        labels = [i if draw.random() < 0.5 else -100 for i in ids]
        rows.append({"input_ids": ids, "labels": labels, "seq_lengths": [len(ids)]})
    return [*rows, {"input_ids": [7, 8], "labels": [7, -100], "seq_lengths": [2]}]


def pairs(count: int = 5) -> list[dict[str, list[int]]]:
    draw = random.Random(1)
    return [
        {name: [draw.randrange(6, 300) for _ in range(draw.randrange(1, 20))] for name in PAIR} for _ in range(count)
    ]


PAIR = ("prompt_ids", "chosen_ids", "rejected_ids")


@torch.no_grad()
def plain_loss(model: Any, ids: list[int], labels: list[int]) -> tuple[float, int]:
    """Sum of nats and tokens of one row, from the logits of a forward pass over it alone."""
    chances = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    places = [i for i in range(1, len(ids)) if labels[i] != -100]
    return -sum(float(chances[i - 1, ids[i]]) for i in places), len(places)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_losses_are_those_of_each_row_alone(model_type: str) -> None:
    model, rows = make_model(model_type).eval(), language_rows()
    got = row_losses(model, rows, "conversations", micro_tokens=100, pad=5)
    for row, loss in zip(rows, got, strict=True):
        nats, tokens = plain_loss(model, row["input_ids"], row["labels"])
        assert loss.tokens == tokens and loss.loss == pytest.approx(nats, abs=1e-4, rel=1e-6)
    assert got[-1] == RowLoss(0.0, 0)


def test_the_loss_of_a_set_is_the_loss_that_transformers_and_trl_evaluate(tmp_path: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    from tests.conftest import make_tokenizer

    model, rows = make_model("llama"), language_rows()[:-1]
    got = per_token(row_losses(model, rows, "documents", micro_tokens=64, pad=5))
    batch = RowCollator(pad_id=5, backend="transformers")(rows)
    with torch.no_grad():
        assert got == pytest.approx(float(model.eval()(**batch).loss), abs=1e-6)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(tmp_path),
            per_device_eval_batch_size=len(rows),
            report_to=[],
            use_cpu=True,
            bf16=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
        processing_class=make_tokenizer(),
        data_collator=RowCollator(pad_id=5, backend="transformers"),
    )
    assert got == pytest.approx(trainer.evaluate()["eval_loss"], abs=1e-6)


def test_pairs_and_which_completion_a_stack_prefers(tmp_path: Path, base_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    start_backend("transformers")
    spec = BaseModelSpec(model=str(base_folder), quantization="none")
    base = load_base(spec, {"model": {}, "tokenizer": {}}, "float32", 512, "transformers")
    plain = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float64)
    loras = (Lora(4, 8.0), Lora(2, 4.0, modules=("v_proj", "down_proj")))
    saved = [(saved_lora(plain, lora, tmp_path / str(i), i, 0.1), lora.scale) for i, lora in enumerate(loras)]
    rows, truth = pairs(), merged(plain, saved)
    with scoring(base, [load_adapter(folder) for folder, _ in saved]) as model:
        got = row_losses(model, rows, "preferences", micro_tokens=80, pad=5)
    for row, pair in zip(rows, got, strict=True):
        means = []
        for side, loss in zip(("chosen_ids", "rejected_ids"), pair, strict=True):
            prompt, completion = row["prompt_ids"], row[side]
            nats, tokens = plain_loss(truth, prompt + completion, [-100] * len(prompt) + completion)
            assert loss.tokens == tokens == len(completion)
            assert loss.loss == pytest.approx(nats, rel=1e-5)
            means.append(nats / tokens)
        assert prefers(pair) == (means[0] < means[1])
    assert {prefers(pair) for pair in got} == {True, False}


def test_each_row_is_told_once_and_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = make_model("llama", attention_dropout=0.5).train(), pairs()
    model.lm_head.eval()
    modes, state = [m.training for m in model.modules()], torch.get_rng_state()
    told: list[tuple[int, Loss]] = []
    work: list[Work] = []
    whole = row_losses(
        model,
        rows,
        "preferences",
        micro_tokens=50,
        pad=5,
        on_row=lambda *of: told.append(of),
        on_pass=work.append,
    )
    assert sorted(number for number, _ in told) == list(range(len(rows)))
    assert all(whole[number] == loss for number, loss in told)
    assert sum(w.logits for w in work) == sum(loss.tokens for pair in whole for loss in pair)
    assert modes == [m.training for m in model.modules()] and torch.equal(state, torch.get_rng_state())
    assert not model.lm_head._forward_pre_hooks
    monkeypatch.setattr(held_loss, "CELLS", 1000)  # three positions at a time
    tiled = row_losses(model, rows, "preferences", micro_tokens=50, pad=5)
    assert [a.loss for pair in tiled for a in pair] == pytest.approx([a.loss for pair in whole for a in pair], rel=1e-6)


def test_memory_that_runs_out_makes_passes_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = make_model("llama"), language_rows()
    whole = row_losses(model, rows, "documents", micro_tokens=300, pad=5)
    of_pass, short, passes = held_loss._of_pass, list[int](), list[int]()

    def failing(model: Any, batch: Any, width: int, *rest: Any) -> Any:
        if len(batch) * width > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        passes.append(len(batch) * width)
        return of_pass(model, batch, width, *rest)

    monkeypatch.setattr(held_loss, "_of_pass", failing)
    limit = 90
    got = row_losses(model, rows, "documents", micro_tokens=300, pad=5, on_short=short.append)
    assert short and short == sorted(short, reverse=True) and max(passes) <= limit
    assert [row.loss for row in got] == pytest.approx([row.loss for row in whole], rel=1e-5)
    limit = 10
    with pytest.raises(EvaluationError, match="a single held-out row of"):
        row_losses(model, rows, "documents", micro_tokens=300, pad=5)
