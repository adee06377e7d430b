"""YAML with a line number for every field: the loader under `recipe.py`.

PyYAML's safe loader, plus four things a recipe needs: the line of each key and item, duplicate keys and aliases as
errors, `2e-5` as a number (YAML 1.1 reads it as a string), and no text that cannot be written as UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from statllama.errors import Problem, RecipeError, UsageError

Path_ = tuple[str | int, ...]
MAX_BYTES = 200_000
MAX_DEPTH = 50


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with `2e-5` a number and every string valid Unicode."""


Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def _text(loader: Loader, node: yaml.ScalarNode) -> str:
    """Return a string. Half of a surrogate pair ("\\ud800") is refused: no file and no terminal takes it."""
    value = str(loader.construct_scalar(node))
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise yaml.constructor.ConstructorError(None, None, "text that is not valid Unicode", node.start_mark)
    return value


Loader.add_constructor("tag:yaml.org,2002:str", _text)


def parse_value(text: str) -> Any:
    """Return one YAML value, as `--set key=value` gives it. A text that is no YAML is itself; ValueError for what a
    recipe may not hold either (a key given twice, an alias).
    """
    try:
        value, _, problems = parse(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text
    if problems:
        raise ValueError(f"{problems[0].where}: {problems[0].message}")
    return value


def load(path: Path) -> tuple[Any, dict[Path_, int]]:
    """Return (value of a file, {path of a field: its line from 1}). RecipeError for a file that is not YAML, or that
    repeats a key; UsageError for one that cannot be read.
    """
    text = _read(path)
    try:
        value, lines, problems = parse(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not YAML"
        problems = [Problem("YAML", message, (mark.line + 1) if mark else 0)]
    except yaml.reader.ReaderError as error:
        message = f"the character U+{error.character:04X} is not allowed in a recipe"
        problems = [Problem("YAML", message, text.count("\n", 0, error.position) + 1, "delete it")]
    except RecursionError:
        problems = [Problem("YAML", "nested too deeply")]
    except (yaml.YAMLError, ValueError) as error:
        problems = [Problem("YAML", str(error).splitlines()[0])]
    if problems:
        raise RecipeError(str(path), problems)
    return value, lines


def _read(path: Path) -> str:
    """Return the text of the file; of one that is too large, no more than shows it is."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise RecipeError(str(path), [Problem("file", f"larger than {MAX_BYTES:,} bytes, so not a recipe")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem("file", f"is not UTF-8 (byte {error.start})", line, remedy="save it as UTF-8")
        raise RecipeError(str(path), [problem]) from None


def parse(text: str, loader_class: type[Loader] = Loader) -> tuple[Any, dict[Path_, int], list[Problem]]:
    """Return (value, lines, problems) of a YAML text; the value is None when there are problems.

    Raises yaml.YAMLError, RecursionError, and ValueError for a number that Python cannot hold.
    """
    loader = loader_class(text)
    lines: dict[Path_, int] = {}
    problems: list[Problem] = []
    try:
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, problems, set())
        return (None if node is None or problems else loader.construct_document(node)), lines, problems
    finally:
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
            own = node if id(item) in seen else item  # an alias has the line of what it stands for
            _walk_child(item, (*path, i), own.start_mark.line, lines, problems, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.tag)
            if key.tag == "tag:yaml.org,2002:bool":  # YAML 1.1 takes `on`, `off`, `yes` and `no` for true and false
                key.tag = "tag:yaml.org,2002:str"
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
    """Return `stages[1].train.steps` for ("stages", 1, "train", "steps")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def line_of(path: Path_, lines: Mapping[Path_, int]) -> int:
    """Return the line of the field, or of the nearest field around it; 0 when it came from the command line."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)
