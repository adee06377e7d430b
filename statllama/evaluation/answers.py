"""The answers of an unfinished evaluation, on disk as they come. Loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from statllama.store.files import translate_os_errors

Progress = Callable[[int, int, str], None]


class Answers:
    """The answers of one score that is under way, in a file as they come: a killed evaluation goes on from there.

    Each line is JSON: the SHA-256 of the request, lm-eval's answer to it, and whether a generation ended by itself.
    Equal requests have equal answers, so the file must belong to one model, benchmark and protocol. A last line that
    a kill cut short is dropped. `path` None: nothing is kept.
    """

    def __init__(self, path: Path | None = None, heed: Callable[[], None] = lambda: None) -> None:
        """Take `heed`, called before each answer is kept; it raises when that is not to go on."""
        self.path, self._heed = path, heed
        self._known: dict[str, tuple[Any, bool]] = {}
        if path is not None:
            with translate_os_errors(path):
                self._read(path)

    def _read(self, path: Path) -> None:
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            request, answer, ended = json.loads(line)
            self._known[request] = (tuple(answer) if isinstance(answer, list) else answer, ended)
        self._stream = path.open("ab")
        self._stream.truncate(len(whole))

    def get(self, method: str, request: tuple[Any, ...]) -> tuple[Any, bool] | None:
        """Return (answer, whether it ended by itself) of a request that was answered before."""
        return self._known.get(_fingerprint(method, request))

    def add(self, method: str, request: tuple[Any, ...], answer: Any, ended: bool) -> None:
        """Keep an answer; it is with the operating system when this returns."""
        name = _fingerprint(method, request)
        self._known[name] = (answer, ended)
        if self.path is not None:
            self._heed()
            with translate_os_errors(self.path):
                self._stream.write(json.dumps([name, answer, ended]).encode() + b"\n")
                self._stream.flush()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.path is not None:
            self._stream.close()


def _fingerprint(method: str, request: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps([method, *request], sort_keys=True).encode()).hexdigest()
