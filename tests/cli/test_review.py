"""`statllama data review` in the terminal: rows at 80 columns, verdicts by keys, agreement as a table."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from statllama.cli.console import review as printer
from statllama.data.build.records import Json
from statllama.data.build.review import Sample, Verdict, draw, review
from tests.data.build.check.rows import row

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    file = io.StringIO()
    for module in ("review", "terminal"):
        monkeypatch.setattr(f"statllama.cli.console.{module}.Out", Console(file=file, width=80, highlight=False))
    yield file


def rows() -> Sample:
    def one(name: str, passed: bool, **more: Any) -> Json:
        record = row(name=name, quote="A survey of 400 adults was taken at random.", **more)
        record["provenance"]["checks"] = {"numeric": {"passed": passed, "reason": "" if passed else "[bold]wrong[/]"}}
        return record

    lost = [{"reason": "an equality [red]of the answer does not hold", "where": f"w{i}", "record": one(f"w{i}", False)}
            for i in range(3)]  # fmt: skip
    return draw([one(f"k{i}", True, answer="\x1b[2J[bold]0.62[/bold]") for i in range(5)], lost)


def test_keys_become_verdicts(out: io.StringIO) -> None:
    sample, said = rows(), list[Verdict]()
    keys = iter(["x", "c", "k", "d", "b", "u", "U", "q"])
    assert printer.ask(sample.items, "Ada", said.append, key=lambda: next(keys), now=lambda: NOW) == 3
    ids = [item.row["id"] for item in sample.items]
    assert [(v.id, v.verdict) for v in said] == [
        (ids[0], "keep"),
        (ids[1], "drop"),
        (ids[1], "unsure"),
        (ids[2], "unsure"),
    ]
    assert said[0].row == sample.items[0].digest and said[0].at == "2026-12-01T10:00:00.000Z"
    text = out.getvalue()
    assert "row 1 of 8" in text and "section" in text and max(map(len, text.splitlines())) <= 80
    assert "\x1b[2J" not in text and "[bold]0.62[/bold]" in text  # shown, not obeyed


@pytest.mark.parametrize("stop", [EOFError, KeyboardInterrupt])
def test_leaving_keeps_what_was_said(out: io.StringIO, stop: type[BaseException]) -> None:
    said, keys = list[Verdict](), iter(["k"])

    def key() -> str:
        for pressed in keys:
            return pressed
        raise stop

    assert printer.ask(rows().items, "", said.append, key=key) == 1 and len(said) == 1


def test_tables_fit_80_columns(out: io.StringIO) -> None:
    sample = rows()
    printer.print_sample(sample)
    printer.print_rows(sample.items)
    said = [Verdict(item.row["id"], item.digest, "keep" if i % 3 else "drop") for i, item in enumerate(sample.items)]
    printer.print_agreement(review(sample, said))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "an equality [red]of the answer" in text and "kappa" in text and "all checks" in text
    assert "8 rows judged; their reasons have 100% of all rows" in text
