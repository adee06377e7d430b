"""Unsloth's real Llama path on a machine without a GPU, in processes of its own: see `spoof` and `checks`."""
