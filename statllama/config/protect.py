"""What holds a stage near its parent: rows of general data beside its own, a KL term, an end when it drifts.

    L = L_stage + weight * CE(replayed rows) + coefficient * KL(parent || policy)

each a mean over the tokens it is taken on. The parent is the whole stack that a stage is trained on, on a base stage
the base itself; it is read from the same model, so no second one is loaded.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from statllama.config.keyed import AddedLater, Unkeyed
from statllama.config.source import SourceSpec
from statllama.config.spec import Count, NonNegative, Positive, Spec

REPLAY_WEIGHT = 0.5


class DriftSpec(Spec):
    """A cap on drift: how far a stage may move the model's predictions from those of the stack that it started from."""

    max: Positive
    """Cap on KL(stack || parent) on the probe texts (eval/probe), in nats per token. The stage ends after the first
    step measured above it, and its adapter is the last one measured within it; a stage that is above it at its first
    measurement fails. In bfloat16 drifts below about 1e-4 cannot be told from rounding."""
    every: Count = 10
    """Optimizer steps between measurements; the last step is measured too. One costs two forward passes over the probe
    texts, about 2,600 tokens."""


class GenerationsSpec(Spec):
    """Rows that the model wrote itself, before it learns: what it knew, without any data (self-synthesized rehearsal,
    arXiv 2403.01244; pseudorehearsal, Robins 1995).

    Each is a user's text and the model's answer to it. Without `prompts` the model writes the user's text too: it is
    given the chat template up to where that begins, and goes on (self-prompting, Magpie, arXiv 2406.08464).
    """

    count: Count
    """Rows to keep. At most 4 times as many are tried: see `data/generated.py` for what is dropped."""
    by: Literal["base", "parent"] = "base"
    """Who writes them: the base model, or the stack that the stage is trained on."""
    prompts: Annotated[tuple[SourceSpec, ...], Field(strict=False)] = ()
    """Sources whose first user turns are asked, each with its system turn; their answers are not read. None: the model
    asks itself."""
    max_tokens: Count = 256
    """Maximum number of tokens of an answer, and of a user's text that the model writes. What has no end within them
    is dropped."""
    temperature: NonNegative = 1.0
    """0: always the likeliest token, which needs `prompts`. 1: the model's own distribution."""
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.95
    """Nucleus sampling (arXiv 1904.09751): each token comes from the likeliest that hold this share of the
    probability."""

    @model_validator(mode="after")
    def _makes_different_rows(self) -> Self:
        if not self.temperature and not self.prompts:
            raise ValueError(
                "`temperature` 0 without `prompts` writes the same row each time: raise it, or give `prompts`"
            )
        if any(source.holdout is not None for source in self.prompts):
            raise ValueError("a source of `prompts` takes no `holdout`: put it at a source under the stage's `data`")
        if len({source.weight is None for source in self.prompts}) == 2:
            raise ValueError("`weight` is set for some sources only: set it for all of them or for none")
        return self


class ReplaySpec(Spec):
    """Rows of other data in every step, on which the model is to stay as good as it is.

    Experience replay: what was learned earlier is learned again beside the new (Robins 1995, "Catastrophic forgetting,
    rehearsal and pseudorehearsal"; arXiv 1811.11682). For language models a few percent of general data go a long way
    (arXiv 2403.08763).
    """

    data: Annotated[tuple[SourceSpec, ...], Field(strict=False)] = ()
    """Sources of rows to replay, such as general instructions."""
    stages: Annotated[tuple[str, ...], Field(strict=False), Unkeyed()] = ()
    """Stages below whose own data are replayed: of preference pairs the chosen answers, of judged ones the good ones.
    Not in the key by name: what their rows are made from is."""
    generations: Annotated[GenerationsSpec | None, AddedLater()] = None
    """Rows that the base, or the stack that the stage is trained on, writes itself. None: none."""
    train_on: Literal["responses", "all"] | None = None
    """Tokens of the rows of `data` and `generations` that carry loss, as in `sft`. None: as the stage itself."""
    share: Annotated[float, Field(ge=0, le=16, allow_inf_nan=False)] = 0.25
    """Rows in each step, as a share of `train.batch_size`: rounded, at least 1. They come on top of the stage's own
    rows. 0: none, the plain stage."""
    weight: NonNegative | None = None
    """Weight of their mean cross-entropy per token. None: 0.5. 0: they are not learned, and serve the anchor alone."""

    @property
    def strength(self) -> float:
        """Return the weight."""
        return REPLAY_WEIGHT if self.weight is None else self.weight

    def rows(self, batch_size: int) -> int:
        """Return the rows that are replayed in each step."""
        return max(1, round(self.share * batch_size)) if self.share else 0

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if not self.data and not self.stages and self.generations is None:
            raise ValueError(
                "give `data` (sources), `stages` (names of stages below) or `generations` (rows that the model writes "
                "itself), or several of them"
            )
        if any(source.holdout is not None for source in self.data):
            raise ValueError(
                "a source that is replayed takes no `holdout`: put it at a source under the stage's own `data`, or "
                "name the set under `evaluate.holdouts`; copies of what is held out are not replayed"
            )
        if len(set(self.stages)) != len(self.stages):
            raise ValueError("`stages` names a stage twice")
        if len({source.weight is None for source in self.data}) == 2:
            raise ValueError("`weight` is set for some sources only: set it for all of them or for none")
        if self.share == 0 and self.weight:
            raise ValueError(
                f"`weight` {self.weight:g} of a `share` of 0: no row is replayed; remove `weight` or `share`"
            )
        return self


class AnchorSpec(Spec):
    """A pull back to the parent: KL(parent || policy), the mean over tokens of the divergence over the vocabulary.

    Learning without forgetting (arXiv 1606.09282): the old model's answers, as probabilities, are targets beside those
    of the new task. The direction is that of distillation (arXiv 1503.02531): what the parent gives weight, the policy
    must not lose. It is exact, over the whole vocabulary.
    """

    on: Literal["own", "replay"] = "replay"
    """Where it is taken: on the tokens of the stage's `own` rows that carry loss (of preference pairs the chosen
    answers, of judged ones the good ones), or on those of the rows that `replay` gives."""
    coefficient: NonNegative | None = None
    """Weight of the divergence. 0: no anchor, the plain stage."""
    target: Positive | None = None
    """Divergence to hold, in nats per token, in place of a `coefficient`: that starts at 1 and after each step changes
    by up to 2 %, as arXiv 1909.08593 (section 2.2) has it: times 1 + 0.1 clip(KL / target - 1, -0.2, 0.2)."""

    @property
    def acts(self) -> bool:
        """Return whether it changes anything."""
        return self.coefficient != 0

    @model_validator(mode="after")
    def _one_strength(self) -> Self:
        if (self.coefficient is None) == (self.target is None):
            raise ValueError(
                "give `coefficient` (a fixed weight) or `target` (nats per token, the weight adapts), and only one"
            )
        return self
