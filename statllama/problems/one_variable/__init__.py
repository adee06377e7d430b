"""Exploring one-variable data: centre, spread, position, the normal model."""
