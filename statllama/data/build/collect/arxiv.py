"""Papers of arXiv, through its API: a step that lists them, page by page, and one that fetches each paper's file.

    collect:
      - type: arxiv
        query: all:bootstrap
        categories: [stat.ME, stat.TH]
        submitted_to: 2026-01-31
        licences: [CC-BY-4.0, CC0-1.0]

arXiv asks for three seconds between requests over one connection, of all its interfaces together
(https://info.arxiv.org/help/api/tou.html); that is the default. The API says no licence; the OAI-PMH interface does, at
the cost of one more request a paper, which is made before the file is fetched.

The package `arxiv` is not used: its user agent and its hosts are fixed, it bounds no time, and it pins `requests`.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, field_validator, model_validator

from statllama.config.keyed import Unkeyed, keyed
from statllama.config.spec import Count, NonNegative
from statllama.data.build.chain import Step
from statllama.data.build.collect._atom import Page, licence_of, page_of
from statllama.data.build.collect._http import Client, Gone, TooLarge, TryAgain
from statllama.data.build.collect._latex import NoSource, one_file
from statllama.data.build.collect.spec import CollectorSpec, Names
from statllama.data.build.licences import refusal
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.errors import DataError
from statllama.store.files import file_sha256, translate_os_errors

NUMERICS = 1
PAGE = 100
"""Entries of a page of answers."""
MOST_LISTED = 10_000
"""Entries of one query: further pages of a longer one come slowly or not at all, so it is divided by date."""
TRIES_OF_SHORT = 3
"""Tries of a page with fewer entries than it should have, before they are taken for all there are."""
MOST_BYTES = 256 << 20
"""Bytes of the largest file that is fetched."""
_FIRST = "1991-01-01"  # before arXiv's first paper
_ORDER = {"oldest": ("submittedDate", "ascending"), "newest": ("submittedDate", "descending"),
          "relevance": ("relevance", "descending")}  # fmt: skip


def _as_text(value: Any) -> Any:
    return value.isoformat() if type(value) is date else value


def _is_day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError(f"should be a day such as 2026-01-31; got {value!r}") from None


Day = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_day)]


class Spec(CollectorSpec):
    """Which papers of arXiv, and which file of each."""

    type: Literal["arxiv"]
    query: str | None = None
    """Query in arXiv's own syntax, such as `ti:bootstrap AND abs:"confidence interval"`."""
    categories: Names = ()
    """Categories, one of which a paper is in, such as stat.ME. With `query`: both must hold."""
    submitted_from: Day | None = None
    """First day (GMT) on which a paper's first version was submitted. None: arXiv's first."""
    submitted_to: Day | None = None
    """Last day (GMT) of that. Needed for a query: without it the same build would find other papers next month."""
    ids: Names = ()
    """arXiv identifiers, such as 2601.09718 (the newest version) or 2601.09718v1, in place of a query."""
    limit: Count = 1000
    """Maximum number of papers that are listed."""
    sort: Literal["oldest", "newest", "relevance"] = "oldest"
    """Order of the papers, by the day of submission or by how well they fit the query."""
    files: Literal["pdf", "source", "none"] = "pdf"
    """File of each paper: its PDF; its LaTeX source as one .tex file, or the PDF where arXiv has no other source; or
    none, only title and abstract."""
    licence_lookup: bool = True
    """Ask for each paper's licence, which takes one more request a paper. Without it no licence is known."""
    address: Annotated[str, Unkeyed()] = "https://export.arxiv.org"
    """Address of arXiv or a mirror of it. Not in the key."""
    licence_address: Annotated[str, Unkeyed()] = "https://oaipmh.arxiv.org/oai"
    """Address of arXiv's OAI-PMH interface. Not in the key."""
    seconds_between: Annotated[NonNegative, Unkeyed()] = 3.0
    """Seconds between requests; arXiv asks for 3. Not in the key."""
    contact: Annotated[str | None, Unkeyed()] = None
    """E-mail address at which arXiv can reach you, sent with each request. Not in the key."""

    @field_validator("contact", mode="after")
    @classmethod
    def _fits_a_header(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and value.isprintable() and "@" in value):
            raise ValueError(f"should be an e-mail address in ASCII; got {value!r}")
        return value

    @field_validator("address", "licence_address", mode="after")
    @classmethod
    def _is_web(cls, value: str) -> str:
        parts = urllib.parse.urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"should be an address such as https://export.arxiv.org; got {value!r}")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        asked = self.query or self.categories or self.submitted_from or self.submitted_to
        if bool(asked) == bool(self.ids):
            raise ValueError("give `query`, `categories` or both; or `ids` alone")
        if asked and not self.submitted_to:
            raise ValueError(
                "a query needs `submitted_to`, a day such as 2026-01-31: the same build finds the same papers"
            )
        if self.submitted_from and self.submitted_to and self.submitted_from > self.submitted_to:
            raise ValueError(f"`submitted_from` {self.submitted_from} is after `submitted_to` {self.submitted_to}")
        if self.sort == "relevance" and self.limit > MOST_LISTED:
            raise ValueError(f"arXiv lists at most {MOST_LISTED:,} papers by relevance; lower `limit`, or sort by date")
        if self.licences and not self.licence_lookup:
            raise ValueError("`licences` needs `licence_lookup`: arXiv's list of papers says no licence")
        return self

    @property
    def client(self) -> Client:
        """Return how the server is asked."""
        return Client(self.seconds_between, self.contact)


def steps(spec: Spec, root: Path, name: str) -> tuple[Step, ...]:
    """Return the step that lists papers and the one that fetches their files."""
    return Listing(spec, name), Fetching(spec, f"{name}:files")


_LISTED = ("query", "categories", "submitted_from", "submitted_to", "ids", "limit", "sort")


@dataclass(frozen=True)
class Listing:
    """Lists papers: one record in is one page of answers. What comes of it is kept, so a killed one goes on."""

    spec: Spec
    name: str
    block: int = 1
    threads: bool = True

    def material(self) -> Mapping[str, Any]:
        """Return what decides the papers that are listed."""
        settings = keyed(self.spec)
        return {"step": "arxiv listing", "numerics": NUMERICS, **{field: settings[field] for field in _LISTED}}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return the queries that together list all papers: [first day, last day, papers], in order."""
        spec = self.spec
        if spec.ids:
            return None
        first, last = date.fromisoformat(spec.submitted_from or _FIRST), date.fromisoformat(spec.submitted_to or _FIRST)
        found = list(_windows(first, last, self._count, spec.limit))
        return found[::-1] if spec.sort == "newest" else found

    def listed(self, plan: Any) -> Iterator[Json]:
        """Yield the pages to ask for."""
        left = self.spec.limit
        for first, last, total in plan or [(None, None, len(self.spec.ids))]:
            papers = min(total, left)
            left -= papers
            for start in range(0, papers, PAGE):
                yield {"from": first, "to": last, "start": start, "size": min(PAGE, papers - start)}

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield the papers of a page, without files."""
        for record in records:
            start, size = record["start"], record["size"]
            if self.spec.ids:
                where, asked = f"ids {start + 1} to {start + size}", self.spec.ids[start : start + size]
                page = self._ask({"id_list": ",".join(asked), "start": 0, "max_results": size}, size, due=0)
                got = {name for entry in page.entries for name in _names(entry["id"])}
                yield from (LeftOut("arXiv has no such paper", each) for each in asked if each not in got)
            else:
                where = f"submitted {record['from']} to {record['to']}, {start + 1} to {start + size}"
                page = self._ask(self._query(record["from"], record["to"], start, size), size)
                if len(page.entries) < size:
                    detail = f"{len(page.entries)} of {size} entries came, in several tries"
                    yield LeftOut("arXiv counts more papers than it lists", where, detail)
            yield from (Kept({**entry, "listed": [where, i]}) for i, entry in enumerate(page.entries))

    def _count(self, first: date, last: date) -> int:
        return self._ask(self._query(first.isoformat(), last.isoformat(), 0, 1), 0, due=0).total

    def _query(self, first: str, last: str, start: int, size: int) -> Mapping[str, Any]:
        days = f"submittedDate:[{first.replace('-', '')}0000 TO {last.replace('-', '')}2359]"
        parts = [f"({self.spec.query})"] if self.spec.query else []
        if self.spec.categories:
            parts.append("(" + " OR ".join(f"cat:{category}" for category in self.spec.categories) + ")")
        order, direction = _ORDER[self.spec.sort]
        return {
            "search_query": " AND ".join([*parts, days]),
            "sortBy": order,
            "sortOrder": direction,
            "start": start,
            "max_results": size,
        }

    def _ask(self, query: Mapping[str, Any], size: int, due: int = 1) -> Page:
        """Return a page with `size` entries, or with fewer when the server gives no more after several tries.

        Now and then arXiv answers with an empty page, or a short one, where the next try brings the whole. DataError
        for a page of less than `due` entries after all tries.
        """
        url = f"{self.spec.address}/api/query?{urllib.parse.urlencode(query)}"
        short: list[Page] = []

        def read(data: bytes) -> Page:
            page = page_of(data)
            best = max((page, *short), key=lambda each: len(each.entries))
            short.append(page)
            if len(best.entries) < (size if len(short) < TRIES_OF_SHORT else due):
                raise TryAgain(f"{len(best.entries)} of {size} entries")
            return best

        try:
            return self.spec.client.get(url, read)
        except (Gone, TooLarge) as error:
            raise DataError(f"{url}: {error}", remedy="check `address`, the address of arXiv's API") from None


def _names(name: str) -> tuple[str, str]:
    """Return the arXiv identifier of a record's id with its version and without."""
    whole = name.removeprefix("arxiv:")
    return whole, re.sub(r"v\d+$", "", whole)


def _windows(first: date, last: date, count: Callable[[date, date], int], limit: int) -> Iterator[tuple[str, str, int]]:
    """Yield (first day, last day, papers) of queries that arXiv lists whole; halves of days where there are more."""
    total = count(first, last)
    if min(total, limit) <= MOST_LISTED or first == last:
        yield first.isoformat(), last.isoformat(), total
        return
    middle = first + timedelta(days=(last - first).days // 2)
    yield from _windows(first, middle, count, limit)
    yield from _windows(middle + timedelta(days=1), last, count, limit)


@dataclass(frozen=True)
class Fetching:
    """Looks up each paper's licence, and fetches the file of those that are welcome."""

    spec: Spec
    name: str
    block: int = 1
    threads: bool = True

    def material(self) -> Mapping[str, Any]:
        """Return what decides which files are fetched."""
        settings = keyed(self.spec)
        fields = ("files", "licences", "licence_lookup")
        return {"step": "arxiv files", "numerics": NUMERICS, **{field: settings[field] for field in fields}}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return where the papers that were listed twice stand first: pages shift when arXiv changes meanwhile."""
        first: dict[str, list[Any]] = {}
        twice = set()
        for record in inputs():
            if first.setdefault(record["id"], record["listed"]) != record["listed"]:
                twice.add(record["id"])
        return {name: first[name] for name in sorted(twice)}

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield each paper with its licence and its file."""
        for record in records:
            if record["listed"] != plan.get(record["id"], record["listed"]):
                yield LeftOut("listed twice", record["id"])
                continue
            found = {name: value for name, value in record.items() if name != "listed"}
            if self.spec.licence_lookup and (licence := self._licence(record["origin"]["ids"]["arxiv"])):
                found["origin"] = {**found["origin"], "licence": licence}
            if reason := refusal(found["origin"].get("licence"), self.spec.licences):
                yield LeftOut(reason, record["id"])
            else:
                yield self._with_file(found, files) if self.spec.files != "none" else Kept(found)

    def _licence(self, bare: str) -> str | None:
        query = {"verb": "GetRecord", "identifier": f"oai:arXiv.org:{bare}", "metadataPrefix": "arXiv"}
        url = f"{self.spec.licence_address}?{urllib.parse.urlencode(query)}"
        try:
            return self.spec.client.get(url, licence_of)
        except (Gone, TooLarge) as error:
            raise DataError(f"{url}: {error}", remedy="check `licence_address`, arXiv's OAI-PMH interface") from None

    def _with_file(self, record: Json, files: Path) -> Outcome:
        name = record["id"].removeprefix("arxiv:")
        source = self.spec.files == "source"
        path = files / (name.replace("/", "_") + (".source" if source else ".pdf"))
        url = f"{self.spec.address}/{'e-print' if source else 'pdf'}/{urllib.parse.quote(name)}"
        try:
            sha256 = self.spec.client.download(url, path, _is_file if source else _is_pdf, MOST_BYTES)
        except Gone as error:
            return LeftOut("arXiv has no file of it", record["id"], str(error))
        except TooLarge as error:
            return LeftOut(f"a file over {MOST_BYTES >> 20} MiB", record["id"], str(error))
        except DataError as error:
            if isinstance(error.__cause__, _APage):  # the server is well; this paper has no file to give
                return LeftOut("arXiv gives a page in place of the file", record["id"], str(error.__cause__))
            raise
        if source:
            try:
                path, sha256 = _laid_open(path)
            except NoSource as error:
                with translate_os_errors(path):
                    path.unlink()
                return LeftOut(error.reason, record["id"], error.detail)
        kept = {key: value for key, value in record.items() if key != "sections"}
        return Kept({**kept, "file": f"files/{path.name}", "sha256": sha256, "form": path.suffix[1:]})


class _APage(TryAgain):
    """A web page where a file is due."""


def _is_pdf(start: bytes) -> None:
    if b"%PDF-" not in start[:1024]:
        raise _APage(f"no PDF but {start[:60]!r}")


def _is_file(start: bytes) -> None:
    if start.lstrip()[:1] == b"<":
        raise _APage(f"no source but {start[:60]!r}")


def _laid_open(path: Path) -> tuple[Path, str]:
    """Put one .tex file, or the PDF that arXiv has in its place, where the source was: (path, SHA-256). NoSource."""
    with translate_os_errors(path):
        with open(path, "rb") as file:
            is_pdf = b"%PDF-" in file.read(1024)
        target = path.with_suffix(".pdf" if is_pdf else ".tex")
        if is_pdf:
            path.rename(target)
        else:
            text = one_file(path)
            target.write_text(text, encoding="utf-8", newline="\n")
            path.unlink()
        return target, file_sha256(target)
