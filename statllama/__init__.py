"""Train a domain specialist out of a small Llama: one recipe, stacked QLoRA adapters, honest scores."""

__version__ = "0.1.0"
