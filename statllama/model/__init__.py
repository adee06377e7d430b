"""The frozen base, and the adapters stacked on it."""
