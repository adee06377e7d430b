"""A judge behind a real HTTP server on this machine: its answers, its moods, and what is kept when it goes away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from statllama.data.contamination import Question
from statllama.data.judging import KEY_VARIABLE, Judge, JudgeError, answer_of
from statllama.data.suspects import Suspect, Suspects
from statllama.errors import UsageError
from statllama.runs.suspects_review import Review, judged, review_lines, reviews_of

KEY = "sk-very-secret-0123"
Reply = tuple[int, bytes, dict[str, str]]


def completion(text: str | None) -> Reply:
    """What an OpenAI-compatible server answers."""
    body = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": text}}]}
    return 200, json.dumps(body).encode(), {}


class Server:
    """A chat completions server: `reply` makes the answer from the prompt; `requests` is what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []
        self.reply: Callable[[str], Reply] = lambda prompt: completion("yes")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, self.headers.get("Authorization"), body))
                status, said, headers = outer.reply(body["messages"][0]["content"])
                self.send_response(status)
                for name, value in {"Content-Length": str(len(said)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def judge(server: Server, key: str = "", waits: tuple[float, ...] = ()) -> Judge:
    return Judge(server.url, "small", key, waits, seconds=1.0)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("yes", "yes"), ("No.", "no"), ("**Yes**, the same.", "yes"), ("Answer: no", "no"), ("\n\nYES\n", "yes"),
        ("<think>yes? hm, no.</think>\nyes", "yes"), ("<think>I never come to an end, yes", "unclear"),
        ("", "unclear"), ("It depends.", "unclear"), ("yesterday", "unclear"), ("Ja", "unclear"), ("nobody", "unclear"),
    ],
)  # fmt: skip
def test_answers(said: str, answer: str) -> None:
    assert answer_of(said) == answer


def test_what_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "of another service")
    for url in (server.url, server.url + "/", server.url + "/chat/completions", server.url.removesuffix("/v1")):
        assert Judge.at(url, "small").judge("What is {x}?", "Say what x is.").answer == "yes"
    for path, authorization, body in server.requests:
        assert path == "/v1/chat/completions" and authorization == f"Bearer {KEY}"
        assert body["model"] == "small" and body["temperature"] == 0
        assert "What is {x}?" in body["messages"][0]["content"] and "Say what x is." in body["messages"][0]["content"]
    monkeypatch.delenv(KEY_VARIABLE)
    Judge.at(server.url, "small").judge("a", "b")
    assert server.requests[-1][1] is None and KEY not in repr(Judge.at(server.url, "small"))


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "", "http://", "http://me:secret@x/v1", "http://x:y/v1",
                                 "http://x/v1?key=secret"])  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Judge.at(url, "small")
    assert "secret" not in str(caught.value)


def test_a_busy_server_is_asked_again(server: Server) -> None:
    moods = iter([(503, b"loading", {}), (429, b"slow down", {}), completion("no")])
    server.reply = lambda prompt: next(moods)
    assert judge(server, waits=(0.0, 0.0)).judge("a", "b").answer == "no"
    assert len(server.requests) == 3


def test_a_model_that_refuses_fields(server: Server) -> None:
    refusals = iter(["max_tokens is not supported", "temperature does not support 0"])
    server.reply = lambda prompt: next(((400, said.encode(), {}) for said in refusals), completion("yes"))
    assert judge(server).judge("a", "b").answer == "yes"
    assert [sorted(body) for _, _, body in server.requests] == [
        ["max_tokens", "messages", "model", "temperature"], ["messages", "model", "temperature"], ["messages", "model"]
    ]  # fmt: skip


def test_a_server_that_stays_busy_or_is_away(server: Server) -> None:
    server.reply = lambda prompt: (503, b"loading the model", {})
    with pytest.raises(JudgeError, match=r"no answer \(2 tries\): HTTP 503: loading the model"):
        judge(server, waits=(0.0,)).judge("a", "b")
    server.close()
    with pytest.raises(JudgeError, match=r"gives no answer \(1 tries\): .*refused"):
        judge(server).judge("a", "b")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((401, b'{"error": "Incorrect API key: sk-very-secret-0123"}', {}), r"refuses: HTTP 401.*key: \*\*\*"),
        ((404, b"model not found", {}), "refuses: HTTP 404: model not found"),
        ((302, b"", {"Location": "/elsewhere"}), "refuses: HTTP 302"),
        ((200, b"<html>Welcome to nginx!</html>", {}), "answers with no JSON: <html>Welcome"),
        ((200, b"", {}), "answers with no JSON"),
        ((200, b'{"choices": []}', {}), "no chat completion: "),
        ((200, b'["yes"]', {}), "no chat completion: "),
        ((200, b'{"cut": ', {"Content-Length": "99"}), "gives no answer"),
    ],
)
def test_what_is_no_judge(server: Server, reply: Reply, message: str) -> None:
    server.reply = lambda prompt: reply
    with pytest.raises(JudgeError, match=message) as caught:
        judge(server, KEY).judge("a", "b")
    assert KEY not in str(caught.value) and len(server.requests) == 1


def test_a_model_that_only_thinks(server: Server) -> None:
    server.reply = lambda prompt: completion(None)
    assert judge(server).judge("a", "b").answer == "unclear"


def suspects(count: int) -> list[Review]:
    """Two rows that resemble each of some questions."""
    groups = [
        Suspects(
            Question("exam", i, f"question {i}"), 5, tuple(Suspect(f"row {i}{k}", 0.5, f"text {i}{k}") for k in "ab")
        )
        for i in range(count)
    ]
    return reviews_of("sft", groups)


def test_nothing_is_lost_when_the_judge_goes_away(server: Server, tmp_path: Path) -> None:
    def until_the_fifth(prompt: str) -> Reply:
        return completion("no") if len(server.requests) < 5 else (500, b"out of memory", {})

    memory, reviews = tmp_path / "memory.json", suspects(4)
    server.reply = until_the_fifth
    done, error = judged(reviews, judge(server), memory)
    assert error is not None and "4 of 8 suspects are judged" in error.message and "goes on" in str(error.remedy)
    assert [r.judgement and r.judgement.answer for r in done] == ["no"] * 4 + [None] * 4
    server.requests.clear()
    server.reply = lambda prompt: completion(
        "yes" if "text 3b" in prompt else "who knows" if "text 3a" in prompt else "no"
    )
    done, error = judged(reviews, judge(server), memory)
    assert error is None and len(server.requests) == 4
    assert [r.judgement.answer for r in done if r.judgement] == ["no"] * 6 + ["unclear", "yes"]
    lines = [json.loads(line) for line in review_lines(done)]
    assert lines[7] == {
        "stage": "sft", "row": "row 3b", "benchmark": "exam", "number": 3, "similarity": 0.5, "rows_alike": 5,
        "verdict": "yes", "said": "yes", "question": "question 3", "passage": "text 3b",
    }  # fmt: skip
    server.reply = lambda prompt: (500, b"", {})
    done, error = judged(reviews, judge(server), memory)
    assert len(server.requests) == 5  # the unclear one alone is asked again
    assert error is not None and "7 of 8 suspects are judged" in error.message and done[7].judgement is not None
    assert KEY not in memory.read_text()


def test_another_model_is_asked_anew(server: Server, tmp_path: Path) -> None:
    for model in ("small", "large", "small"):
        judged(suspects(1)[:1], Judge(server.url, model, waits=()), tmp_path / "memory.json")
    assert [body["model"] for _, _, body in server.requests] == ["small", "large"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((200, b"[" * 200_000, {}), "answers with no JSON"),
        ((200, b" " * (5 << 20), {}), "more than 4 MiB"),
        ((200, b"{", {"Content-Length": "1000", "Connection": "close"}), "gives no answer"),
        ((500, b"half", {"Content-Length": "1000", "Connection": "close"}), "HTTP 500: half"),
    ],
)
def test_a_hostile_server_gets_an_error_that_says_so(server: Server, reply: Reply, message: str) -> None:
    server.reply = lambda prompt: reply
    with pytest.raises(JudgeError, match=message):
        Judge(server.url, "m", KEY, waits=(), seconds=2.0).judge("q", "p")


def test_what_a_server_says_can_be_written_down_and_has_no_key(server: Server) -> None:
    said = json.dumps({"choices": [{"message": {"content": f"hm \ud800 {KEY}"}}]}).encode()
    server.reply = lambda prompt: (200, said, {})
    assert Judge(server.url, "m", KEY, waits=()).judge("q", "p").said == "hm ? ***"


@pytest.mark.parametrize("key", ["\u043a\u043b\u044e\u0447", "one\ntwo"])
def test_a_key_that_no_header_holds_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(UsageError, match=KEY_VARIABLE) as caught:
        Judge.at("http://localhost:8000/v1", "m")
    assert key not in str(caught.value)
