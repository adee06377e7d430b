"""The YAML of recipes: fields that YAML 1.1 takes for something else."""

from __future__ import annotations

from pathlib import Path

from statllama.config.yaml_lines import load, parse_value


def test_a_field_called_on_is_no_boolean(tmp_path: Path) -> None:
    """YAML 1.1 reads `on`, `off`, `yes` and `no` as true and false, in the place of a key too."""
    assert parse_value("{on: holdout, every: 2}") == {"on": "holdout", "every": 2}
    file = tmp_path / "a.yaml"
    file.write_text("select:\n  on: holdout\nno: [true, yes]\n")
    assert load(file) == (
        {"select": {"on": "holdout"}, "no": [True, True]},
        {(): 1, ("select",): 1, ("select", "on"): 2, ("no",): 3, ("no", 0): 3, ("no", 1): 3},
    )
