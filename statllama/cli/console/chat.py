"""The conversation in the terminal: reads turns, prints replies as they come, two side by side where asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from rich.columns import Columns
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from statllama.cli.console.terminal import Out, plain, print_error, visible
from statllama.errors import StatllamaError
from statllama.runs.chat import Conversation

HELP = "/reset forgets the conversation, /system TEXT restarts it with a system prompt, /exit or Ctrl-D quits"
Reply = Callable[[str, list[int]], Iterator[str]]
"""The pieces of a side's reply to a prompt (token ids)."""


def read_turn() -> str | None:
    """Return the next line that is typed or piped in; None at the end."""
    if sys.stdin.isatty():
        try:
            return Out.input("[bold cyan]you[/]  ")
        except EOFError:
            return None
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def converse(sides: Mapping[str, Conversation], reply: Reply) -> None:
    """Read turns until the end and have each of `sides` answer them. What begins with a slash is a command."""
    Out.print(f"[bold]{plain(' and '.join(sides))}[/]  [dim]{HELP}[/]")
    while (text := read_turn()) is not None:
        word, _, rest = text.strip().partition(" ")
        if word == "/exit":
            return
        if word in ("/reset", "/system"):
            for side in sides.values():
                side.reset()
                if word == "/system":
                    side.system = rest.strip() or None
        elif word.startswith("/"):
            Out.print(f"[dim]{HELP}[/]")
        elif word:
            _answer(text, sides, reply)


def _answer(text: str, sides: Mapping[str, Conversation], reply: Reply) -> None:
    """Answer one turn. If a side cannot answer, it says why and neither keeps the turn: they stay in step."""
    try:
        pieces = {name: reply(name, side.prompt(text)) for name, side in sides.items()}
        replies = print_replies(pieces) if len(pieces) > 1 else {n: print_reply(n, p) for n, p in pieces.items()}
    except StatllamaError as error:
        print_error(error)
        return
    for name, side in sides.items():
        side.add(text, replies[name])


def print_reply(name: str, pieces: Iterator[str]) -> str:
    """Print a reply as it comes and return it. Ctrl-C ends the reply, not the conversation."""
    reply = ""
    Out.print(f"[bold green]{plain(name)}[/]  ", end="")
    try:
        with closing(pieces):  # type: ignore[type-var]
            for piece in pieces:
                reply += piece
                Out.print(Text(visible(piece)), end="")
    except KeyboardInterrupt:
        Out.print("[dim] (stopped)[/]", end="")
    Out.print()
    return reply.strip()


def print_replies(replies: Mapping[str, Iterator[str]]) -> dict[str, str]:
    """Print several replies to one turn, one model after the other, in panels side by side; {name: reply}."""
    if not Out.is_terminal:
        return {name: print_reply(name, pieces) for name, pieces in replies.items()}
    texts = dict.fromkeys(replies, "")
    width = max(30, Out.width // len(texts) - 1)

    def panels() -> Columns:
        boxes = [Panel(Text(visible(text)), title=plain(name), width=width) for name, text in texts.items()]
        return Columns(boxes, padding=0)

    with Live(panels(), console=Out, refresh_per_second=8, vertical_overflow="visible") as live:
        try:
            for name, pieces in replies.items():
                with closing(pieces):  # type: ignore[type-var]
                    for piece in pieces:
                        texts[name] += piece
                        live.update(panels())
        except KeyboardInterrupt:
            pass
    return {name: text.strip() for name, text in texts.items()}
