"""What a run holds out: rows that none of its stages trains on, and on which its stacks are scored."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from statllama.data.held_index import HeldOut
from statllama.data.prepare import settled_held
from statllama.model.identity import config_of
from statllama.recipe import Recipe
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.stages import stage_module
from statllama.store import Store

if TYPE_CHECKING:
    from statllama.data.holdout import HeldKind, Holdout
    from statllama.data.selection import Selection

SCORED_AS: dict[str, HeldKind] = {
    "documents": "documents",
    "conversations": "conversations",
    "preferences": "preferences",
    "judgements": "conversations",
}
"""{what a stage reads: what its hold-out is scored as}."""


class HeldBack:
    """The hold-outs of one recipe in one workspace, each read and tokenised once."""

    def __init__(self, recipe: Recipe, store: Store, loaded: Loaded, reporter: Reporter) -> None:
        self._recipe, self._store, self._loaded, self._reporter = recipe, store, loaded, reporter
        self._made: dict[str, Holdout] = {}

    @cached_property
    def out(self) -> HeldOut | None:
        """Return what no stage trains on; None when the recipe holds nothing out."""
        held = settled_held(self._recipe.held, self._recipe.root, self._store.memory)
        if not held:
            return None
        return HeldOut(held, self._recipe.root, self._store.root, self._reporter.note)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all hold-outs: of stages in order, then those of `evaluate.holdouts`."""
        return () if self.out is None else tuple(dict.fromkeys(held.name for held in self.out.held))

    def holdout(self, name: str) -> Holdout:
        """Return a hold-out, tokenised. DataError: see `make_holdout`."""
        if name not in self._made:
            self._made[name] = self._holdout(name)
        return self._made[name]

    @property
    def kept_in(self) -> list[str]:
        """Return the keys of the entries of the workspace's cache that hold what was read and tokenised so far."""
        keys = self.out.keys if self.out is not None else []
        return [*keys, *(holdout.kept_in for holdout in self._made.values())]

    def _holdout(self, name: str) -> Holdout:
        from statllama.data.holdout import make_holdout

        assert self.out is not None
        stage = next(held for held in self.out.held if held.name == name).stage
        data_kind = None if stage is None else stage_module(stage.type).DATA_KIND
        with self._reporter.preparing(name) as progress:
            parts = [pair for pair in zip(self.out.held, self.out.read(progress), strict=True) if pair[0].name == name]
            return make_holdout(
                parts,
                None if data_kind is None else SCORED_AS[data_kind],
                good=data_kind == "judgements",
                root=self._recipe.root,
                tokenizer=self._loaded.tokenizer,
                train_on="responses" if stage is None else stage.data_options["train_on"],
                max_length=self._longest if stage is None else stage.train.max_length,
                cache=self._store.root,
                progress=progress,
                note=self._reporter.note,
            )

    @property
    def _longest(self) -> int:
        """Return the tokens of a row of `evaluate.holdouts`, at most: `evaluate.max_length`, or what the base takes."""
        config = config_of(self._recipe.base.model, self._loaded.identity["model"]) or {}
        return min(self._recipe.evaluate.max_length, config.get("max_position_embeddings") or 2**31)


def words(selection: Selection) -> str:
    """Say how many rows of a stage are held out, and how many more copy a held-out row; empty when none do."""
    held, copies = selection.held_out, selection.held_copied
    said = [f"{held:,} {'row is' if held == 1 else 'rows are'} held out"] if held else []
    if copies:
        ways = ", ".join(f"{how}: {n:,}" for how, n in sorted(selection.copied_by.items()))
        said.append(f"{copies:,} {'row copies' if copies == 1 else 'rows copy'} a held-out row ({ways})")
    return f"{' and '.join(said)}: not trained on" if said else ""
