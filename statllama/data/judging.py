"""Asks a model whether a suspect row is a benchmark question in other words.

The model is behind any server with OpenAI's chat completions (vLLM, llama.cpp, Ollama, a hosted one). To let a strong
model compare each question with the rows nearest to it is the way of LMSYS's decontaminator (Yang et al., "Rethinking
benchmark and contamination for language models with rephrased samples", arXiv 2311.04850).

Each answer is remembered in the workspace as it arrives, so nothing is asked twice and a server that goes away costs
nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from statllama.data.chat_server import SHOWN, Busy, ChatServer, NoChat, Refused
from statllama.errors import StatllamaError
from statllama.store.canonical import digest
from statllama.store.memory import recall, remember

Answer = Literal["yes", "no", "unclear"]

KEY_VARIABLE = "STATLLAMA_JUDGE_KEY"
"""Environment variable with the server's key. No other is read: a key of another service goes to nobody."""
SECONDS = 120.0  # for one answer
WAITS = (1.0, 3.0, 9.0)  # seconds before each further try of a server that is busy or away
MOST_TOKENS = 2048  # a model that thinks first needs more than a word
OPTIONAL = ("max_tokens", "temperature")  # fields that newer models of OpenAI's refuse
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
        server = ChatServer.at(url, SECONDS, option="--judge", variable=KEY_VARIABLE)
        return cls(server.url, model, server.key)

    def judge(self, question: str, passage: str, memory: Path | None = None) -> Judgement:
        """Return the answer, and keep it in `memory` (a workspace's, `Store.memory`) unless it is unclear.

        JudgeError when there is none after all tries.
        """
        prompt = PROMPT.format(question=question, passage=passage)
        said = self._complete(prompt)
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
                return self._said(body)
            except Busy:
                time.sleep(wait)
        try:
            return self._said(body)
        except Busy as error:
            raise JudgeError(f"the judge at {self.url} gives no answer ({len(waits) + 1} tries): {error}") from None

    def _said(self, body: Mapping[str, Any]) -> str:
        """Return what the model said, none of it where it only thought. Busy when the server is."""
        server = ChatServer(self.url, self.key, self.seconds)
        try:
            return server.hidden(str(server.first_choice(server.post(body))["message"].get("content") or ""))
        except Refused as error:
            if error.code == 400 and (refused := [name for name in OPTIONAL if name in body and name in str(error)]):
                return self._said({name: value for name, value in body.items() if name not in refused})
            raise JudgeError(
                f"the judge at {self.url} refuses: {error}",
                remedy=f"check --judge, --judge-model {self.model} and, for 401 or 403, {KEY_VARIABLE}",
            ) from None
        except NoChat as error:
            raise JudgeError(
                f"the judge at {self.url} {error}",
                remedy="give the address of an OpenAI-compatible API, such as --judge http://localhost:8000/v1",
            ) from None


def answer_of(said: str) -> Answer:
    """Return what a model's text means: its first word after its thoughts, if that is yes or no.

    >>> answer_of("<think>hm, no</think> **Yes**, it is."), answer_of("It depends.")
    ('yes', 'unclear')
    """
    found = _ANSWER.match(_THOUGHT.sub("", said))
    return "unclear" if found is None else found[1].lower()  # type: ignore[return-value]
