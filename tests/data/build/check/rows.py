"""Rows for tests."""

from __future__ import annotations

from typing import Any

from statllama.data.build.check.checks import check_module
from statllama.data.build.check.findings import Finding
from statllama.data.build.check.reading import Reading, read
from statllama.data.build.records import Json

CONTEXT = (
    "A survey of 400 adults was taken at random. Of these, 248 said that they read the news every day. "
    "The sample proportion is an unbiased estimator of the population proportion."
)


def row(question: str = "What share of the 400 adults read the news?", answer: str = "248 / 400 = 0.62\nAnswer: 0.62",
        name: str = "r1", quote: str | None = None, context: str = CONTEXT, **columns: Any) -> Json:  # fmt: skip
    """A written row of a question and an answer."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    provenance: Json = {"document": "d", "section": "Methods"}
    if quote is not None:
        provenance["quote"] = quote
    return {"id": name, "part": "qa", "format": "messages", "row": {"messages": messages, **columns},
            "context": context, "provenance": provenance}  # fmt: skip


def found(check: str, record: Json, folder: Any = None, **settings: Any) -> Finding:
    """What a check of a row by itself finds."""
    module = check_module(check)
    spec = module.Spec.model_validate(settings)
    reading = read(record)
    assert isinstance(reading, Reading)
    finding = module.make(spec, module.prepare(spec, folder))(record, reading)
    assert isinstance(finding, Finding)
    return finding
