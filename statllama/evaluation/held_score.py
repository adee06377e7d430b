"""The score of a stack on held-out rows: their loss, or of preference pairs how many it ranks right.

A hold-out is a benchmark among the others, named `holdout:NAME`, whose items are its rows. Its score is the mean
log-probability of the supervised tokens in nats, all tokens alike: minus the loss, so that higher is better as
everywhere; people read it as the loss. An item is a row with the mean of its own tokens, and weighs as much as it has
tokens. Of pairs the score is the share whose chosen completion is likelier than the rejected one by the mean of its
tokens, and beside it stands the loss of the chosen completions. Items stand in the order of their ids, since the same
rows may be read from another file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from statllama.config.metrics import HOLDOUT, LOG_PROBABILITY
from statllama.data.fit import IGNORED
from statllama.data.holdout import HeldKind
from statllama.data.work import Work
from statllama.errors import EvaluationError
from statllama.evaluation.answers import Answers, Progress
from statllama.evaluation.clusters import clustered_error, mean_of, sums_of
from statllama.evaluation.scores import TaskScore

if TYPE_CHECKING:
    from statllama.data.holdout import Holdout
    from statllama.evaluation.held_loss import RowLoss

# Raised when this module would score the same model on the same rows differently.
HELD_PROTOCOL = 1
METHOD = "holdout"  # of an answer that is kept


@dataclass(frozen=True)
class HeldTask:
    """A hold-out as a benchmark: what its score is kept by, without its rows."""

    name: str
    """`holdout:NAME`."""
    kind: HeldKind
    rows: int
    fingerprint: str
    kept_in: str = ""
    """Key of the entry of a workspace's cache that holds the rows."""

    @classmethod
    def of(cls, held: Holdout) -> HeldTask:
        """Return what a hold-out is scored as."""
        return cls(task_name(held.name), held.kind, len(held.ids), held.fingerprint, held.kept_in)

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values, of which `HeldTask(**...)` is equal."""
        return asdict(self)


def task_name(holdout: str) -> str:
    """Return the name under which a hold-out is scored.

    >>> task_name("sft")
    'holdout:sft'
    """
    return f"{HOLDOUT}{holdout}"


def protocol_key(name: str, fingerprint: str, stack: Sequence[object], base: object, compute: str) -> dict[str, Any]:
    """Return everything that can change a stack's score on a hold-out, to be hashed. See `suite.protocol_key`.

    How benchmarks are asked has no part in it: the rows are tokenised as their stage trains on them.
    """
    return {
        "held": HELD_PROTOCOL,
        "transformers": version("transformers"),
        "compute": compute,
        "base": base,
        "stack": list(stack),
        "tasks": {name: fingerprint},
    }


@dataclass(frozen=True)
class Asked:
    """How a hold-out is scored: the budget of a pass, and who is told of what."""

    micro_tokens: int
    on_pass: Callable[[Work], None]
    on_short: Callable[[int], None]
    on_progress: Progress | None = None


def score_held(held: Holdout, model: Any, tokenizer: Any, answers: Answers, asked: Asked) -> TaskScore:
    """Return the score of a model on held-out rows. `answers`: the losses known from a scoring that was killed.

    EvaluationError for a loss that is not a number, and where a single row does not fit into memory.
    """
    from statllama.evaluation.held_loss import row_losses

    started, name = time.perf_counter(), task_name(held.name)
    order = sorted(range(len(held.ids)), key=held.ids.__getitem__)
    known = {place: found[0] for place, row in enumerate(held.ids) if (found := answers.get(METHOD, (row,)))}
    waiting = [place for place in range(len(held.ids)) if place not in known]

    def tell() -> None:
        if asked.on_progress is not None:
            asked.on_progress(len(known), len(held.ids), name)

    def keep(number: int, loss: Any) -> None:
        place = waiting[number]
        parts = loss if isinstance(loss, tuple) else (loss,)
        known[place] = tuple(figure for part in parts for figure in (part.loss, part.tokens))
        answers.add(METHOD, (held.ids[place],), known[place], True)
        tell()

    tell()
    row_losses(
        model,
        [held.dataset[place] for place in waiting],
        held.kind,
        micro_tokens=asked.micro_tokens,
        pad=tokenizer.pad_token_id or 0,
        on_row=keep,
        on_pass=asked.on_pass,
        on_short=asked.on_short,
    )
    losses = {place: _losses(known[place]) for place in order}
    for place in range(len(held.ids)):
        if not all(math.isfinite(loss.loss) for loss in losses[place]):
            raise EvaluationError(
                f"{name}: the model's predictions on row {place + 1} are not numbers, so it has no loss",
                remedy="its weights are damaged or out of range: train the stage again with a lower learning rate, or "
                "with `train.precision: float32`",
            )
    return _score(held, losses, tokenizer, time.perf_counter() - started)


def _losses(figures: Sequence[float]) -> tuple[RowLoss, ...]:
    from statllama.evaluation.held_loss import RowLoss

    return tuple(RowLoss(figures[i], int(figures[i + 1])) for i in range(0, len(figures), 2))


def _score(held: Holdout, losses: Mapping[int, tuple[RowLoss, ...]], tokenizer: Any, seconds: float) -> TaskScore:
    """Return the score of {place of a row: its losses}, in that order."""
    from statllama.evaluation.held_loss import per_token, prefers

    first = [found[0] for found in losses.values()]  # of a pair the chosen completion
    loss = per_token(first)
    others = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
    weights: tuple[int, ...] | None = None
    if held.kind == "preferences":
        items = tuple(float(prefers((found[0], found[1]))) for found in losses.values())
        others |= {"loss_of_rejected": per_token([found[1] for found in losses.values()])}
    else:
        items, weights = tuple(-row.mean for row in first), tuple(row.tokens for row in first)
    samples = (
        {"id": held.ids[place], "row": place + 1, "score": score, **_said(held.dataset[place], found, tokenizer)}
        for (place, found), score in zip(losses.items(), items, strict=True)
    )
    return TaskScore(
        task=task_name(held.name),
        version=str(HELD_PROTOCOL),
        metric=LOG_PROBABILITY if weights else "acc",
        value=mean_of(items, weights),
        stderr=clustered_error(items, sums_of(items, None, weights), weights),
        items=items,
        item_ids=tuple(held.ids[place] for place in losses),
        n=len(items),
        total=len(items),
        truncated=0,
        seconds=seconds,
        others=others,
        weights=weights,
        samples=tuple(samples),
    )


def _said(row: Mapping[str, Sequence[int]], found: Sequence[RowLoss], tokenizer: Any) -> dict[str, Any]:
    """Return what a reader is shown of a row: prompt, supervised text, and the loss of it."""
    means = [f"{loss.mean:.3f} nats per token" for loss in found]
    if "chosen_ids" in row:
        prompt, chosen, rejected = (tokenizer.decode(row[f"{part}_ids"]) for part in ("prompt", "chosen", "rejected"))
        said = f"chosen {means[0]}, rejected {means[1]}"
        return {"prompt": prompt, "answer": chosen, "rejected": rejected, "prediction": said}
    start = next((i for i, label in enumerate(row["labels"]) if i and label != IGNORED), len(row["labels"]))
    prompt, answer = tokenizer.decode(row["input_ids"][:start]), "".join(_supervised(row, tokenizer))
    return {"prompt": prompt, "answer": answer, "prediction": means[0]}


def _supervised(row: Mapping[str, Sequence[int]], tokenizer: Any) -> Iterator[str]:
    """Yield the stretches of a row that carry loss, as text, with dots between them."""
    stretch: list[int] = []
    told = False
    for token, label in zip(row["input_ids"][1:], row["labels"][1:], strict=True):
        if label != IGNORED:
            stretch.append(token)
        elif stretch:
            yield f"{' … ' * told}{tokenizer.decode(stretch)}"
            stretch, told = [], True
    if stretch:
        yield f"{' … ' * told}{tokenizer.decode(stretch)}"


def work_of(held: Holdout, micro_tokens: int, *, on_cpu: bool) -> Work:
    """Return what scoring a model on a hold-out computes."""
    from statllama.evaluation.held_loss import planned_work

    rows = [held.dataset[place] for place in range(len(held.ids))]
    return planned_work(rows, held.kind, micro_tokens, on_cpu=on_cpu)
