"""EVA: a slice that starts from what its modules see (Paischer et al. 2024, arXiv 2410.07170).

A's rows are the first principal components of a module's inputs on the stage's own rows, in the stack below it; B is
zero, so the first step's logits are the parent's. Every module keeps the stage's rank: PEFT's EVA can also move ranks
between modules, which a stack's scale would not survive. PEFT's own routine switches all adapters off to look, parents
too, so only its incremental PCA is used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft.utils.incremental_pca import IncrementalPCA
from torch import Tensor, nn

from statllama.errors import ModelError
from statllama.model import stack
from statllama.model.factor import Factor

SHARING = {"q_proj": "q_proj", "k_proj": "q_proj", "v_proj": "q_proj", "gate_proj": "gate_proj", "up_proj": "gate_proj"}
"""{module: the one of its block that has the same input}."""
OVER = 2  # components that are kept on the way, for each one that is wanted: what is dropped early cannot come back
CHUNK = 256  # tokens at least that one step of the PCA takes
Rows = Iterable[tuple[Tensor, Tensor]]
"""(token ids, which of them count), (1, length) and bool (length,)."""


def initialise(model: nn.Module, rank: int, rows: Rows) -> None:
    """Start the new slice's A with the principal components of its modules' inputs.

    ModelError where the backend does not show the inputs, and where the rows hold too few tokens for the rank.
    """
    wanted = {
        name: factor for name, part, factor in stack._factors(model) if part == "lora_A" and factor.new is not None
    }
    inputs = {name: _Inputs(rank) for name in {_source(name, wanted) for name in wanted}}
    with _watching(model, inputs) as counting, _parents_alone(model), torch.no_grad():
        for ids, counts in rows:
            counting[:] = [counts]
            model(input_ids=ids, use_cache=False)
    for name, factor in wanted.items():
        assert factor.new is not None
        found = inputs[_source(name, wanted)].components(name)
        with torch.no_grad():
            factor.new.copy_(found)


class _Inputs:
    """The principal components of a module's inputs, taken in as they come."""

    def __init__(self, rank: int) -> None:
        self._rank, self._waiting, self.tokens = rank, list[Tensor](), 0
        self._pca: Any = None

    def take(self, inputs: Tensor) -> None:
        """Take inputs, (tokens, width)."""
        self._waiting.append(inputs.float())
        self.tokens += len(inputs)
        if sum(map(len, self._waiting)) >= max(CHUNK, OVER * self._rank):
            self._fit()

    def components(self, name: str) -> Tensor:
        """Return the first components, (rank, width). `name`: the module's, for an error."""
        if self._waiting and (self._pca is None or sum(map(len, self._waiting)) >= self._pca.n_components):
            self._fit()
        if self._pca is None or len(self._pca.components_) < self._rank:
            width = self._pca.n_features_ if self._pca is not None else "no"
            raise ModelError(
                f"`lora.init: eva`: no {self._rank} directions in {self.tokens:,} inputs of {name}, of width {width}",
                remedy="use a smaller `lora.r`, more rows, or `lora.init: kaiming`",
            )
        return cast(Tensor, self._pca.components_[: self._rank])

    def _fit(self) -> None:
        seen = torch.cat(self._waiting)
        self._waiting = []
        if self._pca is None:
            kept = min(OVER * self._rank, *seen.shape)
            self._pca = IncrementalPCA(
                n_components=kept, lowrank=kept < min(seen.shape) // 2, lowrank_niter=2, lowrank_seed=0
            )
        self._pca.partial_fit(seen)


@contextmanager
def _watching(model: nn.Module, inputs: dict[str, _Inputs]) -> Iterator[list[Tensor]]:
    """Give every module's inputs to `inputs`; the list that it yields says which tokens of a pass count."""
    counting: list[Tensor] = []

    def hook(seen: _Inputs) -> Any:
        def take(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen.take(args[0][0][counting[0].to(args[0].device)])

        return take

    layers = [(layer, inputs[name]) for name, layer in stack._layers(model) if name in inputs]
    handles = [cast(nn.Module, layer).register_forward_pre_hook(hook(seen)) for layer, seen in layers]
    try:
        yield counting
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _parents_alone(model: nn.Module) -> Iterator[None]:
    """Show the stack below the new slice, in evaluation mode; each module then gets back its mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with stack.up_to(model):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _source(name: str, wanted: dict[str, Factor]) -> str:
    """Return the module that is watched for this one: the first that trains of those with the same input."""
    block, _, last = name.rpartition(".")
    same = [f"{block}.{other}" for other, source in SHARING.items() if source == SHARING.get(last, last)]
    return next((other for other in same if other in wanted), name)
