"""Exploring two-variable data: scatterplots, correlation, least squares, two-way tables."""
