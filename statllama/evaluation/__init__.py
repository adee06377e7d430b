"""Benchmarks asked of a model, and what the scores say."""
