"""Tries at rows that a model writes itself: it asks or is asked, and answers. Loads torch when it writes.

Every token is drawn by a number of its own (`evaluation/sampling.py`), which comes from the seed, the try and the
token's place, and tries are written in batches (`generated.ROWS`), always the same ones. So the same settings give the
same rows, whatever the budget of training is and however often the writing was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from statllama.config.protect import GenerationsSpec
from statllama.data.chat import Opening
from statllama.data.examples import Message, Question
from statllama.data.generated import CONTROL, EMPTY, LOOP, LOOPS, NO_END, NO_ROOM, Try, repetition
from statllama.data.tokenise import Prompt, Tokeniser
from statllama.errors import TrainingError
from statllama.runs.chat import stop_tokens
from statllama.runs.replying import GREEDY, replies_to

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from statllama.evaluation.replies import Reply

ASKING, ANSWERING = 0, 1  # what numbers are drawn for
BROKEN = ("\x00", "\ufffd")  # what no row may hold, and what stands for bytes that are no character


class Asking:
    """How a model is asked for rows: by prompts of the user's, or to ask itself."""

    def __init__(
        self,
        spec: GenerationsSpec,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[tuple[Message, ...]],
        longest: int,
    ) -> None:
        """Take `prompts`, turns that end with a user's: none where the model asks itself. `longest`: tokens of a row.

        DataError for a tokenizer without a chat template, or one that cannot be opened for a user's text.
        """
        self.spec, self.tokenizer, self.prompts, self.longest = spec, tokenizer, prompts, longest
        self.tokeniser = Tokeniser(tokenizer, train_on="responses", max_length=longest)
        self.opening: Opening | None = None if prompts else self.tokeniser.chat.opening()

    @cached_property
    def opened(self) -> list[int]:
        """Return the token ids that a user's text follows."""
        assert self.opening is not None
        ids = [int(i) for i in self.tokenizer(self.opening.before, add_special_tokens=False).input_ids]
        bos = self.tokeniser.bos
        return ids if ids[: len(bos)] == bos else bos + ids

    def fault(self, messages: Sequence[Message]) -> str:
        """Return what keeps a prompt from being asked; empty for nothing."""
        if any(self._broken(message.content) for message in messages):
            return CONTROL
        return NO_ROOM if len(self.ids(messages)) + self.spec.max_tokens > self.longest else ""

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids that an answer follows. DataError where the chat template refuses the turns."""
        ((prompt,),) = self.tokeniser.encode([("a prompt", Question(tuple(messages), {}))])
        assert isinstance(prompt, Prompt)
        return prompt.ids

    def read(self, reply: Reply, ends: Sequence[int], stop: str = "") -> tuple[str, str]:
        """Return what a reply says, and what keeps it from being a part of a row. `stop`: a text that ends it."""
        ids = [i for i in reply.ids if i not in ends]
        text = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        text = str(text).partition(stop)[0].strip() if stop else str(text).strip()
        if not reply.ended:
            return text, NO_END
        if not text:
            return text, EMPTY
        if self._broken(text):
            return text, CONTROL
        return text, LOOP if repetition(ids) > LOOPS else ""

    def _broken(self, text: str) -> bool:
        return self.tokeniser.special.search(text) is not None or any(sign in text for sign in BROKEN)


@dataclass
class Writer:
    """Writes tries with a loaded model, in evaluation mode and without gradients."""

    asking: Asking
    model: Any
    seed: int

    @cached_property
    def _ends(self) -> list[int]:
        return stop_tokens(self.model, self.asking.tokenizer)

    def write(self, numbers: Sequence[int]) -> list[Try]:
        """Return the tries of those numbers. TrainingError for one that does not fit into memory by itself."""
        asking, found, turns, spent = self.asking, dict[int, Try](), dict[int, tuple[Message, ...]](), dict[int, int]()
        if asking.opening is None:
            turns = {number: asking.prompts[number % len(asking.prompts)] for number in numbers}
        else:
            said = self._replies(dict.fromkeys(numbers, asking.opened), ASKING, asking.opening.stop)
            for number, reply in said.items():
                text, fault = asking.read(reply, self._ends, asking.opening.stop)
                spent[number] = len(reply.ids)
                if fault:
                    found[number] = Try((), spent[number], fault)
                else:
                    turns[number] = (Message("user", text),)
        for number, fault in {number: asking.fault(messages) for number, messages in turns.items()}.items():
            if fault:
                found[number] = Try((), spent.get(number, 0), fault)
        waiting = {number: asking.ids(turns[number]) for number in numbers if number not in found}
        for number, reply in self._replies(waiting, ANSWERING).items():
            text, fault = asking.read(reply, self._ends)
            row = [*((m.role, m.content) for m in turns[number]), ("assistant", text)]
            found[number] = Try(() if fault else tuple(row), spent.get(number, 0) + len(reply.ids), fault)
        return [found[number] for number in numbers]

    def _replies(self, prompts: Mapping[int, list[int]], purpose: int, stop: str = "") -> dict[int, Reply]:
        """Return {try: reply} to its prompt. `stop`: a text that ends a reply, beside the end of a turn."""
        from statllama.evaluation.replies import Manner, Sampling
        from statllama.evaluation.sampling import uniforms

        if not prompts:
            return {}
        spec, tokenizer, numbers = self.asking.spec, self.asking.tokenizer, list(prompts)
        stops = tuple(filter(None, (*(tokenizer.decode([i]) for i in self._ends), stop)))
        manner = Manner(stops, spec.max_tokens, {**GREEDY, "repetition_penalty": 1.0})
        sampling = None
        if spec.temperature:
            drawn = uniforms(self.seed, purpose, numbers, spec.max_tokens)
            sampling = Sampling(drawn, spec.temperature, spec.top_p)
        try:
            said = replies_to(self.model, tokenizer, list(prompts.values()), manner, sampling)
        except MemoryError:
            raise TrainingError(
                f"out of memory while the model writes a single row of `replay.generations`, {spec.max_tokens} tokens",
                remedy="lower `replay.generations.max_tokens`, or use a smaller base",
            ) from None
        return dict(zip(numbers, said, strict=True))
