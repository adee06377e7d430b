"""Collecting data: sampling methods, bias, experiments and the scope of conclusions."""
