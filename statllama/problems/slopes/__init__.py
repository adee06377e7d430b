"""Inference for the slope of a regression line."""
