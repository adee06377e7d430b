"""What names of users look like in the terminal: as they are."""

from __future__ import annotations

import pytest

from statllama.cli.console.terminal import Out, new_table, plain, print_table


def test_a_name_between_colons_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """`forgetting:anchor: it forgets less` is a sentence about a stage, and no ship."""
    table = new_table("pipeline")
    table.add_row(plain("a:anchor:b"))
    Out.print(f"{plain('forgetting:anchor')}: it forgets less")
    print_table(table)
    printed = capsys.readouterr().out
    assert "forgetting:anchor: it forgets less" in printed and "a:anchor:b" in printed
