"""Asks a model whether a suspect row is a benchmark question in other words.

The model is behind any server with OpenAI's chat completions (vLLM, llama.cpp, Ollama, a hosted one). To let a strong
model compare each question with the rows nearest to it is the way of LMSYS's decontaminator (Yang et al., "Rethinking
benchmark and contamination for language models with rephrased samples", arXiv 2311.04850).

Each answer is remembered in the workspace as it arrives, so nothing is asked twice and a server that goes away costs
nothing.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from statllama.errors import StatllamaError, UsageError
from statllama.store.canonical import digest
from statllama.store.memory import recall, remember

Answer = Literal["yes", "no", "unclear"]

KEY_VARIABLE = "STATLLAMA_JUDGE_KEY"
"""Environment variable with the server's key. No other is read: a key of another service goes to nobody."""
SECONDS = 120.0  # for one answer
WAITS = (1.0, 3.0, 9.0)  # seconds before each further try of a server that is busy or away
MOST_TOKENS = 2048  # a model that thinks first needs more than a word
OPTIONAL = ("max_tokens", "temperature")  # fields that newer models of OpenAI's refuse
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
SHOWN = 300  # characters of what a server said
MOST_BYTES = 4 << 20  # of an answer: thoughts of `MOST_TOKENS` are far shorter
PROMPT = """\
You compare a question of a test with a passage of training data.

Test question:
<question>
{question}
</question>

Training passage:
<passage>
{passage}
</passage>

Does the passage ask the same problem, so that whoever has learned it knows how to answer the test question? Other \
wording, another order, and other names or numbers do not make it another problem. Another thing asked, or another \
situation that only shares the topic, does.

Answer with one word: yes or no."""
_ANSWER = re.compile(r"\W*(?:answer\W+)?(yes|no)\b", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


class JudgeError(StatllamaError):
    """A judge that cannot be reached, refuses, or is no chat completions server."""


@dataclass(frozen=True)
class Judgement:
    """A judge's answer, and what it said. `unclear`: neither yes nor no."""

    answer: Answer
    said: str


@dataclass(frozen=True)
class Judge:
    """A model that judges suspects. `url`: of the API, such as http://localhost:8000/v1."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    waits: Sequence[float] | None = None
    """Seconds before each further try of a server that is busy or away; None: `WAITS`."""
    seconds: float = SECONDS

    @classmethod
    def at(cls, url: str, model: str) -> Judge:
        """Return the judge with the key of `KEY_VARIABLE`. UsageError for what is no address of a server."""
        try:
            parts = urllib.parse.urlsplit(url)
            _ = parts.port
        except ValueError:
            parts = urllib.parse.SplitResult("", "", "", "", "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--judge {url} is no address", remedy="give one such as --judge http://localhost:8000/v1")
        if parts.username or parts.password or parts.query:
            raise UsageError(
                "--judge has a name, password or query in its address, which would be shown and kept",
                remedy=f"leave it out, and put a key into the environment variable {KEY_VARIABLE}",
            )
        path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in {KEY_VARIABLE} has a character that no HTTP header may hold (it is not shown here)",
                remedy=f"set {KEY_VARIABLE} to the key alone: one line of ASCII",
            )
        return cls(f"{parts.scheme}://{parts.netloc}{path}", model, key)

    def judge(self, question: str, passage: str, memory: Path | None = None) -> Judgement:
        """Return the answer, and keep it in `memory` (a workspace's, `Store.memory`) unless it is unclear.

        JudgeError when there is none after all tries.
        """
        prompt = PROMPT.format(question=question, passage=passage)
        said = self._hidden(self._complete(prompt)).encode(errors="replace").decode()  # a lone surrogate is no text
        judgement = Judgement(answer_of(said), said[:SHOWN])
        if judgement.answer != "unclear":
            remember(memory, self._name(prompt), judgement.answer)
        return judgement

    def remembered(self, question: str, passage: str, memory: Path) -> Judgement | None:
        """Return the answer that was given before; None when there was none."""
        known = recall(memory).get(self._name(PROMPT.format(question=question, passage=passage)))
        return Judgement(answer_of(known), known) if known in ("yes", "no") else None

    def _name(self, prompt: str) -> str:
        return f"judge/{digest([self.url, self.model, prompt])}"

    def _complete(self, prompt: str) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
        }
        waits = WAITS if self.waits is None else self.waits
        for wait in waits:
            try:
                return self._content(self._post(body))
            except _TryAgain:
                time.sleep(wait)
        try:
            return self._content(self._post(body))
        except _TryAgain as error:
            raise JudgeError(f"the judge at {self.url} gives no answer ({len(waits) + 1} tries): {error}") from None

    def _post(self, body: Any) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(body).encode(), headers)
        local = urllib.parse.urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")
        proxies = urllib.request.ProxyHandler({} if local else None)
        try:
            with urllib.request.build_opener(_NoRedirect, proxies).open(request, timeout=self.seconds) as answer:
                return self._parsed(self._read(answer))
        except urllib.error.HTTPError as error:
            said = f"HTTP {error.code}: {self._shown(_what_came(error))}"
            if error.code in BUSY:
                raise _TryAgain(said) from None
            if error.code == 400 and (refused := [name for name in OPTIONAL if name in body and name in said]):
                return self._post({name: value for name, value in body.items() if name not in refused})
            raise JudgeError(
                f"the judge at {self.url} refuses: {said}",
                remedy=f"check --judge, --judge-model {self.model} and, for 401 or 403, {KEY_VARIABLE}",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise _TryAgain(self._shown(f"{reason}".encode()) or type(error).__name__) from None

    def _read(self, answer: Any) -> bytes:
        """Return an answer's body. _TryAgain when it comes too slowly, JudgeError when it has no end."""
        end, found = time.monotonic() + self.seconds, bytearray()
        while piece := answer.read1(1 << 16):
            found += piece
            if len(found) > MOST_BYTES:
                raise JudgeError(
                    f"the judge at {self.url} answers with more than {MOST_BYTES >> 20} MiB",
                    remedy="give the address of an OpenAI-compatible API, such as --judge http://localhost:8000/v1",
                )
            if time.monotonic() > end:
                raise _TryAgain(f"no whole answer within {self.seconds:.0f} s")
        if answer.length:
            raise _TryAgain(f"the connection broke off with {answer.length:,} bytes to come")
        return bytes(found)

    def _parsed(self, said: bytes) -> Any:
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            raise JudgeError(
                f"the judge at {self.url} answers with no JSON: {self._shown(said)}",
                remedy="give the address of an OpenAI-compatible API, such as --judge http://localhost:8000/v1",
            ) from None

    def _content(self, answer: Any) -> str:
        """Return what the model said; none of it where it only thought."""
        try:
            return str(answer["choices"][0]["message"].get("content") or "")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise JudgeError(
                f"the judge at {self.url} gives no chat completion: {self._shown(json.dumps(answer).encode())}",
                remedy="give the address of an OpenAI-compatible API, such as --judge http://localhost:8000/v1",
            ) from None

    def _shown(self, said: bytes) -> str:
        """Return the beginning of what a server said, on one line, without the key."""
        return self._hidden(" ".join(said.decode(errors="replace").split()))[:SHOWN]

    def _hidden(self, said: str) -> str:
        """Return a text without the key."""
        return said.replace(self.key, "***") if self.key else said


def _what_came(error: urllib.error.HTTPError) -> bytes:
    """Return the beginning of the body of a refusal, as far as it came."""
    try:
        with error:
            return error.read(1 << 16)
    except http.client.IncompleteRead as broken:
        return broken.partial
    except (OSError, http.client.HTTPException):
        return b""


class _TryAgain(Exception):
    """A server that is busy or away."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would go to another server, and the question get lost."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse."""


def answer_of(said: str) -> Answer:
    """Return what a model's text means: its first word after its thoughts, if that is yes or no.

    >>> answer_of("<think>hm, no</think> **Yes**, it is."), answer_of("It depends.")
    ('yes', 'unclear')
    """
    found = _ANSWER.match(_THOUGHT.sub("", said))
    return "unclear" if found is None else found[1].lower()  # type: ignore[return-value]
