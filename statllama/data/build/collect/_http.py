"""A polite client of a public server: one request at a time with a pause before each, tries again with longer pauses.

An answer is whole or no answer: its length is checked, its time and size are bounded.
"""

from __future__ import annotations

import email.utils
import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar

from statllama.errors import DataError
from statllama.store.files import translate_os_errors
from statllama.store.versions import __version__

BUSY = (408, 425, 429, 500, 502, 503, 504)
GONE = (404, 410)
WAITS = (5.0, 15.0, 45.0, 120.0)
"""Seconds before each further try."""
LONGEST_WAIT = 900.0  # seconds, of what a server may ask for by Retry-After
GOES_ON = "what was collected so far is kept: the same command goes on there, later"
T = TypeVar("T")

_lock = threading.Lock()
_last_end = 0.0  # when the last request ended; of all servers, since arXiv counts all of its hosts together


class TryAgain(Exception):
    """An answer that another try may mend: busy, cut off, something else than what was asked for."""


class Gone(Exception):
    """The server does not have it (404, 410)."""


class TooLarge(Exception):
    """An answer with more bytes than it may have."""


@dataclass(frozen=True)
class Client:
    """How a server is asked. `contact`: an address at which its keepers reach the user."""

    seconds_between: float = 3.0
    contact: str | None = None
    waits: tuple[float, ...] | None = None
    """Seconds before each further try; None: `WAITS`."""
    silence: float = 120.0
    """Seconds in which something must come; arXiv's OAI-PMH interface takes up to 90 at times."""
    whole: float = 900.0
    """Seconds in which all of it must come."""

    @property
    def agent(self) -> str:
        """Return the User-Agent, which names the tool."""
        return f"statllama/{__version__}" + (f" (mailto:{self.contact})" if self.contact else "")

    def get(self, url: str, read: Callable[[bytes], T], most: int = 64 << 20) -> T:
        """Return what `read` makes of an answer of at most `most` bytes; it may raise TryAgain.

        Gone, TooLarge, or DataError when the server cannot be reached, refuses, or stays busy.
        """

        def whole(answer: Any) -> T:
            pieces: list[bytes] = []
            self._pieces(answer, pieces.append, most)
            return read(b"".join(pieces))

        return self._tried(url, whole)

    def download(self, url: str, path: Path, check: Callable[[bytes], None], most: int) -> str:
        """Write an answer into a file and return its SHA-256. `check` takes the first bytes and may raise TryAgain.

        Errors as of `get`; then no file is left.
        """

        def whole(answer: Any) -> str:
            digest = sha256()
            with translate_os_errors(path), open(path, "wb") as file:
                begun = False

                def take(piece: bytes) -> None:
                    nonlocal begun
                    if not begun:
                        check(piece)
                        begun = True
                    digest.update(piece)
                    _write(file, piece, path)

                self._pieces(answer, take, most)
                if not begun:
                    raise TryAgain("an empty answer")
            return digest.hexdigest()

        try:
            return self._tried(url, whole)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _tried(self, url: str, take: Callable[[Any], T]) -> T:
        waits = WAITS if self.waits is None else self.waits
        for wait in (*waits, None):
            try:
                return self._asked(url, take)
            except TryAgain as error:
                if wait is None:
                    said = f"{url}: no answer in {len(waits) + 1} tries: {error}"
                    raise DataError(said, remedy=GOES_ON) from error
                time.sleep(max(wait, _asked_for(error)))
        raise AssertionError("the last try returns or raises")

    def _asked(self, url: str, take: Callable[[Any], T]) -> T:
        """Ask once, when the pause since the last answer is over."""
        global _last_end
        local = urllib.parse.urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({} if local else None))
        request = urllib.request.Request(url, headers={"User-Agent": self.agent})
        with _lock:
            time.sleep(max(0.0, _last_end + self.seconds_between - time.monotonic()))
            try:
                with opener.open(request, timeout=self.silence) as answer:
                    return take(answer)
            except urllib.error.HTTPError as error:
                raise _refusal(url, error) from None
            except (OSError, http.client.HTTPException) as error:
                raise TryAgain(str(getattr(error, "reason", None) or error) or type(error).__name__) from None
            finally:
                _last_end = time.monotonic()

    def _pieces(self, answer: Any, take: Callable[[bytes], Any], most: int) -> None:
        end, size = time.monotonic() + self.whole, 0
        while piece := answer.read1(1 << 16):
            size += len(piece)
            if size > most:
                raise TooLarge(f"more than {most >> 20} MiB")
            take(piece)
            if time.monotonic() > end:
                raise TryAgain(f"no whole answer within {self.whole:.0f} s")
        if answer.length:
            raise TryAgain(f"the connection broke off with {answer.length:,} bytes to come")


def _write(file: IO[bytes], piece: bytes, path: Path) -> None:
    """Write; a full disk is no failure of the server."""
    with translate_os_errors(path):
        file.write(piece)


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    """Return what an HTTP error means."""
    with error:
        try:
            said = " ".join(error.read(1 << 14).decode(errors="replace").split())[:300]
        except (OSError, http.client.HTTPException):
            said = ""
    if error.code in GONE:
        return Gone(f"HTTP {error.code}")
    if error.code in BUSY:
        again = TryAgain(f"HTTP {error.code} {error.reason}")
        again.__cause__ = error
        return again
    if error.code == 403:
        return DataError(
            f"{url}: the server refuses (HTTP 403): {said}",
            remedy="it may have barred this address for too many requests: wait a day, raise `seconds_between`, set "
            "`contact`; " + GOES_ON,
        )
    return DataError(f"{url}: the server refuses (HTTP {error.code}): {said}", remedy="check the entry of `collect`")


def _asked_for(error: BaseException) -> float:
    """Return the seconds that a busy server asks to wait, by Retry-After: a number, or a date."""
    cause = error.__cause__
    said = cause.headers.get("Retry-After", "") if isinstance(cause, urllib.error.HTTPError) else ""
    if said.strip().isdigit():
        return min(float(said), LONGEST_WAIT)
    date = email.utils.parsedate_tz(said)
    return 0.0 if date is None else max(0.0, min(email.utils.mktime_tz(date) - time.time(), LONGEST_WAIT))
