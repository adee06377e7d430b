"""Why a file, or a part of one, has no text."""

from __future__ import annotations


class Unreadable(Exception):
    """A file that is left out: for a reason that is the same for all of its kind, and what was found in this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


ENCRYPTED = "encrypted"
DAMAGED = "damaged"
NO_TEXT = "no text"
PAGE_WITHOUT_TEXT = "page without text"
GARBLED = "page in letters without meaning"
RUNNING = "running header or footer"
SIDEWAYS = "sideways text"
