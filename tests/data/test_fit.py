"""Cutting at max_length, and what is left out because nothing is left to learn."""

from __future__ import annotations

from statllama.data.fit import NO_ROOM, NOTHING, SAME, Dropped, Fitted, fit
from statllama.data.masking import Tokens
from statllama.data.tokenise import Pair

TOKENS = Tokens([1, 2, 3, 4, 5], [False, False, True, True, True])


def test_tokens_are_cut_at_the_end() -> None:
    assert fit(TOKENS, 5) == Fitted({"input_ids": [1, 2, 3, 4, 5], "labels": [-100, -100, 3, 4, 5]}, 5, 3, False)
    assert fit(TOKENS, 3) == Fitted({"input_ids": [1, 2, 3], "labels": [-100, -100, 3]}, 3, 1, True)
    assert fit(TOKENS, 2) == Dropped(NO_ROOM, 2)
    assert fit(Tokens([1, 2], [False, False]), 9) == Dropped(NOTHING, 2)


def test_pairs_are_cut_at_the_end_of_each_answer() -> None:
    pair = Pair([1, 2], [3, 4, 5], [3, 6])
    whole = {"prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [3, 6]}
    assert fit(pair, 5) == Fitted(whole, 9, 5, False)
    assert fit(pair, 4) == Fitted({**whole, "chosen_ids": [3, 4]}, 8, 4, True)
    assert fit(pair, 3) == Dropped(SAME, 2)
    assert fit(pair, 2) == Dropped(NO_ROOM, 2)
