"""JSON out of what models say, against JSON that was written properly."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.data.build.server.asking import plain_schema
from statllama.data.build.server.parsing import parsed

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\b\f\r\t\n"))


@settings(max_examples=40)
@given(
    found=st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3), min_size=1, max_size=4),
    before=st.sampled_from(["", "Here it is:\n", "<think>{\"a\": 1}</think>", "no {1, 2} but\n```json\n"]),
    after=st.sampled_from(["", "\n```", "\nI hope this helps! {x}"]),
)  # fmt: skip
def test_proper_json_is_read_as_it_is(found: dict[str, object], before: str, after: str) -> None:
    """Whatever stands around it. Texts with LaTeX are what they are when they were escaped properly."""
    for ascii_only in (True, False):
        assert parsed(before + json.dumps(found, ensure_ascii=ascii_only, indent=1) + after) == found


COMMANDS = (
    "frac{1}{2}", "bar{x}", "beta", "theta", "tau", "times", "text{for}", "rho", "right", "nu", "neq", "nabla", "alpha",
    "sigma", "hat{p}", "sum_i", "mu_0", "lambda", "underline{x}", "leq", "approx", "sqrt{n}", "notin", "tfrac12", "to",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_latex_with_one_backslash(command: str) -> None:
    said = f'{{"answer": "with $\\{command}$ in it"}}'
    assert parsed(said) == {"answer": f"with $\\{command}$ in it"}
    assert parsed(json.dumps({"answer": f"$\\{command}$"})) == {"answer": f"$\\{command}$"}


@given(st.sampled_from(string.ascii_uppercase), st.text(string.ascii_lowercase, max_size=8))
def test_lines_and_tabs_stay_lines_and_tabs(first: str, rest: str) -> None:
    text = f"One.\n{first}{rest}\t{first}{rest}\r\n\n1. two"
    assert parsed(json.dumps({"answer": text})) == {"answer": text}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('{"a": "line\nline"}', {"a": "line\nline"}),
        ('[{"a": "b"}]', {"a": "b"}),
        ('thinking... </think>{"a": "b"}', {"a": "b"}),
        ('{"a": "1, }"}', {"a": "1, }"}),
        ('{"a": "b"', None),
        ("<think>{\"a\": 1}", None),
        ('{"a": NaN}', None),
        ("{}", None),
        ("", None),
        ("[1, 2]", None),
        ("{" * 5000, None),
        ('{"a":' * 5000, None),
    ],
)  # fmt: skip
def test_slips(said: str, found: object) -> None:
    assert parsed(said) == found


def test_a_schema_that_strict_servers_take() -> None:
    schema = {
        "$defs": {"Pair": {"type": "object", "title": "Pair", "properties": {"b": {"type": "string", "maxLength": 5}}}},
        "type": "object",
        "title": "Reply",
        "properties": {
            "z": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/Pair"}},
            "a": {"type": "string"},
        },
    }
    assert plain_schema(schema) == (
        '{"type": "object", "properties": {"z": {"type": "array", "minItems": 2, "items": {"type": "object", '
        '"properties": {"b": {"type": "string"}}, "required": ["b"], "additionalProperties": false}}, '
        '"a": {"type": "string"}}, "required": ["z", "a"], "additionalProperties": false}'
    )
