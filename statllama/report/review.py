"""The page on which a person judges rows: each beside the section it was written from, with buttons for the verdict.

It needs no server. Verdicts stay in the browser's storage, and a button downloads them as JSON lines, which
`statllama data review --verdicts` takes in. The page's own policy allows one script, by its hash: no text of a row can
run, even if it were not escaped, which it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from statllama.data.build.check.reading import Reading, read
from statllama.data.build.review import Item, Sample
from statllama.report.page import environment, save
from statllama.store.versions import __version__


@dataclass(frozen=True)
class Text:
    """A text under its name. `parts`: (text, whether it is the row's quotation)."""

    name: str
    parts: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Found:
    """What a check found: `passed`, `failed` or `not checkable`, with why and its figures."""

    name: str
    outcome: str
    said: str


@dataclass(frozen=True)
class Card:
    """A row as it is shown."""

    id: str
    digest: str
    texts: tuple[Text, ...]
    context: Text | None
    origin: tuple[tuple[str, str], ...]
    checks: tuple[Found, ...]
    build: str
    """What the build did with it."""


def cards(items: Sequence[Item]) -> list[Card]:
    """Return the rows as they are shown, on the page and in the terminal."""
    return [_card(item) for item in items]


def render_review(sample: Sample, name: str) -> str:
    """Return the page as HTML. `name`: of the build. The same sample gives the same text."""
    loaded = environment()
    source, _, _ = loaded.loader.get_source(loaded, "review.js")  # type: ignore[union-attr]
    # What a browser hashes is all between the tags, line ends too.
    script = f"\n{source}\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return loaded.get_template("review.html.jinja").render(
        name=name,
        sample=sample.name,
        cards=cards(sample.items),
        rows=sum(sample.sizes.values()),
        script=Markup(script),
        script_hash=digest,
        version=__version__,
    )


def write_review(sample: Sample, name: str, path: Path) -> None:
    """Write the page. UsageError, StoreError: see `page.save`."""
    save(render_review(sample, name), path)


def _card(item: Item) -> Card:
    row, provenance = item.row, item.row["provenance"]
    context = str(row.get("context") or "")
    pages = provenance.get("pages")
    named = ("document", "place", "section", "licence", "model")
    origin = [(name, _plain(provenance[name])) for name in named if provenance.get(name)]
    if pages:
        origin.append(("pages", "–".join(map(str, pages))))
    return Card(
        str(row["id"]),
        item.digest,
        tuple(_texts(item)),
        Text("Section", tuple(_marked(context, str(provenance.get("quote") or "")))) if context else None,
        (("row", str(row["id"])), ("part", str(row.get("part", ""))), *origin),
        tuple(_found(name, finding) for name, finding in item.checks.items()),
        "kept" if item.kept else f"left out: {item.stratum}" + (f" ({item.detail})" if item.detail else ""),
    )


def _texts(item: Item) -> list[Text]:
    reading = read(item.row)
    if not isinstance(reading, Reading):
        return [Text("row, as it is", ((json.dumps(item.row["row"], ensure_ascii=False, indent=1), False),))]
    named = [(turn.role, turn.text) for turn in reading.prompt]
    named.append(("answer" if reading.prompt else "text", reading.answer))
    if reading.rejected:
        named.append(("worse answer, as the row says", reading.rejected))
    if reading.quote is not None:
        named.append(("quotation", reading.quote))
    return [Text(name, ((text, False),)) for name, text in named if text]


def _marked(context: str, quote: str) -> list[tuple[str, bool]]:
    """Return the context in parts: the quotation, where it stands there word for word, and what is around it."""
    before, there, after = context.partition(quote.strip()) if quote.strip() else (context, "", "")
    return [part for part in ((before, False), (there, True), (after, False)) if part[0]]


def _found(name: str, finding: dict[str, Any]) -> Found:
    outcome = {True: "passed", False: "failed"}.get(finding.get("passed"), "not checkable")  # type: ignore[arg-type]
    said = [str(finding[key]) for key in ("reason", "detail") if finding.get(key)]
    said += [
        f"{key} {_plain(v)}" for key, v in finding.items() if key not in ("passed", "reason", "detail") and v != []
    ]
    return Found(name, outcome, "; ".join(said))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
