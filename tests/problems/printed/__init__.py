"""Answers computed from printed questions alone, sharing nothing with the generator: one module a topic."""
