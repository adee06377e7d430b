"""Releases: the stack as one adapter, as merged weights, as GGUF, checked against what was trained."""
