"""Writes and verifies a release in a process of its own, beside one in which Unsloth has rewritten the libraries.

The child gets one line of JSON: the run's record, what is to be released, the workspace. It answers by lines, an event
of its reporter each, and at last how it ended. When its parent dies, so does it: the pipe to it closes. It holds the
lock of what it makes itself, so nothing that it has begun is taken for abandoned before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from statllama import errors
from statllama.config.release import ReleaseSpec
from statllama.errors import ExportError, StatllamaError
from statllama.release.prepared import prepare
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.runs.signals import StopSignal
from statllama.runs.subject import subject_of
from statllama.store import Store

PATIENCE = 10.0  # seconds that a child gets to end


def prepare_apart(record: Mapping[str, Any], spec: ReleaseSpec, loaded: Loaded) -> None:
    """Do in another process what `prepared.prepare` does. Raises its errors."""
    order = {"record": record, "spec": spec.model_dump(mode="json"), "workspace": str(loaded.store.root)}
    places = [path for path in sys.path if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    child = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
        ended = _follow(child.stdout, loaded.reporter)
        child.wait()
    finally:
        child.stdin.close()  # so that it ends, whatever ends this
        _end(child)
    if ended is None:
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
        raise ExportError(
            f"the process that verifies the release ended early ({how})",
            remedy="it computes in float32 on the CPU: see whether the host's memory ran out, and run it again",
        )
    if ended:
        kind = getattr(errors, str(ended["kind"]), StatllamaError)
        raise kind(ended["message"], remedy=ended["remedy"])


def _follow(lines: Any, reporter: Reporter) -> dict[str, Any] | None:
    """Pass events on until the child ends; how it ended: empty when well, None when it did not say."""
    with ExitStack() as blocks:
        open_: dict[str, tuple[ExitStack, Callable[..., None]]] = {}
        for line in lines:
            event, *arguments = json.loads(line)
            name, _, part = event.partition("/")
            if event == "ended":
                return dict(arguments[0])
            if part == "at":
                open_[name][1](*arguments)
            elif part == "end":
                open_.pop(name)[0].close()
            elif name in ("exporting", "busy"):
                block = blocks.enter_context(ExitStack())
                open_[name] = block, block.enter_context(getattr(reporter, name)(*arguments)) or (lambda *_: None)
            else:
                getattr(reporter, name)(*arguments)
    return None


def _end(child: subprocess.Popen[str]) -> None:
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


# ------------------------------------------------------------------ the child


class _Telling(Reporter):
    """Writes each event as a line."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def tell(self, event: str, *arguments: Any) -> None:
        """Write a line."""
        self._write(json.dumps([event, *arguments]) + "\n")

    @contextmanager
    def _block(self, event: str, what: str) -> Iterator[Callable[..., None]]:
        self.tell(event, what)
        try:
            yield lambda *at: self.tell(f"{event}/at", *at)
        finally:
            self.tell(f"{event}/end")

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        with self._block("exporting", what) as call:
            yield call

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        with self._block("busy", what):
            yield

    def verifying(self, what: str) -> None:
        self.tell("verifying", what)

    def note(self, text: str) -> None:
        self.tell("note", text)


def main() -> None:
    """Be the child."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    telling = _Telling(answers.write)
    try:
        with StopSignal():
            _prepare(order, telling)
    except StatllamaError as error:
        ended = {"kind": type(error).__name__, "message": error.message, "remedy": error.remedy}
    else:
        ended = {}
    with suppress(BrokenPipeError):
        telling.tell("ended", ended)


def _prepare(order: Mapping[str, Any], reporter: Reporter) -> None:
    spec, store = ReleaseSpec.model_validate(order["spec"]), Store(Path(order["workspace"]))
    subject = subject_of(order["record"], store)
    loaded = Loaded(subject.base, subject.identity, store, reporter, subject.evaluate.max_length, "transformers")
    prepare(order["record"], spec, loaded)


def _die_with_parent() -> None:
    while os.read(0, 1024):  # a thread that waits in `sys.stdin` would hold up the end of the interpreter
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
