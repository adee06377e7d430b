"""What holds a stage near its parent."""

from __future__ import annotations

from statllama.config.spec import Count, Positive, Spec


class DriftSpec(Spec):
    """A cap on drift: how far a stage may move the model's predictions from those of the stack that it started from."""

    max: Positive
    """Cap on KL(stack || parent) on the probe texts (eval/probe), in nats per token. The stage ends after the first
    step measured above it, and its adapter is the last one measured within it; a stage that is above it at its first
    measurement fails. In bfloat16 drifts below about 1e-4 cannot be told from rounding."""
    every: Count = 10
    """Optimizer steps between measurements; the last step is measured too. One costs two forward passes over the probe
    texts, about 2,600 tokens."""
