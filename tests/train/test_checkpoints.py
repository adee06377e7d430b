"""Checkpoints: only sealed, undamaged ones are resumed from, and no kill makes a bad one look good."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from statllama.errors import StoreError
from statllama.train.checkpoints import newest_sound, retain, seal

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def write(folder: Path, step: int) -> Path:
    """An unsealed checkpoint as the Trainer writes it."""
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "nested").mkdir(parents=True)
    (checkpoint / "optimizer.pt").write_bytes(bytes([step % 251]) * 5000)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (checkpoint / "nested" / "rng.pth").write_bytes(b"r" * 10)
    return checkpoint


def sealed(folder: Path, *steps: int) -> list[Path]:
    checkpoints = [write(folder, step) for step in steps]
    for checkpoint in checkpoints:
        seal(checkpoint)
    return checkpoints


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def kill_at(step: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child that kills itself before its `step`-th file operation; whether it got there."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(event: str, _args: object) -> None:
            nonlocal seen
            seen += event.startswith(("open", "os.", "shutil."))
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_newest_is_by_step_not_by_name(tmp_path: Path) -> None:
    assert newest_sound(tmp_path / "absent") is None
    assert newest_sound(tmp_path) is None
    checkpoints = sealed(tmp_path, 50, 1000, 200)
    (tmp_path / "runs").mkdir()
    (tmp_path / "checkpoint-last").mkdir()
    (tmp_path / "checkpoint-9999").write_text("a file")
    assert newest_sound(tmp_path) == checkpoints[1]
    assert len(names(tmp_path)) == 6


def truncate(checkpoint: Path) -> None:
    path = checkpoint / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:-1])


def flip(checkpoint: Path) -> None:
    path = checkpoint / "nested" / "rng.pth"
    path.write_bytes(b"R" + path.read_bytes()[1:])


def empty(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip,
        lambda c: (c / "trainer_state.json").unlink(),
        lambda c: (c / "added.bin").write_bytes(b""),
        lambda c: (c / "sealed.json").unlink(),
        lambda c: (c / "sealed.json").write_text((c / "sealed.json").read_text()[:40]),
        lambda c: (c / "sealed.json").write_text("{}"),
        empty,
    ],
)
def test_a_damaged_checkpoint_is_deleted_and_the_one_before_used(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    older, newer = sealed(tmp_path, 5, 10)
    damage(newer)
    assert newest_sound(tmp_path) == older
    assert names(tmp_path) == {"checkpoint-5"}
    damage(older)
    assert newest_sound(tmp_path) is None
    assert names(tmp_path) == set()


def test_an_empty_folder_is_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(StoreError, match="holds no files"):
        seal(tmp_path / "checkpoint-1")


def test_sealing_again_covers_what_was_added(tmp_path: Path) -> None:
    (checkpoint,) = sealed(tmp_path, 5)
    (checkpoint / "added.bin").write_bytes(b"a")
    seal(checkpoint)
    assert newest_sound(tmp_path) == checkpoint


def test_retain_keeps_the_newest_sealed_and_all_unsealed(tmp_path: Path) -> None:
    sealed(tmp_path, 5, 10, 100, 20)
    write(tmp_path, 1)
    write(tmp_path, 200)
    retain(tmp_path, 2)
    assert names(tmp_path) == {"checkpoint-1", "checkpoint-20", "checkpoint-100", "checkpoint-200"}
    retain(tmp_path, 5)
    retain(tmp_path, 1)
    assert names(tmp_path) == {"checkpoint-1", "checkpoint-100", "checkpoint-200"}
    with pytest.raises(ValueError, match="at least the newest"):
        retain(tmp_path, 0)
    retain(tmp_path / "absent", 1)


def test_a_kill_while_sealing_leaves_it_unsealed_or_sound(tmp_path: Path) -> None:
    older = sealed(tmp_path, 5)[0]
    newer, found = tmp_path / "checkpoint-10", []
    for step in range(1, 300):
        write(tmp_path, 10)
        killed = kill_at(step, lambda: seal(newer))
        found.append(newest_sound(tmp_path))
        shutil.rmtree(newer, ignore_errors=True)
        if not killed:
            break
    turn = found.index(newer)
    assert turn > 5
    assert found == [older] * turn + [newer] * (len(found) - turn)


def test_a_kill_while_deleting_never_leaves_a_sealed_torso(tmp_path: Path) -> None:
    newest = sealed(tmp_path, 10)[0]
    many = ["adapter_model.safetensors", "training_args.bin", "tokenizer.json", "0.bin", "1.bin", "2.bin"]
    for step in range(1, 300):
        old = tmp_path / "checkpoint-5"
        shutil.rmtree(old, ignore_errors=True)
        write(tmp_path, 5)
        for name in many:
            (old / name).write_text(name)
        seal(old)
        killed = kill_at(step, lambda: retain(tmp_path, 1))
        if (old / "sealed.json").exists():
            assert names(old) == {"sealed.json", "optimizer.pt", "trainer_state.json", "nested", *many}
            assert names(old / "nested") == {"rng.pth"}
        assert newest_sound(tmp_path) == newest
        if not killed:
            break
    assert step > 8
    assert names(tmp_path) == {"checkpoint-10"}
