"""A dataset of the Hugging Face hub, at one commit: documents, or rows of a format that a stage reads.

    collect:
      - type: hub
        hub: owner/name
        columns: {text: content}
      - type: hub
        hub: owner/chats
        format: messages
        part: chats

The licence is the one on the dataset's card at that commit, unless the build or a column says another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from statllama.config.keyed import Unkeyed, keyed
from statllama.config.source import SourceSpec
from statllama.config.spec import Count, Name
from statllama.data.build.chain import Step
from statllama.data.build.collect._columns import as_words, at, check_columns, origin_of, sections_of
from statllama.data.build.collect.spec import CollectorSpec
from statllama.data.build.licences import normalised, refusal
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.data.formats import check_columns as check_format
from statllama.data.formats import format_module, parse_row
from statllama.data.hub import hub_name, hub_rows, resolve_commit
from statllama.errors import DataError

NUMERICS = 1
DOCUMENTS = "documents"


class Spec(CollectorSpec):
    """Which dataset, and how its rows are read."""

    type: Literal["hub"]
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """Hub dataset id `owner/name`."""
    config: str | None = None
    """Configuration (subset) of the dataset."""
    revision: Annotated[str | None, Unkeyed()] = None
    """Branch, tag or commit. Not in the key: the commit that it is when the build starts is."""
    split: str = "train"
    """Split of the dataset."""
    format: str = DOCUMENTS
    """`documents`, whose rows are texts to extract nothing from; or a module in statllama/data/formats, whose rows are
    examples."""
    part: Name | None = None
    """Part of the build that examples belong to."""
    columns: dict[str, str] = Field(default_factory=dict)
    """{what a document has, or the format expects: name in the dataset}. A document's may be a path such as
    `metadata.title`; an example's `licence` is one too."""
    licence: str | None = None
    """Licence of all rows, in place of the one on the dataset's card."""
    limit: Count | None = None
    """Number of rows that are read. None: all."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.format == DOCUMENTS:
            check_columns(self.columns)
            if self.part is not None:
                raise ValueError("`part` is for examples; documents have none until rows are written of them")
            return self
        if self.part is None:
            raise ValueError(f"rows of format {self.format} need `part`, the part of the build that they belong to")
        try:
            format_module(self.format)
            check_format(self.format, {name: used for name, used in self.columns.items() if name != "licence"})
        except DataError as error:
            raise ValueError(str(error)) from None
        return self

    def source(self, commit: str | None) -> SourceSpec:
        """Return the dataset as a source of rows, at a commit."""
        columns = {name: used for name, used in self.columns.items() if name != "licence"}
        reads: dict[str, Any] = {} if self.format == DOCUMENTS else {"format": self.format, "columns": columns}
        revision = commit or self.revision
        return SourceSpec(hub=self.hub, config=self.config, split=self.split, revision=revision, **reads)


def steps(spec: Spec, root: Path, name: str) -> tuple[Step, ...]:
    """Return the step that reads the dataset, at the commit that its revision is now. DataError without the hub."""
    return (Reading(spec, resolve_commit(spec.source(None)), name),)


@dataclass(frozen=True)
class Reading:
    """Reads a dataset's rows."""

    spec: Spec
    commit: str
    name: str
    block: int = 200
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the records: settings and the commit."""
        return {"step": "hub", "numerics": NUMERICS, "spec": keyed(self.spec), "commit": self.commit}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return the licence: the build's, or the card's at this commit, which never changes."""
        return self.spec.licence if self.spec.licence is not None else card_licence(self.spec.hub, self.commit)

    def listed(self, plan: Any) -> Iterator[Json]:
        """Yield the rows as JSON text, which other processes take whatever is in them."""
        rows = islice(hub_rows(self.spec.source(self.commit)), self.spec.limit)
        for number, (_, row) in enumerate(rows, start=1):
            yield {"number": number, "row": json.dumps(row, ensure_ascii=False, default=_as_json)}

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield each row as a document or an example."""
        return (self._outcome(record["number"], record["row"], plan) for record in records)

    def _outcome(self, number: int, text: str, licence: str | None) -> Outcome:
        place = f"https://huggingface.co/datasets/{self.spec.hub}"
        where = f"{hub_name(self.spec.source(self.commit))}, row {number}"
        row = json.loads(text)
        try:
            json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except ValueError as error:
            return LeftOut("a row with what is no text or number", where, str(error)[:200])
        name = f"hub:{self.spec.hub}:{self.spec.config or 'default'}:{self.spec.split}:{number}"
        record = self._document(row, place) if self.spec.format == DOCUMENTS else self._example(row, place, where)
        if isinstance(record, LeftOut):
            return record
        about = record["origin"] if self.spec.format == DOCUMENTS else record["provenance"]
        if "licence" not in about and (known := normalised(licence)):
            about["licence"] = known
        if reason := refusal(about.get("licence"), self.spec.licences):
            return LeftOut(reason, where)
        if self.spec.format != DOCUMENTS:
            about["document"] = name
        elif not record["sections"]:
            return LeftOut("no text", where)
        return Kept({"id": name, **record})

    def _document(self, row: Json, place: str) -> Json:
        origin = origin_of(row, self.spec.columns, "hub", place)
        if (given := as_words(at(row, self.spec.columns.get("id", "id")))) and given[0]:
            origin["ids"] = {**origin.get("ids", {}), "row": given[0]}
        return {"origin": origin, "sections": sections_of(row, self.spec.columns)}

    def _example(self, row: Json, place: str, where: str) -> Json | LeftOut:
        """Return the row with the names that its format expects; left out when the format cannot read it."""
        source = self.spec.source(self.commit)
        try:
            parse_row(source, row, where)
        except DataError as error:
            return LeftOut(f"a row that the format {self.spec.format} cannot read", where, error.message)
        module = format_module(self.spec.format)
        known = {name: source.columns.get(name, name) for name in (*module.REQUIRED, *module.OPTIONAL)}
        values = row if hasattr(module, "WHOLE_ROW") else {n: row[used] for n, used in known.items() if used in row}
        values = {name: value for name, value in values.items() if value is not None}
        licences = [found for word in as_words(at(row, self.spec.columns.get("licence", "licence")))
                    if (found := normalised(word))]  # fmt: skip
        provenance: Json = {"place": place, "commit": self.commit}
        if licences:
            provenance["licence"] = " AND ".join(dict.fromkeys(licences))
        return {"part": self.spec.part, "format": self.spec.format, "row": values, "provenance": provenance}


def card_licence(hub: str, commit: str) -> str | None:
    """Return the licence on a dataset's card at a commit; None where the card, or the licence, is missing.

    DataError when the hub cannot be reached and the card is not in its local cache.
    """
    from huggingface_hub import hf_hub_download, metadata_load
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        card = metadata_load(hf_hub_download(hub, "README.md", repo_type="dataset", revision=commit)) or {}
    except LocalEntryNotFoundError as error:  # it is an EntryNotFoundError too
        raise _unreachable(hub, commit, error) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # the library raises many types for a card that is broken or a hub that is away
        raise _unreachable(hub, commit, error) from error
    found = [name for word in as_words(card.get("license")) if (name := normalised(word))]
    if found == ["other"]:
        return str(card.get("license_name") or "other")
    return " AND ".join(dict.fromkeys(found)) or None


def _unreachable(hub: str, commit: str, error: Exception) -> DataError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(
        f"dataset {hub} at {commit[:12]}: its card, which names its licence, cannot be read: {reason}",
        remedy="check the connection; or say the licence in the build: `licence: CC-BY-4.0`, or `licence: unknown`",
    )


def _as_json(value: Any) -> Any:
    """Return what JSON has no type for as text: a date as ISO 8601, bytes as their hash."""
    if isinstance(value, bytes):
        return f"sha256:{sha256(value).hexdigest()}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
