"""A real HTTP server on this machine that speaks OpenAI's chat completions, with the moods that such servers have."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from statllama.data.build.server.asking import Reply, Request

Body = dict[str, Any]
SCHEMA = '{"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}'


@dataclass(frozen=True)
class Said:
    """What the server sends: `status` 0 closes the connection without a word; `after`: seconds until then."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0


def completion(text: str | None, finish: str = "stop", usage: tuple[int, int] | None = (7, 5), **message: Any) -> Said:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    body: Body = {"id": "1", "object": "chat.completion", "choices": [choice]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return Said(200, json.dumps(body).encode())


def prompt_of(body: Body) -> str:
    return str(body["messages"][0]["content"])


class ChatApi:
    """`say` makes the answer from the request's body; `bodies` is what came, `keys` with which key; `most`: requests
    that were under way at the same time."""

    def __init__(self, say: Callable[[Body], Said]) -> None:
        self.say = say
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                api.answer(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        assert handler.path == "/v1/chat/completions"
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.bodies.append(body)
            self.keys.append(handler.headers.get("Authorization"))
            self.times.append(time.monotonic())
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            said = self.say(body)
            time.sleep(said.after)
        finally:
            with self._lock:
                self._now -= 1
        if not said.status:
            handler.close_connection = True
            handler.connection.close()
            return
        try:
            handler.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(said.body)
        except OSError:
            pass  # whoever asked has gone

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(say: Callable[[Body], Said]) -> Iterator[ChatApi]:
    api = ChatApi(say)
    try:
        yield api
    finally:
        api.close()


def request(prompt: str = "What is a median?", seed: int = 1, **changed: Any) -> Request:
    fields = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 64, "model": "small", "schema": SCHEMA} | changed
    return Request(prompt=prompt, seed=seed, **fields)


def taking(requests: Sequence[Request]) -> Callable[[], Request | None]:
    waiting = iter(requests)
    return lambda: next(waiting, None)


def by_prompt(found: Iterator[tuple[Request, Reply]]) -> dict[str, Reply]:
    return {asked.prompt: reply for asked, reply in found}
