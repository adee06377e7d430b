"""docs/scaling.md: its scripts and YAML parse, and the options that it names exist."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from statllama.cli.app import COMMANDS
from statllama.cli.on_demand import load
from tests.conftest import REPO

PAGE = (REPO / "docs" / "scaling.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
YAML = [text for language, text in BLOCKS if language == "yaml"]
BASH = [text for language, text in BLOCKS if language == "bash"]


def scripts() -> list[str]:
    """The shell scripts of the page, those within YAML too."""
    found = list(BASH)
    for text in YAML:
        body = yaml.safe_load(text)
        found += [body[name] for name in ("setup", "run") if name in body]
    return found


def command_lines(program: str) -> list[list[str]]:
    """The words of each call of a program on the page: in scripts, in YAML, in the running text."""
    blocks = re.sub(r"\\\n\s*", " ", "\n".join(text for _, text in BLOCKS))
    rest = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(rf"(?:^|[\s/]){program} ([a-z][^;&|\n)]*)", blocks, re.MULTILINE)
    found += re.findall(rf"`{program} ([a-z][^`]*)`", rest)
    return [re.sub(r"#.*", "", line).split() for line in found]


def options(command: Any) -> set[str]:
    """The options of a click command."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("script", scripts())
def test_scripts_parse(script: str) -> None:
    said = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert said.returncode == 0, said.stderr


def test_yaml_parses_and_pods_share_one_folder() -> None:
    bodies = [yaml.safe_load(text) for text in YAML]
    assert [body.get("kind") for body in bodies] == ["RayCluster", "RayJob", None]
    cluster, _, task = bodies
    pods = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    assert len(pods) == 2
    for pod in pods:
        spec = pod["template"]["spec"]
        assert [mount["mountPath"] for box in spec["containers"] for mount in box["volumeMounts"]] == ["/shared"]
        assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "statllama-shared"}
        assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert task["num_nodes"] == 4 and "/shared" in task["volumes"]


def test_the_options_of_statllama_exist() -> None:
    lines = command_lines("statllama")
    assert {words[0] for words in lines} >= {"run", "study", "doctor", "status", "fetch"}
    for words in lines:
        known = options(load(COMMANDS[""][words[0]], words[0]))
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= known, words


def test_the_options_of_ray_exist() -> None:
    ray: Any = pytest.importorskip("ray.scripts.scripts")
    starts = options(ray.cli.commands["start"])
    lines = command_lines("ray")
    assert {words[0] for words in lines} >= {"start", "stop", "get-auth-token", "symmetric-run"}
    for words in lines:
        words = words[: words.index("--")] if "--" in words else words
        command = ray.cli.commands[words[0]]
        known = options(command) | {"--help"} | (starts if words[0] == "symmetric-run" else set())
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words
