"""The card's scores as Hugging Face reads them: `model-index` of the metadata. Loads no torch.

Fields: https://github.com/huggingface/hub-docs/blob/main/modelcard.md (`model-index`). The parser that the tests hold
this to is huggingface_hub's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from statllama.config.benchmarks import TaskFile, chosen_tasks
from statllama.release.card_scores import Recorded

if TYPE_CHECKING:
    from statllama.evaluation.scores import TaskScore
    from statllama.runs.subject import Subject

METRICS = {"acc": "accuracy", "acc_norm": "accuracy", "exact_match": "exact_match"}
"""{lm-eval's name: the hub's name}; any other keeps its own."""


def model_index(subject: Subject, found: Recorded, name: str) -> dict[str, Any]:
    """Return `metrics` and `model-index` with the released stack's score on each benchmark; empty without scores.

    A value is a share from 0 to 1, or a loss on held-out rows in nats per token. None is verified: that is the hub's
    word for evaluations that the hub ran.
    """
    if not found.scores:
        return {}
    tasks = {task.name: task for task in chosen_tasks(subject.evaluate, subject.root)}
    scores = [of_task[found.last] for of_task in found.scores.values() if found.last in of_task]
    if not scores:
        return {}
    results = [
        {
            "task": {"type": "text-generation", "name": "Text generation"},
            "dataset": _held(score) if score.held else _dataset(tasks[score.task], score),
            "metrics": [
                {
                    "type": METRICS.get(score.unit.metric, score.unit.metric),
                    "value": round(score.unit.score(score.value) if score.unit.loss else score.value, 4),
                    "name": score.unit.metric,
                    "verified": False,
                }
            ],
        }
        for score in scores
    ]
    types = dict.fromkeys(METRICS.get(score.unit.metric, score.unit.metric) for score in scores)
    return {"metrics": [*types], "model-index": [{"name": name, "results": results}]}


def _held(score: TaskScore) -> dict[str, Any]:
    """Return a hold-out of the recipe, which is no dataset of the hub."""
    args = {"items": f"{score.n:,}", "version": score.version}
    return {"name": score.task, "type": "held-out-rows", "split": "holdout", "args": args}


def _dataset(task: TaskFile, score: TaskScore) -> dict[str, Any]:
    """Return the benchmark: a dataset of the hub with its commit, or by its own name."""
    config = task.config
    body: dict[str, Any] = {"name": task.name, "type": task.name}
    if not task.is_local:
        body["type"] = config["dataset_path"]
        if config.get("dataset_name"):
            body["config"] = config["dataset_name"]
        body["revision"] = (config.get("dataset_kwargs") or {})["revision"]
    body["split"] = str(config.get("test_split") or config.get("validation_split"))
    items = f"the first {score.n:,} of {score.total:,}" if score.limited else f"{score.n:,}"
    body["args"] = {"items": items, "version": score.version}
    return body
