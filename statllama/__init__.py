"""Train a domain specialist out of a small Llama: one recipe, stacked QLoRA adapters, honest scores.

from pathlib import Path

from statllama import load_recipe, run
from statllama.reporting import Reporter
from statllama.store import Store

result = run(load_recipe("quickstart"), Store(Path("workspace")), Reporter())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statllama.recipe import load_recipe
    from statllama.runs.runner import run
    from statllama.store.versions import __version__

__all__ = ["__version__", "load_recipe", "run"]

_HOMES = {
    "__version__": "statllama.store.versions",
    "load_recipe": "statllama.recipe",
    "run": "statllama.runs.runner",
}


def __getattr__(name: str) -> Any:
    """Load a public function when it is first asked for: `import statllama` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'statllama' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
