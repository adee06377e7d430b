"""Documents to write about, and a model that writes about them."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

from tests.data.build.server.chat_api import Body, Said, completion, prompt_of

TEXT = (
    "The median is the value that splits a sorted sample in half. It does not move when the largest value grows, so "
    "it is called robust. The mean moves with every value. For a skewed sample the two differ, and the difference "
    "says in which direction the sample leans. Reports of incomes therefore give the median."
)


def section(text: str = TEXT, kind: str = "other", heading: str = "Centre", **more: Any) -> dict[str, Any]:
    return {"heading": heading, "level": 1, "kind": kind, "text": text, **more}


def document(name: str = "a", *sections: dict[str, Any], **more: Any) -> dict[str, Any]:
    origin = {"collector": "files", "place": f"{name}.md", "title": f"Book {name}", "licence": "CC-BY-4.0"}
    return {"id": f"file:{name}.md", "origin": origin, "sections": list(sections or [section()]), **more}


def documents(count: int) -> list[dict[str, Any]]:
    return [document(f"d{i}", section(f"{TEXT} This is part {i}.", pages=[i, i + 1])) for i in range(count)]


def written(body: Body, **changed: Any) -> Said:
    """A good question and answer, which depend on the prompt and the seed alone; after a while that is drawn."""
    drawn = hashlib.sha256(f"{prompt_of(body)} {body.get('seed')}".encode()).hexdigest()
    row = {
        "quote": "The mean moves with every value.",
        "question": f"Which value does not move ({drawn[:12]})?",
        "answer": "The median, since it is robust.",
    }
    said = completion(json.dumps(row | changed), usage=(len(prompt_of(body)) // 4, 30))
    return Said(said.status, said.body, after=random.random() / 100)


def is_faulty(body: Body, share: int) -> bool:
    """Whether this request, of all that could be, gets a reply of no use: one in `share`."""
    return hashlib.sha256(f"{prompt_of(body)}{body['seed']}".encode()).digest()[0] % share == 0
