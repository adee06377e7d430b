"""A factor, A or B, of all slices of one module: the frozen ones in a buffer, the new one as the only Parameter.

PEFT and Unsloth read `.weight` of a LoRA layer's `lora_A` and `lora_B`. Here that is the slices concatenated along the
rank, or those of some adapters alone: which ones is said once for the whole model (`View`), so that "the stack up to k"
copies no weight and changes none.

Shapes: A is (sum of ranks, in_features), B is (out_features, sum of ranks); slices stand in the order of the adapters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(eq=False)
class View:
    """Which adapters the factors of a model show. All factors of a model share one."""

    parents: int
    """Number of frozen adapters."""
    shown: range
    """Adapters that act, by their number in the stack; the new slice has the number `parents`."""
    seen: set[range] | None = None
    """Filled, while a set stands here, with what was shown each time that a factor was read."""


class Factor(nn.Module):
    """One factor of a module's stack. `.weight`: what the model's view shows of it.

    While gradients are off, new slice and frozen ones are concatenated once and kept: decoding reads them for every
    token. Each reading with gradients drops what is kept, as an optimizer step may follow; so does a change in place.
    """

    frozen: Tensor
    nothing: Tensor
    bias = None  # Unsloth's decoding asks for it

    def __init__(
        self,
        frozen: Tensor,
        ends: tuple[int, ...],
        dim: int,
        view: View,
        new: nn.Parameter | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Take `ends`, the place where each adapter's slice ends after a leading 0, along dimension `dim` of `frozen`.

        `new`: the slice that trains; None in a module that the stage does not train. `dropout` acts on its input alone:
        the frozen slices are part of the base.
        """
        super().__init__()
        self.register_buffer("frozen", frozen, persistent=False)
        self.register_buffer("nothing", frozen.new_zeros(_rank_one(frozen, dim)), persistent=False)
        if new is not None:
            self._parameters["weight"] = new  # not by `register_parameter`: the class has a `weight` of its own
        self.ends, self.dim, self.view, self.dropout = ends, dim, view, dropout
        self._kept: tuple[tuple[object, ...], Tensor] | None = None

    @property
    def new(self) -> nn.Parameter | None:
        """Return the slice that trains, (r, in_features) or (out_features, r)."""
        return self._parameters.get("weight")

    @property
    def weight(self) -> Tensor:
        """Return the slices that are shown, in the frozen ones' type; a zero of rank 1 for none.

        A new slice that stands alone is its own Parameter while gradients are on, float32 as PEFT has it.
        """
        shown, new = self.view.shown, self.new
        if self.view.seen is not None:
            self.view.seen.add(shown)
        below = self.below()
        if new is None or self.view.parents not in shown:
            return below if below.shape[self.dim] else self.nothing
        if torch.is_grad_enabled():
            self._kept = None
            return torch.cat([below, new.to(below.dtype)], self.dim) if below.shape[self.dim] else new
        state = (shown, new._version, new.data_ptr(), new.device)
        if self._kept is None or self._kept[0] != state:
            self._kept = (state, torch.cat([below, new.to(below.dtype)], self.dim))
        return self._kept[1]

    def below(self) -> Tensor:
        """Return the frozen slices that are shown, a view of the buffer."""
        last = len(self.ends) - 1
        start, stop = (self.ends[min(number, last)] for number in (self.view.shown.start, self.view.shown.stop))
        return self.frozen.narrow(self.dim, start, stop - start)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the slices that are shown, (..., in) -> (..., out)."""
        new = self.new
        if new is None or not (self.dropout and self.training) or self.view.parents not in self.view.shown:
            return F.linear(x, self.weight)
        if self.view.seen is not None:
            self.view.seen.add(self.view.shown)
        dropped = F.linear(F.dropout(x, self.dropout), new.to(self.frozen.dtype))
        return torch.cat([F.linear(x, self.below()), dropped], -1)

    def extra_repr(self) -> str:
        """Return the shape and the ranks, for `print(model)`."""
        return f"frozen={tuple(self.frozen.shape)}, new={None if self.new is None else tuple(self.new.shape)}"


def _rank_one(frozen: Tensor, dim: int) -> tuple[int, int]:
    return (1, frozen.shape[1]) if dim == 0 else (frozen.shape[0], 1)
