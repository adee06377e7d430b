"""The fixed probe texts on which drift is measured (`eval/probe`), as token ids. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from statllama.config.shipped import shipped_root
from statllama.data.examples import Conversation, Document, Message
from statllama.data.masking import Tokens
from statllama.data.tokenise import Tokeniser
from statllama.data.work import Work
from statllama.errors import DataError
from statllama.store.canonical import digest
from statllama.store.files import file_sha256

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "eval/probe/probe.jsonl"
LONGEST = 256  # tokens: a text is cut there, so that memory is bounded whatever the tokenizer
TOKENS = 256  # of a pass: at a vocabulary of 128,256 its logits are 131 MB in float32
PROTOCOL = 1  # raised when the same texts would be measured differently


@dataclass(frozen=True, slots=True)
class Row:
    """A probe text: its token ids, and the positions whose next-token distributions are compared, ascending."""

    ids: list[int]
    positions: list[int]


@cache
def probe_version() -> str:
    """Return a version that changes with the probe texts and with how they are measured: 64 hex digits, for keys."""
    return digest([PROTOCOL, LONGEST, file_sha256(shipped_root() / FILE)])


def probe_texts() -> tuple[Document | Conversation, ...]:
    """Return the probe texts in the file's order."""
    lines = (shipped_root() / FILE).read_text(encoding="utf-8").splitlines()
    return tuple(_example(json.loads(line)) for line in lines)


def _example(row: dict) -> Document | Conversation:
    if "text" in row:
        return Document(row["text"])
    return Conversation(tuple(Message(m["role"], m["content"]) for m in row["messages"]))


def probe_rows(tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[Row, ...]:
    """Return the probe texts as the model reads them, each of at most `max_length` and `LONGEST` tokens.

    A position counts when the token after it is part of a plain text (but not its first, which would be predicted from
    BOS alone, in every text again) or of an assistant's turn, its end included. Chats are left out where the tokenizer
    has no chat template, or one that this package does not train on.
    """
    size = min(LONGEST, max_length)
    tokeniser = Tokeniser(tokenizer, train_on="responses", max_length=size)
    rows = []
    for number, example in enumerate(probe_texts(), start=1):
        with suppress(DataError):
            ((sequence, *_),) = tokeniser.encode([(f"{FILE}, line {number}", example)])
            assert isinstance(sequence, Tokens)
            ids, learned = sequence.ids[:size], sequence.learned[:size]
            positions = [i for i in range(1, len(ids) - 1) if learned[i + 1]]
            if positions:
                rows.append(Row(ids, positions))
    return tuple(rows)


def batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the rows of about one length, padded at most `TOKENS` together (a longer row comes alone)."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if batch and len(row.ids) * (len(batch) + 1) > TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def probe_work(rows: Sequence[Row], adapters: int) -> Work:
    """Return what is computed to measure a stack's drift from its parent and from the base, which may be one."""
    passes = 1 + len({adapters - 1, 0}) if adapters else 0
    found = Work()
    for batch in batches(rows):
        found += Work.of_rows(len(batch), max(len(row.ids) for row in batch)) * passes
    return found
