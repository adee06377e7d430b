"""Probability, random variables and probability distributions."""
