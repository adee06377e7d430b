"""The budget is never exceeded, and what it stops goes on where it was; estimates hold what they say."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from statllama.data.build.server.answering import Answering
from statllama.data.build.server.asking import Reply, Request, Usage
from statllama.data.build.server.budget import Purse, check_estimate, cost_of, estimate, exceeds, most_of
from statllama.data.build.server.responses import Payer, Responses
from statllama.data.build.server.spec import Budget, Prices
from statllama.errors import DataError
from tests.data.build.server.chat_api import request

PRICES = Prices(input=1.0, output=4.0)


class Sloppy:
    """An `Ask` of this process: some requests at a time, answered in an order that is drawn. It counts what it uses:
    of a prompt all its bytes or fewer, of a reply `max_tokens` or fewer."""

    def __init__(self, at_once: int, draw: random.Random, counts: bool = True) -> None:
        self.at_once, self.draw, self.counts = at_once, draw, counts
        self.asked: Counter[str] = Counter()
        self.used = Usage()

    def __call__(self, take: Callable[[], Request | None]) -> Iterator[tuple[Request, Reply]]:
        flying: list[Request] = []
        while True:
            while len(flying) < self.at_once and (taken := take()) is not None:
                flying.append(taken)
            if not flying:
                return
            one = flying.pop(self.draw.randrange(len(flying)))
            size = len(one.prompt.encode())
            usage = Usage(self.draw.randint(size // 5, size), self.draw.randint(0, one.max_tokens))
            self.asked[one.digest] += 1
            self.used += usage
            yield one, Reply("said", "stop", usage if self.counts else None)


@given(
    count=st.integers(1, 12), at_once=st.integers(1, 8), tokens=st.integers(300, 10_000), seed=st.integers(0, 10**6),
    counts=st.booleans(), money=st.booleans(),
)  # fmt: skip
@settings(max_examples=20)
def test_a_budget_is_never_exceeded_and_what_it_stops_goes_on(
    tmp_path_factory: pytest.TempPathFactory, count: int, at_once: int, tokens: int, seed: int, counts: bool,
    money: bool,
) -> None:  # fmt: skip
    draw = random.Random(seed)
    asked = [request("x" * draw.randint(1, 300), i, max_tokens=draw.randint(16, 300)) for i in range(count)]
    ask, stopped = Sloppy(at_once, draw, counts), True
    with Responses(tmp_path_factory.mktemp("b") / "responses.sqlite") as responses:
        while stopped:
            tokens *= 2
            budget = Budget(money=tokens / 1e6, prices=PRICES) if money else Budget(tokens=tokens)
            answering = Answering(ask, responses, Payer("b", "s"), Purse(budget, responses.spent("b")))
            with suppress(DataError):
                stopped = {one.digest for one, _ in answering.answers(deque(asked))} != {one.digest for one in asked}
            spent = responses.spent("b")
            assert not exceeds(budget, spent) and not exceeds(budget, ask.used)
            assert spent == ask.used or not counts
            left = [one for one in asked if responses.find(one) is None]
            # Where it stopped, what is left might have gone beyond the budget: it stops for no other reason.
            assert not left or any(exceeds(budget, spent + most_of(one)) for one in left)
    assert ask.asked == Counter({one.digest: 1 for one in asked})


def test_the_error_at_the_budget_says_how_to_go_on(tmp_path: Path) -> None:
    with Responses(tmp_path / "r.sqlite") as responses:
        purse = Purse(Budget(tokens=1500, money=1.0, prices=PRICES), Usage(300, 100))
        answering = Answering(Sloppy(1, random.Random(0)), responses, Payer("b", "s"), purse)
        with pytest.raises(
            DataError, match=r"used up: [\d,]+ of 1,500 tokens .* of 1; 2. requests .* are left"
        ) as caught:
            list(answering.answers(deque(request(seed=i) for i in range(40))))
    assert "raise `budget`" in str(caught.value.remedy) and "nothing twice" in str(caught.value.remedy)


def test_replies_that_bring_requests_are_answered_too(tmp_path: Path) -> None:
    with Responses(tmp_path / "r.sqlite") as responses:
        for _ in range(2):  # the second time all out of memory
            ask = Sloppy(3, random.Random(0))
            queue = deque([request(seed=0)])
            answering = Answering(ask, responses, Payer("b", "s"), Purse(Budget(), Usage()))
            seeds = []
            for one, _ in answering.answers(queue):
                seeds.append(one.seed)
                if one.seed < 6:
                    queue.extend([request(seed=one.seed * 2 + 1), request(seed=one.seed * 2 + 2)])
            assert sorted(seeds) == list(range(13))
        assert ask.asked.total() == 0


def test_a_prompt_too_long_is_neither_kept_nor_paid(tmp_path: Path) -> None:
    def ask(take: Callable[[], Request | None]) -> Iterator[tuple[Request, Reply]]:
        while (one := take()) is not None:
            yield one, Reply("context length", "too long")

    with Responses(tmp_path / "r.sqlite") as responses:
        purse = Purse(Budget(tokens=10_000), Usage())
        asked = deque(request(seed=i) for i in range(200))
        found = list(Answering(ask, responses, Payer("b", "s"), purse).answers(asked))
        assert len(found) == 200 and purse.spent == Usage() and responses.find(request(seed=0)) is None


@given(
    prompts=st.lists(st.integers(1, 5000), min_size=1, max_size=30),
    ratio=st.floats(1.0, 6.0),
    measured=st.booleans(),
)
@settings(max_examples=20)
def test_an_estimate_is_no_less_than_what_is_used(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[int], ratio: float, measured: bool
) -> None:
    """Against a server whose tokens have `ratio` characters: where it has counted, or the ratio is the assumed 3 or
    more."""
    asked = [request("x" * length, i) for i, length in enumerate(prompts)]
    used = Usage(sum(int(length / ratio) for length in prompts), 64 * len(prompts))
    with Responses(tmp_path_factory.mktemp("e") / "r.sqlite") as responses:
        if measured:
            other = request("y" * 6000, 99)
            responses.keep(other, Reply("x", "stop", Usage(int(6000 / ratio), 5)), most_of(other), Payer("b", "s"))
        found = estimate(asked, responses, "small")
        assert found.requests == len(asked) and found.answered == 0 and found.measured == measured
        assert found.usage.completion == used.completion
        if measured or ratio >= 3:
            assert used.prompt <= found.usage.prompt <= used.prompt * 1.2 * max(1, ratio / 3) + len(prompts) * 2
        for one in asked:
            assert most_of(one).prompt >= len(one.prompt) / ratio and most_of(one).completion == 64


def test_what_is_answered_costs_nothing_in_an_estimate(tmp_path: Path) -> None:
    with Responses(tmp_path / "r.sqlite") as responses:
        responses.keep(request(seed=1), Reply("x", "stop", Usage(5, 5)), Usage(99, 99), Payer("b", "s"))
        found = estimate([request(seed=1), request(seed=2)], responses, "small")
    assert (found.requests, found.answered, found.usage.completion) == (2, 1, 64)


def test_an_estimate_above_the_budget_is_refused(tmp_path: Path) -> None:
    with Responses(tmp_path / "r.sqlite") as responses:
        found = estimate([request("x" * 3000, i) for i in range(10)], responses, "small")
    check_estimate(found, Budget(tokens=12_000), Usage())  # 10 of 1,100 + 64
    with pytest.raises(DataError, match=r"10 requests may use .* 11,640 of 11,000 tokens") as caught:
        check_estimate(found, Budget(tokens=11_000), Usage())
    assert "--yes" in str(caught.value.remedy) and "assumed" in caught.value.message
    with pytest.raises(DataError, match=r"0\.01356 of 0\.013"):
        check_estimate(found, Budget(money=0.013, prices=PRICES), Usage())
    with pytest.raises(DataError, match=r"400 of 12,000 tokens .* are spent already"):
        check_estimate(found, Budget(tokens=12_000), Usage(300, 100))


def test_money_is_tokens_by_their_prices() -> None:
    assert cost_of(Usage(1_000_000, 250_000), PRICES) == pytest.approx(2.0)
    with pytest.raises(ValidationError, match="needs `prices`"):
        Budget(money=3.0)
