"""A display that is redrawn in place below the lines that stay, and output that outlives its terminal."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TextIO, cast

from rich.console import ConsoleRenderable, Group, RenderableType
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from statllama.cli.console.terminal import Out

FRAMES_PER_SECOND = 4


def interactive() -> bool:
    """Return whether lines can be redrawn: in a terminal that knows how. Elsewhere the output is a log."""
    return Out.is_terminal and not Out.is_dumb_terminal


class Display(Live):
    """Draws `frame(width)` a few times a second, until it is stopped; then it is gone and the lines above stay.

    A terminal that becomes narrower breaks the lines it shows into more of them, which rich does not know: they would
    stay. A state that changes while it is drawn leaves the frame before.
    """

    def __init__(self, frame: Callable[[int], Sequence[Text]]) -> None:
        self._draw, self._lines = frame, list[Text]()
        super().__init__(console=Out, transient=True, refresh_per_second=FRAMES_PER_SECOND, get_renderable=self._frame)

    shown: ClassVar[bool] = False
    """Whether one is on the terminal."""

    def start(self, refresh: bool = False) -> None:
        """Put it on the terminal."""
        Display.shown = True
        super().start(refresh)

    def stop(self) -> None:
        """Take it off the terminal."""
        super().stop()
        Display.shown = False

    def _frame(self) -> RenderableType:
        with suppress(RuntimeError):  # a dict that the training thread filled meanwhile
            self._lines = list(self._draw(Out.width))
        return Group(*self._lines)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Go up over the lines that a narrower terminal has added, before the frame is drawn anew."""
        reset, *others = super().process_renderables(renderables)
        return [reset, self._over_broken_lines(), *others]

    _drawn: tuple[int, ...] = ()

    def _over_broken_lines(self) -> Control:
        width = max(1, Out.width)
        more = sum(max(0, math.ceil(columns / width) - 1) for columns in self._drawn)
        self._drawn = tuple(line.cell_len for line in self._lines)
        return Control(*((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * more)


class Lasting:
    """A stream that may be closed by whoever reads it: what is written from then on is dropped.

    Hours of training do not end because `| head` has read enough, or because a terminal is gone. With `above`, what is
    written while a display is on the terminal comes above it: a library's log may have kept the stream from before.
    """

    def __init__(self, stream: TextIO, *, above: bool = False) -> None:
        self.stream, self.closed_early = stream, False
        self._above = FileProxy(Out, stream) if above else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, or drop, the text."""
        if self._above is not None and Display.shown:
            return self._above.write(text)
        if not self.closed_early:
            try:
                return self.stream.write(text)
            except OSError:
                self._leave()
        return len(text)

    def flush(self) -> None:
        """Flush what is written, if there is still somebody to read it."""
        if not self.closed_early:
            try:
                self.stream.flush()
            except OSError:
                self._leave()

    def _leave(self) -> None:
        """Point the stream at nothing, so that what is still in its buffer is no error at the end of the process."""
        self.closed_early = True
        with suppress(OSError, ValueError), open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), self.stream.fileno())


@contextmanager
def outliving() -> Iterator[None]:
    """Enclose work that goes on when the reader of its output leaves."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", Lasting(before[0])), cast("TextIO", Lasting(before[1], above=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
