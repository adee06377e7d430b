"""Inference for categorical data: chi-square tests."""
