"""`run --watch`: a process of its own that keeps the page up to date, so that drawing takes no time from training."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from statllama.store import Store

LAST_PAGE_SECONDS = 60.0  # that the process gets for the last page once the run has ended


class PageProcess:
    """`statllama report RUN --follow` as a child of the run. It ends by itself, also when the run is killed."""

    def __init__(self, store: Store, page: Path, note: Callable[[str], None]) -> None:
        self.store, self.page, self._note = store, page, note
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self, name: str) -> None:
        """Begin, once the workspace tells of the run `name`."""
        if self._process is not None:
            return
        command = [sys.executable, "-m", "statllama", "report", name, "--follow"]
        command += ["--out", str(self.page.absolute()), "--workspace", str(self.store.root)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is for the run: the page shows how it ended
            )
        except OSError as error:
            self._note(f"{self.page} is not kept up to date: {error}")
            return
        with suppress(OSError, AttributeError):  # behind the training where both want a core
            os.setpriority(os.PRIO_PROCESS, self._process.pid, 10)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Hand on what the process says: what keeps it from writing."""
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip():
                self._note(f"{self.page}: {line.strip().removeprefix('error: ')}")

    def end(self) -> None:
        """Wait for the last page."""
        if self._process is None or self._reader is None:
            return
        try:
            self._process.wait(LAST_PAGE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._note(f"{self.page} was not finished within {LAST_PAGE_SECONDS:.0f} s: statllama report writes it")
        self._reader.join()


@contextmanager
def watched(store: Store, page: Path | None, note: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Yield what begins the page of a run, to be called with its name; afterwards the last page is written. Does
    nothing without a page.
    """
    if page is None:
        yield lambda name: None
        return
    process = PageProcess(store, page, note)
    try:
        yield process.start
    finally:
        process.end()
