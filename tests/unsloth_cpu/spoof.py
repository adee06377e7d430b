"""Runs Unsloth's own CUDA path on a CPU: its Triton kernels in Triton's interpreter, on CPU tensors.

For tests only. `before_import` comes before torch is used, `after_import` right after `import unsloth`. They name
parts of Unsloth 2026.10.7 that it does not promise to keep; each is looked up strictly, so that a release which
renames one fails here with its name and not with wrong numbers.

What is replaced, and why:

- `torch.cuda.get_device_properties`, `torch.cuda.current_device`: asked for the GPU's name, memory and index.
- `bitsandbytes.nn.modules.has_avx512bf16`: with it, a no-grad forward repacks weights (see `model.base_model`).
- `DEVICE_TYPE_TORCH` in all of Unsloth's modules: "cuda" is where it would put tensors.
- `ALLOW_BITSANDBYTES` in all of its modules: off without CUDA; bitsandbytes' CPU backend does 4-bit here.
- `models.llama.DEVICE_COUNT`: sizes per-device tables that are indexed by `device.index`, which is None on a CPU.
- `models.llama._base_weight_dtype`: a float32 base gets no fused LoRA kernels, and bfloat16 is beyond the interpreter.
- `kernels.utils._can_use_scratch`: asks CUDA for its streams.
- `kernels.utils._USE_NF4_KERNELS`, `kernels.utils._fast_dequantize_ctypes`: dequantise NF4 in CUDA; bitsandbytes'
  CPU code does it here.
- `models.rl.PatchFastRL`, `trainer._patch_trl_trainer`, `context_parallel.patch_sft_trainer`: with
  `UNSLOTH_ALLOW_CPU=1` Unsloth's import does not rewrite TRL's trainers, so they are called here.

Float32 and NF4 with float32 compute work. bfloat16 does not: the interpreter gives infinities.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

ENVIRONMENT = {
    "UNSLOTH_ALLOW_CPU": "1",  # take the CUDA branches although there is none
    "TRITON_INTERPRET": "1",
    "UNSLOTH_COMPILE_DISABLE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "HF_HUB_OFFLINE": "1",
}


class _PerDevice(list[Any]):
    """A table with one slot that answers to every index, None too."""

    def __getitem__(self, index: Any) -> Any:
        return list.__getitem__(self, 0)

    def __setitem__(self, index: Any, value: Any) -> None:
        list.__setitem__(self, 0, value)


class _OneDevice(int):
    """The number 1, for which `[x] * count` is a `_PerDevice`."""

    def __rmul__(self, other: Any) -> Any:
        return _PerDevice(other) if isinstance(other, list) else int(self) * other


def before_import() -> None:
    """Set the environment and what Unsloth asks of CUDA while it is imported."""
    os.environ.update(ENVIRONMENT)
    import bitsandbytes as bnb  # first, so that it settles on its CPU backend
    import torch

    bnb.nn.modules.has_avx512bf16 = lambda: False
    gpu = SimpleNamespace(name="none", major=8, minor=0, total_memory=8 << 30, multi_processor_count=1)
    torch.cuda.get_device_properties = lambda *_, **__: gpu
    torch.cuda.current_device = lambda: torch.device("cpu")


def after_import() -> None:
    """Point Unsloth at the CPU, and let it rewrite TRL's trainers as it does on a GPU."""
    import torch

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("unsloth", "unsloth_zoo"):
            if getattr(module, "DEVICE_TYPE_TORCH", None) == "cuda":
                module.DEVICE_TYPE_TORCH = "cpu"  # type: ignore[attr-defined]
            if getattr(module, "ALLOW_BITSANDBYTES", None) is False:
                module.ALLOW_BITSANDBYTES = True  # type: ignore[attr-defined]
    llama, kernels = sys.modules["unsloth.models.llama"], sys.modules["unsloth.kernels.utils"]
    real_dtype = llama._base_weight_dtype

    def base_weight_dtype(projection: Any) -> Any:
        dtype = real_dtype(projection)
        return torch.bfloat16 if dtype is torch.float32 else dtype

    def dequantise(weight: Any, state: Any, out: Any = None, use_global_buffer: bool = False) -> Any:
        import bitsandbytes as bnb

        return bnb.functional.dequantize_4bit(weight, state, out=out)

    _replace(llama, "DEVICE_COUNT", _OneDevice(1))
    _replace(llama, "_base_weight_dtype", base_weight_dtype)
    _replace(kernels, "_can_use_scratch", lambda device: False)
    _replace(kernels, "_USE_NF4_KERNELS", False)
    _replace(kernels, "_fast_dequantize_ctypes", dequantise)
    _rewrite_trainers()


def _rewrite_trainers() -> None:
    """What the end of `unsloth/_gpu_init.py` and of `unsloth/models/llama.py` do where there is a GPU."""
    os.environ["UNSLOTH_ALLOW_CPU"] = "0"
    from unsloth.context_parallel import patch_sft_trainer
    from unsloth.models.llama import FastLlamaModel
    from unsloth.models.rl import PatchFastRL
    from unsloth.trainer import _patch_trl_trainer

    PatchFastRL(FastLanguageModel=FastLlamaModel)
    _patch_trl_trainer()
    patch_sft_trainer()


def _replace(module: ModuleType, name: str, value: Any) -> None:
    """Set a module's attribute that must be there already."""
    getattr(module, name)
    setattr(module, name, value)
