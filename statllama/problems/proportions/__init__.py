"""Inference for proportions: intervals, tests, sample size, errors and conclusions."""
