"""Where rows come from: local files and hub datasets. Loads no torch.

A row is yielded with `where`, the file and the row (from 1), which begins every error message about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from statllama.data.formats import AUTO, check_source, recognise
from statllama.data.readers import Row, read_file
from statllama.errors import DataError
from statllama.specs import SourceSpec
from statllama.store import digest

COMMIT_LENGTH = 40  # hex digits of a hub commit
PROBLEM_FORMATS = {"sft": "messages", "dpo": "preference"}  # of generated problems, by form


def source_name(source: SourceSpec) -> str:
    """How reports call a source: the file's path, or `owner/name[/config]:split`."""
    if source.path is not None:
        return source.path
    return f"{source.hub}{'/' + source.config if source.config else ''}:{source.split}"


def rows(source: SourceSpec, root: Path) -> Generator[tuple[str, Row], None, None]:
    """(where, row) for every row of the source, in order, one at a time.

    `root` is the folder that a relative path refers to. DataError for a file or row that cannot be read.
    """
    found = _hub_rows(source) if source.path is None else _file_rows(source, root)
    count = 0
    for where, row in found:
        _check_text(row, where)
        count += 1
        yield where, row
    if not count:
        raise DataError(f"{source_name(source)}: the file has no rows" if source.path else f"{source.hub}: no rows")


def resolved(source: SourceSpec, root: Path) -> SourceSpec:
    """The source with the format that it has in place of `auto`: that of its first row.

    DataError when the first row is of none or of more than one, or when `columns` or `layout` do not suit the format.
    """
    check_source(source)
    if source.format != AUTO:
        return source
    if source.problems is not None:
        taken = PROBLEM_FORMATS[source.problems.form]
    else:
        with closing(rows(source, root)) as found:
            where, row = next(found)
        try:
            taken = recognise(row, source.columns)
        except DataError as error:
            raise DataError(f"{where}: {error.message}", remedy=error.remedy) from None
    known = source.model_copy(update={"format": taken})
    check_source(known)
    return known


def locate(source: SourceSpec, root: Path) -> Path:
    """The file of a local source. DataError with the nearest names when it is not there."""
    given = Path(source.path or "").expanduser()
    path = given if given.is_absolute() else root / given
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file", remedy="give a file: .json, .jsonl, .csv or .parquet")
    relative = "" if given.is_absolute() else f" (`{source.path}` is relative to {root})"
    raise DataError(f"no file {path}{relative}{_neighbours(path)}", remedy="correct `path` in the recipe")


def fingerprint(source: SourceSpec, root: Path) -> str:
    """What the data are, as 64 hex digits: of a file the SHA-256 of its bytes."""
    if source.path is None:
        return digest([source.hub, source.config, source.split, resolve_commit(source)])
    hashed = hashlib.sha256()
    path = locate(source, root)
    try:
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                hashed.update(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    return hashed.hexdigest()


def pinned(source: SourceSpec) -> SourceSpec:
    """A hub source with its commit as `revision`, so that all that is read is of one version; a file as it is."""
    return source if source.hub is None else source.model_copy(update={"revision": resolve_commit(source)})


def resolve_commit(source: SourceSpec) -> str:
    """The commit that a hub dataset's `revision` (None: main) is now; offline, the one in the local cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    name = source.revision or "main"
    if _is_commit(name):
        return name
    try:
        return str(HfApi().dataset_info(str(source.hub), revision=name, timeout=20).sha)
    except HFValidationError:
        raise DataError(f"{source.hub!r} is not a hub dataset id `owner/name`") from None
    except HfHubHTTPError as error:
        cause = f"the hub answered {error.response.status_code if error.response is not None else 'nothing'}"
    except (OfflineModeIsEnabled, OSError) as error:
        cause = f"the hub cannot be reached ({type(error).__name__})"
    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{str(source.hub).replace('/', '--')}"
    if (folder / "refs" / name).is_file():
        return (folder / "refs" / name).read_text(encoding="utf-8").strip()
    raise DataError(
        f"dataset {source.hub} (revision {name}): {cause}, and the local cache has no commit ({folder})",
        remedy="check the name and the connection; log in with `hf auth login` if it is gated; or download "
        "it and use `path`",
    )


def _is_commit(name: str) -> bool:
    return len(name) == COMMIT_LENGTH and all(c in "0123456789abcdef" for c in name)


def _file_rows(source: SourceSpec, root: Path) -> Iterator[tuple[str, Row]]:
    path = locate(source, root)
    for number, line, row in read_file(path):
        yield f"{path}, row {number}" + (f" (line {line})" if line not in (None, number) else ""), row


def _hub_rows(source: SourceSpec) -> Iterator[tuple[str, Row]]:
    import datasets

    commit = resolve_commit(source)
    try:
        dataset = datasets.load_dataset(source.hub, source.config, split=source.split, revision=commit)
    except Exception as error:  # the library raises many types for a wrong config, split, file or connection
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"dataset {source.hub} at {commit[:12]} cannot be loaded (config {source.config!r}, split "
            f"{source.split!r}): {reason}",
            remedy="check `hub`, `config`, `split` and `revision`; or download it and use `path`",
        ) from error
    for number, row in enumerate(dataset, start=1):
        yield f"{source_name(source)}, row {number}", dict(row)


def _check_text(value: Any, where: str) -> None:
    """DataError for text that no tokenizer can take as it is: NUL characters and lone surrogates."""
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
            _check_text(key, where)
            _check_text(item, where)
    elif isinstance(value, list):
        for item in value:
            _check_text(item, where)


def _neighbours(path: Path) -> str:
    """What there is where the file was looked for."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = sorted(p.name for p in path.parent.iterdir() if p.is_file())
    close = get_close_matches(path.name, names, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; the folder holds {', '.join(names[:8]) or 'no files'}{', ...' if len(names) > 8 else ''}"
