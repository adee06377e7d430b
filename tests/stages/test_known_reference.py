"""The reference that is computed once: against the parents merged, and a stage that computes it at each step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import statllama.model.stack
from statllama.errors import TrainingError
from statllama.stages import _known_reference as known
from tests.conftest import stage
from tests.reference import merged
from tests.running import Recorder, adapter_bytes, losses, run
from tests.train.test_parity import PARENTS, SCALES, load
from tests.train.test_resume import StopAt
from tests.train.test_step import difference

torch.set_num_threads(1)
Write = Callable[..., Path]
TOLD = "the reference's log-probabilities of"
FILE = "partial/results-*/reference.safetensors"


def recipe(write: Write, kind: str, **train: Any) -> Path:
    """A stage with dropout on two parents that sees its 30 or 32 rows more than once."""
    fields = {"steps": None, "epochs": 2.5, "batch_size": 8, "micro_tokens": 300, "learning_rate": 3e-3, **train}
    return write([*PARENTS, stage("last", kind, lora={"dropout": 0.1}, train={"adam_epsilon": 1e-4, **fields})])


class Looks(StopAt):
    """Breaks off, and keeps the numbers that are in the stage's folder by then."""

    def __init__(self, workspace: Path, step: int) -> None:
        super().__init__(step)
        self.workspace, self.numbers = workspace, dict[str, list[float]]()

    def step(self, event: Any) -> None:
        if event.stage == "last":
            (path,) = self.workspace.glob(FILE)
            self.numbers = {name: column.tolist() for name, column in load_file(path).items()}
            super().step(event)


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_it_is_the_parents_merged_and_changes_nothing(
    kind: str, write_recipe: Write, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each number by definition, row by row; but for rounding the adapter of a stage that computes it each time."""
    seen: list[Any] = []
    real = known.with_reference

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(real(*args, **kwargs))
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(known, "with_reference", spy)
        reporter = Recorder()
        once = run(recipe(write_recipe, kind), tmp_path / "once", reporter=reporter)
    assert sum(TOLD in note for note in reporter.notes) == 1
    with monkeypatch.context() as patch:
        patch.setattr(known, "seen_again", lambda job: False)
        each = run(recipe(write_recipe, kind), tmp_path / "each")["last"]
    assert difference(once["last"], each) < 1e-5
    assert losses(once["last"]) == pytest.approx(losses(each), rel=1e-5)

    parents = merged(load(base_folder), [(once[name], SCALES[name]) for name in once if name != "last"]).double()
    answers = {
        "ref_chosen_logps": "chosen_ids", "ref_rejected_logps": "rejected_ids", "ref_logps": "completion_ids",
        "ref_KL_logps": "KL_completion_ids",
    }  # fmt: skip
    (rows,) = seen
    assert len(rows.values) == 2
    for row in (rows[i] for i in range(0, len(rows), 5)):
        for name in rows.values:
            ids, prompt = torch.tensor([[*row["prompt_ids"], *row[answers[name]]]]), len(row["prompt_ids"])
            with torch.no_grad():
                logps = parents(input_ids=ids).logits[0, :-1].log_softmax(-1)
            wanted = float(logps.gather(-1, ids[0, 1:, None])[prompt - 1 :].sum())
            assert row[name] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_a_resumed_stage_reads_it(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    """Bit for bit the unbroken run's adapter; a damaged file, or one of something else, is made again."""
    path = recipe(write_recipe, kind, checkpoint_every=1)
    whole = run(path, tmp_path / "whole")["last"]
    look = Looks(tmp_path / "broken", 6)
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "broken", reporter=look)
    for step, spoil in ((7, False), (8, True), (-1, True)):
        (file,) = (tmp_path / "broken").glob(FILE)
        if spoil:
            content = bytearray(file.read_bytes())
            content[-2] ^= 4
            file.write_bytes(content)
        again = Looks(tmp_path / "broken", step)
        if step > 0:
            with pytest.raises(ConnectionError):
                run(path, tmp_path / "broken", reporter=again)
        else:
            resumed = run(path, tmp_path / "broken", reporter=again)["last"]
        assert any(TOLD in note for note in again.notes) is spoil
        assert again.numbers == look.numbers
    assert adapter_bytes(resumed) == adapter_bytes(whole)
    assert losses(resumed) == losses(whole)


def test_one_of_another_base_is_not_taken(tmp_path: Path) -> None:
    values = {"ref_logps": torch.arange(3.0)}
    known._write(tmp_path / "r", values, "a")
    assert torch.equal(known._read(tmp_path / "r", "a")["ref_logps"], values["ref_logps"])  # type: ignore[index]
    assert known._read(tmp_path / "r", "b") is None
    save_file(load_file(tmp_path / "r"), tmp_path / "plain")
    assert known._read(tmp_path / "plain", "a") is None and known._read(tmp_path / "none", "a") is None


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_a_wrong_one_stops_the_run(
    kind: str, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch's check is of the numbers that are used; once the fault is mended, they are made anew."""
    with monkeypatch.context() as patch:
        patch.setattr(statllama.model.stack, "refer_to_parents", lambda model: None)
        with pytest.raises(TrainingError, match="the reference is not the parent stack"):
            run(recipe(write_recipe, kind), tmp_path / "w")
    assert run(recipe(write_recipe, kind), tmp_path / "w")["last"]


def test_out_of_memory_halves_its_passes(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trl

    compute, sizes = trl.DPOTrainer.compute_ref_log_probs, []

    def spend(self: Any, model: Any, inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(self, model, inputs)

    whole = run(recipe(write_recipe, "dpo"), tmp_path / "whole")["last"]
    monkeypatch.setattr(trl.DPOTrainer, "compute_ref_log_probs", spend)
    most = 4
    fewer = run(recipe(write_recipe, "dpo"), tmp_path / "fewer")["last"]
    assert max(sizes) > 4 and sum(size for size in sizes if 1 < size <= 4) == 2 * 32  # of 1: the first batch's check
    assert difference(fewer, whole) < 1e-5
    most = 1
    with pytest.raises(TrainingError, match="out of memory in the reference's forward pass of a single row or pair"):
        run(recipe(write_recipe, "dpo"), tmp_path / "none")


@pytest.mark.parametrize(
    ("train", "again"),
    [({"epochs": 1.0}, False), ({"epochs": 1.1}, True), ({"steps": 8}, False), ({"steps": 9}, True), ({}, False)],
    ids=str,
)
def test_when_rows_are_seen_again(train: dict[str, Any], again: bool) -> None:
    """32 rows in batches of 4."""
    from types import SimpleNamespace

    from statllama.config.train import TrainSpec

    job: Any = SimpleNamespace(spec=SimpleNamespace(train=TrainSpec(batch_size=4, **train)), dataset=range(32))
    assert known.seen_again(job) is again
