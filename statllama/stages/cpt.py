"""Continual pre-training: next-token loss on documents.

Documents are cut into pieces of at most `max_length` tokens without overlap. Each piece starts with BOS and the last
piece of a document ends with end-of-text. With packing, pieces share a row without attending to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from statllama.config.stage import TrainingSpec

if TYPE_CHECKING:
    from statllama.train.job import Job

NUMERICS = 2
DATA_KIND = "documents"


class Spec(TrainingSpec):
    """`cpt` adds no field: it trains on every token but BOS."""

    type: Literal["cpt"]

    @property
    def train_on(self) -> str:
        """Return `all`: documents have no prompt to mask."""
        return "all"


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's SFTTrainer over the pieces."""
    from statllama.stages import _language

    return _language.make_trainer(job, model, arguments)
