"""The version of statllama, the versions it is tested with, and the installed versions."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"

KNOWN_GOOD = {
    "torch": "2.13.0",
    "transformers": "5.17.0",
    "trl": "1.14.2",
    "math-verify": "0.9.0",
    "peft": "0.21.2",
    "bitsandbytes": "0.50.2",
    "datasets": "4.8.5",
    "lm-eval": "0.4.13",
    "unsloth": "2026.10.7",
    "unsloth_zoo": "2026.10.7",
}


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_versions() -> dict[str, str]:
    """Return {package: version} of the installed packages of the known-good set."""
    return {name: v for name in KNOWN_GOOD if (v := installed_version(name)) is not None}
