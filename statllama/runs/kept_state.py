"""States of stages' training that stay in the workspace (`train.keep_state`), for the same stage with more steps.

    run of 20 steps, constant   1 ........ 20                    keeps the state of step 20
    run of 40 steps                        20 ........ 40        goes on from there, and keeps that of step 40
    run of 40 steps, wsd        1 ............ 36 - - 40         keeps the state of step 36, the last before the decay

A state is a sealed checkpoint, with optimizer, random states and log. The stage that goes on from it differs in how
long it is alone (`keys.trunk_of`), and the rates up to there do not depend on that: so it is the unbroken run, on a CPU
bit for bit, and its key needs no word of where it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from statllama.config.stage import StageSpec, TrainingSpec
from statllama.runs.keys import trunk_of
from statllama.stages import stage_module
from statllama.store import Store
from statllama.store.canonical import digest
from statllama.store.files import link_files, list_files, read_json, sync, translate_os_errors, write_json
from statllama.store.store import MANIFEST
from statllama.store.versions import __version__, installed_versions
from statllama.store.working_folder import CHECKPOINTS, SEAL
from statllama.train.checkpoints import newest_sound
from statllama.train.steps import count_steps, rows_come_again, trunk_steps

if TYPE_CHECKING:
    from collections.abc import Callable

BEGAN = "began.json"
"""File of a stage's working folder that says which state it went on from."""


class Planned(Protocol):
    """What is needed of a `plan.PlannedStage`."""

    @property
    def spec(self) -> StageSpec:
        """Return the stage."""

    @property
    def key(self) -> str:
        """Return the key of its result."""

    @property
    def material(self) -> dict[str, Any]:
        """Return what that is the hash of."""


@dataclass(frozen=True)
class KeptState:
    """A state in the workspace that a stage can go on from."""

    key: str
    step: int
    of: int
    """Optimizer steps of the run that kept it."""
    total: int
    """Those of the stage that can go on from it."""
    fits: bool = True
    """Whether both have their reference in the same way: see `states_for`."""

    def __str__(self) -> str:
        return f"goes on from step {self.step:,} of {self.total:,}"


def states_for(store: Store, spec: StageSpec, material: Mapping[str, Any]) -> Iterator[KeptState]:
    """Yield the states that a stage of this material can go on from, the latest step first. Their files are not looked
    at.

    None has more steps than are as they would be in this stage: with `wsd`, those before its decay. Where a reference
    is computed once for all rows, since they come again, it is rounded otherwise than step by step: such states are for
    such stages.
    """
    yield from (state for state in _of_trunk(store, spec, material) if state.fits)


def _of_trunk(store: Store, spec: StageSpec, material: Mapping[str, Any]) -> list[KeptState]:
    """Return the states from before a stage's decay or end, the latest step first; those of the other reference too."""
    trunk, found = trunk_of(material), []
    for entry in store.entries("states") if trunk is not None and isinstance(spec, TrainingSpec) else ():
        assert isinstance(spec, TrainingSpec)
        about = entry.manifest
        if about.get("trunk") == trunk:
            total = count_steps(spec.rows_per_epoch(about["rows"]), spec.train)
            fits = about["known_reference"] == known_reference(spec, about["rows"])
            if about["step"] <= trunk_steps(spec.train, total):
                found.append(KeptState(entry.key, about["step"], about["of_steps"], total, fits))
    return sorted(found, key=lambda state: -state.step)


def known_reference(spec: TrainingSpec, rows: int) -> bool:
    """Return whether a stage over `rows` rows computes a reference once for all of them, before its first step."""
    return hasattr(stage_module(spec.type), "reads") and rows_come_again(spec.train, rows)


def to_go_on_from(store: Store, spec: StageSpec, material: Mapping[str, Any]) -> KeptState | None:
    """Return the latest state that a stage can go on from and whose files have their sizes; None without one."""
    for state in states_for(store, spec, material):
        entry = store.find("states", state.key)
        if entry is not None and store.flaw(entry, contents=False) is None:
            return state
    return None


# ------------------------------------------------------------------ using one


def begin(store: Store, stage: Planned, note: Callable[[str], None]) -> dict[str, Any]:
    """Put the latest sound state into the working folder of a stage that has no checkpoint: it resumes from there.

    Returns what its manifest says of that, also where an earlier attempt began so. Hold the lock of its result. A state
    that is damaged is deleted, with a note.
    """
    folder = store.partial("results", stage.key)
    began = folder / BEGAN
    if newest_sound(folder / CHECKPOINTS) is None:
        with translate_os_errors(began):
            began.unlink(missing_ok=True)
        name = stage.spec.name
        for state in _of_trunk(store, stage.spec, stage.material):
            if not state.fits:
                note(
                    f"{name}: the state kept of step {state.step:,} is passed over: one of the two runs sees rows "
                    "again and computes its reference of all rows at once, which rounds otherwise"
                )
            elif _taken(store, state, folder, name, note):
                note(
                    f"{name}: going on from step {state.step:,} of an earlier run of {state.of:,} steps, to "
                    f"{state.total:,}"
                )
                break
    told = read_json(began)
    return {} if told is None else {"extended_from": told}


def _taken(store: Store, state: KeptState, folder: Path, name: str, note: Callable[[str], None]) -> bool:
    """Give the working folder the files of a state as a checkpoint, its seal last; whether it is sound."""

    def damaged(wrong: str) -> None:
        note(f"{name}: the state kept of step {state.step:,} is passed over and deleted: its {wrong}")

    with store.hold("states", state.key):
        entry = store.sound("states", state.key, damaged)
        if entry is None:
            return False
        checkpoint = folder / CHECKPOINTS / f"checkpoint-{state.step}"
        write_json(folder / BEGAN, {"step": state.step, "key": state.key})
        with translate_os_errors(checkpoint):
            names = [file for file in entry.manifest["files"] if file != SEAL]
            link_files(entry.path, checkpoint, names)
            sync(checkpoint)
            link_files(entry.path, checkpoint, [SEAL])
            sync(checkpoint, checkpoint.parent)
    return True


# ------------------------------------------------------------------ keeping one


def keep(
    store: Store, stage: Planned, recipe: str, rows: int, require_unchanged: Callable[[], None], checkpoint: Path
) -> None:
    """Publish a stage's sealed checkpoint as a state, unless the workspace has it, sound. `rows`: of prepared data.

    Both share their files: a checkpoint's are never written again. `require_unchanged` raises where what the stage
    reads is not what its key is made of.
    """
    require_unchanged()
    spec = stage.spec
    assert isinstance(spec, TrainingSpec)
    trunk, step = trunk_of(stage.material), int(checkpoint.name.rpartition("-")[2])
    made_of = {"trunk": trunk, "step": step, "known_reference": known_reference(spec, rows)}
    about = {"kind": "state", "name": spec.name, "recipe": recipe, "step": step}
    key = digest(made_of)
    with store.hold("states", key):
        if store.sound("states", key, lambda wrong: None) is not None:
            return
        store.partial("states", key, about)
        out = store.fresh_out("states", key)
        with translate_os_errors(out):
            link_files(checkpoint, out, [name for name in list_files(checkpoint) if name != MANIFEST])
        manifest = {
            **about,
            **made_of,
            "rows": rows,
            "of": stage.key,
            "of_steps": count_steps(spec.rows_per_epoch(rows), spec.train),
            "versions": installed_versions(),
            "statllama": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        store.publish("states", key, manifest)
