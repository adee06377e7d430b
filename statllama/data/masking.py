"""Loss masks: from character spans to a mask, and a mask made visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Span = tuple[int, int]  # characters [start, end)


@dataclass(frozen=True, slots=True)
class Tokens:
    """One sequence: `ids`, and `learned`: whether each token carries loss (the first never does)."""

    ids: list[int]
    learned: list[bool]


def mask(offsets: Sequence[Span], spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Return the bool (n_tokens,): which tokens lie inside one of the character spans.

    A byte-level tokenizer may trim white space from offsets and so give an empty offset: such a token belongs
    to the span in which it ends.
    """
    start, end = np.asarray(offsets, dtype=np.int64).reshape(-1, 2).T
    inside = np.zeros(len(start), dtype=bool)
    for first, last in spans:
        inside |= (start >= first) & (end <= last) & (end > first)
    return inside


def show(tokenizer: PreTrainedTokenizerBase, tokens: Tokens) -> str:
    """Return the decoded sequence with the learned tokens between ⟦ and ⟧."""
    text, i = "", 0
    while i < len(tokens.ids):
        j = i
        while j < len(tokens.ids) and tokens.learned[j] == tokens.learned[i]:
            j += 1
        part = str(tokenizer.decode(tokens.ids[i:j], skip_special_tokens=False, clean_up_tokenization_spaces=False))
        text += f"⟦{part}⟧" if tokens.learned[i] else part
        i = j
    return text
