"""What makes a row a copy of another, as hashes: its prompt, its texts, and the runs of five words in them.

Rows are compared whatever their format: a pair is compared with each of its answers, as if that were the reply of a
conversation. Text is folded first (`folding.py`); case, white space and punctuation do not count, but the signs of
arithmetic do, since "3 + 4" and "3 - 4" are different questions. A system turn is a part of the prompt and not of the
text, or a long one that all rows share would make them all alike.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from statllama.data.examples import Completion, Conversation, Document, Example, Judgement, Message, Preference
from statllama.data.folding import folded
from statllama.data.ngrams import OTHER, WordIds, every_word, gram_hashes

WORDS = 5
"""Words of a run."""
SIMILAR = 0.8
"""Jaccard similarity of the runs of two texts from which they are near duplicates, as in `duplicates.py`."""
_SIGN = re.compile(r"[+*/=<>^%-](?=\s*[\d.(])")  # of arithmetic; elsewhere it is a hyphen, a bullet, markup
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
U32 = npt.NDArray[np.uint32]


class _Plain(dict[int, str]):
    """Code point -> what stands for it when words are compared, worked out at first use; for `str.translate`."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        kind = unicodedata.category(character)
        found = " "
        if kind[0] in "LNM":  # of a mark too: it is a vowel in many scripts
            found = f" {character} " if _CJK.match(character) else character.lower()
        elif kind == "Sm":
            found = f" {character} "
        elif character == "'":
            found = ""
        self[point] = found
        return found


_PLAIN = _Plain({point: chr(point).lower() if chr(point).isalnum() else " " for point in range(128)} | {ord("'"): ""})


def compared(text: str) -> list[str]:
    """Return the words of a text as they are compared: without case and punctuation, signs of arithmetic as words.

    >>> compared("What's  3 - (2)?") == compared("whats 3 -2") != compared("What's 3 + 2?")
    True
    """
    plain = _SIGN.sub(lambda sign: f" sign{ord(sign[0])} ", folded(text))
    return plain.translate(_PLAIN).split()


@dataclass(frozen=True, slots=True)
class Likeness:
    """One row as it is compared. All hashes have 64 bits and are the same in every process."""

    prompt: int | None
    """Hash of all that stands before the first text to learn. None of a document, which has no prompt."""
    texts: tuple[int, ...]
    """Hash of each of its texts: two of a pair, else one."""
    words: tuple[npt.NDArray[np.int64], ...]
    """Ids of the words of each text."""

    @property
    def group(self) -> int:
        """Return the hash that rows share which belong on the same side of a split."""
        return self.texts[0] if self.prompt is None else self.prompt


class Liken:
    """Makes likenesses. Keeps the ids of words that it has seen."""

    def __init__(self) -> None:
        self._ids: WordIds = every_word()

    def __call__(self, example: Example) -> Likeness:
        """Return the likeness of a row."""
        system, prompt, answers = _parts(example)
        above, asked = self._words(system), self._words(prompt)
        said = [self._words(answer) for answer in answers]
        words = tuple(np.concatenate([asked, answer]) for answer in said)
        texts = tuple(_hash(ids, f"{prompt} {answer}") for ids, answer in zip(words, answers, strict=True))
        whole = None if isinstance(example, Document) else _hash(np.concatenate([above, asked]), f"{system} {prompt}")
        return Likeness(whole, texts, words)

    def _words(self, text: str) -> npt.NDArray[np.int64]:
        return self._ids.ids(compared(text))


def _hash(ids: npt.NDArray[np.int64], text: str) -> int:
    """Return the hash of a text's words; of a text without a word that of its other characters."""
    content = ids.tobytes() if len(ids) else " ".join(folded(text).lower().split()).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _parts(example: Example) -> tuple[str, str, tuple[str, ...]]:
    """Return the system turn, the rest of the prompt, and each text that may follow it."""
    if isinstance(example, Document):
        return "", "", (example.text,)
    if isinstance(example, Completion):
        return "", example.prompt, (example.completion,)
    if isinstance(example, Conversation):
        first = next(i for i, m in enumerate(example.messages) if m.role == "assistant" and i >= example.trained_from)
        return *_asked(example.messages[:first]), ("\n".join(m.text for m in example.messages[first:]),)
    asked = ("", example.prompt) if isinstance(example.prompt, str) else _asked(example.prompt)
    if isinstance(example, Preference):
        return *asked, (example.chosen, example.rejected)
    if isinstance(example, Judgement):
        return *asked, (example.completion,)
    return *asked, (str(example.columns.get("answer", "")),)


def _asked(turns: Sequence[Message]) -> tuple[str, str]:
    """Return the system turn and the rest of a prompt's turns."""
    system = [m.text for m in turns if m.role == "system"]
    return "\n".join(system), "\n".join(m.text for m in turns if m.role != "system")


def runs_of(texts: Sequence[npt.NDArray[np.int64]]) -> tuple[U32, npt.NDArray[np.int64]]:
    """Return the different runs of words in each text, as uint32 hashes, and the index of the text that each is of.

    In order of the texts, and within a text ascending.
    """
    if not texts:
        return np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.int64)
    apart = np.array([OTHER], dtype=np.int64)  # a run does not go on from one text into the next
    lengths = np.array([len(ids) + 1 for ids in texts], dtype=np.int64)
    hashes, starts = gram_hashes(np.concatenate([part for ids in texts for part in (ids, apart)]), WORDS)
    of = np.searchsorted(np.cumsum(lengths), starts, side="right").astype(np.uint64)
    both = np.sort((of << np.uint64(32)) | (hashes >> np.uint64(32)))
    both = both[np.diff(both, prepend=~both[:1]) != 0]
    return both.astype(np.uint32), (both >> np.uint64(32)).astype(np.int64)
