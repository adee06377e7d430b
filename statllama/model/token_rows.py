"""Rows of the embedding and of the head that adapters change: those of some tokens, all others as the base has them.

A stage with `lora.token_rows` adds `delta` to the rows of its tokens, beside its slices. The rows of the stages below
are added first, frozen. The base's own matrices are never written to: while a stack is on the model, modules stand in
their places that look the changed rows up elsewhere, and `take_off` puts the base's back. With a tied head, embedding
and head share one table, and the tie holds.

Shapes: a matrix is (vocabulary, width); a table of n tokens is (n, width).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from statllama.config.lora import LoraSpec
from statllama.errors import ModelError, near
from statllama.model.adapter import Adapter, Rows
from statllama.model.architectures import EMBEDDING, HEAD
from statllama.model.factor import View


class RowTable(nn.Module):
    """The changes of one matrix's rows by all adapters: frozen ones in buffers, the new ones the only Parameter."""

    ids: Tensor
    place: Tensor

    def __init__(
        self, parts: Sequence[Rows | None], new: Sequence[int], shape: tuple[int, int], view: View, device: torch.device
    ) -> None:
        """Take each frozen adapter's rows, None where it has none, and the ids of the tokens that train."""
        super().__init__()
        ids = sorted({*new, *(one for part in parts if part is not None for one in part.ids)})
        at = {one: i for i, one in enumerate(ids)}
        place = torch.zeros(shape[0], dtype=torch.long)
        place[ids] = torch.arange(1, len(ids) + 1)
        self.register_buffer("ids", torch.tensor(ids, dtype=torch.long, device=device), persistent=False)
        self.register_buffer("place", place.to(device), persistent=False)
        self.view, self.new_ids, self.width, self.parts = view, tuple(new), shape[1], len(parts)
        for i, part in enumerate(parts):
            where = [] if part is None else [at[one] for one in part.ids]
            delta = torch.zeros(0, shape[1]) if part is None else part.delta.float() * part.scaling
            self.register_buffer(f"at_{i}", torch.tensor(where, dtype=torch.long, device=device), persistent=False)
            self.register_buffer(f"delta_{i}", delta.to(device), persistent=False)
        where = [at[one] for one in new]
        self.register_buffer("new_at", torch.tensor(where, dtype=torch.long, device=device), persistent=False)
        self.new = nn.Parameter(torch.zeros(len(where), shape[1], device=device)) if new else None

    def delta(self) -> Tensor:
        """Return what the adapters that are shown add to the rows of `ids`, (n, width) in float32."""
        shown = self.view.shown
        if self.view.seen is not None:
            self.view.seen.add(shown)
        found = torch.zeros(len(self.ids), self.width, device=self.ids.device)
        for i in shown:  # one after the other: the sum does not depend on the device's order
            if i < self.parts:
                found = found.index_add(0, cast(Tensor, getattr(self, f"at_{i}")), getattr(self, f"delta_{i}"))
            elif self.new is not None:
                found = found.index_add(0, cast(Tensor, self.new_at), self.new.float())
        return found

    def rows_of(self, weight: Tensor) -> Tensor:
        """Return the rows of `ids` of a matrix with the changes added, (n, width) in its type."""
        return (weight[self.ids].float() + self.delta()).to(weight.dtype)


class RowEmbedding(nn.Module):
    """Stands in the embedding's place."""

    def __init__(self, base: nn.Embedding, table: RowTable) -> None:
        super().__init__()
        self.base, self.table = base, table
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx = base.padding_idx

    @property
    def weight(self) -> Tensor:
        """Return the whole matrix as it is shown, a copy."""
        return self.base.weight.index_copy(0, self.table.ids, self.table.rows_of(self.base.weight))

    def forward(self, ids: Tensor) -> Tensor:
        """Look tokens up, (..., length) -> (..., length, width)."""
        at = self.table.place[ids]
        changed = F.embedding((at - 1).clamp_min(0), self.table.rows_of(self.base.weight))
        return torch.where((at > 0)[..., None], changed, self.base(ids))


class RowHead(nn.Module):
    """Stands in the head's place. TRL's losses in tiles read `.weight`; a forward pass copies no matrix."""

    def __init__(self, base: nn.Linear, table: RowTable) -> None:
        super().__init__()
        self.base, self.table = base, table
        self.in_features, self.out_features = base.in_features, base.out_features

    @property
    def weight(self) -> Tensor:
        """Return the whole matrix as it is shown, a copy."""
        return self.base.weight.index_copy(0, self.table.ids, self.table.rows_of(self.base.weight))

    @property
    def bias(self) -> Tensor | None:
        """Return the base's."""
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (..., width) -> (..., vocabulary)."""
        bias = None if self.bias is None else self.bias[self.table.ids]
        changed = F.linear(x, self.table.rows_of(self.base.weight), bias)
        return cast(Tensor, self.base(x)).index_copy(-1, self.table.ids, changed)


def require_rows_fit(model: Any, parents: Sequence[Adapter], new: Sequence[int], modules: Sequence[str]) -> None:
    """Raise ModelError for rows of another base, or a head that would have a slice too. `modules`: those with one."""
    have = [parent.rows for parent in parents if parent.rows]
    if not new and not have:
        return
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if HEAD in modules or type(embedding) is not nn.Embedding or type(head) is not nn.Linear:
        raise ModelError(
            "rows of tokens (`lora.token_rows`) need a head without a slice, and a plain embedding and head: these are "
            f"{type(embedding).__name__} and {type(head).__name__}",
            remedy="take `lm_head` out of `lora.target_modules` of this stage and of those below",
        )
    names, shape = _matrices(model), cast("tuple[int, int]", tuple(embedding.weight.shape))
    for rows in have:
        if set(rows) != set(names) or any(one.shape(shape) != shape for one in rows.values()):
            raise ModelError(
                f"an adapter has rows of {', '.join(sorted(rows))}, and this base of {shape[0]} tokens of {shape[1]} "
                f"numbers wants those of {', '.join(names)}: it was trained on another base"
            )


def install_rows(model: Any, parents: Sequence[Adapter], view: View, new: Sequence[int]) -> None:
    """Put the parents' rows, frozen, and those of the tokens `new`, to train, on a Transformers model.

    Nothing changes where nobody has rows. `require_rows_fit` comes first.
    """
    have = [parent.rows for parent in parents]
    if not new and not any(have):
        return
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    names, shape = _matrices(model), cast("tuple[int, int]", tuple(embedding.weight.shape))
    device = embedding.weight.device
    tables = {name: RowTable([rows.get(name) for rows in have], new, shape, view, device) for name in names}
    model.set_input_embeddings(RowEmbedding(embedding, tables[EMBEDDING]))
    model.set_output_embeddings(RowHead(head, tables[names[-1]]))


def take_off(model: Any) -> None:
    """Put the base's own embedding and head back."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if isinstance(embedding, RowEmbedding):
        model.set_input_embeddings(embedding.base)
    if isinstance(head, RowHead):
        model.set_output_embeddings(head.base)


def _matrices(model: Any) -> tuple[str, ...]:
    """Return the names of the matrices: of a tied head, the embedding alone."""
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    return (EMBEDDING,) if tied else (EMBEDDING, HEAD)


def tables(model: nn.Module) -> dict[str, RowEmbedding | RowHead]:
    """Return {name in the base: module} of the matrices that have a table of their own: of a tied head, one alone."""
    found: dict[str, RowEmbedding | RowHead] = {}
    for module in model.modules():
        if isinstance(module, RowEmbedding):
            found[EMBEDDING] = module
        elif isinstance(module, RowHead):
            found[HEAD] = module
    if len({id(module.table) for module in found.values()}) < len(found):
        del found[HEAD]
    return found


def trained_rows(model: nn.Module) -> Iterator[tuple[str, RowTable, Tensor]]:
    """Yield (name in the base, table, the base's rows of the tokens that train in float32) of each matrix with some."""
    for name, module in tables(model).items():
        if module.table.new is not None:
            ids = torch.tensor(module.table.new_ids, device=module.base.weight.device)
            yield name, module.table, module.base.weight[ids].detach().float()


def rows_are(model: nn.Module, parents: Sequence[Adapter]) -> bool:
    """Return whether the rows that are shown now are the parents', bit for bit, and nothing besides."""
    found = tables(model)
    for name, module in found.items():
        own, shape = module.table, tuple(module.base.weight.shape)
        view = View(len(parents), range(len(parents)))
        parts = [parent.rows.get(name) for parent in parents]
        wanted = RowTable(parts, (), cast("tuple[int, int]", shape), view, own.ids.device)
        shown = torch.zeros_like(own.delta())
        shown[own.place[wanted.ids] - 1] = wanted.delta()
        if not torch.equal(own.delta(), shown):
            return False
    return bool(found) or not any(parent.rows for parent in parents)


def token_ids(tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """Return the ids of tokens by their names. ModelError for a name that is not one token of the vocabulary."""
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    if missing := [token for token in tokens if token not in vocabulary]:
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        raise ModelError(
            f"`lora.token_rows`: the tokenizer has no token {missing[0]!r}: {near(missing[0], added)}",
            remedy="it trains tokens that the tokenizer has; to add some: statllama tokens BASE TOKEN... --out DIR",
        )
    return sorted(vocabulary[token] for token in tokens)


def require_rows(base: Any, lora: LoraSpec, parents: Sequence[Adapter] = ()) -> None:
    """Raise ModelError when a loaded base (`base_model.Base`) cannot have the rows of tokens of a stage and those below
    it.
    """
    token_ids(base.tokenizer, lora.token_rows)
    if base.backend == "unsloth" and (lora.token_rows or any(parent.rows for parent in parents)):
        raise ModelError(
            "Unsloth's kernels read the base's own embedding and head, so rows of tokens (`lora.token_rows`) cannot be "
            "trained or used with it",
            remedy="set STATLLAMA_BACKEND=transformers",
        )
