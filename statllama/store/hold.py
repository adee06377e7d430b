"""A lock of a workspace, for one process among those of all hosts that share it.

Whoever holds it has a claim: `locks/<name>.held/<token>.json`. A claim is prepared in a folder of its own, which is
renamed to `<name>.held`: a rename that the file server does as one, and that fails while a folder with a claim is
there. So one of many wins, on NFS too, and whether or not `flock` works there. A claim ends when its file is deleted:
by its holder, or by whoever finds that its holder is gone. That is a process of this host that has ended, or one of
another host whose beat has stood still (see `beats.py`). The name of the file is that of one hold, so a process that
wakes up late can delete, or write into, no claim but its own, and finds that one gone.

`flock` on `locks/<name>.lock` is taken too, for earlier versions, which know nothing else. One that a host which is cut
off still has is left to it: the lock's file is made anew.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from statllama.errors import Interrupted
from statllama.store import beats
from statllama.store.files import translate_os_errors
from statllama.store.holder import HeldError, Holder, LostError

CLAIMS = ".held"
"""End of the name of a folder with a claim."""

_POLL_SECONDS = 0.1
_HOLDER_GRACE_SECONDS = 1.0
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


@dataclass(frozen=True)
class Claim:
    """What a holder has written into the folder of a lock."""

    path: Path
    holder: Holder
    beat: str

    def gone(self) -> bool:
        """Return whether its holder is. To find out of one on another host, ask again and again."""
        if self.holder.is_here() and not self.holder.hidden():
            return not self.holder.alive()
        return beats.silence(self.path, self.beat) >= beats.EXPIRY

    def evict(self) -> None:
        """End the claim of a holder that is gone."""
        if not self.holder.is_here():  # its flock may outlive it on the server: leave it the file
            self.path.parent.with_suffix(".lock").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        beats.forget(self.path)


def claims(locks: Path, name: str) -> list[Claim]:
    """Return the claims on a lock in this folder of locks: one, or none."""
    folder = locks / f"{name}{CLAIMS}"
    try:
        return [claim for file in os.listdir(folder) if file.endswith(".json") and (claim := _read(folder / file))]
    except OSError as exc:
        if exc.errno in _VANISHED:
            return []
        raise


def _read(path: Path) -> Claim | None:
    """Return the claim in a file, of an unknown holder where it cannot be read; None where there is none any more."""
    try:
        body = json.loads(path.read_bytes())
        beat = str(body.pop("beat"))
        if not isinstance(body["pid"], int):
            raise TypeError
        return Claim(path, Holder(**body), beat)
    except OSError as exc:
        if exc.errno in _VANISHED:
            return None
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Claim(path, Holder(), "")  # as a power cut may leave it


class Hold:
    """A lock of a workspace that this process takes. `token` tells this hold from every other, for ever."""

    def __init__(self, locks: Path, name: str, what: str = "") -> None:
        """Take the folder of the locks, the lock's name, and in words, for messages, what it protects."""
        self.name, self.what, self.locks, self._pid = name, what or name, locks, os.getpid()
        self._folder = locks / f"{name}{CLAIMS}"
        self._file = locks / f"{name}.lock"
        self._lock = FileLock(self._file, fallback_to_soft=False)  # a soft lock would outlive a killed holder
        self._begin()
        self.done = False
        """Whether what it was for is published: then it no longer matters whether it was lost."""

    def _begin(self) -> None:
        self.token = secrets.token_hex(8)
        self.path = self._folder / f"{self.token}.json"
        self._prepared = self.locks / f".{self.name}.{self.token}"
        self._pulse = beats.Pulse(self.path, self._found_gone)
        self._claimed = self._unclaimed = self._lost = False

    def lost(self) -> bool:
        """Return whether another process is known to have taken over. Costs nothing; `require` looks."""
        return self._lost

    def require(self) -> None:
        """Look whether this process still holds the lock. LostError, which says who took over, where it does not."""
        if self._unclaimed or self._stands():
            return
        others = claims(self.locks, self.name)
        who = str(others[0].holder) if others else "another process, which has ended since,"
        raise LostError(
            f"{who} has taken over {self.what} from this process, which had not been heard of for "
            f"{beats.EXPIRY:.0f} seconds (stopped, or cut off from the disk); nothing of this process was published",
            remedy="the result is theirs: run the same command again, which waits for it and uses it",
        )

    def heed(self) -> None:
        """Raise LostError when `lost`."""
        if self._lost:
            self.require()

    def _stands(self) -> bool:
        """Look whether the claim is there."""
        try:
            with open(self.path, "rb"):  # opening asks the server; `stat` may answer from what it was a minute ago
                self._lost = False
        except OSError as exc:
            if exc.errno not in _VANISHED:
                raise
            self._lost = True
        return not self._lost

    def _found_gone(self) -> None:
        self._lost = True

    @contextmanager
    def taken(
        self, on_wait: Callable[[Holder], None] | None = None, *, wait: bool = True, named: bool = True
    ) -> Iterator[None]:
        """Take the lock, and release it after the block. LostError there when it was taken over meanwhile, in the place
        of any error: files that another process moved away give odd ones.

        The rest is as in `Store.hold`.
        """
        key = (str(self.locks), self.name)
        try:
            with translate_os_errors(self._file):
                for holder in self._attempts(named):
                    if not wait:
                        remedy = "wait until it ends, or stop it"
                        if holder.pid is not None and holder.token and not holder.is_here():
                            remedy += f"; if its host is gone, this is free in {beats.EXPIRY:.0f} seconds for who waits"
                        raise HeldError(f"{self.what} is held by {holder}", remedy=remedy, holder=holder)
                    if on_wait is not None:
                        on_wait(holder)
            _held[key] = self
            try:
                yield
            except (Interrupted, LostError):
                raise
            except Exception as error:
                with translate_os_errors(self._file):
                    try:
                        self.require()
                    except LostError as lost:
                        raise lost from error
                raise
            if not self.done:
                with translate_os_errors(self._file):
                    self.require()
        finally:
            if os.getpid() == self._pid:  # in a child that was forked meanwhile it is its parent's
                try:
                    self._release()
                except BaseException:  # of a second signal: a process that goes on must not keep it
                    self._release()
                    raise
                finally:
                    if _held.get(key) is self:
                        del _held[key]

    def _attempts(self, named: bool) -> Iterator[Holder]:
        """Try for the lock until it is ours; yields its holder once, when it is another's.

        One that has begun to take or to release it is not known for a moment: it is given that moment.
        """
        told, deadline = False, time.monotonic() + _HOLDER_GRACE_SECONDS
        while (holder := self._try(named)) is not None:
            if not told and (holder.pid is not None or time.monotonic() > deadline):
                yield holder
                told = True
            far = holder.pid is not None and not holder.is_here()
            time.sleep(max(_POLL_SECONDS, beats.EVERY / 20) if far else _POLL_SECONDS)

    def _try(self, named: bool) -> Holder | None:
        """Try once; None when the lock is ours, else its holder."""
        if self._lost and not self._stands():  # while it waited for the flock of an earlier version
            self._pulse.stop()
            self._begin()  # under another token: somebody may be about to delete that claim
        if not self._claimed and not self._unclaimed:
            for claim in claims(self.locks, self.name):
                if not claim.gone():
                    return claim.holder
                claim.evict()
            try:
                if not self._claim():
                    return Holder()
            except OSError as exc:
                if named or exc.errno not in _FULL:
                    raise
                self._unclaimed = True  # so that a full disk can be freed
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return self._of_earlier_version()
        return None

    def _claim(self) -> bool:
        """Put this process's claim in place, if there is none; whether it is there."""
        text = beats.beating(asdict(Holder.here(self.token)))
        try:
            self._prepared.mkdir(exist_ok=True)
            (self._prepared / self.path.name).write_text(text, encoding="utf-8")
            os.rename(self._prepared, self._folder)
        except OSError as exc:
            # A server may have done it, and its answer have been lost; then the second try fails.
            if not self.path.exists():
                if exc.errno in _TAKEN:
                    self._tidy()
                elif exc.errno not in _VANISHED or not self.locks.is_dir():  # `gc` takes away what was prepared
                    raise
                return False
        self._claimed = True
        self._pulse.start()
        return True

    def _tidy(self) -> None:
        """Take away a folder without a claim that could not be replaced: not empty (NFS keeps a deleted file there
        while one of its own host reads it), or on a file system that replaces none.
        """
        with suppress(OSError):
            for file in os.listdir(self._folder):
                if not file.endswith(".json"):
                    (self._folder / file).unlink(missing_ok=True)
            self._folder.rmdir()

    def _of_earlier_version(self) -> Holder:
        """Return who has the flock while the claim is ours: an earlier version of statllama, which makes no claim."""
        holder = Holder.read(self._file.with_suffix(".json"))
        if holder.pid is None or holder.is_here():
            return holder
        return replace(
            holder, freed_by=f", with an earlier version of statllama; if that host is gone, delete {self._file}"
        )

    def forget(self) -> None:
        """Delete the lock's file: nobody will ask for this lock again."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _release(self) -> None:
        self._pulse.stop()
        with suppress(OSError):
            self._lock.release()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self._folder.rmdir()
        if not self._claimed:
            shutil.rmtree(self._prepared, ignore_errors=True)


_held: dict[tuple[str, str], Hold] = {}


def held(locks: Path, name: str) -> Hold | None:
    """Return this process's own hold of a lock, if it has it."""
    return _held.get((str(locks), name))


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_held.clear)
