#!/usr/bin/env bash
# Runs the GPU tests on a host with a CUDA GPU and no network.
#
#   benchmarks/gpu_check.sh WHEELS [OUT]      OUT: gpu_check
#
# WHEELS is a folder with a wheel of everything that the host's Python lacks (unsloth, unsloth_zoo, trl, bitsandbytes,
# torchao, cut_cross_entropy, datasets, lm-eval, pydantic, pytest and their needs); nothing else on the host changes.
# The project runs from this checkout. OUT gets pytest's output, each check's measurements (results.jsonl) and the log.
# STATLLAMA_TEST_SECONDS stops the checks after so many seconds; those done by then are reported.
set -euo pipefail

wheels=$(realpath "${1:?usage: benchmarks/gpu_check.sh WHEELS [OUT]}")
out=$(realpath -m "${2:-gpu_check}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
mkdir -p "$out"

keep() {
  find "$work/tmp" \( -name results.jsonl -o -name worker.log \) -exec cp {} "$out" \; 2>/dev/null || true
  rm -rf "$work"
}
trap keep EXIT

python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" "$wheels"/*.whl
export PYTHONPATH=$work/site:$PWD HF_HUB_OFFLINE=1 UNSLOTH_DISABLE_STATISTICS=1 PYTHONUNBUFFERED=1
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee "$out/gpu.txt"
python3 -m pytest tests/gpu -m gpu -rP -p no:cacheprovider --basetemp="$work/tmp" 2>&1 | tee "$out/pytest.log"
