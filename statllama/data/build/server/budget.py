"""What requests may cost, can cost at most, and are estimated to cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from statllama.data.build.server.asking import Request, Usage
from statllama.data.build.server.responses import Responses
from statllama.data.build.server.spec import Budget, Prices
from statllama.errors import DataError

CHARACTERS_PER_TOKEN = 3.0
"""Assumed where no server has counted yet: prose has 4 and more, formulas and tables less."""
MARGIN = 1.1  # on prompts' tokens: those to come are not quite like those that were counted
TEMPLATE_TOKENS = 128
"""Most tokens that a chat template puts around one turn."""


def most_of(request: Request) -> Usage:
    """Return the most tokens that a request can use.

    No token of a byte-level tokenizer is shorter than a byte. The schema is counted, since a server may put it into
    the prompt.
    """
    return Usage(len(request.spelled_out.encode()) + TEMPLATE_TOKENS, request.max_tokens)


def cost_of(usage: Usage, prices: Prices) -> float:
    """Return what tokens cost, in the currency of the prices.

    >>> cost_of(Usage(2_000_000, 500_000), Prices(input=0.15, output=0.6))
    0.6
    """
    return (usage.prompt * prices.input + usage.completion * prices.output) / 1e6


class Purse:
    """The budget of a build while it is asked: what is spent, and set aside for requests that are under way."""

    def __init__(self, budget: Budget, spent: Usage) -> None:
        self.budget, self.spent, self._aside = budget, spent, Usage()

    def takes(self, request: Request) -> bool:
        """Return whether the budget holds even if all that is under way uses the most; then that much is set aside."""
        if exceeds(self.budget, self.spent + self._aside + most_of(request)):
            return False
        self._aside += most_of(request)
        return True

    def settle(self, request: Request, used: Usage) -> None:
        """Put what a request used in the place of what was set aside for it."""
        self._aside -= most_of(request)
        self.spent += used

    def is_empty(self, left: int) -> DataError:
        """Return the error that ends a run at its budget, with `left` requests unasked in the block at work."""
        return DataError(
            f"the budget is used up: {spelled(self.budget, self.spent)}; {left:,} requests of the documents at work "
            "are left",
            remedy="raise `budget` and run the same command again: it goes on there, and asks nothing twice",
        )


def exceeds(budget: Budget, usage: Usage) -> bool:
    """Return whether tokens are more than a budget allows."""
    if budget.tokens is not None and usage.tokens > budget.tokens:
        return True
    return budget.money is not None and budget.prices is not None and cost_of(usage, budget.prices) > budget.money


def spelled(budget: Budget, usage: Usage) -> str:
    """Return tokens, and money where there are prices, each with what the budget allows."""
    tokens = f"{usage.tokens:,}" + (f" of {budget.tokens:,}" if budget.tokens is not None else "") + " tokens"
    parts = f"{tokens} ({usage.prompt:,} of prompts, {usage.completion:,} of replies)"
    if budget.prices is None:
        return parts
    return f"{parts}, {cost_of(usage, budget.prices):,.4g}" + (f" of {budget.money:g}" if budget.money else "")


@dataclass(frozen=True)
class Estimate:
    """What asking would use, before it starts."""

    requests: int
    """Requests in all, each asked once."""
    answered: int
    """Requests whose response the workspace has: they cost nothing."""
    usage: Usage
    """Tokens of the others: of prompts estimated, of replies at most."""
    characters_per_token: float
    measured: bool
    """Whether `characters_per_token` was counted by a server, for this model."""


def estimate(requests: Iterable[Request], responses: Responses, model: str) -> Estimate:
    """Return what it would use to ask all requests once.

    Replies that are of no use are asked for again, which is not in it; that most replies end before `max_tokens` is
    neither.
    """
    measured = responses.characters_per_token(model)
    ratio = measured or CHARACTERS_PER_TOKEN
    total, answered, characters, completion = 0, 0, 0, 0
    for request in requests:
        total += 1
        if responses.find(request) is not None:
            answered += 1
            continue
        characters += len(request.prompt)
        completion += request.max_tokens
    prompt = math.ceil(characters / ratio * MARGIN)
    return Estimate(total, answered, Usage(prompt, completion), ratio, measured is not None)


def check_estimate(found: Estimate, budget: Budget, spent: Usage) -> None:
    """Raise DataError when what is spent and what is estimated are more than the budget together."""
    if not exceeds(budget, spent + found.usage):
        return
    before = f"; {spelled(budget, spent)} are spent already" if spent.tokens else ""
    basis = "as counted by the server" if found.measured else "assumed"
    raise DataError(
        f"{found.requests - found.answered:,} requests may use more than the budget: "
        f"{spelled(budget, found.usage)}{before}. Prompts: estimated with {found.characters_per_token:.2g} characters "
        f"a token, {basis}; replies: {found.usage.completion:,} tokens at most",
        remedy="lower `max_tokens`, `per_section` or the number of documents, or raise `budget`; with --yes it starts, "
        "and stops at the budget",
    )
