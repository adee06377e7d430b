"""A process that is llama.cpp's own server, out of xllamacpp, for users: its chat page and OpenAI's API until Ctrl-C.

Run as a file by `statllama serve` with its settings in JSON as its argument; nothing of statllama is imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any


def parameters(settings: dict[str, Any]) -> Any:
    """Return llama.cpp's own defaults, but for what `statllama serve` sets."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.model_alias = {settings["name"]}
    params.hostnames = [settings["host"]]
    params.port = settings["port"]
    params.n_ctx = settings["context"]
    params.sampling.temp = settings["temperature"]
    params.default_template_kwargs = settings["variables"]
    params.use_jinja = params.ui = True
    params.verbosity = 1  # errors
    return params


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    import xllamacpp

    settings = json.loads(sys.argv[1])
    stop = threading.Event()
    try:
        server = xllamacpp.Server(parameters(settings))
    except RuntimeError:
        sys.exit("error: llama.cpp's server did not start; see the lines above")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    where = f"{settings['name']} on {server.listening_address} (a chat page; OpenAI's API below /v1); Ctrl-C ends it\n"
    os.write(1, where.encode())
    while not stop.wait(0.5):
        pass
    os._exit(0)  # its threads need not be waited for


if __name__ == "__main__":
    main()
