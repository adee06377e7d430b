"""Replay and anchor: the further passes of an optimizer step, beside those over the stage's own rows.

    L = L_stage + weight * CE(replayed rows) + coefficient * KL(parent || policy)

Each is a mean over the tokens of the whole step that it is taken on, whatever the passes and ranks, as the stage's own
loss is; the logged `loss` is L_stage alone. The parent is this model within `stack.up_to`: its hidden states are read
once without gradients, and logits of both are made of a few positions at a time.

Every forward pass has an autocast region of its own: within one, the cast copies of weights are kept, so that what a
pass without gradients has cast would be trained by none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from statllama.data.budget import deal
from statllama.data.collate import RowCollator
from statllama.data.fit import IGNORED
from statllama.data.work import Work
from statllama.errors import TrainingError
from statllama.model import stack
from statllama.model.hidden import hidden_states, project, supervised
from statllama.model.packed_attention import joins_rows
from statllama.train.side_losses import coefficient_after, side_loss
from statllama.train.step import Pass, Row, joined_passes, row_passes

if TYPE_CHECKING:
    from statllama.train.job import Job

TILE = 128
"""Positions whose logits are in memory at once."""
TRIED = 256  # tokens of the row on which the way to the logits is tried
ROUNDING = (1e-4, 0.05)  # of the largest logit, in float32 and in 16 bits
FIRST_KL = (1e-5, 0.1**2 / 2)  # what rounding makes of 0, nats per token


@dataclass(frozen=True)
class Side:
    """Rows of one step beside its own, and what is taken on them."""

    rows: Sequence[Row]
    weight: float
    """Of their cross-entropy; 0: none is taken."""
    anchored: bool


class Sides:
    """What a stage does beside its own rows. `of` a job; the trainer calls `take` in every step."""

    def __init__(self, job: Job) -> None:
        self.job, self.spec, self._tried = job, job.spec, False
        joined = job.base.backend == "unsloth" and joins_rows(job.base.model)
        self._collate = RowCollator(job.base.tokenizer.pad_token_id, job.base.backend, joined)
        self._split = joined_passes if joined else row_passes

    @classmethod
    def of(cls, job: Job) -> Sides | None:
        """Return the stage's sides; None where there are none, and the stage is the plain one."""
        return cls(job) if job.spec.replayed or job.spec.anchored_on else None

    def take(self, trainer: Any, model: Any, own: Sequence[Row]) -> None:
        """Add the gradients of a step's further losses, and log them. `own`: the stage's rows that may be anchored.

        All ranks call it; each takes its share.
        """
        ranks, device = self.job.ranks, trainer.args.device
        coefficient = self._coefficient(trainer.state.log_history)
        sides = self._sides(trainer.state.global_step, own)
        passes = [self._own_passes(side, trainer.micro_tokens) for side in sides]
        counts = ranks.gather([sum(_learned(one) for one in mine) for mine in passes])
        tokens = [max(1, sum(parts)) for parts in zip(*counts, strict=True)]
        if not self._tried:
            self._try(trainer, model, [one for mine in passes for one in mine][:1])
        sums, works = [], (Work(), Work())
        for side, mine, total in zip(sides, passes, tokens, strict=True):
            found = torch.zeros(2, dtype=torch.float64, device=device)
            scales = side.weight / total, coefficient / total if side.anchored else None
            for one in mine:
                found += self._pass(trainer, model, one, *scales)
                works = works[0] + _work(one), works[1] + _work(one) * side.anchored
            sums.append(found.tolist())
        self._log(trainer, sides, tokens, coefficient, ranks.gather((sums, *(work.as_json() for work in works))))

    def heaviest(self, budget: int) -> list[Pass]:
        """Return the passes over replayed rows that need the most memory under a budget."""
        if not self.spec.replayed or self.job.replay is None:
            return []
        groups = self.job.replay.lengths.heaviest(budget, self.spec.replayed)
        rows = [[self.job.replay[i] for i in group] for group in groups]
        return [max(self._passes(part, budget), key=lambda one: one.tokens) for part in rows]

    def try_pass(self, trainer: Any, model: Any, one: Pass) -> None:
        """Run a pass as a step does, for its need of memory."""
        anchored = self.spec.anchored_on == "replay"
        self._pass(trainer, model, one, 1.0, 1.0 if anchored else None)

    # ------------------------------------------------------------------ the rows of a step

    def _sides(self, step: int, own: Sequence[Row]) -> list[Side]:
        spec, replay = self.spec, self.job.replay
        found = []
        if spec.replayed and spec.replay is not None:
            assert replay is not None
            rows = [replay[i] for i in replay.drawn(step, spec.replayed)]
            found.append(Side(rows, spec.replay.strength, spec.anchored_on == "replay"))
        if spec.anchored_on == "own":
            found.append(Side(own, 0.0, True))
        return found

    def _own_passes(self, side: Side, budget: int) -> list[Pass]:
        """Return the passes over this rank's share of a side's rows."""
        ranks, rows = self.job.ranks, side.rows
        if ranks.size > 1:
            share = deal([len(row["input_ids"]) for row in rows], budget, ranks.size)[ranks.rank]
            rows = [rows[i] for i in share]
        return self._passes(rows, budget) if rows else []

    def _passes(self, rows: Sequence[Row], budget: int) -> list[Pass]:
        return self._split(rows, [len(row["input_ids"]) for row in rows], budget, self._collate)

    def _coefficient(self, log: Sequence[Mapping[str, Any]]) -> float:
        anchor = self.spec.anchor
        if anchor is None or not anchor.acts:
            return 0.0
        return (anchor.coefficient or 0.0) if anchor.target is None else coefficient_after(log, anchor.target)

    # ------------------------------------------------------------------ one pass

    def _pass(self, trainer: Any, model: Any, one: Pass, ce_scale: float, kl_scale: float | None) -> torch.Tensor:
        """Add the gradients of a pass; its cross-entropy and KL, sums in nats, (2,). `kl_scale`: None takes no KL."""
        trainer._held = one
        batch, backend = trainer._prepare_inputs(one.batch), self.job.base.backend
        autocast, scaler = trainer.accelerator.autocast, getattr(trainer.accelerator, "scaler", None)
        mask, targets = supervised(batch, IGNORED)
        parent = None
        if kl_scale is not None:
            with torch.no_grad(), stack.up_to(trainer.model), autocast():
                parent = hidden_states(model, batch, backend)[mask]
        with autocast():
            hidden = hidden_states(model, batch, backend)[mask]
        leaf = hidden.detach().requires_grad_()
        found = torch.zeros(2, dtype=torch.float64, device=hidden.device)
        scale = 1.0 if scaler is None else scaler.scale(torch.ones((), device=hidden.device))
        for start in range(0, len(targets), TILE):
            tile = slice(start, start + TILE)
            known = None
            if parent is not None:
                with torch.no_grad(), stack.up_to(trainer.model), autocast():
                    known = project(model, parent[tile])
            with autocast():
                logits = project(model, leaf[tile])
            part = side_loss(logits, targets[tile], known, ce_scale=ce_scale, kl_scale=kl_scale or 0.0)
            found += torch.stack([part.cross_entropy, part.kl])
            logits.backward((part.gradient * scale).to(logits.dtype))
        if leaf.grad is not None:
            hidden.backward(leaf.grad)
        return found

    def _log(
        self, trainer: Any, sides: Sequence[Side], tokens: Sequence[int], coefficient: float, heard: Sequence[Any]
    ) -> None:
        """Log the step's figures, of all ranks, and count what they computed."""
        figures: Any = trainer._metrics["train"]
        for i, (side, total) in enumerate(zip(sides, tokens, strict=True)):
            entropy, kl = (sum(sums[i][j] for sums, *_ in heard) / total for j in (0, 1))
            if side.weight:
                figures["replay_loss"].append(entropy)
            if side.anchored and side.rows:
                self._require_no_first_kl(trainer, kl)
                figures["anchor_kl"].append(kl)
                figures["anchor_coefficient"].append(coefficient)
        works = [[Work.from_json(part[place]) for part in heard] for place in (1, 2)]
        trained, read = (sum(parts, Work()) for parts in works)
        trainer.count_from(trainer.trained + trained, trainer.read + read)

    # ------------------------------------------------------------------ checks of the first step

    def _try(self, trainer: Any, model: Any, passes: Sequence[Pass]) -> None:
        """Check once that hidden states and head give the model's logits, and that the parent is the parents.

        TrainingError where a library computes them otherwise.
        """
        self._tried = True
        for one in passes:
            ids = trainer._prepare_inputs(one.batch)["input_ids"][:1, :TRIED]
            parents, autocast = range(len(self.job.parents)), trainer.accelerator.autocast
            with torch.no_grad(), stack.watched(trainer.model) as seen, stack.up_to(trainer.model), autocast():
                ours = project(model, hidden_states(model, {"input_ids": ids}, self.job.base.backend)).float()
                theirs = model(input_ids=ids, use_cache=False).logits.float()
            wide = self.job.base.dtype is torch.float32
            off = float((ours - theirs).abs().max() / theirs.abs().max())
            if seen != {parents} or not off <= ROUNDING[not wide]:
                raise TrainingError(
                    f"stage {self.spec.name}: on the first replayed or anchored row the logits of the stack below are "
                    f"not the model's (largest difference {off:.2g} of the largest logit)",
                    remedy="run `statllama doctor`: a version outside the known-good set may compute them otherwise",
                )

    def _require_no_first_kl(self, trainer: Any, kl: float) -> None:
        """Raise TrainingError where a fresh slice, which changes nothing, has a divergence from the parent."""
        fresh = trainer.fresh_start and trainer.state.global_step == 0
        if fresh and not abs(kl) <= FIRST_KL[self.job.base.dtype is not torch.float32]:
            raise TrainingError(
                f"stage {self.spec.name}: before the first step the anchor's divergence from the stack below is "
                f"{kl:.3g} and must be 0: what it is held to is not the stack below",
                remedy="run `statllama doctor`: a version outside the known-good set may ignore frozen adapters",
            )


def _learned(one: Pass) -> int:
    """Count the tokens of a pass that losses are taken on."""
    return int(one.batch["labels"][:, 1:].ne(IGNORED).sum())


def _work(one: Pass) -> Work:
    return Work(1, one.tokens, one.pairs, _learned(one))
