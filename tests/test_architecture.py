"""The rules of the house, read from the source: who may import whom, who prints, how long things are."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPO

PACKAGE = REPO / "statllama"

# The rooms of statllama/ from the roof to the ground; those on one line stand beside each other. A room imports only
# what stands below it, types included. No room bears the name of a function of the front door (`statllama.run`,
# `evaluate`, `export`): importing the package would put the module in the function's place.
ROOMS = (
    ("cli",),
    ("release",),
    ("report",),
    ("runs",),
    ("recipe",),
    ("stages",),
    ("train",),
    ("evaluation",),
    ("model", "data", "rewards"),
    ("config", "store"),
    ("problems", "errors"),
)
ROOF = ("__init__", "__main__")
# Outside libraries with one home.
HOMES = {
    "unsloth": "model",
    "peft": "model",
    "bitsandbytes": "model",
    "trl": "stages",
    "math_verify": "rewards",
    "lm_eval": "evaluation",
    "matplotlib": "report",
    "ray": "runs",
    "typer": "cli",
    "rich": "cli",
    "fsspec": "store",
}
Sources = Mapping[str, str]
"""{file below statllama/: its text}"""


def package_sources() -> Sources:
    """The package as it is."""
    return {str(p.relative_to(PACKAGE)): p.read_text(encoding="utf-8") for p in sorted(PACKAGE.rglob("*.py"))}


SOURCES = package_sources()
NAMES = list(SOURCES)


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def tree(name: str) -> ast.Module:
    return parsed(SOURCES[name])


def room_of(name: str) -> str:
    """`data` for data/cache.py, `recipe` for recipe.py, `__init__` for the package's own."""
    return Path(name).parts[0].removesuffix(".py")


@cache
def imports(source: str, name: str) -> tuple[tuple[str, int], ...]:
    """(dotted name, line) of everything imported, anywhere in the file, for types too."""
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ["statllama", *Path(name).parts[: -node.level]] if node.level else []
            prefix = ".".join([*package, *([node.module] if node.module else [])])
            found += [(f"{prefix}.{alias.name}", node.lineno) for alias in node.names]
    return tuple(found)


def file_of(dotted: str, sources: Sources) -> str | None:
    """The file that an import loads: the longest part of its name that is a module; None for other libraries."""
    parts = dotted.split(".")
    if parts[0] != "statllama":
        return None
    for end in range(len(parts), 0, -1):
        path = "/".join(parts[1:end])
        for name in (f"{path}.py", f"{path}/__init__.py" if path else "__init__.py"):
            if name in sources:
                return name
    raise AssertionError(f"{dotted} is in no file of the package")


def upward_imports(sources: Sources) -> list[str]:
    """Imports of a room that stands above the importing one."""
    floor = {room: -i for i, rooms in enumerate(ROOMS) for room in rooms}
    wrong = []
    for name, source in sources.items():
        mine = room_of(name)
        for dotted, line in imports(source, name):
            target = file_of(dotted, sources)
            if target is None or mine in ROOF or room_of(target) == mine:
                continue
            if room_of(target) in ROOF or floor[room_of(target)] > floor[mine]:
                wrong.append(f"{name}:{line} imports {dotted}, which is above it")
    return wrong


def circles(edges: Mapping[str, set[str]]) -> list[str]:
    """The nodes that are left when those without an open edge are taken away, again and again."""
    waiting = {node: others & edges.keys() - {node} for node, others in edges.items()}
    while free := [node for node, others in waiting.items() if not others & waiting.keys()]:
        for node in free:
            del waiting[node]
    return sorted(waiting)


def circular_files(sources: Sources) -> list[str]:
    """Files that import each other, directly or around; an `__init__.py` may hand on what its own folder defines."""
    edges = {
        name: {t for dotted, _ in imports(source, name) if (t := file_of(dotted, sources)) is not None}
        for name, source in sources.items()
    }
    return circles(edges)


def circular_rooms(sources: Sources) -> list[str]:
    """Rooms that import each other, directly or around."""
    edges: dict[str, set[str]] = {}
    for name, source in sources.items():
        if room_of(name) not in ROOF:
            found = {room_of(t) for dotted, _ in imports(source, name) if (t := file_of(dotted, sources)) is not None}
            edges.setdefault(room_of(name), set()).update(found)
    return circles(edges)


def borrowed_privates(sources: Sources) -> list[str]:
    """Private names and modules that are used from another room: imported, or reached through a module."""
    wrong = []
    for name, source in sources.items():
        modules = {}
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("statllama."):
                for alias in node.names:
                    dotted = f"{node.module}.{alias.name}"
                    other = room_of(file_of(dotted, sources) or "")
                    if other == room_of(name):
                        continue
                    modules[alias.asname or alias.name] = dotted
                    if any(re.match(r"_[^_]", part) for part in dotted.split(".")):
                        wrong.append(f"{name}:{node.lineno} takes {dotted}, which is private to {other}")
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                file = file_of(modules[node.value.id], sources) or ""
                module = "statllama." + file.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
                if module == modules[node.value.id] and re.match(r"_[^_]", node.attr):
                    wrong.append(f"{name}:{node.lineno} takes {module}.{node.attr}, which is private")
    return wrong


def defined(source: str) -> set[str]:
    """Names that a module defines at its top, by itself."""
    names: set[str] = set()
    for node in parsed(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return names


def second_addresses(sources: Sources) -> list[str]:
    """Names imported from a module that does not define them.

    A package may hand on names of its own modules; from outside they are then taken from the package alone.
    """
    handed = {
        (node.module, alias.name)
        for name, source in sources.items()
        if Path(name).name == "__init__.py" and name != "__init__.py"
        for node in parsed(source).body
        if isinstance(node, ast.ImportFrom) and node.module is not None and not node.level
        for alias in node.names
        if (file_of(node.module, sources) or "").startswith(str(Path(name).parent))
    }
    wrong = []
    for name, source in sources.items():
        for node in ast.walk(parsed(source)):
            if not isinstance(node, ast.ImportFrom) or node.level or not (node.module or "").startswith("statllama"):
                continue
            file = file_of(node.module or "", sources) or ""
            for alias in node.names:
                if file_of(f"{node.module}.{alias.name}", sources) != file:
                    continue  # a module, not a name
                at_home = alias.name in defined(sources[file]) or Path(file).name == "__init__.py"
                inside = Path(name).parts[0] == Path(file).parts[0]
                if not at_home or ((node.module, alias.name) in handed and not inside):
                    wrong.append(f"{name}:{node.lineno} takes {alias.name} from {node.module}: not its address")
    return wrong


def test_every_entry_is_a_room() -> None:
    """Who opens the folder sees the architecture."""
    entries = {p.name for p in PACKAGE.iterdir() if p.name not in ("__pycache__", "shipped")}
    modules = {"recipe", "errors"}
    rooms = {room if room not in modules else f"{room}.py" for line in ROOMS for room in line}
    assert entries == rooms | {"__init__.py", "__main__.py", "py.typed"}
    assert len(entries) <= 18


def test_imports_point_downward() -> None:
    assert upward_imports(SOURCES) == []


def test_no_files_import_each_other() -> None:
    assert circular_files(SOURCES) == []


def test_no_rooms_import_each_other() -> None:
    assert circular_rooms(SOURCES) == []


def test_private_names_stay_in_their_room() -> None:
    assert borrowed_privates(SOURCES) == []


def test_each_name_has_one_address() -> None:
    assert second_addresses(SOURCES) == []


TYPES = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (upward_imports, "store/store.py", "from statllama.runs.plan import plan\n"),
        (upward_imports, "store/store.py", TYPES + "from statllama.recipe import Recipe\n"),
        (upward_imports, "data/cache.py", "def late():\n    import statllama.cli.app\n"),
        (upward_imports, "runs/plan.py", "from statllama import load_recipe\n"),
        (circular_files, "store/files.py", TYPES + "from statllama.store.store import Store\n"),
        (circular_files, "runs/plan.py", "from statllama.runs import session\n"),
        (circular_rooms, "config/stage.py", "from statllama.store import Store\n"),
        (second_addresses, "runs/plan.py", "from statllama.runs.runner import StopSignal\n"),
        (second_addresses, "runs/plan.py", "from statllama.store.store import Store\n"),
        (borrowed_privates, "runs/plan.py", "from statllama.model.adapter import _config\n"),
        (borrowed_privates, "cli/run.py", "from statllama.stages import _reference\n"),
        (borrowed_privates, "runs/plan.py", "from statllama.model import adapter\nprint(adapter._config)\n"),
    ],
)
def test_a_planted_fault_is_found(rule: Callable[[Sources], list[str]], name: str, text: str) -> None:
    """The rules above can fail: each finds a fault that is put into the real package."""
    planted = {**SOURCES, name: SOURCES[name] + "\n" + text}
    if rule is circular_rooms:  # two rooms of one line, each of which imports the other
        planted["store/store.py"] = SOURCES["store/store.py"] + "\nfrom statllama.config.spec import Spec\n"
    assert any(name in found or room_of(name) == found for found in rule(planted))


def test_stages_never_import_each_other() -> None:
    types = {Path(n).stem for n in NAMES if room_of(n) == "stages" and not Path(n).stem.startswith("_")}
    assert {"cpt", "sft", "dpo"} <= types
    for name in NAMES:
        for dotted, line in imports(SOURCES[name], name):
            target = re.match(r"statllama\.stages\.(\w+)", dotted)
            if target and target[1] in types:
                raise AssertionError(f"{name}:{line} imports the stage type {target[1]}: they are found by name")


def for_types_alone(source: str) -> set[int]:
    """Lines below `if TYPE_CHECKING:`."""
    return {
        inner.lineno
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in node.body
    }


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_one_home(library: str) -> None:
    """A library's types may be named elsewhere, which loads nothing."""
    users = [
        f"{name}:{line}"
        for name in NAMES
        for dotted, line in imports(SOURCES[name], name)
        if dotted.partition(".")[0] == library and line not in for_types_alone(SOURCES[name])
    ]
    assert users, "the rule is of no use"
    assert [u for u in users if room_of(u) != HOMES[library]] == []


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
        "ray",
        "safetensors",
        "fsspec",
    }
    light = ("__init__", "cli", "config", "errors", "problems", "recipe", "report", "runs", "store")
    for name in NAMES:
        if room_of(name) in light or name in ("model/identity.py", "stages/__init__.py"):
            tops = [node for node in tree(name).body if isinstance(node, ast.Import | ast.ImportFrom)]
            found = [
                top
                for node in tops
                for top in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module])
            ]
            assert not heavy & {str(f).partition(".")[0] for f in found}, name


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("cli/console/")])
def test_only_console_prints(name: str) -> None:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "breakpoint", "input"), f"{name}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            used = node.attr in ("stdout", "stderr")
            assert not used or name == "cli/app.py", f"{name}:{node.lineno} uses sys.{node.attr}"


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
OVERRIDES = ("ConsoleReporter.", "StudyReporter.", "Reporters.", "RemoteReporter.", "RunProgress.",
             "PlannedStage.cached",
             "Job.checkpoints", "StageTrainer.", "InTransformers.", "InLlamaCpp.", "InGguf.",
             "InSafetensors.")  # fmt: skip


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
    """What a recipe may write under `type:` and `format:`, and bases it may name, are a folder's public modules."""
    from statllama.data.formats import format_names
    from statllama.model.architectures import architecture, supported
    from statllama.stages import stage_module, stage_types

    for folder, names in (
        ("stages", stage_types()),
        ("data/formats", format_names()),
        ("model/architectures", supported()),
    ):
        files = {p.stem for p in (PACKAGE / folder).glob("*.py") if not p.stem.startswith("_")}
        assert set(names) == files
    assert [architecture(name).model_type for name in supported()] == list(supported())
    for kind in stage_types():
        module = stage_module(kind)
        assert module.Spec.model_fields["type"].annotation.__args__ == (kind,)
        assert isinstance(module.NUMERICS, int)
        kinds = ("documents", "conversations", "preferences", "judgements", "questions")
        if hasattr(module, "make_adapter"):  # it trains nothing
            assert callable(module.make_adapter)
        else:
            assert module.DATA_KIND in kinds and callable(module.make_trainer)
