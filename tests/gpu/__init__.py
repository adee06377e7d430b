"""Tests that need a CUDA GPU with Unsloth: `pytest -m gpu`."""
