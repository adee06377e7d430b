"""Why a worker is gone."""

from __future__ import annotations

import pytest

from statllama.runs.cluster.crew import why


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "The actor died unexpectedly before finishing this task.\n\tpid: 7\nThe actor is dead because its worker "
            "process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a "
            "connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM "
            "killer due to high memory usage, (2) ray stop --force was called",
            "its process died",
        ),
        (
            "The actor died because its node has died. Node Id: 9c42 the actor's node was terminated",
            "its host has left",
        ),
        ("Task was killed due to the node running low on memory.", "its host ran out of memory"),
        (
            "The actor died because of an error raised in its creation task, ray::Slot.__init__()\n  File x\n"
            "ModuleNotFoundError: No module named 'statllama'\n",
            "it does not start: ModuleNotFoundError: No module named 'statllama'",
        ),
    ],
)
def test_why_a_worker_is_gone(text: str, told: str) -> None:
    """Texts of Ray 2.60."""
    assert why(RuntimeError(text)).startswith(told)
