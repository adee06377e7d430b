#!/usr/bin/env bash
# Runs the GPU tests and the GPU benchmark on a host with a CUDA GPU and no network.
#
#   benchmarks/gpu_check.sh WHEELS [OUT]                       both: OUT is gpu_check
#   benchmarks/gpu_check.sh WHEELS OUT tests                   the tests alone
#   benchmarks/gpu_check.sh WHEELS OUT train OPTION...         gpu_train.py alone, with its options
#
# WHEELS is a folder with one wheel of everything that the host's Python lacks or has too old: what pyproject.toml names
# (with the extra `cuda`, without xformers), pytest, and their needs; Liger too for its rows of the benchmark. Easily
# forgotten: filelock, of which a host often has an older one, math-verify with latex2sympy2_extended and
# antlr4-python3-runtime, pluggy and iniconfig. What is missing is said before anything runs, and nothing else on the
# host changes. The project runs from this checkout.
#
# GPU_DATA is a folder with what the benchmark reads: llama3-tokenizer/, sft*.jsonl, dpo*.jsonl and, for generation,
# gsm8k_test.jsonl and gsm8k_train.jsonl. Without it the benchmark is left out.
#
# OUT gets pytest's output, each check's measurements (results.jsonl), the worker's log and the benchmark's lines
# (gpu_train.jsonl), all as they come: a host that kills this script leaves what was known by then. The joined figures of
# several calls: `python benchmarks/gpu_train.py --join OUT1/gpu_train.jsonl OUT2/gpu_train.jsonl --save`.
# STATLLAMA_TEST_SECONDS stops the checks after so many seconds, `--seconds` the benchmark; installing and starting take
# a minute: on a host with a limit of 600 s, 480.
set -euo pipefail

wheels=$(realpath "${1:?usage: benchmarks/gpu_check.sh WHEELS [OUT] [tests | train OPTION...]}")
out=$(realpath -m "${2:-gpu_check}")
part=${3:-both}
options=("${@:4}")
case $part in tests | train | both) ;; *) echo "gpu_check: $part: expected tests or train" >&2; exit 2 ;; esac
data=${GPU_DATA:+$(realpath "$GPU_DATA")}
[[ $part != train || $data ]] || { echo "gpu_check: set GPU_DATA to the folder that the benchmark reads" >&2; exit 2; }
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
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
cuda = [text for text in project["optional-dependencies"]["cuda"] if not text.startswith("xformers")]
wrong, asked = [], [*project["dependencies"], *cuda, "pytest>=8"]
for text in asked:
    wanted = Requirement(text)
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        found = None
    if found is None or not wanted.specifier.contains(found, prereleases=True):
        wrong.append(f"{text} ({found or 'not there'})")
    elif wanted.extras:
        needs = [Requirement(need) for need in requires(wanted.name) or ()]
        asked += [
            str(need).partition(";")[0]
            for need in needs
            if need.marker and any(need.marker.evaluate({"extra": extra}) for extra in wanted.extras)
        ]
if wrong:
    sys.exit("gpu_check: put wheels of these among WHEELS: " + ", ".join(wrong))
PY

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee "$out/gpu.txt" || true
failed=0
if [[ $part != train ]]; then
  python3 -m pytest tests/gpu -m gpu -rP -p no:cacheprovider --basetemp="$work/tmp" 2>&1 | tee "$out/pytest.log" || failed=$?
fi
if [[ $part != tests && $data ]]; then
  gsm8k=()
  [[ -f $data/gsm8k_test.jsonl ]] && gsm8k=(--gsm8k "$data/gsm8k_test.jsonl" "$data/gsm8k_train.jsonl")
  python3 benchmarks/gpu_train.py --tokenizer "$data/llama3-tokenizer" --sft "$data"/sft*.jsonl --dpo "$data"/dpo*.jsonl \
    "${gsm8k[@]}" --out "$out/gpu_train.jsonl" "${options[@]}" 2>&1 | tee "$out/gpu_train.log" || failed=$?
fi
exit "$failed"
