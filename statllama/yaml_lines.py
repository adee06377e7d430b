"""YAML with a line number for every field: the loader under `recipe.py`.

PyYAML's safe loader, plus three things a recipe needs: the line of each key and item, duplicate keys as errors, and
`2e-5` as a number (YAML 1.1 reads it as a string).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from statllama.errors import Problem, RecipeError

Path_ = tuple[str | int, ...]
MAX_BYTES = 200_000
MAX_DEPTH = 50


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def parse_value(text: str) -> Any:
    """One YAML value, as `--set key=value` gives it. A text that is no YAML is itself."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError):
        return text


def load(text: str, source: str) -> tuple[Any, dict[Path_, int]]:
    """(value, {path of a field: its line from 1}). RecipeError for text that is not YAML or repeats a key."""
    if len(text) > MAX_BYTES:
        raise RecipeError(source, [Problem("file", f"larger than {MAX_BYTES:,} bytes: this is not a recipe")])
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Path_, int] = {}
        problems: list[Problem] = []
        if node is not None:
            _walk(node, (), lines, problems, set())
        if problems:
            raise RecipeError(source, problems)
        return (None if node is None else loader.construct_document(node)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not YAML"
        raise RecipeError(source, [Problem("YAML", message, (mark.line + 1) if mark else 0)]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RecipeError(source, [Problem("YAML", str(error).splitlines()[0])]) from None
    finally:
        if loader is not None:
            loader.dispose()


def _walk(node: yaml.Node, path: Path_, lines: dict[Path_, int], problems: list[Problem], seen: set[int]) -> None:
    """Record the line of every field below `node`; aliases and absurd depth are refused, so it always ends.

    `seen`: ids of the collections met so far. An alias is a second way to one of them.
    """
    seen.add(id(node))
    lines.setdefault(path, node.start_mark.line + 1)
    where = dotted(path) or "recipe"
    if len(path) > MAX_DEPTH:
        problems.append(Problem(where, f"nested deeper than {MAX_DEPTH} levels", node.start_mark.line + 1))
        return
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _walk_child(item, (*path, i), item.start_mark.line, lines, problems, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.tag)
            line = key.start_mark.line
            if (*path, name) in lines:
                first = lines[(*path, name)]
                problems.append(Problem(dotted((*path, name)), f"given twice (first on line {first})", line + 1))
            else:
                _walk_child(value, (*path, name), line, lines, problems, seen)


def _walk_child(
    node: yaml.Node, path: Path_, line: int, lines: dict[Path_, int], problems: list[Problem], seen: set[int]
) -> None:
    lines[path] = line + 1
    if isinstance(node, yaml.ScalarNode):
        return
    if id(node) in seen:
        problems.append(
            Problem(dotted(path), "YAML aliases are not allowed", line + 1, remedy="put shared fields under `defaults`")
        )
        return
    _walk(node, path, lines, problems, seen)


def dotted(path: Path_) -> str:
    """`stages[1].train.steps` for ("stages", 1, "train", "steps")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def line_of(path: Path_, lines: dict[Path_, int]) -> int:
    """Line of the field, or of the nearest field around it; 0 when it came from the command line."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)
