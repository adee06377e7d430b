"""Sources of rows: local files, hub datasets and generated problems. Loads no torch.

A row is yielded with `where`, the file and the row (from 1), which begins every error message about it. Rows are read
one at a time, and can be read again: nothing of a source is kept in memory.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from statllama.config.keyed import keyed
from statllama.config.shipped import SHIPPED
from statllama.config.source import SourceSpec
from statllama.data.files import local_files
from statllama.data.formats import AUTO, check_source, format_names, recognise
from statllama.data.hub import hub_name, hub_rows, resolve_commit
from statllama.data.readers import TABLES, Row, data_kind, read_file
from statllama.errors import DataError
from statllama.store.canonical import digest
from statllama.store.content import content_hash
from statllama.store.memory import recall, remember
from statllama.store.versions import __version__

PROBLEM_FORMATS = {  # of generated problems, by form
    "sft": "messages",
    "chat": "messages",
    "dpo": "preference",
    "grpo": "prompt_answer",
    "frq": "messages",
}


def source_name(source: SourceSpec) -> str:
    """Return a source's name in reports: its path, `owner/name[/config]:split`, or `problems:sft (20,000)`."""
    if source.file is not None:
        return source.file.removeprefix(SHIPPED)
    if source.problems is not None:
        return f"problems:{source.problems.form} ({source.problems.count:,})"
    return hub_name(source)


def rows(source: SourceSpec, root: Path) -> Generator[tuple[str, Row], None, None]:
    """Yield (where, row) for every row of the source, in order, one at a time.

    `root` is the folder that a relative path refers to. DataError for a file or row that cannot be read.
    """
    if source.file is not None:
        found = _file_rows(source, root)
    else:
        found = hub_rows(source) if source.problems is None else _problem_rows(source)
    count = 0
    for where, row in found:
        check_text(row, where)
        count += 1
        yield where, row
    if not count:
        raise DataError(f"{source_name(source)}: no rows")


def resolved(source: SourceSpec, root: Path, memory: Path | None = None) -> SourceSpec:
    """Return the source with the format that it has in place of `auto`: that of its first row.

    `memory` keeps that of a hub dataset (at a commit: see `pinned`), which then is not read for it again.
    DataError when the first row is of none or of more than one, or when `columns` or `layout` do not suit the format.
    """
    check_source(source)
    if source.format != AUTO:
        return source
    if source.problems is not None:
        taken = PROBLEM_FORMATS[source.problems.form]
    elif source.hub is None:
        taken = _first_row_format(source, root)
    else:
        names = [__version__, *format_names()]  # what recognises
        asked = [source.hub, source.config, source.split, source.revision, source.columns, names]
        what = f"format of {hub_name(source)} {digest(asked)[:16]}"
        taken = recall(memory).get(what) or _first_row_format(source, root)
        remember(memory, what, taken)
    known = source.model_copy(update={"format": taken})
    check_source(known)
    return known


def _first_row_format(source: SourceSpec, root: Path) -> str:
    with closing(rows(source, root)) as found:
        where, row = next(found)
    try:
        return recognise(row, source.columns)
    except DataError as error:
        raise DataError(f"{where}: {error.message}", remedy=error.remedy) from None


def fingerprint(source: SourceSpec, root: Path) -> str:
    """Return the hash of the data, 64 hex digits, wherever they lie.

    Of a file it is the SHA-256 of its bytes; of several, a hash of their names (below the folder) and bytes; of a hub
    dataset, of its id, configuration, split and commit; of problems, of how they are drawn.
    """
    if source.problems is not None:
        from statllama.problems import PROBLEMS_VERSION

        return digest([PROBLEMS_VERSION, keyed(source.problems)])
    if source.file is None:
        return digest([source.hub, source.config, source.split, resolve_commit(source)])
    files = local_files(source, root)
    hashes = [_hash(file.path) for file in files]
    return hashes[0] if len(files) == 1 else digest([[f.name, h] for f, h in zip(files, hashes, strict=True)])


def pinned(source: SourceSpec, memory: Path | None = None) -> SourceSpec:
    """Return a hub source with its commit as `revision`, so that all that is read is of one version; others as they
    are.
    """
    return source if source.hub is None else source.model_copy(update={"revision": resolve_commit(source, memory)})


def _hash(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, read again only when it has changed."""
    try:
        return content_hash(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _file_rows(source: SourceSpec, root: Path) -> Iterator[tuple[str, Row]]:
    files = local_files(source, root)
    header: tuple[Path, set[str]] | None = None  # of the first file that is a table
    for file in files:
        number = 0
        for number, line, row in read_file(file.path):
            if number == 1 and data_kind(file.path) in TABLES:
                header = header or (file.path, set(row))
                _check_header(file.path, set(row), *header)
            yield f"{file.path}, row {number}" + (f" (line {line})" if line not in (None, number) else ""), row
        if not number:
            raise DataError(f"{file.path}: no rows", remedy="remove the file, or write it again")


def _check_header(path: Path, names: set[str], first: Path, expected: set[str]) -> None:
    """Raise DataError when a table has other columns than the first: what the format reads may be called otherwise in
    it.
    """
    if names != expected:
        mine, others = (", ".join(sorted(columns)) for columns in (names, expected))
        raise DataError(
            f"{path}, row 1: columns {mine}, but those of {first} are {others}",
            remedy="write the files with the same columns, or list them as separate sources",
        )


def _problem_rows(source: SourceSpec) -> Iterator[tuple[str, Row]]:
    """Yield problems, generated anew each time: that is fast, and the same arguments give the same rows."""
    from statllama.problems import rows as generated

    spec, name = source.problems, source_name(source)
    assert spec is not None
    try:
        found = generated(
            spec.form, spec.count, spec.topics, spec.seed, "train", spec.difficulty, spec.math, spec.syllabus
        )
        for number, row in enumerate(found, start=1):
            yield f"{name}, row {number}", dict(row)
    except ValueError as error:
        raise DataError(f"{name}: {error}", remedy="correct `problems` in the recipe") from None


def check_text(value: Any, where: str) -> None:
    """Raise DataError for text that no tokenizer can take as it is: NUL characters and lone surrogates."""
    if isinstance(value, str):
        if "\x00" in value:
            raise DataError(f"{where}: a NUL character in {value[:40]!r}", remedy="remove it from the file")
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{where}: a lone surrogate (half of a character, {value[error.start]!r}) in the text",
                    remedy="write the character whole: \\ud83d\\ude00 is one emoji, \\ud83d alone is none",
                ) from None
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key, where)
            check_text(item, where)
    elif isinstance(value, list):
        for item in value:
            check_text(item, where)
