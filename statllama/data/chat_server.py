"""One request to a server with OpenAI's chat completions (vLLM, llama.cpp, Ollama, a hosted one), and its failures.

The server is not trusted: an answer has bounds of size and time, no redirect is followed, and the key, which comes from
one environment variable, stands in no text that this module hands on.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from statllama.errors import UsageError

BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
SHOWN = 300  # characters of what a server said
MOST_BYTES = 4 << 20  # of an answer: a reply of thousands of tokens is far shorter


class Busy(Exception):
    """A server that is busy or away. `code`: of HTTP, 0 where no answer came; `after`: seconds to wait, if it says."""

    def __init__(self, said: str, code: int = 0, after: float | None = None) -> None:
        super().__init__(said)
        self.code, self.after = code, after


class Refused(Exception):
    """A request that the server refuses. The text is `HTTP 401: ` and what it said."""

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.code = code


class NoChat(Exception):
    """What is no chat completions server. The text goes on a sentence: `answers with no JSON: <html>`."""


@dataclass(frozen=True)
class ChatServer:
    """A server. `url`: of the API, such as http://localhost:8000/v1; `seconds`: the longest wait for one answer."""

    url: str
    key: str = field(default="", repr=False)
    seconds: float = 120.0

    @classmethod
    def at(cls, url: str, seconds: float, *, option: str, variable: str) -> ChatServer:
        """Return the server with the key of an environment variable. No other variable is read: a key of another
        service goes to nobody.

        UsageError, which names the option, for what is no address of a server.
        """
        key = os.environ.get(variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in {variable} has a character that no HTTP header may hold (it is not shown here)",
                remedy=f"set {variable} to the key alone: one line of ASCII",
            )
        return cls(api_address(url, option=option, variable=variable), key, seconds)

    def post(self, body: Mapping[str, Any]) -> Any:
        """Return the JSON that answers a chat completions request. Busy, Refused or NoChat when there is none."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(body).encode(), headers)
        local = urllib.parse.urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")
        proxies = urllib.request.ProxyHandler({} if local else None)
        try:
            with urllib.request.build_opener(_NoRedirect, proxies).open(request, timeout=self.seconds) as answer:
                return self._parsed(self._read(answer))
        except urllib.error.HTTPError as error:
            after = _seconds(error.headers.get("Retry-After"))
            said = f"HTTP {error.code}: {self._shown(_what_came(error))}"
            if error.code in BUSY:
                raise Busy(said, error.code, after) from None
            raise Refused(said, error.code) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Busy(self._shown(f"{reason}".encode()) or type(error).__name__) from None

    def first_choice(self, answer: Any) -> dict[str, Any]:
        """Return an answer's first choice, whose `message` is an object. NoChat for what is no chat completion."""
        try:
            choice = answer["choices"][0]
            _ = choice["message"].get, choice.get
            return dict(choice)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise NoChat(f"gives no chat completion: {self._shown(json.dumps(answer).encode())}") from None

    def hidden(self, said: str) -> str:
        """Return a text as text, without lone surrogates and without the key."""
        plain = said.encode(errors="replace").decode()
        return plain.replace(self.key, "***") if self.key else plain

    def _shown(self, said: bytes) -> str:
        """Return the beginning of what a server said, on one line, without the key."""
        return self.hidden(" ".join(said.decode(errors="replace").split()))[:SHOWN]

    def _read(self, answer: Any) -> bytes:
        """Return an answer's body. Busy when it comes too slowly, NoChat when it has no end."""
        end, found = time.monotonic() + self.seconds, bytearray()
        while piece := answer.read1(1 << 16):
            found += piece
            if len(found) > MOST_BYTES:
                raise NoChat(f"answers with more than {MOST_BYTES >> 20} MiB")
            if time.monotonic() > end:
                raise Busy(f"no whole answer within {self.seconds:.0f} s")
        if answer.length:
            raise Busy(f"the connection broke off with {answer.length:,} bytes to come")
        return bytes(found)

    def _parsed(self, said: bytes) -> Any:
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            raise NoChat(f"answers with no JSON: {self._shown(said)}") from None


def api_address(url: str, *, option: str, variable: str) -> str:
    """Return the address of the API that a user means: without `/chat/completions`, with `/v1` where no path is given.

    UsageError, which names the option, for no address, and for one with a secret in it, which would be shown and kept.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urllib.parse.SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{option} {url} is no address", remedy=f"give one such as {option} http://localhost:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UsageError(
            f"{option} has a name, password or query in its address, which would be shown and kept",
            remedy=f"leave it out, and put a key into the environment variable {variable}",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/chat/completions') or '/v1'}"


def _seconds(after: str | None) -> float | None:
    """Return what a `Retry-After` header asks for, seconds or a date, in seconds from now. None for anything else."""
    if after is None:
        return None
    try:
        return max(0.0, float(after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _what_came(error: urllib.error.HTTPError) -> bytes:
    """Return the beginning of the body of a refusal, as far as it came."""
    try:
        with error:
            return error.read(1 << 16)
    except http.client.IncompleteRead as broken:
        return broken.partial
    except (OSError, http.client.HTTPException):
        return b""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would go to another server, and the request get lost."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse."""
