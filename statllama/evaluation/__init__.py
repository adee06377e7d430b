"""Benchmarks asked of a model, and the meaning of the scores."""
