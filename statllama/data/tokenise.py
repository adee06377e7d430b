"""Examples to token ids with a mask of the tokens that carry loss.

Conversations are rendered whole, tokenised whole, and the mask follows from character offsets: the ids are
those of the tokenizer's own chat template. A token is learned when it begins and ends inside a learned span.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from statllama.data.chat import Chat, Tools, refuse_special, special_text
from statllama.data.examples import (
    Completion,
    Conversation,
    Document,
    Example,
    Judgement,
    Message,
    Preference,
    Question,
)
from statllama.data.masking import Span, Tokens, mask
from statllama.data.wordcache import WordCache, word_cache
from statllama.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TrainOn = Literal["responses", "all"]
# What ends a document; the tokenizer's eos where there is neither.
END_OF_TEXT = ("<|end_of_text|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference: `prompt` ends with the generation prompt, both answers with the end-of-turn token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer to a prompt, both as in a `Pair`, and whether it is a good one."""

    prompt: list[int]
    completion: list[int]
    label: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question: `ids` end with the generation prompt; the model writes what follows."""

    ids: list[int]
    question: Question


Sequences = list[Tokens] | list[Pair] | list[Judged] | list[Prompt]


@dataclass(frozen=True, slots=True)
class Encoding:
    """The tokenizer's output for one text: ids and character offsets [start, end) of each (none for documents)."""

    ids: list[int]
    offsets: list[Span]


MANY_CORES = 10
Finish = Callable[[list[Encoding]], Sequences]


class Tokeniser:
    """Turns examples into sequences. `tokenizer` must be a fast one (offsets).

    `train_on`: `responses` learns assistant turns (or completions) alone, `all` every token but the first.
    `max_length`: tokens of a piece of a document; other sequences are not cut here.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        train_on: TrainOn,
        max_length: int,
        chat_template: str | None = None,
    ) -> None:
        if not tokenizer.is_fast:
            raise DataError(
                f"the tokenizer {tokenizer.name_or_path} is not a fast one, so it gives no character offsets",
                remedy="use a model with a tokenizer.json",
            )
        self.tokenizer = tokenizer
        self.train_on = train_on
        self.max_length = max_length
        self.special = special_text(tokenizer)
        self.bos: list[int] = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        self._template = chat_template
        self._chat: Chat | None = None

    @cached_property
    def _words(self) -> WordCache | None:
        """Return the word cache for documents, which need no offsets; None when the tokenizer does not work word by
        word.

        And None on many cores, where the tokenizer's own threads are as fast.
        """
        if (os.cpu_count() or 1) >= MANY_CORES:
            return None
        return word_cache(self.tokenizer.backend_tokenizer)  # type: ignore[attr-defined]

    @property
    def chat(self) -> Chat:
        """Return the chat template, looked for when the first conversation comes."""
        self._chat = self._chat or Chat(self.tokenizer, self._template)
        return self._chat

    def encode(self, batch: Sequence[tuple[str, Example]]) -> list[Sequences]:
        """Return the sequences of each (where, example), with one call of the tokenizer for the batch."""
        jobs: list[tuple[list[str], Finish]] = []
        for where, example in batch:
            with _placed(where):
                jobs.append(self._job(example))
        documents = all(isinstance(example, Document) for _, example in batch)
        if documents and self._words is not None:  # in this order: the cache of a large vocabulary takes a second
            encoded = [Encoding(self._words.encode(text).tolist(), []) for (text,), _ in reversed(jobs)]
        else:
            encoded = self._call([text for texts, _ in jobs for text in texts])
        results = []
        for (where, _), (texts, finish) in zip(batch, jobs, strict=True):
            with _placed(where):
                results.append(finish([encoded.pop() for _ in texts]))
        return results

    def _call(self, texts: list[str]) -> list[Encoding]:
        """Return the encodings in reverse order, so that `pop` gives them in order."""
        found = self.tokenizer(
            texts,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        pairs = zip(found["input_ids"], found["offset_mapping"], strict=True)
        return [Encoding(ids, offsets) for ids, offsets in pairs][::-1]

    def _job(self, example: Example) -> tuple[list[str], Finish]:
        if isinstance(example, Conversation):
            return self._conversation(example)
        if isinstance(example, Document):
            refuse_special(self.special, [example.text])
            return [example.text], self._pieces
        if isinstance(example, Completion):
            refuse_special(self.special, [example.prompt, example.completion])
            return [example.prompt, example.completion], self._completion
        if isinstance(example, Question):
            return self._question(example)
        return self._judgement(example) if isinstance(example, Judgement) else self._preference(example)

    def _question(self, example: Question) -> tuple[list[str], Finish]:
        """Return the prompt as the chat template writes it with the generation prompt, or a plain string as it is."""
        if isinstance(example.prompt, str):
            refuse_special(self.special, [example.prompt])
            text = example.prompt
        else:
            text = self.chat.prompt(example.prompt, example.tools)

        def finish(encoded: list[Encoding]) -> list[Prompt]:
            return [Prompt(self._started(encoded[0].ids, []).ids, example)]

        return [text], finish

    def _conversation(self, example: Conversation) -> tuple[list[str], Finish]:
        if self.train_on == "all" and not all(message.learned for message in example.messages):
            raise DataError(
                "a message says `train: false` or `weight: 0`, but `train_on: all` takes loss on every token",
                remedy="set `train_on: responses`, or remove the key from the rows",
            )
        text, spans = self.chat.learned(example)

        def finish(encoded: list[Encoding]) -> list[Tokens]:
            (whole,) = encoded
            inside = mask(whole.offsets, spans).tolist() if self.train_on == "responses" else [True] * len(whole.ids)
            return [self._started(whole.ids, inside)]

        return [text], finish

    def _started(self, ids: list[int], learned: list[bool]) -> Tokens:
        """Return the tokens with BOS in front (unless the template wrote it) and no loss on the first token."""
        if self.bos and ids[:1] != self.bos:
            ids, learned = self.bos + ids, [False, *learned]
        return Tokens(ids, [False, *learned[1:]])

    def _pieces(self, encoded: list[Encoding]) -> list[Tokens]:
        """Return a document in pieces without overlap: each begins with BOS, the last ends with end-of-text."""
        ids = [*encoded[0].ids, self._end_of_text]
        size = self.max_length - len(self.bos)
        parts = [self.bos + ids[i : i + size] for i in range(0, len(ids), size)]
        return [Tokens(p, [False] + [True] * (len(p) - 1)) for p in parts]

    def _completion(self, encoded: list[Encoding]) -> list[Tokens]:
        prompt, answer = self.bos + encoded[0].ids, [*encoded[1].ids, self._eos()]
        everything = self.train_on == "all"
        return [Tokens(prompt + answer, [False] + [everything] * (len(prompt) - 1) + [True] * len(answer))]

    def _preference(self, example: Preference) -> tuple[list[str], Finish]:
        if isinstance(example.prompt, str):
            texts = [example.prompt, example.chosen, example.rejected]
            refuse_special(self.special, texts)
            return texts, self._plain_pair
        prompt, tools = example.prompt, example.tools
        rendered = [self._answered(prompt, answer, tools) for answer in (example.chosen, example.rejected)]

        def finish(encoded: list[Encoding]) -> list[Pair]:
            (prompt, chosen), (other, rejected) = (
                self._split(whole, start) for whole, (_, start) in zip(encoded, rendered, strict=True)
            )
            if prompt != other:
                raise DataError(
                    "the last token of the prompt depends on the answer: the tokenizer joins the end of the "
                    "template's header with the start of one answer",
                    remedy="remove white space from the start of the answers",
                )
            return [Pair(prompt, chosen, rejected)]

        return [text for text, _ in rendered], finish

    def _judgement(self, example: Judgement) -> tuple[list[str], Finish]:
        if isinstance(example.prompt, str):
            texts, start = [example.prompt, example.completion], 0
            refuse_special(self.special, texts)
        else:
            text, start = self._answered(example.prompt, example.completion, example.tools)
            texts = [text]

        def finish(encoded: list[Encoding]) -> list[Judged]:
            if len(encoded) == 2:
                prompt, completion = self.bos + encoded[0].ids, [*encoded[1].ids, self._eos()]
            else:
                prompt, completion = self._split(encoded[0], start)
            return [Judged(prompt, completion, example.label)]

        return texts, finish

    def _answered(self, prompt: tuple[Message, ...], answer: str, tools: Tools) -> tuple[str, int]:
        """Return the rendered text up to the answer's end-of-turn token, and where the answer begins."""
        turns = (*prompt, Message("assistant", answer))
        text, spans = self.chat.learned(Conversation(turns, len(prompt), tuple(tools)))
        start, end = spans[0]
        return text[:end], start

    def _split(self, whole: Encoding, start: int) -> tuple[list[int], list[int]]:
        answer = mask(whole.offsets, [(start, whole.offsets[-1][1])]).tolist()
        first = answer.index(True)
        prompt = whole.ids[:first]
        return (prompt if prompt[:1] == self.bos else self.bos + prompt), whole.ids[first:]

    def _plain_pair(self, encoded: list[Encoding]) -> list[Pair]:
        prompt, chosen, rejected = (e.ids for e in encoded)
        return [Pair(self.bos + prompt, [*chosen, self._eos()], [*rejected, self._eos()])]

    def _eos(self) -> int:
        if self.tokenizer.eos_token_id is None:
            raise DataError("the tokenizer has no eos token, so a completion cannot end", remedy="set its eos_token")
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def _end_of_text(self) -> int:
        known = self.tokenizer.get_added_vocab()
        found = [known[token] for token in END_OF_TEXT if token in known]
        return found[0] if found else self._eos()


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Puts `where` in front of the DataErrors raised inside."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error.message}", remedy=error.remedy) from None
