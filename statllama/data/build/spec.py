"""The file of a build: what to collect, how to read and clean it, what to write about it, what to check.

name: papers
collect:
  - {type: files, path: papers, licence: CC-BY-4.0}
clean: {language: en}
write:
  server: {model: NAME, url: http://localhost:8080/v1}
  parts: {qa: {kind: question_answer, per_section: 2}}
check: {grounded: {}, numeric: {}}
mix:
  graded: {of: [qa], only: graded}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from statllama.config.field_errors import problems_of
from statllama.config.spec import Count, Name, Spec
from statllama.config.yaml_lines import Path_, dotted, line_of, load
from statllama.data.build.check.spec import CheckSettings
from statllama.data.build.check.spec import Spec as CheckSpec
from statllama.data.build.clean.spec import CleanSpec
from statllama.data.build.collect import collector_module, collector_names
from statllama.data.build.collect.spec import CollectorSpec
from statllama.data.build.extract.spec import ExtractSpec
from statllama.data.build.server.spec import ServerSpec
from statllama.data.build.write.spec import WriteSpec
from statllama.errors import NotFoundError, Problem, RecipeError, near

DOCUMENTS = "documents"
"""The part that holds the cleaned documents, for `cpt`."""


class MixSpec(Spec):
    """A further part, made of rows of others."""

    of: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    """Parts whose rows it has, one after the other."""
    only: Literal["all", "graded"] = "all"
    """`graded`: only rows with a question and an answer that a reward can grade, a number: for `grpo`."""
    limit: Count | None = None
    """At most so many rows, drawn evenly over all. None: all."""


class BuildSpec(Spec):
    """The whole file. `collect` is validated entry by entry: see `load_build`."""

    name: Name
    description: str = ""
    collect: Annotated[tuple[CollectorSpec, ...], Field(strict=False)] = ()
    """Where documents and rows come from; each entry has the `type` of a collector."""
    extract: ExtractSpec = ExtractSpec()
    """How files are read."""
    clean: CleanSpec = CleanSpec()
    """What is left out of documents, and of rows that were collected."""
    write: WriteSpec | None = None
    """What a model writes about the documents. None: nothing."""
    servers: dict[Name, ServerSpec] = Field(default_factory=dict)
    """{name: another model}, for checks that are to ask one that did not write. The one that writes is `writer`."""
    check: CheckSpec | None = None  # type: ignore[valid-type]
    """What leaves out written rows. None: all of them stay."""
    mix: dict[Name, MixSpec] = Field(default_factory=dict)
    """{name of a further part: which rows it has}."""


@dataclass(frozen=True)
class Build:
    """A build's file, read."""

    spec: BuildSpec
    collectors: tuple[CollectorSpec, ...]
    file: Path
    data: Mapping[str, Any]
    """What the file says, as it stands."""

    @property
    def root(self) -> Path:
        """Return the folder that relative paths refer to."""
        return self.file.parent

    @property
    def check(self) -> CheckSettings | None:
        """Return the settings of the checks; None where nothing is checked."""
        return self.spec.check

    @property
    def written(self) -> tuple[str, ...]:
        """Return the parts that a model writes."""
        return () if self.spec.write is None else tuple(self.spec.write.parts)

    @property
    def collected(self) -> tuple[str, ...]:
        """Return the parts of rows that collectors yield."""
        named = (getattr(one, field, None) for one in self.collectors for field in ("part", "pairs_part"))
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def parts(self) -> tuple[str, ...]:
        """Return all parts of the build, in order."""
        return (DOCUMENTS, *self.collected, *self.written, *self.spec.mix)


def load_build(file: str | Path) -> Build:
    """Return a build's file. NotFoundError for none, RecipeError with all that is wrong with it, with lines."""
    path = Path(file).expanduser()
    if not path.is_file():
        beside = sorted(each.name for each in path.parent.glob("*.data.yaml")) if path.parent.is_dir() else []
        listed = near(path.name, beside) if beside else "a build is a YAML file, such as papers.data.yaml"
        raise NotFoundError(f"no build {str(file)!r}: no such file; {listed}")
    data, lines = load(path)
    if not isinstance(data, dict):
        raise RecipeError(str(path), [Problem("file", "a build is a mapping with `name` and `collect`", 1)])
    problems: list[Problem] = []
    collectors = tuple(_collectors(data, lines, problems))
    spec = None
    try:
        spec = BuildSpec.model_validate({key: value for key, value in data.items() if key != "collect"})
    except ValidationError as error:
        problems += problems_of(error, (), lines, BuildSpec.model_fields)
    if spec is None or problems:
        raise RecipeError(str(path), problems)
    build = Build(spec, collectors, path.resolve(), data)
    if wrong := list(_of_parts(build, lines)):
        raise RecipeError(str(path), wrong)
    return build


def _collectors(data: Mapping[str, Any], lines: Mapping[Path_, int], problems: list[Problem]) -> Iterator[CollectorSpec]:
    """Yield each entry of `collect`, validated by its collector's own Spec."""
    given = data.get("collect")
    if not isinstance(given, list) or not given:
        problems.append(Problem("collect", "a build needs a list of at least one collector", line_of(("collect",), lines)))
        return
    for i, item in enumerate(given):
        path: Path_ = ("collect", i)
        if not isinstance(item, dict):
            problems.append(Problem(dotted(path), "a collector is a mapping", line_of(path, lines)))
            continue
        kind = item.get("type")
        if kind not in collector_names():
            said = f"unknown collector {kind!r}" if "type" in item else "is missing"
            message = f"{said}: {near(str(kind), collector_names())}"
            problems.append(Problem(f"{dotted(path)}.type", message, line_of((*path, "type"), lines)))
            continue
        module = collector_module(str(kind))
        try:
            yield module.Spec.model_validate(item)
        except ValidationError as error:
            problems += problems_of(error, path, lines, module.Spec.model_fields, kind)


def _of_parts(build: Build, lines: Mapping[Path_, int]) -> Iterator[Problem]:
    """Yield parts of one name, and what `mix` names and no part is."""
    own = [DOCUMENTS, *build.collected, *build.written]
    for name in build.written:
        if name in (DOCUMENTS, *build.collected):
            message = f"there is another part {name!r}: of rows that are collected, or the documents"
            yield Problem(f"write.parts.{name}", message, line_of(("write", "parts", name), lines), "give it another name")
    for name, mix in build.spec.mix.items():
        at: Path_ = ("mix", name)
        if name in own:
            yield Problem(f"mix.{name}", f"there is a part {name!r} already", line_of(at, lines), "give it another name")
        for part in mix.of:
            if part not in own:
                yield Problem(f"mix.{name}.of", f"no part {part!r}: {near(part, own)}", line_of((*at, "of"), lines))
        if DOCUMENTS in mix.of and len(set(mix.of)) > 1:
            message = "documents and rows do not go into one part: no stage reads both"
            yield Problem(f"mix.{name}.of", message, line_of((*at, "of"), lines), "make a part of each")
        if DOCUMENTS in mix.of and mix.only == "graded":
            message = "a document has no answer to grade"
            yield Problem(f"mix.{name}.only", message, line_of((*at, "only"), lines))
    if build.check is not None and not build.written:
        message = "checks what a model has written, and there is no `write`"
        yield Problem("check", message, line_of(("check",), lines), "remove `check`, or add `write`")
