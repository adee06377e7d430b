"""What README says of systems: the package imports nothing, and calls nothing unasked, that one of them lacks."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.conftest import REPO
from tests.test_architecture import package_sources

SOURCES = package_sources()
UNIX_MODULES = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
MISSING_SOMEWHERE = re.compile(
    r"\bos\.(fork|forkpty|get[eu]?[ug]id|getpgid|kill?pg|mkfifo|posix_\w+|sched_\w+|setsid|statvfs|uname|wait\w*)\b"
    r"|\bsignal\.(SIG(ALRM|CONT|HUP|KILL|QUIT|STOP|TSTP|USR[12]|WINCH)|alarm|setitimer|pthread_\w+)\b"
)
"""Of Python's library on Linux, what macOS or Windows has not."""
MINORS = ("3.11", "3.12", "3.13")


def at_import(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, but for those that `try` guards."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try):
            yield node
            yield from at_import(node)


@pytest.mark.parametrize("name", SOURCES)
def test_no_module_needs_unix_to_be_imported(name: str) -> None:
    for node in at_import(ast.parse(SOURCES[name])):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {each.partition(".")[0] for each in names} & UNIX_MODULES, f"line {node.lineno}"


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_system_may_lack_is_asked_for_first(name: str) -> None:
    for number, line in enumerate(SOURCES[name].splitlines(), start=1):
        if found := MISSING_SOMEWHERE.search(line.partition("  #")[0]):
            assert "hasattr(" in line or "getattr(" in line, f"line {number}: {found[0]}"


def test_readme_and_pyproject_name_the_same_pythons() -> None:
    """`requires-python`, the classifiers and README's row on systems."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in readme.splitlines() if line.startswith("| systems |")]
    assert tuple(named) == MINORS
    assert project["requires-python"] == f">={MINORS[0]}" and f"Python {MINORS[0]} to {MINORS[-1]}" in row
    assert all(f"Python {minor}" in (REPO / "docs" / "install.md").read_text(encoding="utf-8") for minor in MINORS)
