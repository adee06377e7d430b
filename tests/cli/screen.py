"""A terminal of a few lines, for tests: what a person would see after all that a program has written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ESCAPE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


@dataclass
class Screen:
    """All lines that were written, with what rich uses: carriage return, line feed, cursor up, erase line, wrapping."""

    width: int
    lines: list[list[str]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0

    def feed(self, text: str) -> None:
        """Take what a program wrote. ValueError for an escape sequence that a screen here does not know."""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = ESCAPE.match(text, at)
                if found is None:
                    raise ValueError(f"unknown escape {text[at : at + 12]!r}")
                self._obey(found[1], found[2])
                at = found.end()
                continue
            self._put(text[at])
            at += 1

    def _obey(self, number: str, what: str) -> None:
        if what == "A":
            self.row = max(0, self.row - int(number or 1))
        elif what == "K":
            assert number == "2"
            self.lines[self.row] = []
        elif what not in "mhl":  # colours; the cursor is hidden, or shown
            raise ValueError(f"unknown escape {number}{what}")

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self.column = 0
            return
        if sign == "\n" or self.column == self.width:
            self.row += 1
            self.column = 0
            if self.row == len(self.lines):
                self.lines.append([])
            if sign == "\n":
                return
        line = self.lines[self.row]
        line.extend(" " * (self.column + 1 - len(line)))
        line[self.column] = sign
        self.column += 1

    def text(self) -> list[str]:
        """Return the lines, without blanks at their ends."""
        return ["".join(line).rstrip() for line in self.lines]


class Terminal:
    """A pseudo-terminal of a size: `name` is the file that a program opens, `screen` what it shows."""

    def __init__(self, width: int, height: int = 30) -> None:
        self._master, slave = pty.openpty()
        self.name, self.screen = os.ttyname(slave), Screen(width)
        self._slave = slave
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.raw = ""

    def read(self, until: Callable[[], bool], seconds: float = 60.0) -> None:
        """Show what is written until a condition holds. AssertionError when it does not in time."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "\n".join(self.screen.text())
            if select.select([self._master], [], [], 0.05)[0]:
                said = os.read(self._master, 65536)
                while said[-1] & 0x80:  # in the middle of a sign
                    said += os.read(self._master, 1)
                    if said.decode(errors="ignore").encode() == said:
                        break
                self.raw += said.decode()
                self.screen.feed(said.decode())

    def shows(self, pattern: str) -> bool:
        """Return whether a line matches a regular expression somewhere."""
        return any(re.search(pattern, line) for line in self.screen.text())

    def close(self) -> None:
        """Close the terminal, as a window that is shut: writing to it fails from now on."""
        for end in (self._slave, self._master):
            if end >= 0:
                os.close(end)
        self._slave = self._master = -1
