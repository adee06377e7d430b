"""The step in a build: its key, other processes, documents that need no extraction, topics."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from statllama.config.keyed import keyed
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.extract import step as step_module
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.reader import Reader
from statllama.data.build.extract.spec import ExtractSpec
from statllama.data.build.extract.step import Extract
from statllama.data.build.extract.topics import TERMS, topics_of
from statllama.errors import DataError
from statllama.problems import topics
from statllama.store import Store
from tests.data.build.extract.conftest import extract, record_of
from tests.data.build.test_chain import bytes_of


def test_one_and_two_processes_make_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.md").write_text(f"# Paper {i}\n\nThe median and the median of {i}.\n", encoding="utf-8")
    (folder / "bad.docx").write_bytes(b"PK")
    records = [record_of(path) for path in sorted(folder.iterdir())]
    made = []
    for jobs in (1, 2):
        step = Extract(ExtractSpec(), block=5)
        with Here(jobs) as here:
            entry = run_step(
                step, key_of(step, ["a"]), lambda: iter(records), Store(tmp_path / str(jobs)), here, Watcher()
            )
        assert entry.manifest["kept"] == 9 and entry.manifest["left_out"] == {"damaged": 1}
        made.append(bytes_of(entry.path))
    assert made[0] == made[1]


def test_every_setting_is_in_the_key() -> None:
    changed = {"ocr": False, "ocr_language": "deu", "seconds": 5.0, "memory": 512, "pages": 3}
    assert set(changed) == set(ExtractSpec.model_fields) == set(keyed(ExtractSpec()))
    base = Extract(ExtractSpec(ocr=True) if step_module.tesseract_version() else ExtractSpec())
    keys = {key_of(base, []), *(key_of(Extract(base.spec.model_copy(update={k: v})), []) for k, v in changed.items())}
    assert len(keys) == len(changed) + bool(step_module.tesseract_version())


def test_ocr_auto_says_in_the_key_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_module, "tesseract_version", lambda: None)
    material = Extract(ExtractSpec()).material()
    assert material["spec"]["ocr"] is False and "tesseract" not in material["versions"]
    with pytest.raises(DataError, match="tesseract, which is not installed"):
        Extract(ExtractSpec(ocr=True)).material()
    monkeypatch.setattr(step_module, "tesseract_version", lambda: "5.3.0")
    assert Extract(ExtractSpec()).material()["versions"]["tesseract"] == "5.3.0"


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step_module, "form_names", lambda: ("pdf",))
        patch.setattr(step_module, "form_module", lambda name: type("Form", (), {"VERSIONS": ("no-such-package",)}))
        with pytest.raises(DataError, match="no-such-package") as error:
            Extract(ExtractSpec()).material()
        assert "pip install 'statllama[build]'" in str(error.value.remedy)


def test_sections_that_are_there_go_on_with_their_kinds() -> None:
    sections = [
        {"heading": "2 Methods", "level": 1, "kind": "other", "text": "We took the median."},
        {"heading": "Zebras", "level": 1, "kind": "results", "text": "The median was a median."},
    ]
    record: Any = {"id": "s2orc:1", "origin": {"collector": "s2orc", "place": "1", "title": "T"}, "sections": sections}
    (document,), left_out = extract(record, {**record, "sections": []})
    assert [section["kind"] for section in document["sections"]] == ["methods", "results"]
    assert document["topics"] == ["one_variable"] and document["origin"] == record["origin"]
    assert [(each.reason, each.where) for each in left_out] == [("no text", "s2orc:1")]


def test_the_collectors_title_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# Another title\n\nText.", encoding="utf-8")
    origin = {"collector": "arxiv", "place": "x", "title": "The title", "licence": "CC-BY-4.0"}
    (document,), _ = extract({**record_of(path), "origin": origin})
    assert document["origin"] == origin


def test_the_process_is_replaced_when_it_is_killed_between_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Words.", encoding="utf-8")
    with Reader(60, Options()) as reader:
        reader.read(path, "txt")
        assert reader._process is not None
        os.kill(reader._process.pid, signal.SIGKILL)
        reader._process.wait()
        assert reader.read(path, "txt").blocks[0].text == "Words."
        last = reader._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


def test_the_step_holds_settings_alone() -> None:
    assert {field.name for field in dataclasses.fields(Extract)} == {"spec", "name", "block", "threads"}


def test_topics_are_those_of_the_problems() -> None:
    assert set(TERMS) == set(topics())


TEXTS = {
    "one_variable": "The histogram is skewed; its median and quartiles are marked, and outliers lie beyond the IQR.",
    "two_variable": "The scatterplot shows a strong correlation; residuals around the regression line are small.",
    "study_design": "In a randomised experiment a control group gets a placebo; blinding and blocking help.",
    "probability": "The probability that two independent events occur; the expected value of a random variable.",
    "sampling_distributions": "By the central limit theorem the sampling distribution has a small standard error.",
    "proportions": "The sample proportion estimates the population proportion with a margin of error.",
    "means": "A two-sample t test with 12 degrees of freedom on the difference in means.",
    "categorical": "A chi-square test of independence on the contingency table of expected counts.",
    "slopes": "The regression coefficient: inference for regression and the standard error of the slope.",
}


@pytest.mark.parametrize("topic", TEXTS)
def test_a_text_is_about_its_topic(topic: str) -> None:
    assert topic in topics_of(TEXTS[topic])


def test_topics_need_more_than_a_mention() -> None:
    assert topics_of("The cat sat on the mat. A median lay there.") == []
    assert topics_of("median median " + "word " * 3000) == []
    assert topics_of("Mediums, the comedian and medians; median") == ["one_variable"]
