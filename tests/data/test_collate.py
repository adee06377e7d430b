"""Batches, judged by logits: an example in a packed row must not notice the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from statllama.data.collate import RowCollator, real_tokens
from tests.conftest import make_llama

PAD = 5
EXAMPLES = [[0, 10, 11, 12], [0, 20, 21, 22, 23, 24], [0, 30], [0, 40, 41, 42, 43, 44, 45]]


def row(*examples: list[int]) -> dict[str, list[int]]:
    """A row in which every token but the second of each example carries loss."""
    labels = [[i if k != 1 or len(e) < 3 else -100 for k, i in enumerate(e)] for e in examples]
    return {
        "input_ids": [i for e in examples for i in e],
        "labels": [i for part in labels for i in part],
        "seq_lengths": [len(e) for e in examples],
    }


PACKED = [row(EXAMPLES[0], EXAMPLES[1], EXAMPLES[2]), row(EXAMPLES[3])]


@pytest.fixture(scope="module")
def model() -> Any:
    return make_llama(64, attn_implementation="sdpa").eval()


def split_logits(model: Any, batch: dict[str, Any], rows: list[Any]) -> list[torch.Tensor]:
    """Logits (n, vocabulary) of each example of the rows, in order."""
    with torch.no_grad():
        logits = model(**{k: v for k, v in batch.items() if k not in ("labels", "packed_seq_lengths")}).logits
    lengths = [row["seq_lengths"] for row in rows]
    if len(logits) == 1:
        lengths = [[n for some in lengths for n in some]]
    return [part for k, some in enumerate(lengths) for part in logits[k][: sum(some)].split(some)]


def worst(model: Any, batch: dict[str, Any], rows: list[Any] = PACKED) -> float:
    """Largest difference from the logits of each example alone."""
    parts = split_logits(model, batch, rows)
    with torch.no_grad():
        alone = [model(torch.tensor([example])).logits[0] for example in EXAMPLES[: len(parts)]]
    return max((a - b).abs().max().item() for a, b in zip(alone, parts, strict=True))


def test_packed_examples_do_not_see_each_other(model: Any) -> None:
    assert model.config.use_cache  # the default, which by itself would let them
    batch = RowCollator(PAD, "transformers")(PACKED)
    assert batch["input_ids"].shape == (2, 12)
    assert worst(model, batch) < 1e-5
    assert worst(model, RowCollator(PAD, "transformers")(PACKED[:1]), PACKED[:1]) < 1e-5


def test_what_would_let_them_see_each_other_is_noticed(model: Any) -> None:
    batch = RowCollator(PAD, "transformers")(PACKED)
    assert worst(model, {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}) > 0.01
    assert worst(model, {**batch, "use_cache": True}) > 0.01
    assert worst(model, {k: v for k, v in batch.items() if k != "position_ids"}) > 0.01


def test_joined_rows_do_not_see_each_other_either(model: Any) -> None:
    """Unsloth's batch also holds for Transformers, which reads its position ids."""
    batch = RowCollator(PAD, "unsloth")(PACKED)
    assert batch["input_ids"].shape == (1, 19)
    assert batch["packed_seq_lengths"].tolist() == [4, 6, 2, 7]
    assert batch["packed_seq_lengths"].dtype == torch.int32
    assert "attention_mask" not in batch
    assert worst(model, batch) < 1e-5


@pytest.mark.parametrize("backend", ["transformers", "unsloth"])
@pytest.mark.parametrize("pad", [PAD, 44, 45])
def test_real_tokens_are_counted_whatever_pads(backend: Any, pad: int) -> None:
    """44 and 45 are in the examples: where the pad token is eos too, every example ends with it."""
    assert real_tokens(RowCollator(pad, backend)(PACKED)) == 19
    assert real_tokens(RowCollator(pad, backend)(PACKED[:1])) == 12
    assert real_tokens(RowCollator(pad, backend)([row(e) for e in EXAMPLES])) == 19


@pytest.mark.parametrize("backend", ["transformers", "unsloth"])
@pytest.mark.parametrize("size", [1, 2])
def test_packed_and_unpacked_losses_and_gradients_agree(backend: Any, size: int) -> None:
    model = make_llama(64, attn_implementation="sdpa")
    collate = RowCollator(PAD, backend)

    def run(rows: list[Any]) -> tuple[float, torch.Tensor]:
        """Sum of the losses of all tokens, and its gradient for the embeddings."""
        model.zero_grad()
        total = 0.0
        for i in range(0, len(rows), size):
            batch = collate(rows[i : i + size])
            batch.pop("packed_seq_lengths", None)
            loss = model(**batch, num_items_in_batch=1).loss
            loss.backward()
            total += loss.item()
        return total, model.get_input_embeddings().weight.grad.clone()

    (packed, packed_grad), (single, single_grad) = run(PACKED), run([row(e) for e in EXAMPLES])
    assert packed == pytest.approx(single, abs=1e-4)
    assert torch.allclose(packed_grad, single_grad, atol=1e-5)


def test_unpacked_rows_are_padded_on_the_right() -> None:
    for backend in ("transformers", "unsloth"):
        batch = RowCollator(PAD, backend)([row(EXAMPLES[2]), row(EXAMPLES[0])])
        assert batch["input_ids"].tolist() == [[0, 30, PAD, PAD], EXAMPLES[0]]
        assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
        assert batch["labels"].tolist() == [[-100, 30, -100, -100], [-100, -100, 11, 12]]
        assert set(batch) == {"input_ids", "labels", "attention_mask"}


def test_packed_positions_restart_also_for_padding() -> None:
    batch = RowCollator(PAD, "transformers")([row([0, 10], [0, 20, 21]), row([0, 30, 31], [0, 40, 41, 42])])
    assert batch["position_ids"].tolist() == [[0, 1, 0, 1, 2, 0, 1], [0, 1, 2, 0, 1, 2, 3]]
    assert batch["labels"][0].tolist() == [-100, 10, -100, -100, 21, -100, -100]
    assert "attention_mask" not in batch
