"""Rows that a stage replays beside its own: prepared sources of any kind, as rows of token ids with labels.

Which rows a step replays is a function of the seed and the step's number alone, so a resumed stage needs no state. Each
row comes once before any comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from statllama.data.fit import IGNORED
from statllama.data.lengths import Lengths, Numbers, lengths, sizes
from statllama.data.report import MixtureReport

if TYPE_CHECKING:
    from datasets import Dataset

    from statllama.data.selection import Selection

ORDER = 0x5EED
"""In the seed of the order, so that it is not that of anything else under the stage's seed."""
Ids = dict[str, list[int]]


@dataclass(frozen=True)
class Part:
    """Prepared rows of one kind of data, and what they are."""

    dataset: Dataset
    kind: str
    report: MixtureReport
    selection: Selection
    label: str = ""
    """The stage whose data they are; empty for sources of the stage's own `replay.data`."""
    generated: Mapping[str, Any] = field(default_factory=dict)
    """What a manifest says of how a model wrote them; empty for rows of any other kind."""

    @cached_property
    def usable(self) -> Numbers:
        """Return the rows to replay: of judged answers those that are good."""
        if self.kind != "judgements":
            return np.arange(len(self.dataset))
        return np.flatnonzero(np.array(self.dataset["label"], dtype=np.int64).reshape(-1) == 1)


class ReplayRows:
    """The rows of all parts, one after the other, each {input_ids, labels, seq_lengths}: lists of int."""

    def __init__(self, parts: Sequence[Part], seed: int, awaited: Lengths | None = None) -> None:
        """Take `awaited`, about what lengths those rows will have that a model is still to write, if it is."""
        self.parts, self.seed, self.awaited = tuple(parts), seed, awaited
        self._ends = np.cumsum([len(part.usable) for part in self.parts], dtype=np.int64)

    def __len__(self) -> int:
        return sum(len(part.usable) for part in self.parts) + (0 if self.awaited is None else len(self.awaited))

    def __getitem__(self, index: int) -> Ids:
        """Return a row; of a preference pair the prompt with the chosen answer."""
        place = int(np.searchsorted(self._ends, index, side="right"))
        part = self.parts[place]
        return language_row(part.dataset[int(part.usable[index - (self._ends[place - 1] if place else 0)])])

    @property
    def written_in(self) -> str:
        """Return the key of the entry of a workspace's cache that holds the rows that a model wrote; empty without."""
        return next((str(part.generated["kept_in"]) for part in self.parts if part.generated), "")

    @cached_property
    def lengths(self) -> Lengths:
        """Return the lengths of all rows."""
        known = [_lengths(part) for part in self.parts]
        known += [] if self.awaited is None else [(self.awaited.tokens, self.awaited.logits)]
        tokens, learned = zip(*known, strict=True)
        return Lengths(np.concatenate(tokens), np.concatenate(learned))

    def as_json(self, each: int) -> dict[str, Any]:
        """Return what a manifest says of them. `each`: rows in a step."""
        parts = [
            {"stage": part.label or None, **({"generated": part.generated} if part.generated else {}),
             **part.report.as_json()}
            for part in self.parts
        ]  # fmt: skip
        return {"rows": len(self), "each_step": each, "parts": parts}

    def drawn(self, step: int, count: int) -> list[int]:
        """Return the rows that a step replays: see `drawn`."""
        return drawn(self.seed, len(self), step, count)


def drawn(seed: int, rows: int, step: int, count: int) -> list[int]:
    """Return which of `rows` rows the step of that number, from 0, replays: `count` of them, each before any again."""
    found: list[int] = []
    while len(found) < count:
        round_, start = divmod(step * count + len(found), rows)
        found += _order(seed, rows, round_)[start : start + count - len(found)]
    return found


@lru_cache(maxsize=4)
def _order(seed: int, rows: int, round_: int) -> list[int]:
    order: list[int] = np.random.default_rng([seed, ORDER, round_]).permutation(rows).tolist()
    return order


def language_row(row: Any) -> Ids:
    """Return a prepared row of any kind as one with labels: of a pair the chosen answer, of a judged row its answer."""
    if "labels" in row:
        return {name: list(row[name]) for name in ("input_ids", "labels", "seq_lengths")}
    prompt, answer = list(row["prompt_ids"]), list(row["chosen_ids"] if "chosen_ids" in row else row["completion_ids"])
    ids = prompt + answer
    return {"input_ids": ids, "labels": [IGNORED] * len(prompt) + answer, "seq_lengths": [len(ids)]}


def _lengths(part: Part) -> tuple[Numbers, Numbers]:
    """Return (tokens, positions with loss) of a part's rows."""
    if part.kind in ("documents", "conversations"):
        known = lengths(part.dataset, part.kind)
        return known.tokens, known.logits
    answer = "chosen_ids" if part.kind == "preferences" else "completion_ids"
    prompts, answers = (sizes(part.dataset, column)[part.usable] for column in ("prompt_ids", answer))
    return prompts + answers, answers
