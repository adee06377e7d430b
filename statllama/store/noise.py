"""Messages of libraries that a user can do nothing about, left out one by one: by logger and text.

`hush` is called by the modules that load these libraries, so that it holds for commands and for `import statllama`.
"""

from __future__ import annotations

import logging
import re
from functools import cache

NOISE: tuple[tuple[str, str], ...] = (
    # On a CPU with AVX512-BF16, each time that it is imported, also by PEFT: advises a package that fetches code.
    ("bitsandbytes.backends.cpu.ops", r"Failed to load CPU gemm_4bit_forward from kernels-community"),
    # Each attempt at a file while the hub cannot be reached. What comes of it is told once, in our words.
    ("huggingface_hub.utils._http", r"thrown while requesting |^Retrying in |^Rate limited\. Waiting "),
    # How torchao, which Unsloth brings, registers its types.
    ("torch.utils._pytree", r"is an Enum subclass and is now natively supported"),
    # A whole row for each completion that no reward judged; batches that teach nothing are told in our words.
    ("trl.trainer.grpo_trainer", r"^(\[RANK \d+\] )?All reward functions returned None for the following kwargs"),
    # That it sets no alarm, which we ask it for.
    ("math_verify.parser", r"^Timeout is disabled"),
    ("math_verify.grader", r"^Timeout is disabled"),
)
"""(logger, regular expression that is searched in its messages)."""


class _Without(logging.Filter):
    """Leaves out records whose text matches."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = re.compile(pattern)

    def filter(self, record: logging.LogRecord) -> bool:
        return self._pattern.search(record.getMessage()) is None


@cache
def hush() -> None:
    """Leave the messages of `NOISE` out of this process's logs, whenever the libraries are loaded. Once."""
    for logger, pattern in NOISE:
        logging.getLogger(logger).addFilter(_Without(pattern))
