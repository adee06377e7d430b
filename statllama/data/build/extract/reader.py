"""The process beside this one that reads files (`child.py`), and what becomes of a file that it cannot read.

It is started when the first file comes, reads one file after the other, and is replaced when a file has ended it, and
after some hundred files, since what libraries leak adds up.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from statllama.data.build.extract.child import MISSING, OUT_OF_MEMORY
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted
from statllama.data.build.extract.unreadable import DAMAGED, Unreadable
from statllama.errors import DataError

FILES_EACH = 200
"""Files that one process reads."""
_START = 30.0  # seconds that starting the process may take on top of the first file's
_NO_MEMORY = (b"bad_alloc", b"out of memory", b"Out of memory", b"MemoryError")


@dataclass
class Reader:
    """Reads files one at a time. A context manager: the process ends with it."""

    seconds: float
    options: Options
    _process: subprocess.Popen[bytes] | None = None
    _read: int = 0
    _told: bytearray = field(default_factory=bytearray)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def read(self, path: Path, form: str) -> Extracted:
        """Return what a file says. Unreadable when it has no text, or more than the limits allow."""
        if self._process is None or self._process.poll() is not None or self._read >= FILES_EACH:
            self._stop()
            self._process = self._started()
        limit = self.seconds + (_START if self._read == 0 else 0.0)
        self._read += 1
        options = {name: value for name, value in asdict(self.options).items() if name != "page_read"}
        request = {"path": str(path.absolute()), "form": form, "seconds": self.seconds, "options": options}
        line = self._asked(json.dumps(request).encode() + b"\n", limit)
        return self._extracted(json.loads(line), form)

    def _started(self) -> subprocess.Popen[bytes]:
        self._read, self._told = 0, bytearray()
        return subprocess.Popen(
            [sys.executable, "-m", "statllama.data.build.extract.child", str(self.options.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a program that it has started, such as OCR, ends with it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )

    def _asked(self, request: bytes, limit: float) -> bytes:
        """Return the process's answer to a request. Unreadable when there is none."""
        process = self._process
        assert process is not None and process.stdin and process.stdout and process.stderr
        deadline = time.monotonic() + limit
        try:
            process.stdin.write(request)
            process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        answer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while True:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    self._stop()
                    raise self._too_slow()
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    if key.fileobj is process.stderr:
                        self._told = (self._told + data)[-4000:]
                        if not data:
                            selector.unregister(process.stderr)
                        continue
                    answer += data
                    if answer.isspace():  # the time of the file begins
                        deadline = time.monotonic() + self.seconds
                    if data.endswith(b"\n"):
                        return bytes(answer)
                    if not data:
                        raise self._ended()

    def _ended(self) -> Unreadable:
        """Return why the process has ended, now that it has."""
        assert self._process is not None
        self._process.wait()
        told, code = bytes(self._told), self._process.returncode
        self._stop()
        if any(words in told for words in _NO_MEMORY):
            return self._too_large()
        if code == -getattr(signal, "SIGALRM", 1 << 16):
            return self._too_slow()
        if code == -getattr(signal, "SIGKILL", 1 << 17):  # by the kernel or a person: no fault of the file's that stays
            raise DataError(
                "the process that reads files was killed, perhaps for want of memory",
                remedy="the same command goes on there; lower `memory`, or use fewer processes",
            )
        if code >= 0:
            lines = told.decode("utf-8", "replace").strip().splitlines() or [f"exit code {code}"]
            raise DataError(f"the process that reads files has ended: {lines[-1]}", remedy="run `statllama doctor`")
        name = signal.Signals(-code).name
        return Unreadable(DAMAGED, f"the library that reads it crashed ({name}), perhaps for want of memory")

    def _too_slow(self) -> Unreadable:
        return Unreadable(f"took longer than {self.seconds:g} s")

    def _too_large(self) -> Unreadable:
        return Unreadable(f"needed more than {self.options.memory:,} MiB")

    def _extracted(self, answer: dict[str, Any], form: str) -> Extracted:
        reason = answer.get("reason")
        if reason == MISSING:
            raise DataError(
                f"reading {form} files needs a library that is not installed: {answer['detail']}",
                remedy="pip install 'statllama[build]'",
            )
        if reason == OUT_OF_MEMORY or answer.get("spent"):
            self._stop()  # what it holds may stay held
        if reason == OUT_OF_MEMORY:
            raise self._too_large()
        if reason is not None:
            raise Unreadable(reason, answer["detail"])
        blocks = [Block(**block) for block in answer["blocks"]]
        left_out = [(each[0], each[1], each[2]) for each in answer["left_out"]]
        return Extracted(blocks, answer["title"], answer["about"], left_out)

    def _stop(self) -> None:
        """End the process with all that it started."""
        process, self._process, self._read = self._process, None, 0
        if process is None:
            return
        try:
            getattr(os, "killpg", os.kill)(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        except ProcessLookupError:
            pass
        process.communicate()
