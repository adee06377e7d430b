"""How a server wants its requests: which form of structured outputs it takes, and which fields it does not.

Known only by trying, since servers do not say; one refusal each teaches it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from statllama.data.build.server.asking import Request

Form = Literal["json_schema", "json_object", "prompt"]
FORMS: tuple[Form, ...] = ("json_schema", "json_object", "prompt")
"""The forms of structured outputs, the strictest first: the schema is held, the reply is JSON, the prompt asks."""
OPTIONAL = ("temperature", "top_p", "seed")  # fields that some models of OpenAI's refuse
_FORMAT = re.compile(r"response_format|json_schema|json_object|structured.output|grammar|guided", re.IGNORECASE)
_CONTEXT = re.compile(
    r"context.{0,20}(?:length|size|window|limit)|(?:prompt|input|request).{0,40}too (?:long|large)|maximum context"
    r"|exceed_context",
    re.IGNORECASE,
)

_UNREAD = re.compile(r"model produced output|output that does not match the expected", re.IGNORECASE)


@dataclass(frozen=True)
class Manners:
    """What is known of a server. `limit`: its name of the field with the most tokens of a reply."""

    form: Form = "json_schema"
    limit: str = "max_tokens"
    dropped: frozenset[str] = frozenset()

    def body(self, request: Request) -> dict[str, Any]:
        """Return the request as the server takes it."""
        prompt = request.prompt if self.form == "json_schema" else request.spelled_out
        fields: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            self.limit: request.max_tokens,
        }
        if self.form == "json_schema" and request.schema:
            schema = {"name": "row", "strict": True, "schema": json.loads(request.schema)}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.form == "json_object" and request.schema:
            fields["response_format"] = {"type": "json_object"}
        return {name: value for name, value in fields.items() if name not in self.dropped}

    def lower(self) -> Manners:
        """Return them with the next form."""
        return replace(self, form=FORMS[min(FORMS.index(self.form) + 1, len(FORMS) - 1)])

    def after(self, refusal: str, code: int) -> Manners | None:
        """Return them as a refusal with a code of HTTP teaches; None when it names nothing that could be left out. A
        server that fails (500) over a form of structured outputs does not have it.

        >>> Manners().after("response_format type must be text or json_object", 400).form
        'json_object'
        """
        if self.form != "prompt" and _FORMAT.search(refusal):
            return self.lower()
        if code >= 500:
            return None
        if "max_tokens" in refusal and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        named = {name for name in OPTIONAL if name not in self.dropped and re.search(rf"\b{name}\b", refusal)}
        return replace(self, dropped=self.dropped | named) if named else None


def is_unread(refusal: str) -> bool:
    """Return whether a failure says that the server could not read what its model said.

    llama.cpp parses a reply under a schema as a whole and fails (500) where it cannot, such as where it ends within a
    character (ggml-org/llama.cpp issue 27279): as often as it is asked for the same reply.

    >>> is_unread("HTTP 500: The model produced output that does not match the expected peg-native format")
    True
    """
    return _UNREAD.search(refusal) is not None


def is_too_long(refusal: str) -> bool:
    """Return whether a refusal says that the prompt does not fit into the model's context.

    >>> is_too_long("HTTP 400: This model's maximum context length is 2048 tokens.")
    True
    """
    return _CONTEXT.search(refusal) is not None
