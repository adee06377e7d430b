"""What several modules of this topic use."""

from __future__ import annotations

from collections.abc import Sequence

# fmt: off


def _statistic(observed: Sequence[float], expected: Sequence[float]) -> float:
    return sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
