"""What steps log of replay and anchor, and what a manifest says of it. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FIGURES = ("replay_loss", "anchor_kl", "anchor_coefficient")
"""What a step logs of its side rows: means over their tokens, in nats, and the coefficient that it used."""


def protection_of(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the manifest's figures: each as the mean over the last tenth of the steps; none of a stage without."""
    found = {}
    for name in FIGURES:
        values = [entry[name] for entry in history if name in entry]
        if tail := values[-max(1, len(values) // 10) :]:
            found[name] = sum(tail) / len(tail)
    return found
