"""Scores: TaskScore on a benchmark, Drift on probe texts. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import fmean
from typing import TYPE_CHECKING, Any

from statllama.config.benchmarks import BenchmarkError, TaskFile
from statllama.config.blind import Blind, blind_of
from statllama.config.metrics import HOLDOUT, LIKELIHOOD, LOG_PROBABILITY, by_likelihood, rubric_column
from statllama.errors import EvaluationError
from statllama.evaluation.clusters import Weights, clustered_error, sums_of
from statllama.evaluation.held_out import spoken
from statllama.evaluation.rubric import earned
from statllama.evaluation.tally import Tally, tally
from statllama.evaluation.unit import Unit, unit_of

if TYPE_CHECKING:
    from statllama.evaluation.requests import Item, Requests

# The first of these that a task reports is its headline figure.
HEADLINE = ("acc", "exact_match")


@dataclass(frozen=True)
class TaskScore:
    """One model on one benchmark. Shares lie between 0 and 1; `items`, `item_ids` are in document order.

    Of a hold-out scores are log-probabilities, nats per token, 0 or less: see `held_score.py`.
    """

    task: str
    version: str
    """`metadata.version` of the task file, or lm-eval's word for none."""
    metric: str
    """The headline metric: `acc` where the task has it, else `exact_match`, else its first."""
    value: float
    """Mean of `items`, with `weights` over all tokens."""
    stderr: float | None
    """Standard error of `value`, of clusters where items have some: see `paired.clustered_error`."""
    items: tuple[float, ...]
    """Each item's score."""
    item_ids: tuple[str, ...]
    """First 16 hex digits of the SHA-256 of each item's columns: equal ids are the same question."""
    n: int
    """Items scored."""
    total: int
    """Items that the benchmark has; more than `n` when `limit` cut it short."""
    truncated: int
    """Items whose prompt was cut on the left to fit `max_length`."""
    seconds: float
    """Wall-clock time of this benchmark, data loading included."""
    unfinished: int = 0
    """Items whose reply was cut at the benchmark's `max_gen_toks` instead of ending by itself."""
    others: dict[str, float] = field(default_factory=dict)
    """Further metrics of the task: `{metric: mean}`, or `{metric,filter: mean}` with several filters."""
    clusters: tuple[str, ...] | None = None
    """The cluster of each item, from the column that the task file's `metadata.cluster` names; None without one."""
    chance: float | None = None
    """Share that guessing gets right: mean of right choices over choices. None where items have no choices."""
    blind: Blind | None = None
    """Blind baseline that the task file states; None without one, and for other items than the benchmark's own."""
    answered: Tally | None = None
    """The answers in sum; None where items have none to choose from, and in records before it was kept."""
    weights: tuple[int, ...] | None = None
    """Tokens of each item, where its score is the mean over them and the whole one that over all tokens; else None."""
    samples: tuple[dict[str, Any], ...] = field(default=(), compare=False, repr=False)
    """A JSON-able record of each item: prompt, answer, prediction, score. Not part of `to_json`."""

    @property
    def limited(self) -> bool:
        """Return whether only a part of the benchmark was scored."""
        return self.n < self.total

    @property
    def smooth(self) -> bool:
        """Return whether items are scored by how likely their answers are: see `paired.paired_change`."""
        return self.metric in (LIKELIHOOD, LOG_PROBABILITY)

    @property
    def held(self) -> bool:
        """Return whether it is of a hold-out of the recipe."""
        return self.task.startswith(HOLDOUT)

    @property
    def unit(self) -> Unit:
        """Return what people read its figures as."""
        return unit_of(self.metric)

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values without the samples; `from_json` gives an equal TaskScore back."""
        data = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "samples"}
        clusters = None if self.clusters is None else list(self.clusters)
        weights = None if self.weights is None else list(self.weights)
        lists = {"items": list(self.items), "item_ids": list(self.item_ids), "clusters": clusters, "weights": weights}
        parts = {name: part and asdict(part) for name, part in (("blind", self.blind), ("answered", self.answered))}
        return {**data, **lists, **parts, "others": dict(self.others)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], samples: Sequence[dict[str, Any]] = ()) -> TaskScore:
        """Return the TaskScore that `to_json` wrote. Raises EvaluationError for a record of another shape."""
        try:
            lists = {name: tuple(data[name]) for name in ("items", "item_ids")}
            clusters = None if data.get("clusters") is None else tuple(data["clusters"])
            weights: Weights = None if data.get("weights") is None else tuple(data["weights"])
            kinds: tuple[tuple[str, Any], ...] = (("blind", Blind), ("answered", Tally))
            parts = {name: kind(**data[name]) for name, kind in kinds if data.get(name)}
            return cls(**{**data, **lists, **parts, "clusters": clusters, "weights": weights}, samples=tuple(samples))
        except (KeyError, TypeError) as error:
            raise EvaluationError(f"not a recorded score: {error}", remedy="score it again") from error


def floor_known(scores: Iterable[TaskScore]) -> tuple[float | None, Blind | None]:
    """Return chance and the blind baseline of one benchmark, from the first of its scores that has them: scores that
    were recorded before they were kept have none.
    """
    known = list(scores)
    chance = next((score.chance for score in known if score.chance is not None), None)
    return chance, next((score.blind for score in known if score.blind is not None), None)


@dataclass(frozen=True)
class Drift:
    """Divergence of a stack's predictions from its parent's and from the base's: nats per token, mean over `tokens`.

    Both are 0 for the base itself, and equal for a stack of one adapter, whose parent is the base.
    """

    to_parent: float
    """KL(stack || the stack without its last adapter)."""
    to_base: float
    """KL(stack || base)."""
    tokens: int
    """Positions of the probe texts that were compared."""


def collect(
    task: TaskFile,
    asked: Requests,
    judged: Mapping[str, Sequence[Mapping[str, Any]]],
    cut: int,
    unfinished: int,
    seconds: float,
) -> TaskScore:
    """Return what lm-eval's task object says of a model's answers as a TaskScore. `judged`: see `Requests.judge`,
    `cut` is `truncated`.

    Raises EvaluationError when the headline metric is not the mean of the items' scores, BenchmarkError for a column of
    clusters that is missing or constant.
    """
    loaded = asked.loaded
    means = asked.means(judged)
    metrics = list(dict.fromkeys(metric for metric, _ in means))
    if not metrics:
        raise EvaluationError(f"{task.path}: the task reports no metric")
    metric = next((name for name in HEADLINE if name in metrics), metrics[0])
    chosen = next(name for m, name in means if m == metric)
    items = tuple(float(scores[metric]) for scores in judged[chosen])
    _require_numbers(task, asked.items, items)
    value = math.fsum(items) / len(items)
    if abs(value - means[metric, chosen]) > 1e-9:
        raise EvaluationError(f"{task.path}: `{metric}` is not the mean of the items' scores")
    rows = [item.doc for item in asked.items]
    clusters = clusters_of(task, rows, whole=len(rows) == len(loaded.eval_docs))
    samples = tuple(_sample(task, loaded, item, chosen, score) for item, score in zip(asked.items, items, strict=True))
    several = len({name for _, name in means}) > 1
    others = {f"{m},{f}" if several else m: v for (m, f), v in means.items() if (m, f) != (metric, chosen)}
    return TaskScore(
        task=task.name,
        version=str(loaded.VERSION),
        metric=metric,
        value=value,
        stderr=clustered_error(items, sums_of(items, clusters)),
        items=items,
        item_ids=tuple(item.id for item in asked.items),
        n=len(items),
        total=len(loaded.eval_docs),
        truncated=cut,
        seconds=seconds,
        unfinished=unfinished,
        others=others,
        clusters=clusters,
        chance=_chance(loaded, asked.items),
        blind=None if task.replaced else blind_of(task.config),
        answered=tally(samples),
        samples=samples,
    )


def _require_numbers(task: TaskFile, items: Sequence[Item], scores: Sequence[float]) -> None:
    """Raise EvaluationError for a score that is not finite: no test says anything about it."""
    for item, score in zip(items, scores, strict=True):
        if not math.isfinite(score):
            raise EvaluationError(
                f"{task.name}: the score of item {item.number + 1} is {score}, which is no number to compare",
                remedy="the metric of the benchmark's task file must be finite for every item",
            )


def _require_likelihoods(task: TaskFile, item: Item, loglikelihoods: Sequence[float]) -> None:
    """Raise EvaluationError for a likelihood that is not a number: which answer is the likeliest is then arbitrary."""
    if any(map(math.isnan, loglikelihoods)):
        raise EvaluationError(
            f"{task.name}: the model's predictions on item {item.number + 1} are not numbers, so it has no score",
            remedy="its weights are damaged or out of range: train the stage again with a lower learning rate, or with "
            "`train.precision: float32`",
        )


def _chance(loaded: Any, items: Sequence[Item]) -> float | None:
    """Return the share that guessing gets right; None where items have no choices. An item may have several answers."""
    if not loaded.config.doc_to_choice:
        return None
    right = (len(item.target) if isinstance(item.target, list) else 1 for item in items)
    return fmean(one / len(loaded.doc_to_choice(item.doc)) for one, item in zip(right, items, strict=True))


def clusters_of(task: TaskFile, rows: Sequence[Mapping[str, Any]], *, whole: bool) -> tuple[str, ...] | None:
    """Return the cluster of each row of a benchmark; None where the task file names no column, and where a user's own
    questions do not have it.

    `whole`: whether these are all rows; the first few may well be of one cluster. BenchmarkError for a column that is
    missing or constant.
    """
    column = (task.config.get("metadata") or {}).get("cluster")
    if column is None or (task.replaced and not any(column in row for row in rows)):
        return None
    where = str(task.files[0]) if task.replaced else str(task.path)
    out = "take the column out of all rows" if task.replaced else "take `cluster` out of the task file's `metadata`"
    found = tuple(str(row[column]) for row in rows if row.get(column) is not None)
    if len(found) < len(rows):
        missing = next(number for number, row in enumerate(rows, start=1) if row.get(column) is None)
        raise BenchmarkError(
            f"{where}: `metadata.cluster` names the column {column!r}, which row {missing} does not have",
            remedy=f"fill the column in every row, or {out}",
        )
    if whole and len(rows) > 1 and len(set(found)) == 1:
        raise BenchmarkError(
            f"{where}: all {len(rows)} items have the {column} {found[0]!r}: one cluster says nothing of others",
            remedy=f"name a column whose values differ, or {out}",
        )
    return found


def _sample(task: TaskFile, loaded: Any, item: Item, chosen: str, score: float) -> dict[str, Any]:
    """Return one item's record: what the model was shown, what was right, what it answered. `chosen`: a filter."""
    doc, first = item.doc, item.requests[0]
    record: dict[str, Any] = {"id": item.id, "row": item.number + 1, "score": score}
    if isinstance(topic := doc.get("topic"), str):
        record["topic"] = topic
    if isinstance(question := loaded.doc_to_text(doc), str):
        record["question"] = question  # without examples and template
    record["prompt"] = first.args[0]
    if loaded.OUTPUT_TYPE == "generate_until":  # the target is the number of a choice, where the task has choices
        if column := rubric_column(task.config):
            reached = zip(doc[column], earned(doc[column], first.filtered_resps[chosen]), strict=True)
            record["points"] = [{"part": p["part"], "for": p["earns"], "earned": got} for p, got in reached]
        return record | {
            "answer": loaded.doc_to_choice(doc)[item.target] if loaded.config.doc_to_choice else item.target,
            "generated": first.resps[0],
            "prediction": first.filtered_resps[chosen],
        }
    if loaded.OUTPUT_TYPE == "loglikelihood":
        loglikelihood, greedy = first.filtered_resps[chosen]
        _require_likelihoods(task, item, [loglikelihood])
        said = spoken(score) if by_likelihood(task.config) else greedy
        return record | {"answer": item.target, "prediction": said, "loglikelihoods": [loglikelihood]}
    choices = loaded.doc_to_choice(doc)
    loglikelihoods = [float(request.filtered_resps[chosen][0]) for request in item.requests][: len(choices)]
    _require_likelihoods(task, item, loglikelihoods)
    best = max(range(len(choices)), key=loglikelihoods.__getitem__)
    return record | {
        "choices": choices,
        "answer": item.target,
        "prediction": best,
        "loglikelihoods": loglikelihoods,
    }
