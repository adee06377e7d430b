"""Sampling distributions of means and proportions, and the central limit theorem."""
