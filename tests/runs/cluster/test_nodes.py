"""What hosts must share. No Ray: the driver and the other host are this process."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import UsageError
from statllama.runs.cluster import nodes
from statllama.runs.cluster.nodes import Facts, Fault, Question, apart, asking, by_host, facts, faults, notes, require


@pytest.fixture
def question(tmp_path: Path) -> Iterator[Question]:
    (tmp_path / "data.jsonl").write_text("{}\n")
    (tmp_path / "base").mkdir()
    with asking(tmp_path / "workspace", [tmp_path / "data.jsonl", tmp_path / "base"]) as asked:
        yield asked


@pytest.fixture
def own() -> Facts:
    return replace(facts(), compute="float32")


def texts(own: Facts, other: Facts, **options: Any) -> list[str]:
    now = time.time()
    return [fault.what for fault in faults(own, other, now - 1, now + 1, **options)]


def test_a_host_that_sees_what_the_driver_sees_is_well(question: Question, own: Facts) -> None:
    began = time.time()
    told = facts(question)
    assert faults(own, told, began, time.time(), seen=nodes.answered(question, told)) == []
    assert notes(own, told, began, time.time()) == []
    require([("here", [])])


def test_nothing_is_left_in_the_workspace(tmp_path: Path) -> None:
    killed = tmp_path / "workspace" / "locks" / "probe-of-a-killed-driver"
    killed.parent.mkdir(parents=True)
    for path in (killed, killed.with_suffix(".lock"), killed.with_name(f"{killed.name}-host-7")):
        path.touch()
    with asking(tmp_path / "workspace", []) as question:
        facts(question)
        assert len(list(killed.parent.iterdir())) == 3, "a probe, its lock and an answer"
    assert list(killed.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"python": "3.99.1"}, "Python 3.99.1"),
        ({"ray": "2.1.0"}, "Ray 2.1.0"),
        ({"ray": None}, "Ray None"),
        ({"statllama": "9.9"}, "statllama 9.9"),
        ({"source": "0" * 64}, "is other code than here .000000000000"),
        ({"compute": "bfloat16"}, "its devices compute in bfloat16, and the one here in float32"),
        ({"missing": ("/a", "/b", "/c", "/d", "/e")}, "does not see /a, /b, /c and 2 more"),
        ({"workspace": "it does not see the workspace /w"}, "it does not see the workspace /w"),
    ],
)
def test_each_difference_is_told(own: Facts, other: dict[str, Any], what: str) -> None:
    (told,) = texts(own, replace(own, **other))
    assert re.search(what, told)


def test_packages_are_compared_without_their_build(own: Facts) -> None:
    here = replace(own, packages={"torch": "2.13.0+cpu", "peft": "0.21.2", "unsloth": "2026.10.7"})
    there = {"torch": "2.13.0+cu130", "peft": "0.21.2"}  # no Unsloth: a host without a GPU
    assert texts(here, replace(here, packages=there)) == []
    assert texts(here, replace(here, packages={**there, "torch": "2.11.0"})) == [
        "it has torch 2.11.0, and here is 2.13.0+cpu"
    ]
    assert texts(here, replace(here, packages={"torch": "2.13.0"})) == ["it has no peft, and here is 0.21.2"]


def test_patches_of_python_do_not_matter(own: Facts) -> None:
    assert texts(own, replace(own, python=own.python.rpartition(".")[0] + ".99")) == []


@pytest.mark.parametrize(
    ("clock", "ahead"),
    [(100.0, 0), (105.0, 0), (110.0, 0), (117.0, 7), (93.0, -7), (50.0, -50), (1000.0, 890)],
)
def test_a_clock_is_off_by_what_the_round_trip_does_not_explain(own: Facts, clock: float, ahead: float) -> None:
    """Asked at 100, answered at 110: between them every time may be right."""
    assert apart(clock, 100, 110) == ahead
    other = replace(own, host="far", clock=clock)
    told = [fault.what for fault in faults(own, other, 100, 110)]
    noted = notes(own, other, 100, 110)
    word = f"its clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    assert told == ([word] if abs(ahead) > 30 else [])
    assert [text.partition(", so")[0] for text in noted] == ([f"far: {word}"] if 5 < abs(ahead) <= 30 else [])


def test_another_folder_at_the_same_path_is_no_shared_workspace(
    question: Question, own: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "PATIENCE", 0.0)
    aside = question.workspace.rename(question.workspace.with_name("aside"))
    assert texts(own, facts(question)) == [f"it does not see the workspace {question.workspace}"]
    (question.workspace / "locks").mkdir(parents=True)
    assert texts(own, facts(question)) == [f"{question.workspace} is not the workspace there that it is here"]
    # A copy with the same bytes, such as a snapshot: what is written there is not seen here.
    shutil.copy(aside / "locks" / question.probe.name, question.probe)
    question.probe.with_suffix(".lock").touch()
    told = facts(question)
    assert told.workspace == f"locks on files in the workspace {question.workspace} do not hold from host to host"
    shutil.rmtree(question.workspace)
    aside.rename(question.workspace)
    assert not nodes.answered(question, told)
    assert texts(own, replace(told, workspace=None), seen=False) == [
        "what it writes into the workspace is not seen here"
    ]


def test_files_must_be_seen_with_their_sizes(question: Question, own: Facts) -> None:
    data, base = (path for path, _ in question.files)
    data.write_text("{}\n{}\n")
    assert texts(own, facts(question)) == [f"it does not see {data}"]
    base.rmdir()
    assert texts(own, facts(question)) == [f"it does not see {data}, {base}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_cannot_be_written(question: Question, own: Facts) -> None:
    question.probe.parent.chmod(0o500)
    (told,) = texts(own, facts(question))
    question.probe.parent.chmod(0o700)
    assert told.startswith(f"it cannot write into the workspace {question.workspace}: ")


def test_all_that_is_wrong_is_one_error(own: Facts) -> None:
    other = replace(own, ray="2.1.0", statllama="9.9")
    now = time.time()
    wrong = faults(own, other, now, now)
    found = [("a (10.0.0.1)", wrong), ("b (10.0.0.2)", []), ("c", wrong)]
    with pytest.raises(UsageError) as caught:
        require(found)
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 3 hosts of the cluster cannot take part in this run:"
    assert [line.partition(":")[0] for line in lines[1:5]] == ["  a (10.0.0.1)"] * 2 + ["  c"] * 2
    assert sum("pip install" in line for line in lines[5:]) == 2, "each remedy once"


def test_a_host_with_several_processes_of_a_group_is_one_host() -> None:
    clock = Fault("its clock is 40 s ahead", "set it")
    told = by_host([("a", [clock]), ("a", [clock]), ("b", [])])
    assert told == [("a", [clock]), ("b", [])]
    with pytest.raises(UsageError, match="1 of 2 hosts of the cluster cannot"):
        require(told)
    with pytest.raises(UsageError, match=r"^the host of the cluster cannot"):
        require(by_host([("a", [clock]), ("a", [clock])]))
