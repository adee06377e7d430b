"""Supervised fine-tuning on conversations, prompt-completion pairs or plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from statllama.config.stage import TrainingSpec

if TYPE_CHECKING:
    from statllama.train.job import Job

NUMERICS = 2
DATA_KIND = "conversations"


class Spec(TrainingSpec):
    """`sft` adds the choice of tokens that carry loss."""

    type: Literal["sft"]
    train_on: Literal["responses", "all"] = "responses"
    """`responses`: assistant turns (content and end-of-turn) alone. `all`: every token but BOS."""


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's SFTTrainer over the conversations."""
    from statllama.stages import _language

    return _language.make_trainer(job, model, arguments)
