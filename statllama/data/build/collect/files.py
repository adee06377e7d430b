"""Files of a folder or a glob: PDF, DOCX, HTML, Markdown, LaTeX and plain text.

    collect:
      - type: files
        path: lectures
        licence: CC-BY-4.0
        authors: [M. Dunn]

What is known of one file stands beside it, in a JSON object with its name and `.json` at the end, and goes before what
the build says of all: `lectures/anova.pdf.json` holds {"title": ..., "authors": [...], "year": ..., "licence": ...,
"doi": ..., "arxiv": ..., "fields": [...], "place": ...}.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from statllama.config.keyed import Unkeyed, keyed
from statllama.data.build.chain import Step
from statllama.data.build.collect._columns import origin_of
from statllama.data.build.collect.spec import CollectorSpec, Names, Year
from statllama.data.build.licences import normalised, refusal
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.errors import DataError, InputChanged
from statllama.store.canonical import digest
from statllama.store.content import content_hash

NUMERICS = 1
FORMS = {
    "docx": "docx", "htm": "html", "html": "html", "latex": "tex", "ltx": "tex", "markdown": "md", "md": "md",
    "pdf": "pdf", "tex": "tex", "text": "txt", "txt": "txt", "xhtml": "html",
}  # fmt: skip
"""{extension: form}"""
SIDECAR = ".json"
LARGEST_SIDECAR = 1 << 20


class Spec(CollectorSpec):
    """Which files, and what is known of them."""

    type: Literal["files"]
    path: Annotated[str, Unkeyed()]
    """File, folder or glob. Of a folder, all files below it, also through links, but nothing hidden (whose name begins
    with a dot). In the key as an absolute path, with the files' bytes."""
    licence: str | None = None
    """Licence of all files that do not have one of their own."""
    authors: Names = ()
    """Authors of all files that do not have their own."""
    year: Year | None = None
    """Year of all files that do not have their own."""
    subjects: Names = ()
    """Fields or topics of all files that do not have their own."""


def steps(spec: Spec, root: Path, name: str) -> tuple[Step, ...]:
    """Return the step that reads the files. DataError when there is no file at the path."""
    given = Path(spec.path).expanduser()
    place = os.path.abspath(given if given.is_absolute() else root / given)
    if not os.path.exists(place) and not next(glob.iglob(place, recursive=True), None):
        raise DataError(
            f"no file, folder or match of {place}",
            remedy="correct `path`; a relative one starts at the folder of the build's file",
        )
    return (Reading(spec, place, fingerprint(place), name),)


@dataclass(frozen=True)
class Reading:
    """Looks at files, one a record."""

    spec: Spec
    place: str
    fingerprint: str
    name: str
    block: int = 50
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the records: settings, where the files lie, since that is in the records, and the bytes
        of each, so that a changed file is another key.
        """
        return {
            "step": "files",
            "numerics": NUMERICS,
            "spec": keyed(self.spec),
            "place": self.place,
            "files": self.fingerprint,
        }

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return None."""

    def listed(self, plan: Any) -> Iterator[Json]:
        """Yield the files, in order. InputChanged when they are not those that are in the key."""
        seen: dict[str, str] = {}
        found = []
        for record in _files(self.place):
            found.append(_mark(record))
            if "sha256" in record:
                first = seen.setdefault(record["sha256"], record["name"])
                if first != record["name"]:
                    record["twin"] = first
            yield record
        if digest(found) != self.fingerprint:
            raise InputChanged(f"{self.place}: a file changed while it was read", remedy="run the same command again")

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield what becomes of each file."""
        return (_outcome(record, self.spec) for record in records)


def fingerprint(place: str) -> str:
    """Return a hash of the names and bytes of all files of a place, those included that cannot be read."""
    return digest([_mark(record) for record in _files(place)])


def _mark(record: Json) -> str:
    """Return what tells a file from any other; hashed, so that a list of many is small."""
    return digest([record.get(name, "") for name in ("name", "sha256", "problem", "about")])[:32]


def _files(place: str) -> Iterator[Json]:
    """Yield {name, path, and sha256, bytes, about or problem, detail} of each file."""
    if os.path.isdir(place):
        yield from _below(place, "", (_identity(place),))
        return
    base = os.path.dirname(place)
    names = [place] if os.path.exists(place) else sorted(glob.glob(place, recursive=True))
    if not os.path.exists(place):
        base = str(next(parent for parent in Path(place).parents if not glob.has_magic(str(parent))))
    there = set(names)
    for path in names:
        if not os.path.isdir(path) and not _is_sidecar(path, there):
            yield _looked_at(os.path.relpath(path, base).replace(os.sep, "/"), path)


def _identity(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino


def _below(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Json]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        yield _problem(prefix.rstrip("/"), folder, "a folder that cannot be read", error.strerror)
        return
    there = {os.path.join(folder, name) for name in names}
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.isdir(path):
            if not _is_sidecar(path, there):
                yield _looked_at(prefix + name, path)
        elif (found := _identity(path)) in above:
            yield _problem(prefix + name, path, "a link to a folder that it is in", os.path.realpath(path))
        else:
            yield from _below(path, f"{prefix}{name}/", (*above, found))


def _is_sidecar(path: str, there: set[str]) -> bool:
    return path.endswith(SIDECAR) and path.removesuffix(SIDECAR) in there


def _problem(name: str, path: str, problem: str, detail: str | None) -> Json:
    return {"name": name, "path": path, "problem": problem, "detail": detail or ""}


def _looked_at(name: str, path: str) -> Json:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return _problem(ascii(name)[1:-1], ascii(path)[1:-1], "a name that is no text", "")
    form = FORMS.get(name.rpartition(".")[2].lower() if "." in name else "")
    if form is None:
        return _problem(name, path, f"a form that is not read (forms: {', '.join(sorted(set(FORMS.values())))})", "")
    if os.path.islink(path) and not os.path.exists(path):
        return _problem(name, path, "a link that leads nowhere", os.readlink(path))
    if not os.path.isfile(path):
        return _problem(name, path, "not a regular file", "")
    try:
        size = os.path.getsize(path)
        record: Json = {"name": name, "path": path, "form": form, "sha256": content_hash(Path(path))}
    except OSError as error:
        return _problem(name, path, "a file that cannot be read", error.strerror)
    return record | _about(path + SIDECAR) if size else _problem(name, path, "an empty file", "")


def _about(path: str) -> Json:
    """Return what stands beside a file: {about}, {problem, detail} for what is no JSON object, or {}."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(LARGEST_SIDECAR))
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        return {"problem": "a description beside it that is not JSON", "detail": f"{path}: {error}"}
    return {"about": value}


def _outcome(record: Json, spec: Spec) -> Outcome:
    name = record["name"]
    if "problem" in record:
        return LeftOut(record["problem"], name, record["detail"])
    if "twin" in record:
        return LeftOut("the same bytes as another file", name, record["twin"])
    origin: Json = {"authors": list(spec.authors), "year": spec.year, "fields": list(spec.subjects)}
    origin = {key: value for key, value in origin.items() if value}
    if licence := normalised(spec.licence):
        origin["licence"] = licence
    origin |= origin_of(record.get("about", {}), {}, "files", name)
    if reason := refusal(origin.get("licence"), spec.licences):
        return LeftOut(reason, name)
    found = {key: record[key] for key in ("sha256", "form")}
    return Kept({"id": f"file:{name}", "origin": origin, "file": record["path"], **found})
