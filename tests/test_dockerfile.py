"""The Dockerfile: what it names is there, and its steps work in a fresh environment, as far as one without a GPU goes.

Its stages, mounts and users are Docker's own and not run here; `hadolint Dockerfile` finds nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from statllama.store.versions import __version__
from tests.conftest import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
NO_GPU = {"cuda"}
"""Extras that are resolved here, not installed."""


@dataclass(frozen=True)
class Step:
    """An instruction, such as RUN, with the text behind it; its `--mount` and other options apart."""

    name: str
    text: str
    options: tuple[str, ...]


def steps() -> list[Step]:
    """The instructions in order: comments are left out, and lines joined that end in a backslash."""
    text = (REPO / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = []
    for line in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            options = re.match(r"(?:--\S+\s+)*", rest)
            assert options is not None
            found.append(Step(name, rest[options.end() :].strip(), tuple(options[0].split())))
    return found


def of(name: str) -> list[str]:
    return [step.text for step in steps() if step.name == name]


def kept(path: str) -> bool:
    """Whether .dockerignore leaves a path of the checkout in the context: the last rule that matches it decides."""
    answer, places = True, [PurePosixPath(path), *PurePosixPath(path).parents][:-1]  # the last is the context itself
    for rule in (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if rule and not rule.startswith("#"):
            # `**/` is any number of folders, also none.
            pattern = re.escape(rule.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, str(place)) for place in places):
                answer = rule.startswith("!")
    return answer


def context(folder: Path) -> Path:
    """Docker's view of the checkout: what git knows of it or would add, less what .dockerignore leaves out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=REPO, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    for name in listed.stdout.splitlines():
        if kept(name) and (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, folder / name)
    return folder


# ------------------------------------------------------------------ what it says


def test_images_are_pinned_and_stages_are_named() -> None:
    images = of("FROM")
    assert images == ["nvidia/cuda:13.0.2-base-ubuntu24.04 AS system", "scratch AS wheels", "${SYSTEM}"]
    assert of("ARG")[0] == "SYSTEM=system"
    (install,) = [step for step in steps() if "pip install" in step.text]
    assert install.options[0] == "--mount=type=bind,from=wheels,target=/wheels"


def test_extras_files_and_command_exist() -> None:
    (extras,) = [text.partition("=")[2].split(",") for text in of("ARG") if text.startswith("EXTRAS=")]
    assert extras and set(extras) <= PROJECT["project"]["optional-dependencies"].keys()
    (entry,) = of("ENTRYPOINT")
    assert entry == '["statllama"]' and "statllama" in PROJECT["project"]["scripts"]
    (install,) = [text for text in of("RUN") if "pip install" in text]
    assert "--constraint constraints.txt" in install and '".[$EXTRAS]"' in install


def test_nobody_is_root_and_nothing_is_secret() -> None:
    after = [step.name for step in steps()]
    (user,) = of("USER")
    assert user.isdecimal() and int(user) > 1000 and f"--uid {user} " in " ".join(of("RUN"))
    assert "RUN" not in after[after.index("USER") :]
    assert of("VOLUME") == ['["/workspace", "/cache"]']
    settings = " ".join((*of("ENV"), *of("ARG"))).upper()
    assert "STATLLAMA_WORKSPACE=/WORKSPACE" in settings and "HF_HOME=/CACHE" in settings
    assert not re.search("TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY", settings)
    assert {"ADD", "ONBUILD"}.isdisjoint(after) and not re.search(r"\b(curl|wget|sudo)\b", " ".join(of("RUN")))


def test_apt_leaves_nothing_behind() -> None:
    (apt,) = [text for text in of("RUN") if "apt-get" in text]
    parts = [part.strip() for part in apt.split("&&")]
    assert parts[0] == "apt-get update" and "--no-install-recommends" in parts[1]
    assert parts[-1] == "rm -rf /var/lib/apt/lists/*"


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("pyproject.toml", True),
        ("constraints.txt", True),
        ("statllama/cli/app.py", True),
        ("recipes/quickstart/base/model.safetensors", True),
        ("eval/gsm8k/gsm8k.yaml", True),
        (".git/config", False),
        (".env", False),
        ("recipes/.env", False),
        ("tests/conftest.py", False),
        ("workspace/results/x", False),
        ("statllama/__pycache__/app.pyc", False),
        (".venv/bin/python", False),
    ],
)
def test_the_context_is_what_the_package_is_built_of(path: str, there: bool) -> None:
    assert kept(path) is there


def test_the_context_holds_all_that_the_build_reads() -> None:
    build = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    named = [*build["packages"], *build["force-include"], project["readme"], *project["license-files"]]
    assert all(kept(name) for name in (*named, "constraints.txt", "pyproject.toml"))


# ------------------------------------------------------------------ what it does


def ran(command: str, cwd: Path, **env: str) -> str:
    """Run a step as Docker's shell would; its output."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(["sh", "-c", command], cwd=cwd, capture_output=True, text=True, env=clean | env)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the image is Linux")
def test_its_steps_install_without_an_index(tmp_path: Path) -> None:
    """Every RUN line but Docker's own two, from a folder of wheels, as on a host without network.

    This Python takes the place of the image's. The extra for CUDA is resolved from the index, not installed.
    """
    source, wheels, home = context(tmp_path / "src"), tmp_path / "wheels", tmp_path / "opt"
    assert not (source / "tests").exists()
    extras = next(text.partition("=")[2] for text in of("ARG") if text.startswith("EXTRAS=")).split(",")
    here = ",".join(extra for extra in extras if extra not in NO_GPU)
    pip = f"{sys.executable} -m pip"
    ran(f"{pip} wheel -q -w {wheels} -c constraints.txt '.[{here}]' hatchling", source)

    def moved(command: str) -> str:
        for place, to in (("/opt/statllama", home), ("/wheels", wheels)):
            command = command.replace(place, str(to))
        return re.sub(r"\bpython3\b", sys.executable, command)

    left = []
    for command in of("RUN"):
        if "pip install" in command:
            said = ran(moved(command).replace("pip install", "pip install -q"), source, EXTRAS=here)
            assert said.strip() == f"statllama {__version__}"
        elif command.startswith("python3"):
            ran(moved(command), source)
        else:
            left.append(command.split()[0])
    assert left == ["apt-get", "useradd"]  # Docker's own: the system's packages, and the user
    shown = ran(f"{home}/bin/statllama show quickstart", tmp_path, HF_HUB_OFFLINE="1")
    assert "cpt" in shown and str(REPO) not in shown
    assert ran(f"{home}/bin/pip check", tmp_path).startswith("No broken requirements")
    ran(f"{home}/bin/pip install -q --dry-run -c constraints.txt '.[{','.join(extras)}]'", source)
