"""What a format verifies its artefacts with: the reference's answers, and what several artefacts share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, Self, TypeVar

from statllama.release.artefact import Artefact
from statllama.release.certificate import Check
from statllama.release.forms import Form, chat_ids
from statllama.release.source import Source
from statllama.release.verify_checks import REPLY_TOKENS, Reference, check_chats, check_stops, check_tokens

ROOM = REPLY_TOKENS + 8
"""Tokens that llama.cpp needs after a prompt."""

T = TypeVar("T")


class Exam:
    """One verification of a release; use it in `with`."""

    def __init__(
        self, source: Source, observed: Reference, tokenizer: Any, device: Any, artefacts: Sequence[Artefact]
    ) -> None:
        """Take all `artefacts` of the release, and the `device` that models in Transformers are put on."""
        self.source, self.observed, self.tokenizer, self.device = source, observed, tokenizer, device
        self.artefacts = tuple(artefacts)
        self.vocabulary = observed.logits[0].shape[-1]
        self.context = max(len(ids) for ids in (*(row.ids for row in observed.rows), *observed.prompts)) + ROOM
        """Tokens of the longest prompt and its reply."""
        self._made: dict[Hashable, Any] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returned when it was first asked for under this key."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def enter(self, key: Hashable, opened: Callable[[], AbstractContextManager[T]]) -> T:
        """Return what the context yielded when it was first asked for under this key; it is left with the exam."""
        return self.once(key, lambda: self._open.enter_context(opened()))

    def text(self, form: Form) -> Iterator[Check]:
        """Yield the checks of tokens, chats and stops, for a form that has a tokenizer of its own."""
        yield check_tokens(self.observed, form)
        yield from check_chats(self.observed, form, partial(chat_ids, self.tokenizer))
        yield check_stops(self.observed, form, self.tokenizer.convert_ids_to_tokens)
