"""Rows that a model wrote itself: which of them are kept, as they come on disk, and the prompts that it is asked.

A try is dropped when the model did not end it, said nothing, wrote a control token, or repeats itself; when it has no
room; and when it repeats an earlier one (`duplicates.py`, near). Which tries are kept is a function of the tries in
order, so it does not matter how often their making was interrupted. Loads no torch.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.duplicates import Duplicates
from statllama.data.examples import Completion, Conversation, Example, Judgement, Message, Preference, Question
from statllama.data.filters import usable
from statllama.data.mixture import mix
from statllama.errors import DataError
from statllama.store.files import translate_os_errors

GENERATIONS = 1
"""Raised when the same settings would write other rows, or keep others: in the keys of generations, and of the stages
that replay some."""
NO_END = "without an end within max_tokens"
EMPTY = "empty"
CONTROL = "with a control token or half a character"
LOOP = "that repeat themselves"
NO_ROOM = "without room for an answer"
REPEAT = "like an earlier row"
LOOPS = 0.5
"""Share of an answer's 4-grams of tokens that are repetitions, from which on it is a loop."""
GRAM = 4
ROWS = 32
"""Tries that are written together. Fewer at a time where memory runs out, which changes rounding alone."""
TRIES = 4
"""Tries for each row that is wanted, at most."""


@dataclass(frozen=True)
class Try:
    """A row that a model wrote, or what keeps it from being one. `tokens`: those of what the model wrote."""

    messages: tuple[tuple[str, str], ...]
    """(role, text) of each turn; none where there is a `fault`."""
    tokens: int
    fault: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """Return it in the format `messages`."""
        return {"messages": [{"role": role, "content": text} for role, text in self.messages]}


def repetition(ids: Sequence[int]) -> float:
    """Return the share of an answer's 4-grams of tokens that come again: seq-rep-4 of arXiv 1908.04319 (section 6),
    `1 - |distinct 4-grams| / |4-grams|`; 0 for fewer than 4 tokens.
    """
    grams = list(zip(*(ids[i:] for i in range(GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def kept(tries: Sequence[Try], count: int) -> list[int]:
    """Return the numbers of the first `count` tries that are rows, in order: without fault, and other than those
    before them.
    """
    sound = [number for number, one in enumerate(tries) if not one.fault]
    if not sound:
        return []
    with tempfile.TemporaryDirectory(prefix="statllama-") as folder:
        seen = Duplicates("near", Path(folder))
        with seen:
            for number in sound:
                seen.add("\n".join(text for _, text in tries[number].messages))
        again = {duplicate.row for duplicate in seen.find()}
    return [number for i, number in enumerate(sound) if i not in again][:count]


def reasons(tries: Sequence[Try], rows: Sequence[int], count: int) -> dict[str, int]:
    """Return {reason: tries that were dropped for it}. `rows`: the numbers of those that are kept, of `count` that were
    wanted; sound tries behind the last of so many were not needed.
    """
    found = Counter(one.fault for one in tries if one.fault)
    end = rows[-1] + 1 if len(rows) == count else len(tries)
    repeats = sum(not one.fault for one in tries[:end]) - len(rows)
    return dict(found) | ({REPEAT: repeats} if repeats else {})


class Tries:
    """The tries so far, in a file as they come, a batch a line. A last line that a kill cut short is dropped."""

    def __init__(self, path: Path, heed: Callable[[], None] = lambda: None) -> None:
        """Take `heed`, called before each batch is kept; it raises when that is not to go on."""
        self.path, self._heed, self.known = path, heed, list[Try]()
        with translate_os_errors(path):
            data = path.read_bytes() if path.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            for line in whole.splitlines():
                self.known += [Try(tuple(map(tuple, one.pop("messages"))), **one) for one in json.loads(line)]
            self._stream = path.open("ab")
            self._stream.truncate(len(whole))

    def add(self, batch: Sequence[Try]) -> None:
        """Keep a batch; it is with the operating system when this returns."""
        self._heed()
        self.known += batch
        with translate_os_errors(self.path):
            self._stream.write(json.dumps([asdict(one) for one in batch]).encode() + b"\n")
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


# ------------------------------------------------------------------ prompts


def asked(example: Example, where: str) -> tuple[Message, ...]:
    """Return the first user turn of a row, behind the system turn where there is one. DataError for running text."""
    if isinstance(example, Conversation):
        turns: tuple[Message, ...] | str = example.messages
    elif isinstance(example, Question | Preference | Judgement | Completion):
        turns = example.prompt
    else:
        raise DataError(
            f"{where}: running text has no turn of a user that could be asked",
            remedy="give questions or conversations under `replay.generations.prompts`, or leave it out: the model "
            "then asks itself",
        )
    if isinstance(turns, str):
        return (Message("user", turns),)
    first = next(i for i, message in enumerate(turns) if message.role == "user")
    return turns[: first + 1]


def read_prompts(sources: Sequence[SourceSpec], root: Path, seed: int) -> list[tuple[Message, ...]]:
    """Return the different prompts of a mixture of sources, in an order that the seed decides. `sources`: settled.

    DataError for a row that cannot be read or that has no user's turn.
    """
    found = [[asked(example, where) for _, where, example in usable(source, root)] for source in sources]
    for source, prompts in zip(sources, found, strict=True):
        if not prompts:
            raise DataError(f"{source.path or source.hub}: none of its rows is usable as a prompt")
    mixture = mix(list(map(len, found)), sources, seed)
    drawn = (found[i][row] for i, row in zip(mixture.sources.tolist(), mixture.rows.tolist(), strict=True))
    return list(dict.fromkeys(drawn))


def spoken(dropped: Mapping[str, int]) -> str:
    """Return the reasons with their counts, the most frequent first.

    >>> spoken({EMPTY: 2, LOOP: 13})
    '13 that repeat themselves, 2 empty'
    """
    return ", ".join(f"{number:,} {reason}" for reason, number in sorted(dropped.items(), key=lambda pair: -pair[1]))
