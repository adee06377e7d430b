"""A run as it goes: its state from its events, on the disk for other processes, and the GPU beside it."""
