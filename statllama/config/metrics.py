"""The metrics of a benchmark: which there are, what each needs of a task file, and how the two of ours are told.

`points` are earned by a rubric (`evaluation/rubric.py`). `likelihood` is how likely a model finds each item's answer,
by the byte (`evaluation/held_out.py`); the rest are lm-eval's own. `log_probability` is that of a recipe's held-out
rows, by the token (`evaluation/held_score.py`), of which no task file may speak: people read it as a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.errors import near

# Per-item 0/1 scores whose mean is the result: what a paired comparison needs.
METRICS = ("acc", "acc_bytes", "acc_mutual_info", "acc_norm", "exact_match")
POINTS = "points"
LIKELIHOOD = "likelihood"
BITS = "bits_per_byte"  # reported beside `likelihood`: its loss
LOG_PROBABILITY = "log_probability"  # nats per supervised token, 0 or less: higher is better, as of all metrics
HOLDOUT = "holdout:"  # begins the name under which a hold-out is scored: no task file's name has a colon

Fault = tuple[str, str | None]
"""(what is wrong, how to mend it)"""


def rubric_column(config: Mapping[str, Any]) -> str | None:
    """Return the column with the rubric that a task's replies are scored by, or None: see `evaluation/rubric.py`."""
    metadata = config.get("metadata")
    return metadata.get("rubric") if isinstance(metadata, Mapping) else None


def by_likelihood(config: Mapping[str, Any]) -> bool:
    """Return whether a task is scored by the likelihood of its answers."""
    metrics = config.get("metric_list")
    return isinstance(metrics, list) and any(isinstance(m, dict) and m.get("metric") == LIKELIHOOD for m in metrics)


def metric_fault(config: Mapping[str, Any]) -> Fault | None:
    """Return what is wrong with a task's metrics: an unknown one would be fetched as code from the hub, and run."""
    metrics = config.get("metric_list")
    by_points = rubric_column(config) is not None
    if by_points and (fault := _points_fault(config)):
        return fault
    if metrics is None:
        if config.get("output_type", "generate_until") == "loglikelihood":
            return "`metric_list` is missing", "write `metric_list: [{metric: acc}]`"
        return None
    if not isinstance(metrics, list) or not metrics or not all(isinstance(item, dict) for item in metrics):
        return "`metric_list` must be a list of mappings such as `- metric: acc`", None
    alone = by_likelihood(config)
    if alone and (fault := _likelihood_fault(config)):
        return fault
    allowed = (POINTS,) if by_points else (LIKELIHOOD,) if alone else METRICS
    for item in metrics:
        name = item.get("metric")
        if name not in allowed:
            return f"`metric` is {name!r}; {near(str(name), (*allowed, LIKELIHOOD))}", None
        if item.get("hf_evaluate"):
            return "`hf_evaluate` fetches code from the hub and is not supported", None
        if item.get("aggregation", "mean") != "mean" or item.get("higher_is_better", True) is not True:
            return f"metric {name} must have `aggregation: mean`, `higher_is_better: true`", None
    return None


def _points_fault(config: Mapping[str, Any]) -> Fault | None:
    """Refuse a rubric where there is nothing that it could score, or something else that scores."""
    if not isinstance(rubric_column(config), str):
        return "`metadata.rubric` must name the column that holds the rubric", None
    if config.get("output_type", "generate_until") != "generate_until" or config.get("metric_list") is None:
        remedy = f"write `output_type: generate_until` and `metric_list: [{{metric: {POINTS}}}]`"
        return "`metadata.rubric` scores replies by points", remedy
    for name in ("filter_list", "process_results", "doc_to_choice"):
        if config.get(name) is not None:
            return f"`{name}` does not go with `metadata.rubric`", "remove one of the two"
    return None


def _likelihood_fault(config: Mapping[str, Any]) -> Fault | None:
    """Refuse `likelihood` where there is not one answer, in a column, whose likelihood is asked for."""
    if config.get("output_type") != "loglikelihood":
        return f"`metric: {LIKELIHOOD}` needs `output_type: loglikelihood`", "write it"
    if not isinstance(target := config.get("doc_to_target"), str) or not target.isidentifier():
        return f"`metric: {LIKELIHOOD}` needs the answer's column in `doc_to_target`, not {target!r}", None
    for name in ("filter_list", "process_results"):
        if config.get(name) is not None:
            return f"`{name}` does not go with `metric: {LIKELIHOOD}`", "remove one of the two"
    return None
