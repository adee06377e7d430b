"""NEFTune's noise: its size and law, where it is and is not, and that neither budget nor resume moves a draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import Tensor

from statllama.config.lora import LoraSpec
from statllama.model import stack
from statllama.model.adapter import load_adapter
from statllama.stages import stage_module
from statllama.train.neftune import draws, noise
from tests.conftest import conversations, make_llama, stage
from tests.reference import Lora, saved_lora
from tests.running import Recorder, adapter_bytes, losses, run
from tests.train.test_optimizers import Cut

torch.set_num_threads(1)
Write = Callable[..., Path]
ALPHA, WIDTH = 5.0, 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A stack of a parent and a new slice."""
    base = make_llama(96)
    parent = load_adapter(saved_lora(base, Lora(), tmp_path_factory.mktemp("parent"), 1))
    return stack.attach(base.requires_grad_(False), LoraSpec(r=4), [parent], 0).train()


def added(model: Any, ids: Tensor, step: int = 0, **options: Any) -> Tensor:
    """What a forward pass adds to the embeddings of `ids`."""
    seen: list[Tensor] = []
    with noise(model, ALPHA, 7, lambda: step):
        layer = model.get_base_model().get_decoder().layers[0]
        handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        model(input_ids=ids, use_cache=False, **options)
        handle.remove()
    return seen[0] - model.get_input_embeddings().weight[ids]


def test_it_is_uniform_within_the_papers_bound(model: Any) -> None:
    """alpha / sqrt(L d) by each row's own length, nothing on padding; two rows, two draws."""
    ids = torch.randint(6, 96, (2, 40), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    found = added(model, ids, attention_mask=mask)
    for row, length in ((0, 40), (1, 10)):
        bound = ALPHA / math.sqrt(length * WIDTH)
        scaled = (found[row, :length] / bound).flatten()
        assert scaled.abs().max() <= 1 + 1e-5
        assert stats.kstest(scaled.numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert not found[1, 10:].any()
    assert abs(stats.pearsonr(found[0, :10].flatten(), found[1, :10].flatten())[0]) < 0.15


def test_a_pass_does_not_bear_on_it(model: Any) -> None:
    """Alone, padded and packed the same example gets the same noise; in another step another."""
    one, two = (torch.randint(6, 96, (1, n), generator=torch.Generator().manual_seed(n)) for n in (9, 14))
    alone = added(model, one)
    padded = torch.cat([torch.cat([one, torch.full((1, 5), 5)], 1), two])
    mask = torch.tensor([[1] * 9 + [0] * 5, [1] * 14])
    assert torch.allclose(added(model, padded, attention_mask=mask)[0, :9], alone[0], atol=1e-6)
    packed, positions = torch.cat([two, one], 1), torch.tensor([[*range(14), *range(9)]])
    found = added(model, packed, position_ids=positions)
    assert torch.allclose(found[0, 14:], alone[0], atol=1e-6)
    assert torch.allclose(found[0, :14], added(model, two)[0], atol=1e-6)
    assert not torch.allclose(added(model, one, step=1), alone, atol=1e-3)


def test_where_there_is_none(model: Any) -> None:
    ids = torch.randint(6, 96, (1, 12))
    assert added(model, ids).any()
    with torch.no_grad():
        assert not added(model, ids).any()
    with stack.up_to(model):
        assert not added(model, ids).any()
    model.eval()
    assert not added(model, ids).any()
    model.train()
    state = torch.random.get_rng_state()
    added(model, ids)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not model.get_input_embeddings()._forward_hooks


def test_the_first_loss_is_that_of_the_noisy_embeddings(
    write_recipe: Write, base_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """Of a plain Transformers model, on the definition's embeddings."""
    from transformers import AutoModelForCausalLM

    train = {"neftune_alpha": 200.0, "batch_size": 48, "micro_tokens": 10**6, "steps": 1, "seed": 3}
    result = run(write_recipe([stage("one", train=train)]), tmp_path / "w")["one"]
    model = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32).eval()
    total, count, clean = 0.0, 0, 0.0
    for row in conversations(48):
        ids = torch.tensor([tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)])
        asked = tokenizer.apply_chat_template(
            row["messages"][:1], tokenize=True, return_dict=False, add_generation_prompt=True
        )
        labels = ids.clone()
        labels[:, : len(asked)] = -100
        embeddings = model.get_input_embeddings()(ids)
        moved = embeddings + draws(ids, [(0, slice(0, ids.shape[1]))], WIDTH, 200.0, (3, 0))
        n = int((labels != -100).sum())
        with torch.no_grad():
            total += n * float(model(inputs_embeds=moved, labels=labels).loss)
            clean += n * float(model(inputs_embeds=embeddings, labels=labels).loss)
        count += n
    assert losses(result) == pytest.approx([total / count], abs=1e-5)
    assert abs(total - clean) / count > 1e-3


@pytest.mark.parametrize("kind", ["sft", "dpo", *(pytest.param(k, marks=pytest.mark.slow) for k in ("cpt", "kto"))])
def test_the_budget_moves_no_draw(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    found = []
    for budget in (64, 10**6):
        path = write_recipe([stage("one", kind, train={"neftune_alpha": ALPHA, "micro_tokens": budget})])
        found.append(losses(run(path, tmp_path / f"w{budget}")["one"]))
    assert found[0] == pytest.approx(found[1], abs=2e-5)
    plain = losses(run(write_recipe([stage("one", kind)]), tmp_path / "plain")["one"])
    assert max(abs(a - b) for a, b in zip(found[0], plain, strict=True)) > 1e-4


def test_a_run_that_was_cut_ends_with_the_same_bits(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("one", train={"neftune_alpha": ALPHA, "packing": True, "batch_size": 2})])
    whole = run(path, tmp_path / "whole")["one"]
    with pytest.raises(RuntimeError, match="cut"):
        run(path, tmp_path / "w", reporter=Cut(5))
    reporter = Recorder()
    assert adapter_bytes(run(path, tmp_path / "w", reporter=reporter)["one"]) == adapter_bytes(whole)
    assert "resuming from the checkpoint of step 4" in reporter.notes


def test_it_is_not_for_grpo() -> None:
    body = stage("one", "grpo", train={"neftune_alpha": 5.0, "batch_size": 8}, rewards=[{"name": "format"}])
    with pytest.raises(ValidationError, match=r"`train\.neftune_alpha` is not for grpo"):
        stage_module("grpo").Spec.model_validate(body)
