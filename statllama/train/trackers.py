"""Trackers that also get every logged number: what each needs, where it writes, and how to look at it. Loads no torch.

TensorBoard's files lie in the workspace. trackio keeps a local database in its own folder (`TRACKIO_DIR`, by default
below Hugging Face's cache) and sends nothing, unless the user's TRACKIO_SPACE_ID or TRACKIO_SERVER_URL says where to.
wandb and mlflow follow their own settings.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from statllama.errors import TrainingError

PROJECT = "statllama"
"""Name of the project under which trackers list the runs; a run is RECIPE/STAGE."""
EXTRA = ("tensorboard", "trackio")
"""Trackers of the extra `trackers`; any other is installed by its own name."""


def require_trackers(report_to: Sequence[str]) -> None:
    """Raise TrainingError for a tracker that is not installed."""
    for tracker in report_to:
        spec = importlib.util.find_spec(tracker)
        if spec is None or spec.origin is None:  # without an origin it is a folder of that name, such as wandb's runs
            package = "'statllama[trackers]'" if tracker in EXTRA else tracker
            raise TrainingError(
                f"report_to names {tracker}, which is not installed",
                remedy=f"pip install {package}, or remove it: --set report_to=[]",
            )


def prepare_trackers(folder: Path | None) -> None:
    """Tell trackers the project, and TensorBoard the stage's folder; Transformers reads both from the environment."""
    os.environ.setdefault("WANDB_PROJECT", PROJECT)
    if folder is not None:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)


def ways_to_look(report_to: Sequence[str], folder: Path) -> Iterator[str]:
    """Yield a command for each tracker that has one; `folder`: of all runs of the workspace."""
    commands = {
        "tensorboard": f"tensorboard --logdir {shlex.quote(str(folder))}",
        "trackio": f"trackio show --project {PROJECT}",
    }
    for tracker in report_to:
        if tracker in commands:
            yield f"{tracker}: look with `{commands[tracker]}`"
