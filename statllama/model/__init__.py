"""The frozen base, and the adapters that are stacked on it."""
