"""A trained stack at work in this process: the model and its tokenizer, to ask or to hand to other libraries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from statllama.runs.chat import Conversation, Sampling, positions_of, stream
from statllama.runs.loaded import Loaded
from statllama.runs.subject import StackRef, Subject

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, repr=False)
class Specialist:
    """A base with its stack of adapters, frozen, in evaluation mode: `model, tokenizer = statllama.load("quickstart")`.

    A model without adapters is Transformers' own class, else a PEFT model around it.
    """

    name: str
    """Of the run or model."""
    stage: str
    """The stack's last stage, or `base`."""
    model: Any
    tokenizer: PreTrainedTokenizerBase
    positions: int
    """Tokens that a question and its reply may have together."""
    _loaded: Loaded = field(repr=False)

    @classmethod
    def load(cls, subject: Subject, stack: StackRef, loaded: Loaded) -> Self:
        """Load the base and put the stack on it. ModelError or StoreError when one of them is not sound."""
        from statllama.model.base_model import with_stack

        model = with_stack(loaded.base(subject.precision), loaded.adapters(stack.parts))
        positions = positions_of(model, subject.evaluate.max_length)
        return cls(subject.name, stack.name, model, loaded.tokenizer, positions, loaded)

    def __iter__(self) -> Iterator[Any]:
        """Yield model and tokenizer."""
        yield self.model
        yield self.tokenizer

    def __repr__(self) -> str:
        return f"<{self.name}, stage {self.stage}: {type(self.model).__name__}, {self.positions:,} positions>"

    def ask(
        self,
        question: str,
        *,
        system: str | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str:
        """Answer one question, as `statllama chat` does.

        `temperature` 0 takes the likeliest token always; above 0 tokens are drawn, with `top_p` from that likeliest
        share. UsageError when the question fills the context, DataError when the tokenizer has no chat template.
        """
        ids = Conversation(self.tokenizer, self.positions, system).prompt(question)
        sampling = Sampling(temperature, top_p, max_tokens, seed)
        return "".join(stream(self.model, self.tokenizer, ids, self.positions, sampling))
