"""The errors: the tree that the module shows is the real one, and each survives a trip between processes."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from importlib import import_module
from pathlib import Path

import pytest

import statllama.errors as errors
from statllama.errors import NotFoundError, Problem, RecipeError, StatllamaError
from statllama.store.files import translate_os_errors
from tests.conftest import REPO

PACKAGE = REPO / "statllama"
BRANCH = re.compile(r" {4}(?P<stem>(?:\|   )*)(?:\+-- )?(?P<name>[A-Z]\w+)(?: \((?P<standard>\w+)\))?(?: {2,}|$)")


def error_classes() -> dict[str, type[StatllamaError]]:
    """All classes of the package below StatllamaError, found in the source: {name: class}."""
    modules: dict[str, tuple[str, list[str]]] = {}
    for path in PACKAGE.rglob("*.py"):
        dotted = ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                modules[node.name] = (dotted, [ast.unparse(base).rpartition(".")[2] for base in node.bases])
    known = {"StatllamaError"}
    while more := {name for name, (_, bases) in modules.items() if known & set(bases)} - known:
        known |= more
    return {name: getattr(import_module(modules[name][0]), name) for name in sorted(known)}


CLASSES = error_classes()


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    shown: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := BRANCH.match(line):
            depth = 0 if "+--" not in line else 1 + len(found["stem"]) // 4
            shown[found["name"]] = (above[depth - 1] if depth else None, found["standard"])
            above[depth:] = [found["name"]]
    real = {}
    for name, kind in CLASSES.items():
        own = [base for base in kind.__bases__ if issubclass(base, StatllamaError)]
        standard = [base.__name__ for base in kind.__bases__ if not issubclass(base, StatllamaError)]
        assert len(own) <= 1
        real[name] = (own[0].__name__ if own else None, standard[0] if own and standard else None)
    assert shown == real


def made(kind: type[StatllamaError]) -> StatllamaError:
    if kind is RecipeError:
        return RecipeError("a.yaml", [Problem("name", "is missing", 3, "write one"), Problem("stages", "is empty")])
    return kind("what went wrong", remedy="how to mend it")


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_survives_pickling_and_copying(name: str) -> None:
    error = made(CLASSES[name])
    error.add_note("seen on the way")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(twin) is type(error) and str(twin) == str(error) and twin.args == error.args
        assert vars(twin) == vars(error) and twin.exit_code == error.exit_code


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_a_users_mistake_is_a_value_error(name: str) -> None:
    kind = CLASSES[name]
    assert issubclass(kind, ValueError) == (kind.exit_code == 2)
    assert not issubclass(kind, KeyboardInterrupt)


def test_what_is_not_there_passes_as_it_is() -> None:
    """It is an OSError, which code around files translates; it must come out as it went in."""
    error = NotFoundError("no recipe 'x'", remedy="name one")
    assert isinstance(error, OSError) and error.errno is None
    with pytest.raises(NotFoundError) as caught, translate_os_errors(Path(".")):
        raise error
    assert caught.value is error


def test_the_page_for_python_has_the_same_tree() -> None:
    page = (REPO / "docs" / "python.md").read_text(encoding="utf-8")
    found = re.findall(r"^(?:[│ ]*[├└]── )?([A-Z]\w+)(?: \((\w+)\))?(?: {2,}.*)?$", page, re.MULTILINE)
    standard = {
        name: next((b.__name__ for b in kind.__bases__ if not issubclass(b, StatllamaError)), "")
        for name, kind in CLASSES.items()
    }
    assert dict(found) == standard | {"StatllamaError": ""}
