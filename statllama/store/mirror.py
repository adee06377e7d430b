"""Published results in an object store (s3, gs, az, by fsspec): kept there for other machines, never worked on there.

    <url>/README.txt                                   what this is; written at the start, as a trial
    <url>/results/<key>/files-<16 hex>/<file>          an entry's files; the number is that of their hashes
    <url>/results/<key>/manifest.json                  its manifest, written last: without it there is no entry
    <url>/scores/<key>/...                             the same for scores

Two hosts that push one key have other bytes (a GPU does not repeat itself) and so other folders of files; the manifest
is written at once, so it is one host's and names that host's files. What is fetched is checked against the manifest by
size and SHA-256, and the manifest against its key. That finds damage, not malice: who may write to the bucket may put
another result there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from statllama.errors import StatllamaError, StoreError, UsageError, near
from statllama.store.canonical import digest
from statllama.store.content import flaw
from statllama.store.files import Files, require_bytes
from statllama.store.store import MANIFEST, SCHEMA_VERSION, Entry
from statllama.store.workspace import KEY, Kind

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PACKAGES = {
    "s3": "'statllama[s3]'",
    "s3a": "'statllama[s3]'",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "oci": "ocifs",
    "oss": "ossfs",
    "file": "fsspec",
    "memory": "fsspec",
}
"""{scheme of a URL: the package that knows it}."""
MIRRORED: tuple[Kind, ...] = ("results", "scores")
MADE_OF: Mapping[Kind, str] = {"results": "material", "scores": "protocol"}
"""What of a manifest the key is the hash of."""
SAYS: Mapping[Kind, tuple[str, ...]] = {"results": ("base", "config", "data", "metrics"), "scores": ()}
"""What a manifest says besides, as JSON objects: it is read without another look once it is in the workspace."""
README, ABOUT = "README.txt", b"Results of statllama, kept by `statllama run --mirror`: see docs/mirror.md there.\n"
LONGEST_MANIFEST, LARGEST_FILE = 1 << 26, 1 << 50  # bytes
_CONNECT, _READ = 10, 60  # seconds
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "s3": {
        "max_concurrency": 2,  # parts of 50 MiB in memory at once
        "config_kwargs": {"connect_timeout": _CONNECT, "read_timeout": _READ, "retries": {"max_attempts": 2}},
    },
    "file": {"auto_mkdir": True},
}
_LOGIN = (
    "log in as the tools of that store do (`aws configure`, `gcloud auth application-default login`, `az login`), or "
    "set their environment variables; statllama keeps no credentials"
)
_REASONS: tuple[tuple[str, str, str], ...] = (  # (names of exceptions, reason, remedy)
    ("NoCredentials|PartialCredentials|DefaultCredentials|TokenRetrieval|ProfileNotFound", "no credentials", _LOGIN),
    ("PermissionError|Forbidden|Unauthorized|ClientAuthentication", "permission is denied", _LOGIN),
    (
        "EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionError|ConnectionReset|ClientConnector|ServerDisconnected"
        "|ConnectionClosed|TimeoutError|ServiceRequest|gaierror",
        "it cannot be reached",
        "check the network and the address; of an S3 that is not Amazon's: AWS_ENDPOINT_URL",
    ),
    ("FileNotFoundError|NoSuchBucket", "there is no such bucket", "make the bucket first, or mend the address"),
)


class MirrorError(StoreError):
    """A mirror that cannot be reached or used."""


class DamagedError(Exception):
    """An entry of a mirror that is not what its manifest says. No user sees it: what is damaged is made anew."""


class Mirror:
    """The address of a mirror, and what lies there. `connect` before anything else."""

    def __init__(self, url: str) -> None:
        """Raises UsageError for a URL that no mirror can have or that carries a secret, or without its package."""
        self.url, scheme = _address(url)
        self._files, self._root = _file_system(self.url, scheme)
        self._atomic = scheme != "file"  # whether an object that is being written is not seen
        self.folder = None if self._atomic else Path(self._root)
        """Where it lies on this machine's disks."""
        self._sizes: dict[str, int] = {}

    def connect(self, *, write: bool) -> None:
        """List what is there, once. `write`: try to write too. MirrorError, before anything is trained."""
        with self._failures():
            self._files.invalidate_cache()
            found = self._files.find(self._root, detail=True)
            cut = len(self._root) + 1
            self._sizes = {
                path[cut:]: int(about.get("size") or 0)
                for path, about in found.items()
                if about.get("type") == "file" and not about.get("islink")
            }
            if write:
                self._files.pipe_file(f"{self._root}/{README}", ABOUT)

    def has(self, kind: Kind, key: str) -> bool:
        """Return whether an entry was there when it was listed, or was pushed since."""
        return f"{kind}/{key}/{MANIFEST}" in self._sizes

    def manifest(self, kind: Kind, key: str) -> dict[str, Any] | None:
        """Return an entry's manifest; None when there is none. DamagedError, MirrorError."""
        raw = self._manifest(kind, key)
        return None if raw is None else read_manifest(kind, key, raw)

    def fetch(self, kind: Kind, key: str, folder: Path) -> bool:
        """Bring an entry into a folder to be made; whether it is there. DamagedError when it is not what it says,
        MirrorError when the mirror fails, StoreError when the disk has no room.
        """
        raw = self._manifest(kind, key)
        if raw is None:
            return False
        files: Files = read_manifest(kind, key, raw)["files"]
        place = self._place(kind, key, files)
        for name, record in files.items():
            if (size := self._size(f"{place}/{name}", name)) != record["bytes"]:
                raise DamagedError(f"{name} has {size:,} bytes instead of {record['bytes']:,}")
        folder.mkdir()
        require_bytes(folder, sum(record["bytes"] for record in files.values()))
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with self._failures(missing=f"{name} is missing"):
                self._files.get_file(f"{self._root}/{place}/{name}", str(folder / name))
        if wrong := flaw(folder, files, contents=True):
            raise DamagedError(wrong)
        (folder / MANIFEST).write_bytes(raw)
        return True

    def push(self, kind: Kind, entry: Entry, sent: Callable[[int], None], *, anew: bool = False) -> None:
        """Write an entry, its manifest last. `sent` is told the bytes of each file. MirrorError.

        A file that is there with its size is left out, such as after a push that was killed: its folder's number is
        that of its hash. `anew`: write all, since something there is damaged.
        """
        files: Files = entry.manifest["files"]
        place = self._place(kind, entry.key, files)
        for name, record in files.items():
            if anew or self._sizes.get(f"{place}/{name}") != record["bytes"]:
                self._put(entry.path / name, f"{place}/{name}")
            sent(record["bytes"])
        self._put(entry.path / MANIFEST, f"{kind}/{entry.key}/{MANIFEST}")

    def _put(self, file: Path, name: str) -> None:
        target = f"{self._root}/{name}"
        with self._failures():
            if self._atomic:
                self._files.put_file(str(file), target)
            else:
                partial = f"{target}.{os.getpid()}.partial"
                self._files.put_file(str(file), partial)
                self._files.mv(partial, target)
        self._sizes[name] = file.stat().st_size

    def _size(self, path: str, name: str) -> int:
        """Return the bytes of a file as listed; of one that was pushed since, the mirror is asked."""
        if path not in self._sizes:
            with self._failures(missing=f"{name} is missing"):
                self._sizes[path] = int(self._files.size(f"{self._root}/{path}") or 0)
        return self._sizes[path]

    def _manifest(self, kind: Kind, key: str) -> bytes | None:
        name = f"{kind}/{key}/{MANIFEST}"
        if self._sizes.get(name, 0) > LONGEST_MANIFEST:
            raise DamagedError(f"{MANIFEST} is too large")
        try:
            with self._failures(missing=MANIFEST):
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
        except DamagedError:
            return None

    @staticmethod
    def _place(kind: Kind, key: str, files: Files) -> str:
        hashes = {name: record["sha256"] for name, record in files.items()}
        return f"{kind}/{key}/files-{digest(hashes)[:16]}"

    @contextmanager
    def _failures(self, missing: str | None = None) -> Iterator[None]:
        """Turn whatever a library of a store raises into a MirrorError, without secrets; an object that is not there
        into a DamagedError where `missing` says so.
        """
        try:
            yield
        except StatllamaError:
            raise
        except FileNotFoundError as error:
            if missing is not None:
                raise DamagedError(missing) from None
            raise self._error(error) from None
        except Exception as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> MirrorError:
        names = " ".join(kind.__name__ for kind in (*type(error).__mro__[:-3], type(error)))
        for pattern, reason, remedy in _REASONS:
            if re.search(pattern, names):
                return MirrorError(f"the mirror {self.url} cannot be used: {reason}{_detail(error)}", remedy=remedy)
        return MirrorError(
            f"the mirror {self.url} cannot be used: {type(error).__name__}{_detail(error)}",
            remedy="check the address, or run without --mirror",
        )


def read_manifest(kind: Kind, key: str, raw: bytes) -> dict[str, Any]:
    """Return a manifest that names plain files below its entry and whose key is that of what it was made of.
    DamagedError for any other.
    """
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError):
        raise DamagedError(f"{MANIFEST} is damaged") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA_VERSION:
        raise DamagedError(f"{MANIFEST} is not of this version")
    made_of = manifest.get(MADE_OF[kind])
    if manifest.get("key") != key or not isinstance(made_of, dict) or digest(made_of) != key:
        raise DamagedError("its key is not that of what it was made of")
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise DamagedError(f"{MANIFEST} lists no files")
    if lacks := [name for name in SAYS[kind] if not isinstance(manifest.get(name), dict)]:
        raise DamagedError(f"{MANIFEST} says nothing of its {lacks[0]}")
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    for name, record in files.items():
        if not _plain_name(name) or name in folders:
            raise DamagedError(f"{name!r} is no name of a file below it")
        size, hashed = (record.get("bytes"), record.get("sha256")) if isinstance(record, dict) else (None, None)
        if (
            type(size) is not int
            or not 0 <= size <= LARGEST_FILE
            or not isinstance(hashed, str)
            or not KEY.fullmatch(hashed)
        ):
            raise DamagedError(f"{MANIFEST} does not say what {name} is")
    return manifest


def _plain_name(name: str) -> bool:
    parts = name.split("/")
    return (
        name != MANIFEST
        and len(name) <= 512
        and not any(part in ("", ".", "..") or re.search(r"[\\:\x00-\x1f\ud800-\udfff]", part) for part in parts)
        and all(len(part.encode()) <= 255 for part in parts)  # what file systems take
    )


def _address(url: str) -> tuple[str, str]:
    """Return a mirror's URL without a slash at its end, and its scheme."""
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*)://([^?#]*)(.*)", url, re.DOTALL)
    if found is None:
        raise UsageError(
            f"--mirror {_without_secrets(url)}: that is no URL", remedy="give one such as s3://BUCKET/FOLDER"
        )
    scheme, place, more = found[1].lower(), found[2].rstrip("/"), found[3]
    user, at, _ = place.partition("/")[0].rpartition("@")
    if more or (at and (":" in user or scheme not in ("abfs", "abfss", "az"))):  # there it is CONTAINER@ACCOUNT
        raise UsageError(
            f"--mirror {_without_secrets(url)}: a URL with a password, a key or a query is refused, since commands are "
            "recorded",
            remedy=_LOGIN,
        )
    if "://" in place or "::" in place:
        raise UsageError(
            f"--mirror {_without_secrets(url)}: that is more than one URL", remedy="give one such as s3://BUCKET/FOLDER"
        )
    if scheme not in PACKAGES:
        raise UsageError(
            f"--mirror {url}: results cannot be kept there; {near(scheme, PACKAGES)}",
            remedy="give one such as s3://BUCKET/FOLDER",
        )
    if not place.strip("/"):
        raise UsageError(f"--mirror {url}: it names no bucket", remedy=f"give one such as {scheme}://BUCKET/FOLDER")
    return f"{scheme}://{place}", scheme


def _without_secrets(url: str) -> str:
    """Return a URL, or a text with URLs, without what may be a password, a key or a query."""
    return re.sub(r"(?<=://)[^/\s@]*@", "", re.sub(r"[?#][^\s'\"]*", "", url))


def _file_system(url: str, scheme: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    family = "s3" if scheme == "s3a" else scheme
    try:
        files, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **_OPTIONS.get(family, {}))
    except ImportError:
        raise UsageError(
            f"--mirror {url}: the package that knows {scheme}:// is not installed",
            remedy=f"pip install {PACKAGES[scheme]}",
        ) from None
    except Exception as error:
        raise UsageError(f"--mirror {url}: {type(error).__name__}{_detail(error)}", remedy=_LOGIN) from None
    return files, root.rstrip("/")


def _detail(error: Exception) -> str:
    """Return the first line of what a library says, without secrets, behind a colon; nothing where it says nothing."""
    text = _without_secrets(str(error).strip().partition("\n")[0])
    return f" ({text[:200]})" if text else ""
