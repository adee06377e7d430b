#!/usr/bin/env bash
# Runs the GPU tests on a host with a CUDA GPU and no network.
#
#   benchmarks/gpu_check.sh WHEELS [OUT]      OUT: gpu_check
#
# WHEELS is a folder with one wheel of everything that the host's Python lacks or has too old: what pyproject.toml names
# (with the extra `cuda`, without xformers), pytest, and their needs. Easily forgotten: filelock, of which a host often
# has an older one, pluggy and iniconfig. What is missing is said before anything runs, and nothing else on the host
# changes. The project runs from this checkout.
#
# OUT gets pytest's output, each check's measurements (results.jsonl) and the worker's log, copied every few seconds: a
# host that kills this script leaves what was known by then. STATLLAMA_TEST_SECONDS stops the checks after so many
# seconds; those done by then are reported. Installing and starting take a minute: on a host with a limit of 600 s, 480.
set -euo pipefail

wheels=$(realpath "${1:?usage: benchmarks/gpu_check.sh WHEELS [OUT]}")
out=$(realpath -m "${2:-gpu_check}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compgen -G "$wheels/*.whl" >/dev/null || { echo "gpu_check: no wheel in $wheels" >&2; exit 2; }
work=$(mktemp -d)
mkdir -p "$out"

keep() {
  find "$work/tmp" -maxdepth 2 \( -name results.jsonl -o -name worker.log \) -exec cp {} "$out" \; 2>/dev/null || true
}
while sleep 5; do keep; done &
keeper=$!
trap 'kill "$keeper" 2>/dev/null; keep; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" "$wheels"/*.whl
export PYTHONPATH=$PWD:$work/site HF_HUB_OFFLINE=1 UNSLOTH_DISABLE_STATISTICS=1 PYTHONUNBUFFERED=1

python3 - <<'PY'
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
cuda = [text for text in project["optional-dependencies"]["cuda"] if not text.startswith("xformers")]
wrong = []
for text in (*project["dependencies"], *cuda, "pytest>=8"):
    wanted = Requirement(text)
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        found = None
    if found is None or not wanted.specifier.contains(found, prereleases=True):
        wrong.append(f"{text} ({found or 'not there'})")
if wrong:
    sys.exit("gpu_check: put wheels of these among WHEELS: " + ", ".join(wrong))
PY

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee "$out/gpu.txt" || true
python3 -m pytest tests/gpu -m gpu -rP -p no:cacheprovider --basetemp="$work/tmp" 2>&1 | tee "$out/pytest.log"
