"""A GGUF file in real llama.cpp: tokens, log-probabilities and text, to compare with the model that was trained.

llama.cpp's own server answers, in a process of its own on this machine (`llamacpp_server.py`), so what is compared is
what users of llama.cpp and Ollama get; only the cache is float32, for float16 there alone costs 1e-2.
Routes and fields: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import importlib.util
import json
import secrets
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from statllama.errors import ExportError
from statllama.release.quantise import cores

SECONDS = 600.0
"""The longest that one answer may take."""
SMALL = 64 << 20
"""Bytes of a file that one thread reads faster than several: they wait for each other at every step, and spin."""


@dataclass(frozen=True)
class Distribution:
    """What llama.cpp gives the most probable next tokens: ids (n,), and their log-probabilities (n,) in float64.

    The log-probabilities are over the whole vocabulary, whatever n is.
    """

    tokens: np.ndarray[Any, np.dtype[np.int64]]
    logprobs: np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Generated:
    """A greedy continuation, without the token that ended it."""

    tokens: tuple[int, ...]
    text: str
    ended: bool
    """The model ended its turn, rather than reaching the limit."""


def require_llamacpp() -> None:
    """Raise ExportError when xllamacpp is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ExportError(
            "llama.cpp, which checks GGUF files, is not installed",
            remedy="run `pip install 'statllama[gguf]'`",
        )


class LlamaCpp:
    """llama.cpp with one model loaded; use it in `with`, or `close` it.

    `adapters` are GGUF LoRA files with their scales; `context` is the most tokens of prompt and answer together;
    `threads` None: as many as help.
    ExportError when llama.cpp cannot load a file, or stops.
    """

    def __init__(
        self,
        model: Path,
        adapters: Sequence[tuple[Path, float]] = (),
        *,
        context: int = 2048,
        threads: int | None = None,
    ) -> None:
        require_llamacpp()
        self.model, self._key, self._scales = model, secrets.token_hex(16), [scale for _, scale in adapters]
        settings = {
            "model": str(model),
            "adapters": [(str(path), scale) for path, scale in adapters],
            "context": context,
            "threads": threads or (1 if _size(model) < SMALL else cores()),
            "key": self._key,
        }
        self._harmless: list[int] = []
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        program = str(Path(__file__).with_name("llamacpp_server.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-P", program, json.dumps(settings)],  # -P: this folder's gguf.py is not PyPI's gguf
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self._process.stdout is not None
        self._address = self._process.stdout.readline().decode().strip()
        if not self._address:
            self._process.wait()
            said = self._said()
            self.close()
            files = " with ".join(str(p) for p in (model, *(path for path, _ in adapters)))
            raise ExportError(f"llama.cpp cannot load {files}: {said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop llama.cpp's process and give its memory back."""
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()

    # ------------------------------------------------------------------ questions

    def tokens(self, text: str, *, add_special: bool = True) -> list[int]:
        """Return the token ids of a text in which special tokens are recognised; with what the file adds around it, or
        without.
        """
        body = {"content": text, "add_special": add_special, "parse_special": True}
        return [int(t) for t in self._ask("/tokenize", body)["tokens"]]

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return str(self._ask("/detokenize", {"tokens": list(tokens)})["content"])

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return a conversation in the file's own chat template, with the start of an answer."""
        return str(self._ask("/apply-template", {"messages": list(messages)})["prompt"])

    def next_token(self, tokens: Sequence[int], most: int) -> Distribution:
        """Return the `most` most probable tokens after `tokens` (at least one). All of 128,000 take seconds, 1,000 do
        not.
        """
        if not self._harmless:
            self._harmless = self.tokens("a", add_special=False)[:1]
        # With a token that is half a character llama.cpp gives no probabilities, so it is made to take a whole one.
        # They are those before this bias.
        answer = self._complete(tokens, 1, n_probs=most, logit_bias=[[self._harmless[0], 1e6]])
        entries = answer["completion_probabilities"][0]["top_logprobs"]
        return Distribution(
            np.array([entry["id"] for entry in entries], dtype=np.int64),
            np.array([entry["logprob"] for entry in entries], dtype=np.float64),
        )

    def generate(self, tokens: Sequence[int], count: int, *, ignore_end: bool = False) -> Generated:
        """Continue greedily by up to `count` tokens. `ignore_end` never takes a token that ends the turn."""
        answer = self._complete(tokens, count, ignore_eos=ignore_end, return_tokens=True)
        made, ended = tuple(int(t) for t in answer["tokens"]), answer["stop_type"] == "eos"
        return Generated(made[:-1] if ended else made, str(answer["content"]), ended)

    def ends_at(self, token: int) -> bool:
        """Return whether a reply ends when the model is made to say this token."""
        answer = self._complete([token], 2, logit_bias=[[token, 1e4]])
        return bool(answer["stop_type"] == "eos")

    def set_scales(self, scales: Sequence[float]) -> None:
        """Change the scales of the adapters that were loaded, in their order; 0 switches one off."""
        if len(scales) != len(self._scales):
            raise ValueError(f"{len(scales)} scales for {len(self._scales)} adapters")
        self._scales = list(scales)

    # ------------------------------------------------------------------ details

    def _complete(self, tokens: Sequence[int], count: int, **options: Any) -> Any:
        # Scales go with each prompt: by /lora-adapters they change, and what is cached of an earlier prompt does not.
        lora = [{"id": i, "scale": scale} for i, scale in enumerate(self._scales)]
        body = {"prompt": list(tokens), "n_predict": count, "temperature": 0.0, "lora": lora, **options}
        return self._ask("/completion", body)

    def _ask(self, route: str, body: Any) -> Any:
        request = urllib.request.Request(
            self._address + route,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise ExportError(f"llama.cpp with {self.model} refused {route}: {said}") from None
        except OSError as error:
            raise ExportError(
                f"llama.cpp with {self.model} stopped at {route}: {error}; its log: {self._said()}"
            ) from None

    def _said(self) -> str:
        """Return the first error in its log, or the last line."""
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        errors = (line.partition(" E ")[2] for line in lines if " E " in line)
        return next(errors, lines[-1] if lines else "it gave no reason")


def _size(file: Path) -> int:
    """Return the bytes; 0 for a file that is not there, of which llama.cpp says so."""
    return file.stat().st_size if file.exists() else 0
