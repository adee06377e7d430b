"""Reads a JSON file: an array item by item, so that it need not fit into memory, or one object as the only item."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.data.textfiles import blocks
from statllama.errors import DataError


def array_items(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (number from 1, value) for each item. DataError for what is not one whole array or object."""
    window = _Window(blocks(path))
    if (first := window.peek()) != "[":
        if first == "{":
            yield 1, _only_object(window, path)
            return
        raise DataError(f"{path}: not a JSON array of objects", remedy='write it as [{"text": "..."}, ...]')
    window.at += 1
    row = 0
    while (mark := window.peek()) != "]":
        if row and mark == ",":
            window.at += 1
        elif row and mark:
            raise DataError(f"{path}: no comma after row {row}", remedy="separate the objects by commas")
        row += 1
        yield row, _next_value(window, path, row)
    window.at += 1
    if window.peek():
        raise DataError(f"{path}: more text after the array's end (after row {row})", remedy="keep one array per file")


def _only_object(window: _Window, path: Path) -> Any:
    value = _next_value(window, path, 1)
    if window.peek():
        raise DataError(
            f"{path}: starts with an object, but does not end with it; a .json file is an array or one object",
            remedy=f"if it holds one object per line, rename it to {path.name.replace('.json', '.jsonl')}",
        )
    return value


def _next_value(window: _Window, path: Path, row: int) -> Any:
    while True:
        cut = not window.peek()
        try:
            value, window.at = json.JSONDecoder().raw_decode(window.text, window.at)
            return value
        except RecursionError:
            raise DataError(f"{path}, row {row}: nested too deeply") from None
        except json.JSONDecodeError as error:
            if window.grow():
                continue
            start = error.pos - (len(error.doc) - len(window.text))
            if cut or start >= len(window.text.rstrip()) or error.msg.startswith("Unterminated"):
                raise DataError(
                    f"{path}: the file ends inside row {row}, before the array does",
                    remedy="download or write it again",
                ) from None
            near_text = window.text[max(0, start - 20) : start + 20]
            raise DataError(
                f"{path}, row {row}: not valid JSON: {error.msg.removesuffix(' at')} near {near_text!r}"
            ) from None


class _Window:
    """A view of a JSON text that grows while it is read, so that an array need not fit into memory."""

    def __init__(self, parts: Iterator[str]) -> None:
        self.parts = parts
        self.text = ""
        self.at = 0

    def grow(self) -> bool:
        """Drop what is read; append at least as much as is left, so a long row costs linear time. False: the end."""
        self.text, self.at = self.text[self.at :], 0
        new: list[str] = []
        while sum(map(len, new)) <= len(self.text) and (part := next(self.parts, None)) is not None:
            new.append(part)
        self.text += "".join(new)
        return bool(new)

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""
