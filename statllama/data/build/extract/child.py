"""The process that reads files: `python -m statllama.data.build.extract.child`.

Takes a line of JSON a file on its standard input, {path, form, seconds, options}, and answers each with a line: either
{title, blocks, about, left_out} or {reason, detail}; `spent` with it says that a file has needed so much memory that
the next one wants a new process. A space before the answer says that the time of the file begins, or begins anew behind
a page of OCR. Memory is limited for good, time for each file. Loads nothing that it does not need; whatever a library
prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from statllama.data.build.extract.forms import form_module
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.unreadable import DAMAGED, Unreadable

MISSING = "a library is missing"
OUT_OF_MEMORY = "out of memory"
_NEARLY_ALL, _MUCH = 0.7, 0.5
GRACE = 5  # seconds that the parent may be late with ending this process, which then ends by itself


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _answer(answers, request)
        _alarm(0)
        gc.collect()


def _alarm(seconds: int) -> None:
    """End this process by a signal in so many seconds, unless it is called again; 0: never."""
    getattr(signal, "alarm", lambda seconds: 0)(seconds)  # Windows has none: there the parent alone ends it


def _limit(memory: int) -> None:
    """Limit the address space to `memory` MiB, and write no core file."""
    import resource  # Windows has none

    size = memory << 20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak() -> float:
    """Return the most address space that this process has had, as a share of its limit; 0 where nothing tells."""
    try:
        found = re.search(rb"VmPeak:\s+(\d+) kB", Path("/proc/self/status").read_bytes())
    except OSError:
        return 0.0
    import resource

    return 1024 * int(found[1]) / resource.getrlimit(resource.RLIMIT_AS)[0] if found else 0.0


def _answer(answers: BinaryIO, request: dict[str, Any]) -> None:
    def begin_anew() -> None:
        _alarm(int(request["seconds"]) + GRACE)
        answers.write(b" ")  # JSON may begin with spaces
        answers.flush()

    begin_anew()
    try:
        answer = _read(request, begin_anew)
        line = json.dumps({**answer, "spent": _peak() > _MUCH}).encode()
    except MemoryError:
        line = json.dumps({"reason": OUT_OF_MEMORY, "detail": ""}).encode()
    answers.write(line + b"\n")
    answers.flush()


def _read(request: dict[str, Any], page_read: Callable[[], None]) -> dict[str, Any]:
    try:
        options = Options(**request["options"], page_read=page_read)
        return asdict(form_module(request["form"]).read(Path(request["path"]), options))
    except Unreadable as error:
        return {"reason": error.reason, "detail": error.detail}
    except ModuleNotFoundError as error:
        return {"reason": MISSING, "detail": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a damaged file meets a library at a place that nobody foresaw
        if _peak() > _NEARLY_ALL:
            raise MemoryError from error  # which libraries tell in words of their own
        return {"reason": DAMAGED, "detail": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main()
