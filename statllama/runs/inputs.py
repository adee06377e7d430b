"""The local files that a stage's key stands for, and the check that they are still what they were in the plan.

The base's files are in its identity: see `identity.require_identity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from statllama.config.benchmarks import TaskFile
from statllama.config.holdout import Held
from statllama.config.selection import PREFIX
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.data.cache import files_of
from statllama.errors import InputChanged
from statllama.runs.keys import drops_questions
from statllama.stages import stage_module
from statllama.store.content import content_hash


def input_hashes(
    spec: StageSpec,
    root: Path,
    tasks: Sequence[TaskFile],
    held: Sequence[Held] = (),
    replayed: Sequence[TrainingSpec] = (),
) -> dict[str, str]:
    """Return {path: SHA-256} of the local files that the stage reads: data, what the recipe holds out (`held`), those
    of the stages that it replays, local rewards, and the benchmarks whose questions it drops or that it selects its
    best step on; of a blend those of the hold-outs that its scale is chosen on. DataError or UsageError for one that is
    not there.
    """
    return {str(path): content_hash(path) for path in _files(spec, root, tasks, held, replayed)}


def _files(
    spec: StageSpec,
    root: Path,
    tasks: Sequence[TaskFile],
    held: Sequence[Held],
    replayed: Sequence[TrainingSpec],
) -> list[Path]:
    if not isinstance(spec, TrainingSpec):
        chosen = (one.source for one in held if PREFIX + one.name in spec.chosen_on)
        return [file.path for source in chosen for file in files_of(source, root)]
    others = (source for stage in replayed for source in stage.data)
    sources = (*spec.sources, *others, *(one.source for one in held))
    files = [file.path for source in sources for file in files_of(source, root)]
    if own := getattr(stage_module(spec.type), "key_files", None):
        files += own(spec, root)
    drops, select = drops_questions(spec, tasks), spec.train.select
    read = [task for task in tasks if drops or (select and select.on == task.name)]
    return files + [file for task in read for file in (task.path, *task.files)]


def require_inputs(
    stage: str,
    hashes: Mapping[str, str],
    spec: StageSpec,
    root: Path,
    tasks: Sequence[TaskFile],
    held: Sequence[Held] = (),
    replayed: Sequence[TrainingSpec] = (),
) -> None:
    """Raise InputChanged, naming the files, when they are not those of `hashes`, as `input_hashes` returned them.

    A file that has not been touched is not read again.
    """
    changed = [f"{path} was deleted" for path in hashes if not Path(path).is_file()]
    changed += [f"{path} was edited" for path, hashed in hashes.items() if _edited(Path(path), hashed)]
    if not changed:
        files = map(str, _files(spec, root, tasks, held, replayed))
        changed = [f"{path} is new" for path in files if path not in hashes]
    if changed:
        raise InputChanged(
            f"stage {stage}: {'; '.join(changed)} since the run was planned, so its result is not published",
            remedy="run again with the files as they are now, or put the old ones back first: then it goes on from its "
            "checkpoint",
        )


def _edited(path: Path, hashed: str) -> bool:
    return path.is_file() and content_hash(path) != hashed
