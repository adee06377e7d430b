"""Collectors are found by name, and their settings are in the key or say that they are not."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import statllama.data.build.collect as package
from statllama.data.build.collect import collector_module, collector_names, steps_of
from statllama.data.build.collect.spec import CollectorSpec
from statllama.errors import DataError
from tests.data.build.collect.running import spec_of

LEAST: dict[str, dict[str, Any]] = {
    "arxiv": {"ids": ["2601.00001"]},
    "files": {"path": "."},
    "hub": {"hub": "owner/name", "revision": "0" * 40},
    "papers": {"path": "d.jsonl"},
    "stack_exchange": {"path": "Posts.xml", "site": "a.com"},
}


def test_a_collector_is_a_file() -> None:
    folder = Path(package.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} - {"spec"}
    assert set(collector_names()) == files == set(LEAST)
    for name in collector_names():
        module = collector_module(name)
        assert issubclass(module.Spec, CollectorSpec) and isinstance(module.NUMERICS, int)
        assert module.Spec.model_fields["type"].annotation.__args__ == (name,)
    with pytest.raises(DataError, match="unknown collector 'arxif'; did you mean 'arxiv'"):
        collector_module("arxif")
    with pytest.raises(DataError, match="unknown collector 'spec'"):
        collector_module("spec")


@pytest.mark.parametrize("name", sorted(LEAST))
def test_steps_are_small_and_go_to_other_processes(tmp_path: Path, name: str) -> None:
    (tmp_path / "d.jsonl").write_text("{}\n")
    (tmp_path / "Posts.xml").write_text("<posts/>")
    steps = steps_of(spec_of(name, **LEAST[name]), tmp_path, "collect:1")
    assert hasattr(steps[0], "listed") and not any(hasattr(step, "listed") for step in steps[1:])
    assert len({step.name for step in steps}) == len(steps)
    for step in steps:
        again = pickle.loads(pickle.dumps(step))  # noqa: S301
        assert again == step and dict(again.material()) == dict(step.material())
        assert len(pickle.dumps(step)) < 5000


@pytest.mark.parametrize("name", sorted(LEAST))
def test_the_licences_are_in_the_key(tmp_path: Path, name: str) -> None:
    (tmp_path / "d.jsonl").write_text("{}\n")
    (tmp_path / "Posts.xml").write_text("<posts/>")

    def materials(**more: Any) -> list[Any]:
        return [dict(step.material()) for step in steps_of(spec_of(name, **LEAST[name], **more), tmp_path, "n")]

    assert materials() == materials() != materials(licences=["CC-BY-4.0"])
