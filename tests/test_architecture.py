"""The rules of the house, read from the source: who may import whom, who prints, how long things are."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPO

PACKAGE = REPO / "statllama"

# What each layer may import of the package, from the bottom up; a module may import its own layer and those below.
LAYERS = (
    ("errors", "versions", "shipped"),
    ("canonical", "checkpoints", "specs", "signals", "problems", "yaml_lines"),
    ("store", "memory"),
    ("stack", "packed_attention", "benchmarks", "arguments", "preflight", "commits"),
    ("lowrank", "blending"),
    ("answers", "scores", "itemchecks", "paired", "scorecard", "gates", "compare"),
    ("data", "model", "identity", "reporting", "rewards"),
    ("probe", "drift", "loaded", "shared_context", "harness"),
    ("evaluate", "training", "rollouts", "scorer"),
    ("stages",),
    ("keys", "overrides", "field_errors", "inherit", "order", "recipe"),
    ("subjects", "evaluation", "recorded", "chat"),
    ("runner", "session", "targets", "doctor", "export", "report", "study", "fetch"),
    ("datacheck",),
    (
        "console",
        "console_data",
        "console_scores",
        "console_stacks",
        "console_run",
        "console_chat",
        "console_export",
        "console_study",
    ),
    ("cli_options", "cli_chat", "cli_data", "cli_eval", "cli_export", "cli_study", "cli", "__init__"),
    ("__main__",),
)
# Outside libraries with one home.
HOMES = {
    "unsloth": {"model", "stack"},
    "peft": {"model", "stack"},
    "bitsandbytes": {"model", "stack"},
    "trl": {"stages"},
    "math_verify": {"rewards"},
    "lm_eval": {"evaluate", "harness"},
    "matplotlib": {"report"},
    "typer": {"cli", "cli_export", "cli_study", "cli_chat", "cli_data", "cli_eval", "cli_options"},
    "rich": {
        "console",
        *(f"console_{name}" for name in ("chat", "data", "export", "run", "scores", "stacks", "study")),
    },
}
NAMES = [str(p.relative_to(PACKAGE)) for p in sorted(PACKAGE.rglob("*.py"))]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def part(name: str) -> str:
    """`data` for data/cache.py, `store` for store.py."""
    return Path(name).parts[0].removesuffix(".py")


def module_of(name: str) -> str:
    """The dotted name of a file."""
    parts = ("statllama", *Path(name).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def typing_only(module: ast.Module) -> set[int]:
    """Ids of the nodes below `if TYPE_CHECKING:`."""
    return {
        id(inner)
        for node in ast.walk(module)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def imports(name: str, typing: bool = False) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of everything imported, anywhere in the file; `typing` adds what only types need."""
    skipped = set() if typing else typing_only(tree(name))
    for node in ast.walk(tree(name)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            package = ["statllama", *Path(name).parts[: -node.level]] if node.level else []
            prefix = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{prefix}.{alias.name}", node.lineno


def layer(part_: str) -> int:
    found = [i for i, names in enumerate(LAYERS) if part_ in names]
    assert found, f"{part_} is in no layer: put it into LAYERS"
    return found[0]


def own_part(dotted: str) -> str | None:
    """The part of the package that an import is of; None for other libraries."""
    head, _, rest = dotted.partition(".")
    if head != "statllama":
        return None
    first = rest.partition(".")[0]
    known = {part(n) for n in NAMES}
    return first if first in known else "__init__" if first.startswith("__") else first


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_downward(name: str) -> None:
    mine = "__init__" if name == "__init__.py" else part(name)
    for dotted, line in imports(name):
        other = own_part(dotted)
        if other is None or dotted == "statllama.__version__" or other == mine:
            continue
        assert layer(other) <= layer(mine), f"{name}:{line} imports {dotted}, which is above it"


def test_no_two_parts_import_each_other() -> None:
    """Within a layer too: the parts have an order."""
    edges = {}
    for name in NAMES:
        found = {own_part(dotted) for dotted, _ in imports(name)} - {None, part(name), "__version__"}
        edges.setdefault(part(name), set()).update(found)
    edges.pop("__init__", None)  # its functions import what they call, when they are called
    waiting = {p: others & edges.keys() for p, others in edges.items()}
    while waiting:
        free = [p for p, others in waiting.items() if not others & waiting.keys()]
        assert free, f"these import each other: {waiting}"
        for p in free:
            del waiting[p]


def test_stages_never_import_each_other() -> None:
    types = {Path(n).stem for n in NAMES if part(n) == "stages" and not Path(n).stem.startswith("_")}
    assert {"cpt", "sft", "dpo"} <= types
    for name in NAMES:
        for dotted, line in imports(name, typing=True):
            target = re.match(r"statllama\.stages\.(\w+)", dotted)
            if target and target[1] in types:
                raise AssertionError(f"{name}:{line} imports the stage type {target[1]}: they are found by name")


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    users = {
        name: line
        for name in NAMES
        for dotted, line in imports(name)
        if dotted.partition(".")[0] == library and part(name) not in HOMES[library]
    }  # fmt: skip
    assert not users
    assert any(d.partition(".")[0] == library for n in NAMES for d, _ in imports(n)), "the rule is of no use"


def test_what_must_be_light_imports_nothing_heavy_at_its_top() -> None:
    """Without these at the top, `--help`, `show` and a cached run need no torch."""
    heavy = {
        "torch",
        "transformers",
        "trl",
        "peft",
        "datasets",
        "bitsandbytes",
        "unsloth",
        "lm_eval",
        "safetensors",
    }
    light = {"cli", "console", "errors", "recipe", "specs", "runner", "session", "store", "keys", "identity", "stages",
             "signals", "reporting", "yaml_lines", "overrides", "inherit", "order", "field_errors", "shipped",
             "checkpoints", "versions", "__init__"}  # fmt: skip
    for name in NAMES:
        mine = "__init__" if name == "__init__.py" else part(name)
        if mine in light:
            tops = {id(node) for node in tree(name).body}
            found = [
                alias
                for node in tree(name).body
                if id(node) in tops and isinstance(node, ast.Import | ast.ImportFrom)
                for alias in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module])
            ]
            assert not heavy & {str(f).partition(".")[0] for f in found}, name


@pytest.mark.parametrize("name", [n for n in NAMES if n != "console.py"])
def test_only_console_prints(name: str) -> None:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "breakpoint", "input"), f"{name}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            used = node.attr in ("stdout", "stderr")
            assert not used or name == "cli.py", f"{name}:{node.lineno} uses sys.{node.attr}"


@pytest.mark.parametrize("name", NAMES)
def test_no_unsafe_calls(name: str) -> None:
    """No pickle, eval, shell or remote code."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "pickle.load", "pickle.loads", "torch.load", "os.system"), name
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                assert not (keyword.arg in ("trust_remote_code", "shell") and value is not False), (
                    f"{name}:{node.lineno}"
                )


def test_no_module_is_a_drawer() -> None:
    names = {Path(n).stem for n in NAMES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "base", "core"}


def test_sizes() -> None:
    """Modules under 400 lines, half of them under 180; functions under 60."""
    lengths = {name: len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in NAMES}
    assert {n: size for n, size in lengths.items() if size >= 400} == {}
    assert statistics.median(lengths.values()) < 180
    long = {
        f"{name}:{node.name}": node.end_lineno - node.lineno + 1
        for name in NAMES
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert {n: size for n, size in long.items() if size >= 60} == {}


def public(name: str) -> Iterator[tuple[str, ast.AST]]:
    """Public functions and classes of a module, and public methods of its public classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree(name).body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from (
                    (f"{node.name}.{inner.name}", inner)
                    for inner in node.body
                    if isinstance(inner, kinds) and not inner.name.startswith("_")
                )


# Methods whose meaning is that of the method they override.
OVERRIDES = ("ConsoleReporter.", "StudyReporter.", "PlannedStage.cached", "Job.checkpoints", "StageTrainer.",
             "InTransformers.", "InLlamaCpp.", "InGguf.", "InSafetensors.")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_public_names_have_docstrings(name: str) -> None:
    if Path(name).name != "__main__.py":
        assert ast.get_docstring(tree(name)), f"{name} has no docstring"
    missing = [
        label
        for label, node in public(name)
        if not Path(name).stem.startswith("_") and not ast.get_docstring(node) and not label.startswith(OVERRIDES)  # type: ignore[arg-type]
    ]
    assert not missing


def test_direct_dependencies_are_few() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(project["dependencies"]) <= 15


def test_stage_types_and_formats_are_files() -> None:
    """What a recipe may write under `type:` and `format:` are the public modules of a folder."""
    from statllama.data.formats import format_names
    from statllama.stages import stage_module, stage_types

    for folder, names in (("stages", stage_types()), ("data/formats", format_names())):
        files = {p.stem for p in (PACKAGE / folder).glob("*.py") if not p.stem.startswith("_")}
        assert set(names) == files
    for kind in stage_types():
        module = stage_module(kind)
        assert module.Spec.model_fields["type"].annotation.__args__ == (kind,)
        assert isinstance(module.NUMERICS, int)
        kinds = ("documents", "conversations", "preferences", "judgements", "questions")
        if hasattr(module, "make_adapter"):  # it trains nothing
            assert callable(module.make_adapter)
        else:
            assert module.DATA_KIND in kinds and callable(module.make_trainer)
