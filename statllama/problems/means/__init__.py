"""Inference for means: t intervals, one-sample, paired and two-sample t tests."""
