"""`statllama doctor`: this machine's abilities, checked by using them; each finding names its remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from statllama.runs.cluster.check import check_cluster
from statllama.runs.finding import Finding
from statllama.runs.folder_check import check_folder
from statllama.store.versions import KNOWN_GOOD, installed_version

MIN_FREE = 10 * 2**30  # bytes: a 3B base in 16 bit and its checkpoints
OPTIONAL = ("unsloth", "unsloth_zoo")
HUB_MODEL = "unsloth/Llama-3.2-3B-Instruct"  # the base of the real recipe

PROBE_GPU = (
    "import torch; ok = torch.cuda.is_available(); print(torch.version.cuda);"
    "print(torch.cuda.get_device_name(0) if ok else '');"
    "print(torch.cuda.get_device_properties(0).total_memory if ok else 0);"
    "print(torch.cuda.is_bf16_supported(including_emulation=False) if ok else '')"
)
PROBE_CPU = (
    "import torch; has = torch.cpu.get_capabilities(); print(has['cpu_name']); print(torch.get_num_threads());"
    "print(any(has.get(kind) for kind in ('amx_bf16', 'avx512_bf16', 'bf16')))"  # bf16: Arm
)
PROBE_NF4 = (
    "import torch, bitsandbytes as bnb; d = 'cuda' if torch.cuda.is_available() else 'cpu';"
    "x = torch.randn(64, 64, device=d); q, s = bnb.functional.quantize_4bit(x, quant_type='nf4');"
    "e = (bnb.functional.dequantize_4bit(q, s) - x).abs().mean().item(); assert e < 0.15, e; print(f'{e:.3f}')"
)
PROBE_UNSLOTH = "import unsloth, trl; print(trl.SFTTrainer.__name__)"
PROBE_XFORMERS = (  # its Python part loads also where its kernels do not
    "import torch, xformers.ops as o; q = torch.ones(1, 8, 1, 64, device='cuda', dtype=torch.float16);"
    "o.memory_efficient_attention(q, q, q); torch.cuda.synchronize()"
)
PROBE_HUB = f"""
from huggingface_hub import HfApi, constants, get_token
status = 'offline'
if not constants.HF_HUB_OFFLINE:
    try:
        HfApi().model_info('{HUB_MODEL}', timeout=15)
        status = '200'
    except Exception as error:
        response = getattr(error, 'response', None)
        status = type(error).__name__ if response is None else str(response.status_code)
print(status, constants.ENDPOINT, 'a token' if get_token() else 'no token', sep='\\n')
"""


def examine(workspace: Path, address: str | None = None) -> Iterator[Finding]:
    """Yield all findings, as they are made. Heavy imports run in processes of their own, so that one that crashes is a
    finding too. `address`: of a Ray cluster whose hosts are to be asked.
    """
    yield Finding("Python", "ok", ".".join(map(str, sys.version_info[:3])))
    cuda, gpu = _gpu()
    yield gpu
    if not cuda:
        yield _cpu()
    for name in KNOWN_GOOD:
        if name not in OPTIONAL or installed_version(name):
            yield _version(name)
    yield _torchvision(cuda)
    yield _nf4(cuda)
    yield _unsloth(cuda)
    yield _xformers(cuda)
    yield _disk(workspace)
    yield from check_folder(workspace)
    if address is not None:
        yield from check_cluster(workspace, address)
    yield _hub()


def _probe(code: str, timeout: float = 180) -> tuple[bool, str]:
    """Return (success, stdout or the last line of the error) of a Python snippet in a process of its own."""
    env = {**os.environ, "UNSLOTH_DISABLE_STATISTICS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, env=env)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {timeout:.0f} s"
    if done.returncode == 0:
        return True, done.stdout.strip()
    lines = done.stderr.strip().splitlines()
    return False, lines[-1] if lines else f"ended with code {done.returncode}"


def _gpu() -> tuple[bool, Finding]:
    ok, text = _probe(PROBE_GPU)
    if not ok:
        return False, Finding("PyTorch", "error", text, f"pip install --force-reinstall torch=={KNOWN_GOOD['torch']}")
    cuda, name, memory, bf16 = (text.splitlines() + [""] * 4)[:4]
    if not name:
        built = cuda != "None"
        why = f"PyTorch was built for CUDA {cuda} but sees no GPU" if built else "PyTorch is a CPU build"
        remedy = "check `nvidia-smi` and the driver" if built else "for a GPU, install a CUDA build of PyTorch"
        return False, Finding("GPU", "warning", f"none; {why}. Stages train on the CPU: enough for quickstart", remedy)
    detail = f"{name}, {int(memory) / 2**30:.0f} GiB, CUDA {cuda}, bfloat16 {'yes' if bf16 == 'True' else 'no'}"
    return True, Finding("GPU", "ok", detail)


def _cpu() -> Finding:
    """Report whether the CPU multiplies in bfloat16: where it does, `precision: bfloat16` is the faster choice."""
    ok, text = _probe(PROBE_CPU)
    if not ok:
        return Finding("CPU", "warning", text)
    name, threads, bf16 = text.splitlines()
    choice = "multiplies in bfloat16: `train.precision: bfloat16` is faster" if bf16 == "True" else "no fast bfloat16"
    return Finding("CPU", "ok", f"{name}, {threads} threads, {choice}")


def _version(package: str) -> Finding:
    found, good = installed_version(package), KNOWN_GOOD[package]
    if found is None:
        return Finding(package, "error", "not installed", f"pip install '{package}=={good}'")
    public = found.partition("+")[0]
    if public == good:
        return Finding(package, "ok", found)
    return Finding(
        package, "warning", f"{found}; tested with {good}", f"if something fails: pip install '{package}=={good}'"
    )


def _torchvision(cuda: bool) -> Finding:
    if installed_version("torchvision") is None or cuda:
        return Finding("torchvision", "ok", installed_version("torchvision") or "absent, not needed")
    ok, text = _probe("import torchvision")
    if ok:
        return Finding("torchvision", "ok", str(installed_version("torchvision")))
    return Finding(
        "torchvision",
        "error",
        f"does not match this PyTorch and breaks Transformers: {text}",
        "pip uninstall torchvision",
    )


def _nf4(cuda: bool) -> Finding:
    ok, text = _probe(PROBE_NF4)
    where = "on the GPU" if cuda else "on the CPU"
    if ok:
        return Finding("bitsandbytes NF4", "ok", f"round trip {where}, mean error {text}")
    return Finding("bitsandbytes NF4", "error", text, "reinstall bitsandbytes, or --set base.quantization=none")


def _unsloth(cuda: bool) -> Finding:
    if installed_version("unsloth") is None:
        if not cuda:
            return Finding("Unsloth", "ok", "not installed; needs a GPU")
        return Finding("Unsloth", "warning", "not installed: training is slower", "pip install 'statllama[cuda]'")
    if not cuda:
        return Finding("Unsloth", "warning", "installed, but needs a GPU; Transformers is used")
    ok, text = _probe(PROBE_UNSLOTH, timeout=300)
    if ok and "Unsloth" in text:
        return Finding("Unsloth", "ok", f"loads, and has rewritten TRL's trainers ({text.splitlines()[-1]})")
    return Finding(
        "Unsloth", "error", f"does not load: {text}", "install the known-good set, or STATLLAMA_BACKEND=transformers"
    )


def _xformers(cuda: bool) -> Finding:
    """Report on xformers, never as an error: without it Unsloth takes PyTorch's attention, its own choice from 2.12
    on.
    """
    found = installed_version("xformers")
    if found is None or not cuda:
        return Finding("xformers", "ok", f"{found}; needs a GPU" if found else "not installed, not needed")
    if _probe(PROBE_XFORMERS)[0]:
        return Finding("xformers", "ok", found)
    return Finding("xformers", "ok", f"{found}, whose kernels do not run here; PyTorch's own attention is used")


def _disk(workspace: Path) -> Finding:
    folder = workspace.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        return Finding("disk", "error", f"{folder} is not a folder", "use another folder: --workspace DIR")
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.0f} GiB free for {workspace}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("disk", "error", f"{folder} is read-only", "use another folder: --workspace DIR")
    if free < MIN_FREE:
        return Finding(
            "disk", "warning", detail, "a 3B model needs 10 GiB: free some, or use --workspace on another disk"
        )
    return Finding("disk", "ok", detail)


def _hub() -> Finding:
    ok, text = _probe(PROBE_HUB, timeout=60)
    without = "the quickstart needs no hub, but recipes with hub models do"
    if not ok:
        return Finding("hub", "warning", f"cannot be asked: {text[:160]}", without)
    status, endpoint, token = text.splitlines()[-3:]
    if status == "offline":
        remedy = "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE"
        return Finding("hub", "warning", "offline mode is set: only models in the local cache", remedy)
    if status == "200":
        return Finding("hub", "ok", f"{endpoint} answers ({token})")
    if not status.isdecimal():
        return Finding("hub", "warning", f"{endpoint} cannot be reached ({status})", without)
    remedy = "your token may be wrong: hf auth login" if status == "401" and token != "no token" else without
    return Finding("hub", "warning", f"{endpoint} answers {status} for {HUB_MODEL} ({token})", remedy)
