"""Seeded text generators of the quickstart: a general world for the base, statistics for the stages."""
