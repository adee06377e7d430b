"""The `Ask` of a server: several requests at a time, with patience for one that is busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from statllama.data.build.server.asking import Ended, Reply, Request, Usage
from statllama.data.build.server.manners import Manners, is_too_long, is_unread
from statllama.data.build.server.spec import ServerSpec
from statllama.data.chat_server import Busy, ChatServer, NoChat, Refused, api_address
from statllama.errors import StatllamaError, UsageError

KEY_VARIABLE = "STATLLAMA_SERVER_KEY"
"""Environment variable with the server's key. No other is read: a key of another service goes to nobody."""
OPTION = "--server"
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each further try of a server that is busy or away
LONGEST_WAIT = 600.0  # seconds that a server may ask to wait before the run ends instead
_ENDED: Mapping[str, Ended] = {"length": "length", "content_filter": "filtered"}
_BAD_REQUEST = (400, 422, 500, 501)  # codes with which servers refuse a field that they do not know


class ServerError(StatllamaError):
    """A server that writes rows and cannot be reached, refuses, or is no chat completions server."""


class Pace:
    """When the next request may start: some seconds after the last one, and not while the server asks to wait."""

    def __init__(self) -> None:
        self._lock, self._next = threading.Lock(), 0.0

    def wait(self, gap: float, over: threading.Event) -> None:
        """Return when it is this request's turn; the next one's is `gap` seconds later. Raises once it is over."""
        with self._lock:
            start = max(time.monotonic(), self._next)
            self._next = start + gap
        if over.wait(max(0.0, start - time.monotonic())):
            raise _Over

    def pause(self, seconds: float) -> None:
        """Let none start for some seconds."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Found:
    """What a server was found to want. Shared by the threads that ask it, from block to block."""

    def __init__(self) -> None:
        self.manners = Manners()
        self.pace = Pace()

    def __reduce__(self) -> tuple[type[Found], tuple[()]]:
        """Pickle nothing of it: another process finds out by itself."""
        return Found, ()

    def learn(self, used: Manners, better: Manners) -> None:
        """Put better manners in the place of those that were used, unless another thread has learned meanwhile."""
        if self.manners == used:
            self.manners = better


@dataclass(frozen=True)
class Hosted:
    """A model behind a server (a `Model`). It holds no key: that is read when it is opened."""

    spec: ServerSpec
    url: str
    waits: Sequence[float] = WAITS
    found: Found = field(default_factory=Found, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return the model's name, whatever server has it."""
        return self.spec.model

    @contextmanager
    def open(self) -> Iterator[ChatAsk]:
        """Yield what asks the server. UsageError for a key that no header holds."""
        server = ChatServer.at(self.url, self.spec.timeout, option=OPTION, variable=KEY_VARIABLE)
        yield ChatAsk(server, self.spec, self.found, self.waits)


def hosted(spec: ServerSpec, url: str | None = None) -> Hosted:
    """Return the model behind the server of the spec, or behind `url` where that is given.

    UsageError for a missing or wrong address.
    """
    address = url or spec.url
    if address is None:
        raise UsageError(
            f"no server is named for the model {spec.model}",
            remedy=f"add `url: http://localhost:8000/v1` to `server`, or {OPTION} http://localhost:8000/v1",
        )
    return Hosted(spec, api_address(address, option=OPTION, variable=KEY_VARIABLE))


class ChatAsk:
    """Asks a server, with `spec.parallel` requests under way (an `Ask`)."""

    def __init__(self, server: ChatServer, spec: ServerSpec, found: Found, waits: Sequence[float] = WAITS) -> None:
        self._server, self._spec, self._found, self._waits = server, spec, found, waits

    def __call__(self, take: Callable[[], Request | None]) -> Iterator[tuple[Request, Reply]]:
        """Yield requests with their replies as they come.

        ServerError when the server gives none after all tries, refuses, or is no such server: after the replies that
        were under way, so none of them is lost.
        """
        pool = ThreadPoolExecutor(self._spec.parallel, thread_name_prefix="ask")
        flying: dict[Future[Reply], Request] = {}
        error: BaseException | None = None
        over = threading.Event()  # no more is to be asked: neither what waits for its turn, nor for another try
        try:
            while True:
                try:
                    while error is None and len(flying) < self._spec.parallel and (request := take()) is not None:
                        flying[pool.submit(self._reply, request, over)] = request
                except Exception as raised:
                    error = raised
                    over.set()
                if not flying:
                    break
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    request = flying.pop(future)
                    if (failure := future.exception()) is None:
                        yield request, future.result()
                    elif error is None:
                        error = failure
                        over.set()
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
        if error is not None:
            raise error

    def _reply(self, request: Request, over: threading.Event) -> Reply:
        gap = 60.0 / self._spec.per_minute if self._spec.per_minute else 0.0
        for tried in range(len(self._waits) + 1):
            self._found.pace.wait(gap, over)
            try:
                return self._answered(request)
            except Busy as busy:
                last = busy
                if busy.after is not None and busy.after > LONGEST_WAIT:
                    break
                if busy.after is not None:
                    self._found.pace.pause(busy.after)
                elif tried < len(self._waits) and over.wait(self._waits[tried]):
                    raise _Over from None
        where = f"the server at {self._server.url}"
        if last.after is not None and last.after > LONGEST_WAIT:
            raise ServerError(
                f"{where} asks to wait {last.after:,.0f} s: {last}",
                remedy="run the same command again after that; what it has said is kept",
            )
        raise ServerError(
            f"{where} gives no answer ({len(self._waits) + 1} tries): {last}",
            remedy="run the same command again when it answers: what it has said is kept. For a slow server raise "
            f"`timeout` ({self._spec.timeout:g} s) or lower `parallel` ({self._spec.parallel})",
        )

    def _answered(self, request: Request) -> Reply:
        """Return the reply; in another form than before, where the server refuses that one."""
        unread = False
        while True:
            known = self._found.manners
            used = replace(known, form="prompt") if unread else known
            try:
                reply = self._read(self._server.post(used.body(request)))
            except (Refused, Busy) as refusal:
                said, code = str(refusal), refusal.code
                if code == 500 and is_unread(said):
                    if used.form == "prompt":
                        return Reply(said, "unread")
                    unread = True  # of this reply alone: others are read, and held to the schema
                    continue
                if code == 413 or (code in _BAD_REQUEST and code < 500 and is_too_long(said)):
                    return Reply(said, "too long")
                better = known.after(said, code) if code in _BAD_REQUEST else None
                if better is None and isinstance(refusal, Busy):
                    raise
                if better is None:
                    raise self._refusal(said, code) from None
                self._found.learn(known, better)
            except NoChat as error:
                raise ServerError(
                    f"the server at {self._server.url} {error}",
                    remedy=f"give the address of an OpenAI-compatible API, such as {OPTION} http://localhost:8000/v1",
                ) from None
            else:
                if request.schema and reply.ended == "stop" and reply.text and "{" not in reply.text:
                    self._found.learn(used, used.lower())  # it has not held the schema, though it did not refuse it
                return reply

    def _refusal(self, said: str, code: int) -> ServerError:
        if code in (401, 403):
            what = "does not take the key" if self._server.key else "wants a key"
            return ServerError(
                f"the server at {self._server.url} {what}: {said}",
                remedy=f"export {KEY_VARIABLE}=... with the key of this server, and run the same command again",
            )
        return ServerError(
            f"the server at {self._server.url} refuses: {said}",
            remedy=f"check {OPTION} and `model: {self._spec.model}`; what it has said before is kept",
        )

    def _read(self, answer: Any) -> Reply:
        choice = self._server.first_choice(answer)
        message, finish = choice["message"], choice.get("finish_reason")
        text = self._server.hidden(_text(message.get("content")))
        ended: Ended = _ENDED.get(finish, "stop") if isinstance(finish, str) else "stop"
        if message.get("refusal") and not text:
            text, ended = self._server.hidden(str(message["refusal"])), "refused"
        return Reply(text, ended, _usage(answer.get("usage")))


class _Over(Exception):
    """A request that was not asked, since another one has failed."""


def _text(content: Any) -> str:
    """Return a message's content: a text, or parts of which those with text count."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(said: Any) -> Usage | None:
    """Return the tokens that a server counted; None when it says nothing that can be so."""
    if not isinstance(said, dict):
        return None
    prompt, completion = said.get("prompt_tokens"), said.get("completion_tokens")
    return Usage(prompt, completion) if _is_count(prompt) and _is_count(completion) else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40
