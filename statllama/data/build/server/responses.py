"""Every response that a workspace was given, by the content of its request: nothing is asked, or paid for, twice.

One SQLite file, `responses.sqlite`. A response is on the disk before the next request goes out, so a killed run loses
those that were under way. Two processes may use it; of two responses to one request the first stays.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from statllama.data.build.server.asking import Ended, Reply, Request, Usage
from statllama.errors import StoreError
from statllama.store.files import translate_os_errors
from statllama.store.mounts import mount_of

FILE = "responses.sqlite"
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS responses (
    request TEXT PRIMARY KEY,      -- digest of the request
    model TEXT NOT NULL,
    account TEXT NOT NULL,         -- build that it was asked, and paid, for
    step TEXT NOT NULL,            -- digest of the step's settings
    text TEXT NOT NULL,
    ended TEXT NOT NULL,
    prompt_characters INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    counted INTEGER NOT NULL       -- 1: the tokens are the server's count, 0: the most that it can have been
)
"""
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "lustre", "beegfs", "ceph", "gpfs", "fuse.sshfs", "fuse.glusterfs")


@dataclass(frozen=True)
class Payer:
    """Whom a response is counted for. `account`: a build; `step`: digest of one of its steps' settings."""

    account: str
    step: str


class Responses:
    """The responses of a workspace. A context manager; used by the thread that has made it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with translate_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self) -> None:
        mount = mount_of(self.path)
        # A write-ahead log is shared memory, which hosts of a network file system do not share.
        log = "DELETE" if mount is not None and mount.kind in _NETWORK else "WAL"
        self._database.execute(f"PRAGMA journal_mode = {log}")
        self._database.execute("PRAGMA synchronous = FULL")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise StoreError(
                f"{self.path} is of another version of statllama ({version}; this one writes {_VERSION})",
                remedy="use that version, or move the file away: then all is asked again",
            )
        self._database.execute(_TABLE)
        self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def __enter__(self) -> Responses:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def find(self, request: Request) -> Reply | None:
        """Return what was said to a request; None when it was never asked."""
        query = "SELECT text, ended, prompt_tokens, completion_tokens FROM responses WHERE request = ?"
        row = self._row(query, request.digest)
        return None if row is None else Reply(row[0], cast(Ended, row[1]), Usage(row[2], row[3]))

    def keep(self, request: Request, reply: Reply, most: Usage, payer: Payer) -> Reply:
        """Return the response that is kept: this one, unless another process was first.

        `most`: the most tokens that it can have used, for a server that does not count them.
        """
        used = reply.usage or most
        with self._translated():
            self._database.execute(
                "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (request.digest, request.model, payer.account, payer.step, reply.text, reply.ended,
                 len(request.prompt), used.prompt, used.completion, int(reply.usage is not None)),
            )  # fmt: skip
        return self.find(request) or reply

    def spent(self, account: str, step: str | None = None) -> Usage:
        """Return the tokens that a build used so far, or one step of it."""
        query = "SELECT SUM(prompt_tokens), SUM(completion_tokens) FROM responses WHERE account = ?"
        row = self._row(query, account) if step is None else self._row(f"{query} AND step = ?", account, step)
        return Usage(*(n or 0 for n in row or (0, 0)))

    def characters_per_token(self, model: str) -> float | None:
        """Return how many characters of a prompt make a token of a model, as its server counted; None: not known."""
        query = "SELECT SUM(prompt_characters), SUM(prompt_tokens) FROM responses WHERE model = ? AND counted = 1"
        row = self._row(query, model)
        return row[0] / row[1] if row is not None and row[1] else None

    def _row(self, query: str, *values: str) -> Any:
        with self._translated():
            return self._database.execute(query, values).fetchone()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's errors into StoreErrors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{self.path}: {error}",
                remedy="see that the disk has free space, that the file can be written, and that no other process "
                "holds it; the same command goes on",
            ) from None
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is damaged: {error}",
                remedy=f"move it away, and all is asked again: mv {shlex.quote(str(self.path))} /tmp",
            ) from None
