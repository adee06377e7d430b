"""Signals to stop: while a stage trains they wait for the end of the step; anywhere else they act at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from statllama.errors import Interrupted

HANGUP = getattr(signal, "SIGHUP", None)  # a closed terminal; Windows has none
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP is not None else []))


class StopSignal:
    """Context in which the first signal stops the run gently and the second at once.

    SIGINT, SIGTERM, and SIGHUP, which a closed terminal sends, often twice: the second of those adds nothing. Under
    `nohup` the run goes on.
    """

    def __init__(self) -> None:
        self._requested = False
        self._deferred = False
        self._previous: dict[int, Any] = {}

    def requested(self) -> bool:
        """Return whether the user or the system asked to stop."""
        return self._requested

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if not (number == HANGUP and signal.getsignal(number) is signal.SIG_IGN):  # as under `nohup`
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def obey(self) -> None:
        """Stop now if a signal came while it was deferred and nothing has stopped since. Raises Interrupted."""
        if self._requested:
            raise Interrupted(
                "stopped by a signal; finished work is kept", remedy="run the same command again to go on"
            )

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer a first signal: it only sets `requested`, and the training loop saves and leaves by itself."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == HANGUP and self._requested:
            return
        again = self._requested
        self._requested = True
        if again or not self._deferred:
            name = signal.Signals(number).name
            raise Interrupted(f"stopped by {name}; finished work is kept", remedy="run the same command again to go on")
