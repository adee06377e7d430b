"""What a model answered on a benchmark, in sum: enough to see answers that do not depend on the question. No torch."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNREAD = "[invalid]"
"""lm-eval's word for a reply that none of the task's patterns found an answer in."""


@dataclass(frozen=True)
class Tally:
    """The answers to all items of a benchmark."""

    common: str
    """The answer given most often: a choice's text where every item has it at that place, else the place, such as
    `choice 2`; of generated replies what was read from them, without those that nothing was read from. Empty for
    none."""
    times: int
    """Items that it was given to."""
    right: int
    """Those of them that scored 1."""
    unread: int
    """Generated replies that no answer was read from."""
    digest: str
    """SHA-256 (hex) of all answers in document order, of whole replies where they were generated: two models with the
    same digest answered the same items alike."""


def tally(samples: Sequence[Mapping[str, Any]]) -> Tally | None:
    """Return the tally of the items' records (`TaskScore.samples`); None where items have no answers to choose from.

    >>> rows = [{"choices": ["A", "B"], "prediction": i, "score": s} for i, s in ((1, 1.0), (1, 0.0), (0, 1.0))]
    >>> found = tally(rows)
    >>> found.common, found.times, found.right
    ('B', 2, 1)
    """
    if all("generated" in sample for sample in samples):
        named = [str(sample["prediction"]) for sample in samples]
        said: list[Any] = [sample["generated"] for sample in samples]
    elif all("choices" in sample for sample in samples):
        places = [sample["prediction"] for sample in samples]
        names = {place: _choice(samples, place) for place in set(places)}
        named, said = [names[place] for place in places], places
    else:
        return None
    counts = Counter(name for name in named if name != UNREAD)
    common, times = max(counts.items(), key=lambda pair: pair[1], default=("", 0))
    right = sum(sample["score"] == 1 for name, sample in zip(named, samples, strict=True) if name == common)
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    return Tally(common, times, right, named.count(UNREAD), digest)


def _choice(samples: Sequence[Mapping[str, Any]], place: int) -> str:
    """Return the name of the choice at a place, counted from 0: its text where that is the same in every item."""
    texts = {sample["choices"][place] for sample in samples if place < len(sample["choices"])}
    return texts.pop() if len(texts) == 1 else f"choice {place + 1}"
