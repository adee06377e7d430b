"""Talk to a trained stack: multi-turn, streaming, on one loaded base. Loads torch only when a reply is made."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statllama.data.chat import Chat
from statllama.data.examples import Message
from statllama.errors import UsageError
from statllama.runs.loaded import Loaded
from statllama.runs.subject import StackRef

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Sampling:
    """The choice of the next token. By default the likeliest always, as in the scores: what a release's card,
    `statllama serve` and the Modelfile set too. No penalty on repetition, whatever the base's settings say.
    """

    temperature: float = 0.0
    """0: always the likeliest token. Above 0: drawn from the distribution sharpened by 1 / temperature."""
    top_p: float = 1.0
    """With a temperature: sample from the likeliest tokens that hold this share of the probability."""
    max_tokens: int = 512
    """Maximum number of reply tokens."""
    seed: int = 0
    """Seed of the sampling."""


class Conversation:
    """The turns so far. A prompt that would not leave room for a reply is refused, and the turn not kept."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, positions: int, system: str | None = None) -> None:
        """Start a conversation of at most `positions` tokens. DataError when the tokenizer has no chat template."""
        self.chat, self.positions = Chat(tokenizer), positions
        self.turns: list[Message] = []
        self.system = system

    def prompt(self, text: str) -> list[int]:
        """Return the token ids of the conversation with `text` as the next user turn, up to where the reply begins.

        UsageError when it fills the model's context. What is typed is text: a special token's name in it stays text.
        """
        start = [Message("system", self.system)] if self.system else []
        marked = [*start, *self.turns, Message("user", text)]
        ids = self._encode(marked)
        if len(ids) >= self.positions:
            raise UsageError(
                f"the conversation has {len(ids):,} tokens, the model can look at {self.positions:,}",
                remedy="/reset forgets the conversation",
            )
        return ids

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of the rendered turns; the names of special tokens inside a turn are broken up, as text would
        be.
        """
        tokenizer = self.chat.tokenizer
        plain = [Message(m.role, self.chat.special.sub(lambda found: " ".join(found[0]), m.content)) for m in messages]
        text = self.chat.render(plain, generation_prompt=True)
        return [int(i) for i in tokenizer(text, add_special_tokens=False).input_ids]

    def add(self, question: str, reply: str) -> None:
        """Keep a turn of both sides. An empty reply leaves no trace: a template could not write it."""
        if reply.strip():
            self.turns += [Message("user", question), Message("assistant", reply)]

    def reset(self) -> None:
        """Forget all turns; the system prompt stays."""
        self.turns.clear()


def positions_of(model: Any, limit: int) -> int:
    """Return the tokens that the model can look at, at most `limit`."""
    return min(limit, getattr(model.config, "max_position_embeddings", None) or limit)


def stream(
    model: Any, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], positions: int, sampling: Sampling
) -> Iterator[str]:
    """Yield the pieces of the reply to a prompt (token ids), as they are made. Closing the iterator stops the model."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

    stop = threading.Event()

    class Stopped(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            return torch.full((input_ids.shape[0],), stop.is_set(), device=input_ids.device, dtype=torch.bool)

    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    prompt = torch.tensor([list(ids)], device=model.device)
    chosen: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    chosen["repetition_penalty"] = 1.0
    if sampling.temperature:
        chosen |= {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with torch.no_grad(), torch.random.fork_rng():
                torch.manual_seed(sampling.seed)
                model.generate(
                    input_ids=prompt,
                    attention_mask=torch.ones_like(prompt),
                    max_new_tokens=min(sampling.max_tokens, positions - len(ids)),
                    stopping_criteria=StoppingCriteriaList([Stopped()]),
                    pad_token_id=tokenizer.pad_token_id,
                    eos_token_id=stop_tokens(model, tokenizer),
                    streamer=streamer,
                    **chosen,
                )
        except BaseException as error:
            failed.append(error)
            streamer.end()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield from filter(None, streamer)
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


def stop_tokens(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token ids that end a reply: those of the model's generation settings, the tokenizer's own, and the
    one that the chat template ends a turn with.
    """
    own = getattr(model.generation_config, "eos_token_id", None)
    listed = own if isinstance(own, list) else [own]
    turn = Chat(tokenizer).end_of_turn if tokenizer.chat_template else None
    return sorted({int(i) for i in [*listed, tokenizer.eos_token_id, turn] if i is not None})


class Versions:
    """A stack and, on the same loaded base, a stack of its first adapters to set beside it."""

    def __init__(self, loaded: Loaded, stack: StackRef, precision: str) -> None:
        self.loaded, self.stack, self.precision = loaded, stack, precision

    @contextmanager
    def attached(self) -> Iterator[Any]:
        """Yield the loaded model with the whole stack on it."""
        from statllama.model.base_model import scoring

        with scoring(self.loaded.base(self.precision), self.loaded.adapters(self.stack.parts)) as model:
            yield model

    def only(self, model: Any, keys: Sequence[str]) -> AbstractContextManager[None]:
        """Make `model`, which carries the whole stack, answer as the stack of its first adapters `keys`."""
        from statllama.model.stack import up_to

        parts = self.stack.parts
        kept = [part for part in parts if part[0] in keys]
        return nullcontext() if kept == list(parts) else up_to(model, len(kept))
