"""Sequences to the columns that trainers read, cut to `max_length`, or the reason why one is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from statllama.data.masking import Tokens
from statllama.data.questions import PROMPT_TOO_LONG, packed_question
from statllama.data.tokenise import Judged, Pair, Prompt

IGNORED = -100  # label of a token without loss

NO_ROOM = "prompt longer than max_length"
SAME = "chosen equals rejected once cut to max_length"
NOTHING = "no token carries loss"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Columns of token ids (`labels`: ids, or -100 without loss), and what reports count."""

    columns: Mapping[str, list[int]]
    tokens: int
    learned: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sequence with nothing to learn within `max_length`; `prompt`: tokens before the first to learn."""

    reason: str
    prompt: int


def fit(sequence: Tokens | Pair | Judged | Prompt, max_length: int) -> Fitted | Dropped:
    """Cut at the end to at most `max_length` tokens (of a prompt and its answer: together).

    A prompt is never cut: without its start or its end it would be another question. A longer one is left out.
    """
    if isinstance(sequence, Prompt):
        if len(sequence.ids) > max_length:
            return Dropped(PROMPT_TOO_LONG, len(sequence.ids))
        columns = {"prompt_ids": sequence.ids, "question": packed_question(sequence.question)}
        return Fitted(columns, len(sequence.ids), 0, False)
    if isinstance(sequence, Judged):
        return _fit_judged(sequence, max_length)
    return _fit_pair(sequence, max_length) if isinstance(sequence, Pair) else _fit_tokens(sequence, max_length)


def _fit_tokens(sequence: Tokens, max_length: int) -> Fitted | Dropped:
    ids, learned = sequence.ids[:max_length], sequence.learned[:max_length]
    if not any(learned):
        if not any(sequence.learned):
            return Dropped(NOTHING, len(sequence.ids))
        return Dropped(NO_ROOM, sequence.learned.index(True))
    count = learned.count(True)
    if count == len(ids) - 1 and not learned[0]:  # all but the first, as in documents: no need to look at each
        labels = [IGNORED, *ids[1:]]
    else:
        labels = [i if keep else IGNORED for i, keep in zip(ids, learned, strict=True)]
    return Fitted({"input_ids": ids, "labels": labels}, len(ids), count, len(sequence.ids) > max_length)


def _fit_judged(judged: Judged, max_length: int) -> Fitted | Dropped:
    room = max_length - len(judged.prompt)
    if room <= 0:
        return Dropped(NO_ROOM, len(judged.prompt))
    answer = judged.completion[:room]
    columns = {"prompt_ids": judged.prompt, "completion_ids": answer, "label": [int(judged.label)]}
    return Fitted(columns, len(judged.prompt) + len(answer), len(answer), len(judged.completion) > room)


def _fit_pair(pair: Pair, max_length: int) -> Fitted | Dropped:
    room = max_length - len(pair.prompt)
    if room <= 0:
        return Dropped(NO_ROOM, len(pair.prompt))
    chosen, rejected = pair.chosen[:room], pair.rejected[:room]
    if chosen == rejected:
        return Dropped(SAME, len(pair.prompt))
    learned = len(chosen) + len(rejected)
    return Fitted(
        {"prompt_ids": pair.prompt, "chosen_ids": chosen, "rejected_ids": rejected},
        2 * len(pair.prompt) + learned,
        learned,
        max(len(pair.chosen), len(pair.rejected)) > room,
    )
