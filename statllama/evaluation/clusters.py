"""Means of items, in clusters or weighted by their tokens, and the errors of these. Pure mathematics, no torch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

Clusters = Sequence[Hashable] | None
"""The cluster of each item; None where each item is one by itself."""
Weights = Sequence[int] | None
"""Tokens of each item, where its score is the mean over them and a mean of items counts each token once: an item is
then what a cluster of its tokens is. None where each item counts once."""


def mean_of(values: Sequence[float], weights: Weights = None) -> float:
    """Return the mean of items; with `weights` that over all of their tokens.

    >>> mean_of([1.0, 4.0], [2, 1])
    2.0
    """
    if weights is None:
        return math.fsum(values) / len(values)
    return math.fsum(w * v for v, w in zip(values, weights, strict=True)) / sum(weights)


def clustered_error(
    values: Sequence[float], sums: Sequence[tuple[float, int]], weights: Weights = None
) -> float | None:
    """Return the standard error of the mean of `values`; None for fewer than two clusters.

    `sums`: (sum, number) of each cluster's values. The root of G / (G - 1) times the sum over the G clusters of (sum -
    number x mean)^2, over n (Liang and Zeger 1986, Biometrika 73, 13-22). With clusters of one it is the usual one.
    With `weights` it is that of a ratio: losses of rows over tokens of rows (Cochran 1977, Sampling Techniques, 6.3).
    """
    n, count = len(values) if weights is None else sum(weights), len(sums)
    if count < 2:
        return None
    mean = mean_of(values, weights)
    squares = math.fsum((total - number * mean) ** 2 for total, number in sums)
    return math.sqrt(squares * count / (count - 1)) / n


def design_effect(values: Sequence[float], sums: Sequence[tuple[float, int]], weights: Weights = None) -> float:
    """Return the factor of the clusters on the variance of the mean of `values`, at least 1. `sums`: as `sums_of`."""
    plain = clustered_error(values, sums_of(values, None, weights), weights)
    of_clusters = clustered_error(values, sums, weights)
    return max(1.0, (of_clusters / plain) ** 2) if plain and of_clusters else 1.0


def sums_of(values: Sequence[float], clusters: Clusters, weights: Weights = None) -> list[tuple[float, int]]:
    """Return (sum, number) of the values of each cluster; with `weights` those of their tokens, without clusters."""
    if weights is not None:
        if clusters is not None:
            raise ValueError("items that are means over tokens have no clusters")
        return [(weight * value, weight) for value, weight in zip(values, weights, strict=True)]
    if clusters is None:
        return [(value, 1) for value in values]
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} items have {len(clusters)} clusters")
    found: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        found[cluster].append(value)
    return [(math.fsum(group), len(group)) for group in found.values()]
