"""A process of its own that runs llama.cpp's server (xllamacpp) until its standard input closes.

llama.cpp ends the whole process when it meets a file it did not expect, and keeps its threads and memory beside
PyTorch's: so it does not live in ours. Run as a file, with `LlamaCpp`'s settings in JSON as its argument; the line it
writes is the address, and nothing of statllama is imported.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def parameters(settings: dict[str, Any]) -> Any:
    """Return llama.cpp's parameters for comparing numbers: float32 cache, no fused attention, one request at a time."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, scale) for path, scale in settings["adapters"]]
    params.n_ctx = settings["context"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.n_gpu_layers = 0
    params.fit_params = params.warmup = params.ui = False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32  # float16 alone costs 1e-2
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.port = 0  # a free one, on this machine alone
    params.api_keys = [settings["key"]]
    params.verbosity = 1  # errors
    return params


def main() -> None:
    """Serve, say where, and stay for as long as the parent does."""
    import xllamacpp

    server = xllamacpp.Server(parameters(json.loads(sys.argv[1])))
    os.write(1, f"{server.listening_address}\n".encode())
    while os.read(0, 1 << 16):
        pass
    os._exit(0)  # its threads need not be waited for


if __name__ == "__main__":
    main()
