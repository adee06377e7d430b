"""The process that reads files: `python -m statllama.data.build.extract.child`.

Takes a line of JSON a file on its standard input, {path, form, seconds, options}, and answers each with a line: either
{title, blocks, about, left_out} or {reason, detail}. Its memory is limited for good, its time for each file; it loads
nothing that it does not need. Whatever a library prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from statllama.data.build.extract.forms import form_module
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.unreadable import DAMAGED, Unreadable

MISSING = "a library is missing"
OUT_OF_MEMORY = "out of memory"
GRACE = 5  # seconds that the parent may be late with ending this process, which then ends by itself


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.alarm(int(request["seconds"]) + GRACE)
        _answer(answers, request)
        signal.alarm(0)
        gc.collect()


def _limit(memory: int) -> None:
    """Limit the address space to `memory` MiB, and write no core file."""
    size = memory << 20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(answers: BinaryIO, request: dict[str, Any]) -> None:
    try:
        line = json.dumps(_read(request)).encode()
    except MemoryError:
        line = json.dumps({"reason": OUT_OF_MEMORY, "detail": ""}).encode()
    answers.write(line + b"\n")
    answers.flush()


def _read(request: dict[str, Any]) -> dict[str, Any]:
    try:
        extracted = form_module(request["form"]).read(Path(request["path"]), Options(**request["options"]))
        return asdict(extracted)
    except Unreadable as error:
        return {"reason": error.reason, "detail": error.detail}
    except ModuleNotFoundError as error:
        return {"reason": MISSING, "detail": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a damaged file meets a library at a place that nobody foresaw
        return {"reason": DAMAGED, "detail": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main()
