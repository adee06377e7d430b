"""Several processes that train one stage together, each on a device of its own: what they tell each other.

To Transformers, accelerate and Unsloth each is an ordinary single process: no library knows of the group below, which
is not torch's default one. Every rank draws the whole optimizer step's rows; `step.StepTrainer` deals them out, and
`add` sums what each made of its part. All else that is decided together passes through one exchange, in which each rank
also says how it fares. So a rank that runs out of memory, or fails, is heard of where the others next speak to it, and
none of them waits in vain:

    rank 0   gather ----------- add ------ gather --> ShortOfMemory: put the step back, take it again in smaller passes
    rank 1   gather -- no memory: short ---'

The figures and small objects go over gloo, gradients over NCCL where each rank has a GPU of its own. Loads no torch.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from statllama.errors import Interrupted, StatllamaError, TrainingError
from statllama.train.messages import packed, unpacked

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Status = Literal["fine", "short", "failed"]

JOINING = timedelta(minutes=5)
"""Time in which all ranks must have come."""
PATIENCE = timedelta(minutes=30)
"""Time for which one rank waits for another's word: longer than the slowest step, and than a checkpoint takes."""
LOOK = 0.05  # seconds
INLINE = 2048  # bytes of a message that go without asking how long it is
FAILED = "failed"  # keys of the store under which a rank says why it left


class ShortOfMemory(MemoryError):
    """Memory ran out on some ranks. `held`: what each of those held."""

    def __init__(self, held: list[Any]) -> None:
        super().__init__("another rank is out of memory")
        self.held = held


class Ranks:
    """A process that trains alone: it asks nobody, and changes nothing. See `joined` for several."""

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Return whether this is rank 0, which alone writes files, speaks to the user and judges."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        return any(self.gather(flag))

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order. JSON's kinds, tuples as lists, and tensors on the CPU."""
        return [value]

    def broadcast(self, value: T) -> T:
        """Return rank 0's value."""
        return self.gather(value if self.first else None)[0]  # type: ignore[return-value]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors of the same shapes over the ranks, in place, in float32 and in one go."""

    def short(self, held: T) -> list[T]:
        """Tell that memory ran out here; return what the ranks on which it did held. The others get ShortOfMemory."""
        return [held]

    def wait_for_first(self) -> None:
        """Wait until rank 0 calls this too, however long that takes; rank 0 waits for nobody."""

    @contextmanager
    def one_fate(self) -> Iterator[None]:
        """Enclose work that ends for all ranks when it fails on one: the others get a TrainingError with its message,
        or Interrupted.
        """
        yield

    def require_same(self, what: str, value: object, remedy: str) -> None:
        """Raise TrainingError where `value` is not the same on all ranks."""
        values = self.gather(value)
        if other := [rank for rank, its in enumerate(values) if its != values[0]]:
            raise TrainingError(f"{what} on rank {other[0]} of {self.size} is not what it is on rank 0", remedy=remedy)


ALONE = Ranks()


@contextmanager
def joined(rank: int, size: int, address: str, patience: timedelta = PATIENCE) -> Iterator[Ranks]:
    """Join `size` processes at rank 0's `address`, `tcp://HOST:PORT`, and leave them at the end.

    TrainingError when they do not all come within `JOINING`. `patience`: the longest wait for another's word.
    """
    if size == 1:
        yield ALONE
        return
    ranks = _Joined(rank, size, address, patience)
    try:
        with ranks.one_fate():
            yield ranks
    finally:
        ranks.leave()


class _Joined(Ranks):
    """One of several processes."""

    def __init__(self, rank: int, size: int, address: str, patience: timedelta) -> None:
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self.rank, self.size, self._patience = rank, size, patience
        self._busy = self._over = False
        self._meetings = 0
        place = urlsplit(address)
        host, port = place.hostname or "", place.port or 0
        try:
            self._store: Any = TCPStore(host, port, size, self.first, JOINING, wait_for_workers=False)
            self._store.set(f"here/{rank}", "")
            self._store.wait([f"here/{one}" for one in range(size)], JOINING)  # gloo would wait for its own timeout
            self._group: Any = self._gloo(host, port)
        except (RuntimeError, OSError) as error:
            raise TrainingError(
                f"rank {rank} of {size} has not met the others at {address} within {JOINING.seconds} s: {error}",
                remedy="look whether all of them started, and whether rank 0's host can be reached at that port",
            ) from None
        self._nccl: Any = None
        if len(set(self.gather(_gpu()))) == size and not self.any(_gpu() is None):
            self._nccl = self._over_gpus()

    def _gloo(self, host: str, port: int) -> Any:
        """Return a group over the interface that reaches rank 0: a host's name may stand for its loopback."""
        from torch import distributed

        dist: Any = distributed
        options: Any = dist.ProcessGroupGloo._Options()
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=_own_address(host, port))]
        options._timeout = self._patience
        return dist.ProcessGroupGloo(dist.PrefixStore("gloo", self._store), self.rank, self.size, options)

    def _over_gpus(self) -> Any:
        from torch import distributed

        dist: Any = distributed
        options = dist.ProcessGroupNCCL.Options()
        options._timeout = self._patience
        return dist.ProcessGroupNCCL(dist.PrefixStore("nccl", self._store), self.rank, self.size, options)

    # ------------------------------------------------------------------ what is said

    def gather(self, value: T) -> list[T]:
        return self._exchange("gather", value)

    def short(self, held: T) -> list[T]:
        try:
            self._exchange("short", held, "short")
        except ShortOfMemory as told:
            return told.held
        raise AssertionError("unreachable: an exchange in which a rank is short raises")

    def add(self, tensors: Sequence[Tensor]) -> None:
        import torch

        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        if flat.is_cuda and self._nccl is None:
            flat = flat.cpu()
        self._exchange(f"add {flat.numel()}", None)  # whoever lacks memory has said so: from here on all go together
        group = self._nccl if flat.is_cuda else self._group
        with self._speaking():
            group.allreduce([flat]).wait()
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def _exchange(self, what: str, value: Any, status: Status = "fine") -> list[Any]:
        """Return the values of all ranks, if all are fine. ShortOfMemory, or what a failed rank said, if not."""
        if self._over:
            raise TrainingError("the ranks of this stage have parted already")
        with self._speaking():
            heard = self._all(packed((status, what, value)))
        answers: list[tuple[Status, str, Any]] = [unpacked(data) for data in heard]
        said = [status for status, _, _ in answers]
        if FAILED in said:
            self._over = True
            raise self._news(said.index("failed"), answers[said.index("failed")][2])
        if "short" in said:
            raise ShortOfMemory([value for status, _, value in answers if status == "short"])
        if len({what for _, what, _ in answers}) > 1:
            self._over = True  # a fault of ours
            raise TrainingError(f"the ranks are out of step: {', '.join(what for _, what, _ in answers)}")
        return [value for _, _, value in answers]

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Enclose one collective. What breaks it off (a second signal) leaves the others' bytes unread: see `_fail`."""
        self._busy = True
        try:
            yield
        except RuntimeError as error:
            self._over = True
            raise self._lost(error) from None
        self._busy = False

    def _all(self, data: bytes) -> list[bytes]:
        """Return the bytes of all ranks. Short ones go at once, the rest of long ones in a second round."""
        import torch

        head = torch.zeros(INLINE, dtype=torch.uint8)
        start = len(data).to_bytes(8, "little") + data[: INLINE - 8]
        head[: len(start)] = torch.frombuffer(bytearray(start), dtype=torch.uint8)
        heads = [bytes(one.numpy()) for one in self._round(head)]
        lengths = [int.from_bytes(one[:8], "little") for one in heads]
        found = [one[8 : 8 + length] for one, length in zip(heads, lengths, strict=True)]
        if (more := max(lengths) - (INLINE - 8)) > 0:
            tail = torch.zeros(more, dtype=torch.uint8)
            if rest := data[INLINE - 8 :]:
                tail[: len(rest)] = torch.frombuffer(bytearray(rest), dtype=torch.uint8)
            tails = [bytes(one.numpy()) for one in self._round(tail)]
            parts = zip(found, tails, lengths, strict=True)
            found = [one + its[: max(0, length - len(one))] for one, its, length in parts]
        return found

    def _round(self, mine: Tensor) -> list[Tensor]:
        import torch

        found = [torch.empty_like(mine) for _ in range(self.size)]
        self._group.allgather([found], [mine]).wait()
        return found

    def wait_for_first(self) -> None:
        self._meetings += 1
        key = f"first/{self._meetings}"
        try:
            if self.first:
                self._store.set(key, "here")
                return
            while not self._store.check([key]):  # its own `wait` hears no signal, and prints two lines when it ends
                time.sleep(LOOK)
        except RuntimeError as error:
            self._over = True
            raise self._lost(error) from None

    # ------------------------------------------------------------------ how it ends

    @contextmanager
    def one_fate(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        """Tell the others of an error that ends this rank's work, unless they know."""
        if self._over:
            return
        said = _said(error)
        with suppress(Exception):
            self._store.set(f"{FAILED}/{self.rank}", json.dumps(said))
            if self.first:
                self._store.set(f"first/{self._meetings + 1}", "failed")
        if not self._busy:
            with suppress(Exception):
                self._exchange("failed", said, "failed")
        self._over = True
        self.leave()

    def _news(self, rank: int, said: tuple[str, str | None, bool]) -> StatllamaError:
        message, remedy, interrupted = said
        if interrupted:
            return Interrupted(message, remedy=remedy)
        return TrainingError(f"rank {rank} of {self.size} failed: {message}", remedy=remedy)

    def _lost(self, error: RuntimeError) -> StatllamaError:
        """Return the error for a collective that failed: with the reason of the rank that left, where it said one."""
        with suppress(Exception):
            for rank in range(self.size):
                if rank != self.rank and self._store.check([f"{FAILED}/{rank}"]):
                    return self._news(rank, json.loads(self._store.get(f"{FAILED}/{rank}")))
        first = str(error).strip().partition("\n")[0]
        return TrainingError(
            f"rank {self.rank} of {self.size} lost the others: one of them ended, or gave no word for "
            f"{self._patience.total_seconds():g} s ({first})",
            remedy="run the same command again: it goes on from the newest checkpoint",
        )

    def leave(self) -> None:
        """Close the connections, so that a rank that still waits for this one hears of it."""
        if self._nccl is not None:
            with suppress(Exception):
                self._nccl.abort()
        self._over, self._nccl, self._group, self._store = True, None, None, None


def _said(error: BaseException) -> tuple[str, str | None, bool]:
    """Return an error as values: its message, its remedy, whether somebody asked for it. Not all errors pickle."""
    if isinstance(error, StatllamaError):
        return error.message, error.remedy, isinstance(error, Interrupted)
    stopped = isinstance(error, KeyboardInterrupt | SystemExit)
    return ("stopped" if stopped else f"{type(error).__name__}: {error}"), None, stopped


def _own_address(host: str, port: int) -> str:
    """Return the address of this host on the way to another. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return str(probe.getsockname()[0])


def _gpu() -> str | None:
    """Return what names this rank's GPU among all; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
