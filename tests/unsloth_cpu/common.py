"""What the checks share: the register of their names, and the definition on a world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from statllama.config.lora import LoraSpec
from statllama.model import stack
from statllama.model.adapter import Adapter
from statllama.model.base_model import Base, adapt
from tests.unsloth_cpu import definition
from tests.unsloth_cpu.definition import Weights
from tests.unsloth_cpu.world import Row, World, fill, relative

CHECKS: dict[str, Callable[[World], None]] = {}
LORA = LoraSpec(r=4, alpha=8.0)


def check(function: Callable[[World], None]) -> Callable[[World], None]:
    """Make a check known by its name."""
    CHECKS[function.__name__] = function
    return function


def make_world(device: str, folder: Path) -> World:
    """Small enough for the interpreter on a CPU; large enough to mean something on a GPU."""
    if device == "cpu":
        torch.set_num_threads(1)  # a model this small is slower on several
        return World(folder, "cpu", torch.float32, 1e-4, 1e-4, 1e-3, {}, 16)
    shape = {
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_hidden_layers": 4,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 2048,
        "initializer_range": 0.03,
    }
    return World(folder, "cuda", torch.bfloat16, 4e-2, 2e-2, 0.6, shape, 1024)


def defined(world: World, base: Base, adapters: Sequence[Adapter], ids: Tensor) -> Tensor:
    """Logits by definition."""
    return definition.logits(definition.with_adapters(world.dense(base), adapters), base.model.config, ids)


def close(world: World, what: str, got: Tensor, right: Tensor, wrong: Tensor | None = None) -> None:
    """`got` is `right` to the world's tolerance; `wrong`, what a likely fault gives, is far from it."""
    error = relative(got, right)
    text = f"{what}: relative error {error:.1e}"
    if wrong is not None:
        fault = relative(wrong, right)
        text += f" (a fault would give {fault:.1e})"
        assert fault > 4 * world.tolerance, f"{what}: the check cannot see the fault ({fault:.1e})"
    world.note(text)
    assert error < world.tolerance, text


def autocast(world: World) -> Any:
    """The autocast that the trainer switches on for bfloat16."""
    return torch.autocast(world.device, dtype=world.dtype, enabled=world.dtype is not torch.float32)


@contextmanager
def stacked(base: Base, lora: LoraSpec, parents: Sequence[Adapter], checkpointing: bool = False) -> Iterator[Any]:
    """The base with `parents` and a new slice whose B is not zero; taken off again, and the base checked."""
    model = adapt(base, lora, parents, seed=11, checkpointing=checkpointing)
    try:
        fill(model)
        yield model
    finally:
        stack.detach(model)
    base.check_unchanged()


def defined_gradients(
    world: World, base: Base, parents: Sequence[Adapter], new: Adapter, loss: Callable[[Weights], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and the new slice's gradients, {module.lora_A or module.lora_B: gradient}."""
    weights = definition.with_adapters(world.dense(base), parents)
    leaves = {}
    for module, part in new.slices.items():
        a, b = (x.detach().double().to(world.device).requires_grad_(True) for x in (part.A, part.B))
        leaves[f"{module}.lora_A"], leaves[f"{module}.lora_B"] = a, b
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + part.scaling * (b @ a)
    value = loss(weights)
    value.backward()
    return value.detach(), {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def example_losses(world: World, base: Base, weights: Weights, data: Sequence[Row]) -> list[Tensor]:
    """Token losses of each example of `data`, by definition."""
    found = []
    for row in data:
        ids = torch.tensor([row["input_ids"]], device=world.device)
        for part in ids.split(row["seq_lengths"], 1):
            found.append(definition.token_losses(definition.logits(weights, base.model.config, part), part).flatten())
    return found
