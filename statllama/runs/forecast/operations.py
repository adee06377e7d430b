"""Operations of a stage: multiplications and additions of its matrices, from what its passes compute.

A matrix of n numbers takes 2 n operations a token forward; the gradient of its input takes as many, and that of the
matrix itself, where it trains, as many again. A frozen one has none of its own. Attention over pairs of a query and a
key takes 2 operations a number of each head for the scores, and 2 for the sum, of which a causal kernel computes half;
its backward pass computes the scores again, 2.5 times the forward pass (arXiv 2205.14135). Norms, rotations and
softmax are left out: they are a part of the speed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from statllama.data.work import Work
from statllama.model.shape import Shape

FIRST = ("q_proj", "k_proj", "v_proj")
"""Modules of a layer that read its input: in the first layer that is the embedding, which has no gradient."""
LAST = "down_proj"
CAUSAL = 0.5
BACKWARD = 2.5


@dataclass(frozen=True)
class Ranks:
    """The adapters on each module of a base."""

    new: Mapping[str, int] = field(default_factory=dict)
    """{module: rank of the slice that trains}."""
    below: Mapping[str, int] = field(default_factory=dict)
    """{module: rank of all frozen slices together}."""
    layers: Collection[int] | None = None
    """Layers with a slice that trains, counted from 0; None: all. Frozen slices count as if they were in all."""

    @classmethod
    def of(
        cls,
        targets: Iterable[str],
        rank: int,
        parents: Iterable[tuple[Iterable[str], int]] = (),
        layers: Collection[int] | None = None,
    ) -> Ranks:
        """Return the ranks of a slice on `targets` of these layers, on top of (modules, rank) of each parent."""
        below: dict[str, int] = {}
        for modules, parent in parents:
            for module in modules:
                below[module] = below.get(module, 0) + parent
        return cls(dict.fromkeys(targets, rank), below, layers)

    def under(self, below: Mapping[str, int]) -> Ranks:
        """Return these ranks on top of others."""
        names = dict.fromkeys((*below, *self.below))
        return Ranks(self.new, {name: below.get(name, 0) + self.below.get(name, 0) for name in names}, self.layers)


def forward(shape: Shape, ranks: Ranks, work: Work) -> float:
    """Return the operations of forward passes."""
    return work.tokens * _layers(shape, ranks) + _attention(shape, work) + work.logits * _head(shape)


def training(shape: Shape, ranks: Ranks, work: Work, *, recomputes: bool = False) -> float:
    """Return the operations of forward and backward passes; `recomputes`: with activations computed twice.

    The logits are computed again in the backward pass, tile by tile, whatever is kept of the layers.
    """
    attention = _attention(shape, work)
    layers = work.tokens * (_layers(shape, ranks) + _backward(shape, ranks, recomputes))
    again = recomputes * (work.tokens * (_layers(shape, ranks) - _last(shape, ranks)) + attention)
    through = 1.0 if recomputes else (shape.layers - _first(ranks)) / shape.layers
    return layers + again + attention * (1 + BACKWARD * through) + 3 * work.logits * _head(shape)


def _layers(shape: Shape, ranks: Ranks) -> float:
    """Return the operations a token of all layers' matrices forward."""
    return shape.layers * _frozen(shape, ranks) + _adapted(shape, ranks) * _new(shape, ranks)


def _frozen(shape: Shape, ranks: Ranks) -> float:
    """Return the operations a token of a layer's matrices forward, without the slices that train."""
    return sum(
        2 * n_in * n_out + 2 * ranks.below.get(name, 0) * (n_in + n_out) for name, (n_in, n_out) in _sizes(shape)
    )


def _new(shape: Shape, ranks: Ranks) -> float:
    """Return the operations a token of a layer's slices that train, forward."""
    return sum(2 * ranks.new.get(name, 0) * (n_in + n_out) for name, (n_in, n_out) in _sizes(shape))


def _adapted(shape: Shape, ranks: Ranks) -> int:
    """Return the number of layers with slices that train."""
    return shape.layers if ranks.layers is None else len(ranks.layers)


def _first(ranks: Ranks) -> int:
    """Return the first layer with slices that train; no gradient goes below it."""
    return 0 if ranks.layers is None else min(ranks.layers)


def _backward(shape: Shape, ranks: Ranks, recomputes: bool) -> float:
    """Return the operations a token of all layers' matrices backward.

    Slices below share the new one's matrices, so where it trains, their gradients are computed and dropped. The first
    layer that trains passes no gradient on, unless with recomputation: there the embedding's output is given one.
    """
    passed = shape.layers - _first(ranks) * (not recomputes)
    inputs = passed * _frozen(shape, ranks) + _adapted(shape, ranks) * _new(shape, ranks)
    weights = _adapted(shape, ranks) * sum(
        2 * _rank(ranks, name) * (n_in + n_out) for name, (n_in, n_out) in _sizes(shape) if name in ranks.new
    )
    saved = sum(
        2 * n_in * n_out + 2 * _rank(ranks, name) * n_in for name, (n_in, n_out) in _sizes(shape) if name in FIRST
    )
    return inputs + weights - saved * (not recomputes)


def _last(shape: Shape, ranks: Ranks) -> float:
    """Return the operations a token of each layer's last product, which is not computed again: nobody reads it."""
    n_in, n_out = shape.matrices[LAST]
    adapted, below = _adapted(shape, ranks), ranks.below.get(LAST, 0)
    return 2 * n_out * (adapted * (_rank(ranks, LAST) or n_in) + (shape.layers - adapted) * (below or n_in))


def _rank(ranks: Ranks, module: str) -> int:
    return ranks.new.get(module, 0) + ranks.below.get(module, 0)


def _sizes(shape: Shape) -> Iterable[tuple[str, tuple[int, int]]]:
    return shape.matrices.items()


def _attention(shape: Shape, work: Work) -> float:
    """Return the operations of attention forward: scores and sums of a causal kernel."""
    return CAUSAL * 4 * work.pairs * shape.heads * shape.head_dim * shape.layers


def _head(shape: Shape) -> float:
    return 2.0 * shape.vocab * shape.hidden


def decoded_bytes(shape: Shape, rows: float, context: float, *, nf4: bool, wide: int) -> float:
    """Return the bytes that a step of generation reads: weights once, and the cache of `rows` rows of `context` tokens.

    `wide`: bytes of a number in the compute type. An NF4 matrix is read, written in that type, and read again.
    """
    numbers = shape.layers * sum(n_in * n_out for _, (n_in, n_out) in _sizes(shape))
    cache = 2 * wide * shape.layers * shape.kv_heads * shape.head_dim * rows * context
    return numbers * (0.5 + 2 * wide if nf4 else wide) + wide * shape.vocab * shape.hidden + cache
