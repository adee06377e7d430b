"""GRPO's draws against the distribution itself: chi-square tests, top_p, temperature, and batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare, kstest

from statllama.evaluation.sampling import Drawn, drawing, pick, uniforms

torch.set_num_threads(1)
DRAWS = 20_000


def counts(logits: torch.Tensor, temperature: float, top_p: float) -> np.ndarray[Any, Any]:
    """How often each token is drawn, in as many rows as draws, each with its own numbers."""
    numbers = uniforms(7, 3, range(DRAWS), 1)
    scores = Drawn(numbers, 5, temperature, top_p)(torch.zeros(DRAWS, 5, dtype=torch.long), logits.expand(DRAWS, -1))
    assert (scores.isfinite().sum(1) == 1).all()
    return np.bincount(scores.argmax(1).numpy(), minlength=logits.shape[-1])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, -4.0, 1.1])
    expected = (logits.double() / temperature).softmax(-1).numpy() * DRAWS
    assert chisquare(counts(logits, temperature, 1.0), expected).pvalue > 1e-3
    other = (logits.double() / (temperature * 1.2)).softmax(-1).numpy() * DRAWS
    assert chisquare(counts(logits, temperature, 1.0), other).pvalue < 1e-6, "the test could not tell"


def test_draws_are_like_those_of_multinomial() -> None:
    """Two samples of one distribution: homogeneity of a 2 x k table."""
    logits = torch.randn(12, generator=torch.Generator().manual_seed(1)) * 2
    theirs = torch.multinomial(logits.softmax(-1), DRAWS, replacement=True, generator=torch.Generator().manual_seed(2))
    table = np.stack([counts(logits, 1.0, 1.0), np.bincount(theirs.numpy(), minlength=12)])
    expected = table.sum(0) / 2
    assert chi2.sf((((table - expected) ** 2) / expected).sum(), 11) > 1e-3


def test_top_p_is_respected() -> None:
    """By hand: of 0.5, 0.3, 0.15, 0.05 the likeliest that hold 0.75 are the first two, as 5/8 and 3/8."""
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log()
    found = counts(logits, 1.0, 0.75)
    assert found[[0, 2]].tolist() == [0, 0]
    assert chisquare(found[[1, 3]], np.array([5, 3]) / 8 * DRAWS).pvalue > 1e-3


@pytest.mark.parametrize("number", [0.0, 0.4999999999, 1 - 2**-53])
def test_no_number_picks_what_is_impossible(number: float) -> None:
    """At the ends of [0, 1) and where cumulative probabilities round: never a token at -inf."""
    scores = torch.full((1, 128_256), -torch.inf)
    scores[0, [5, 70_000]] = 0.0
    assert pick(scores, torch.tensor([number], dtype=torch.float64)).tolist() == [5 if number < 0.5 else 70_000]


def test_numbers_are_uniform_and_a_rows_own() -> None:
    """Independent of the other rows; another seed, step, row or place gives another."""
    numbers = uniforms(42, 9, range(40), 50)
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 1e-3
    assert torch.equal(uniforms(42, 9, [31, 4], 50), numbers[[31, 4]])
    assert torch.equal(uniforms(42, 9, [4], 20), numbers[[4], :20])
    others = [numbers, uniforms(42, 10, range(40), 50), uniforms(43, 9, range(40), 50)]
    assert len(torch.cat(others).unique()) == 3 * 40 * 50


def test_generated_tokens_follow_the_models_distribution(base_folder: Path) -> None:
    """Through Transformers' `generate`, of two prompts padded together; the model is as it was after it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base_folder)
    prompts, rows = torch.tensor([[0, 0, 9, 20], [0, 7, 8, 30]]), 2000
    mask = torch.ones_like(prompts)
    mask[0, 0] = 0
    numbers = uniforms(1, 0, range(2 * rows), 1)
    with torch.no_grad(), drawing(model, Drawn(numbers, 4, 0.3, 0.9)):
        found = model.generate(
            input_ids=prompts.repeat_interleave(rows, 0), attention_mask=mask.repeat_interleave(rows, 0),
            do_sample=False, max_new_tokens=1, pad_token_id=1,
        )[:, 4].view(2, rows)  # fmt: skip
    assert "generate" not in vars(model)
    for i, prompt in enumerate(([0, 9, 20], [0, 7, 8, 30])):
        with torch.no_grad():
            probabilities = (model(torch.tensor([prompt])).logits[0, -1].double() / 0.3).softmax(-1)
        order = probabilities.argsort(descending=True)
        kept = order[: int((probabilities[order].cumsum(0) < 0.9).sum()) + 1]
        drawn = np.bincount(found[i].numpy(), minlength=len(probabilities))
        assert drawn[kept.numpy()].sum() == rows
        expected = (probabilities[kept] / probabilities[kept].sum()).numpy() * rows
        often = expected > 5
        few = (np.append(part[often], part[~often].sum() + 1e-9) for part in (drawn[kept.numpy()], expected))
        assert chisquare(*few, sum_check=False).pvalue > 1e-3
