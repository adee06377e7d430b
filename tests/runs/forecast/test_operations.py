"""Operations of passes: by hand for a tiny shape, and as torch counts them on a real Llama with a stack of adapters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from statllama.config.lora import LoraSpec
from statllama.data.work import Work
from statllama.model import stack
from statllama.model.adapter import Adapter, Slice
from statllama.model.shape import Shape, shape_of
from statllama.runs.forecast.operations import Ranks, decoded_bytes, forward, training
from tests.conftest import make_llama

torch.set_num_threads(1)
TINY = Shape(layers=1, hidden=2, inner=3, heads=1, kv_heads=1, head_dim=2, vocab=5, tied=True, bias=False)
"""Its layer has 4 matrices of 2 x 2 and 3 of 2 x 3, or 34 numbers; its head 10."""


def test_a_forward_pass_by_hand() -> None:
    """7 tokens: 7 * 2 * 34 of the layer; 4 * 2 / 2 for each of 49 pairs; 2 * 10 for each of 3 logits."""
    assert forward(TINY, Ranks(), Work(1, 7, 49, 3)) == 476 + 196 + 60
    slices = Ranks.of(("q_proj", "up_proj"), 4)  # 4 * (2 + 2) + 4 * (2 + 3) numbers
    assert forward(TINY, slices, Work(1, 7, 49, 3)) == 476 + 196 + 60 + 7 * 2 * 36


def test_training_by_hand() -> None:
    """Backward: as much again, less q, k and v of the first layer (12 numbers); twice the slice, whose A on q needs no
    gradient of its input (8 numbers); 2.5 times the attention; twice the head.
    """
    slices = Ranks.of(("q_proj", "up_proj"), 4)
    once = 7 * 2 * (34 + 36)
    backward = 7 * 2 * (34 - 12 + 2 * 36 - 8)
    assert training(TINY, slices, Work(1, 7, 49, 3)) == once + backward + 3.5 * 196 + 3 * 60
    whole = 2 * once + 7 * 2 * (34 + 2 * 36) - 7 * 2 * 6  # the last product of the layer is not computed again
    assert training(TINY, slices, Work(1, 7, 49, 3), recomputes=True) == whole + 4.5 * 196 + 3 * 60


def test_frozen_slices_share_the_new_ones_matrices() -> None:
    """On a module that trains, the gradient of all of A and B is computed; elsewhere only that of the input."""
    both = Ranks.of(("up_proj",), 4, [(("up_proj", "down_proj"), 2)])
    assert both.below == {"up_proj": 2, "down_proj": 2}
    plain = training(TINY, Ranks(), Work(1, 1, 0, 0))
    assert training(TINY, both, Work(1, 1, 0, 0)) - plain == 2 * (3 * 6 * 5 + 2 * 2 * 5)


def test_replies_by_hand() -> None:
    """Two replies of 3 and 1 tokens to prompts of 4: one pass of 8 tokens gives the first tokens, and two steps compute
    one token each, behind 4 + 1 and 4 + 2 keys, their own included.
    """
    assert Work.of_replies([3, 1], 4) == Work(1, 8 + 2, 8 * 4 + 5 + 6, 2 + 2, 2)
    assert Work.of_replies([3], 4, known=10) == Work(1, 4 + 2, 4 * 14 + 15 + 16, 1 + 2, 2)


def test_bytes_of_a_step_of_generation() -> None:
    """34 numbers of 4 bytes, the head's 10, and keys and values of 2 rows of 6 tokens."""
    assert decoded_bytes(TINY, 2, 6, nf4=False, wide=4) == 4 * 34 + 4 * 10 + 2 * 4 * 2 * 12
    assert decoded_bytes(TINY, 0, 0, nf4=True, wide=2) == 4.5 * 34 + 2 * 10


# ------------------------------------------------------------------ against torch


def counted(model: Any, ids: torch.Tensor, backward: bool) -> int:
    """torch's own count of a pass whose attention is plain matrices: all pairs, masked ones too."""
    with FlopCounterMode(display=False) as counter:
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        if backward:
            loss.backward()
    return counter.get_total_flops()


def adapters(model: Any, modules: tuple[str, ...], rank: int) -> Adapter:
    slices = {
        name: Slice(torch.randn(rank, module.in_features), torch.randn(module.out_features, rank), 1.0)
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in modules
    }
    return Adapter(slices)


ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize(
    ("targets", "parents", "layers"),
    [
        (ALL, [], None),
        (("q_proj", "v_proj"), [], None),
        (("q_proj", "v_proj", "up_proj"), [(("q_proj", "up_proj", "down_proj"), 3), (("q_proj",), 2)], None),
        (ALL, [(("q_proj", "up_proj", "down_proj"), 3)], (1, 3)),
    ],
)
def test_matrices_as_torch_counts_them(
    targets: tuple[str, ...], parents: list[Any], layers: tuple[int, ...] | None, recomputes: bool
) -> None:
    """Exactly, but for attention and the logits: torch's math has all pairs, no second computation, one head pass."""
    depth = {} if layers is None else {"num_hidden_layers": 4}
    model = make_llama(320, attn_implementation="eager", tie_word_embeddings=True, **depth)
    shape = shape_of(model.config.to_dict(), "it")
    lora = LoraSpec(r=5, alpha=5.0, target_modules=targets, layers=layers)
    below = [adapters(model, modules, rank) for modules, rank in parents]
    peft = stack.attach(model.requires_grad_(False), lora, below, 0)
    if recomputes:
        peft.enable_input_require_grads()
        peft.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    peft.train()
    rows, length = 3, 24
    ids = torch.randint(6, 320, (rows, length))
    work = Work.of_rows(rows, length)
    ranks = Ranks.of(targets, 5, parents, layers)
    through = shape.layers - (0 if layers is None or recomputes else layers[0])  # layers with a backward pass
    attention = 4 * work.pairs * shape.heads * shape.head_dim * shape.layers
    head = 2 * work.logits * shape.vocab * shape.hidden
    ours = training(shape, ranks, work, recomputes=recomputes)
    backward = through / shape.layers
    ours += attention * ((1 + 2 * backward + recomputes) - 0.5 * (1 + 2.5 * backward + recomputes)) - head
    # The first layer's keys have no gradient where k does not train; and the angles of the rotation are a product, too.
    ours -= 0 if recomputes or "k_proj" in targets else attention / shape.layers / 2
    angles = shape.head_dim * length
    ours += angles
    assert counted(peft, ids, backward=True) == pytest.approx(ours, rel=1e-9)
    with torch.no_grad():
        found = counted(peft, ids, backward=False)
    assert found == pytest.approx(forward(shape, ranks, work) + attention / 2 + angles, rel=1e-9)
