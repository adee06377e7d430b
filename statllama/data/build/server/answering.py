"""Answers requests: out of the workspace's memory where it has the response, by asking where the budget allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from statllama.data.build.server.asking import Ask, Reply, Request
from statllama.data.build.server.budget import Purse, most_of
from statllama.data.build.server.responses import Payer, Responses


@dataclass(frozen=True)
class Answering:
    """All that stands between a request and its reply."""

    ask: Ask
    responses: Responses
    payer: Payer
    purse: Purse
    stop: Callable[[], None] = lambda: None
    """Raises when the user asks to stop; called before each request."""

    def answers(self, queue: deque[Request]) -> Iterator[tuple[Request, Reply]]:
        """Yield each request of the queue with its reply, in any order. Whoever reads them may append to the queue.

        Each response is kept before it is yielded. DataError where the budget is used up: with all replies that were
        under way kept and yielded.
        """
        known: deque[tuple[Request, Reply]] = deque()
        taken = 0

        def take() -> Request | None:
            nonlocal taken
            self.stop()
            while queue:
                reply = self.responses.find(queue[0])
                if reply is None and not self.purse.takes(queue[0]):
                    return None
                taken += 1
                if reply is None:
                    return queue.popleft()
                known.append((queue.popleft(), reply))
            return None

        while queue:
            before = taken
            for request, reply in self.ask(take):
                kept = self._kept(request, reply)
                yield request, kept
                while known:
                    yield known.popleft()
            while known:
                yield known.popleft()
            if taken == before:  # nothing is under way, and still the budget has no room
                raise self.purse.is_empty(len(queue))

    def _kept(self, request: Request, reply: Reply) -> Reply:
        """Return the response that is kept. A prompt that is too long for one server may fit into another's context,
        so that is not kept.
        """
        most = most_of(request)
        if reply.ended == "too long":
            self.purse.settle(request, most - most)
            return reply
        self.purse.settle(request, reply.usage or most)
        return self.responses.keep(request, reply, most, self.payer)
