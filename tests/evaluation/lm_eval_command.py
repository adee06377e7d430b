"""The `lm_eval` command line as others run it, on a merged float32 export and with the protocol of an EvaluateSpec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from statllama.config.benchmarks import TaskFile
from statllama.config.evaluate import EvaluateSpec
from tests import reference

DATE = "26 Jul 2024"  # written out: what a reader of the protocol would pass
COMMAND = Path(sys.executable).with_name("lm_eval")


@dataclass(frozen=True)
class Said:
    """What the command reports of one task: means by `metric,filter`, and its item records in order."""

    results: Mapping[str, Any]
    samples: Sequence[dict[str, Any]]

    def of(self, name: str) -> list[dict[str, Any]]:
        """The records of one filter."""
        return [sample for sample in self.samples if sample["filter"] == name]


def export(base: Any, empty: Any, adapters: Iterable[tuple[Path, float]], tokenizer: Any, folder: Path) -> Any:
    """Save base plus adapters (folder, scale) as an ordinary float32 model and return it; no code of ours is used.

    `empty`: a float32 model of the base's architecture, filled with its (dequantised) weights.
    """
    model = reference.merged(reference.dequantised(base, empty), adapters)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def command(model: Path, tasks: Iterable[TaskFile], spec: EvaluateSpec, work: Path, batch_size: int = 4) -> list[str]:
    """The command line that scores the model in a folder under `spec`; writes the task files below `work`."""
    tasks = list(tasks)
    for task in tasks:
        file = work / "tasks" / task.name / f"{task.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(dict(task.config)), encoding="utf-8")
    config = json.loads((model / "config.json").read_text("utf-8"))
    model_args = {
        "pretrained": str(model),
        "dtype": "float32",
        "max_length": min(spec.max_length, config["max_position_embeddings"]),
        "chat_template_args": {"date_string": DATE},
    }
    protocol = ["--batch_size", str(batch_size), "--seed", str(spec.seed), "--device", "cpu"]
    if spec.limit is not None:
        protocol += ["--limit", str(spec.limit)]
    if spec.chat_template:
        protocol += ["--apply_chat_template", "--fewshot_as_multiturn", str(spec.fewshot_as_turns).lower()]
    return [
        str(COMMAND), "run", "--model", "hf", "--model_args", json.dumps(model_args),
        "--tasks", ",".join(task.name for task in tasks), "--include_path", str(work / "tasks"),
        "--output_path", str(work / "out"), "--log_samples", *protocol,
    ]  # fmt: skip


def environment(work: Path) -> dict[str, str]:
    """No network, and a data cache of its own: the shared one may hold an older state of a file."""
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(work / "cache"),
        "TOKENIZERS_PARALLELISM": "false",
    }


def run(arguments: Sequence[str], work: Path, seconds: float = 900) -> dict[str, Said]:
    """Run it; {task: what it reports}."""
    done = subprocess.run(
        arguments, env=environment(work), cwd=work, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return read(work)


def read(work: Path) -> dict[str, Said]:
    """Return {task: what the command has reported}."""
    (results,) = (work / "out").rglob("results_*.json")
    found = json.loads(results.read_text("utf-8"))["results"]
    said = {}
    for task, means in found.items():
        (file,) = (work / "out").rglob(f"samples_{task}_2*.jsonl")
        samples = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
        said[task] = Said(means, sorted(samples, key=lambda sample: sample["doc_id"]))
    return said
