"""The device that a forecast is for: the one that is found here, or a card or an amount of memory that is named."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from statllama.errors import UsageError
from statllama.model.precision import built_for_gpus
from statllama.runs.forecast.cards import Card, card_named, near_cards
from statllama.train.memory import GIB, MIB
from statllama.train.resident import memory

MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(g|gb|gib|m|mb|mib)", re.IGNORECASE)
SMALLEST, LARGEST = 1.0, 1024.0  # GiB that a card may be said to have


@dataclass(frozen=True)
class Device:
    """A GPU, or a computer's processor and memory."""

    name: str
    cuda: bool
    total: float
    """Bytes of memory."""
    free: float
    """Bytes of it that a run could have now; of a named card all."""
    here: bool
    """Whether it is this machine's, and was asked."""
    card: Card | None = None
    """What its vendor says of it; None for a processor, an unknown card and a bare amount of memory."""

    def compute_type(self, precision: str) -> str:
        """Return the type that `train.precision` means on it."""
        if precision != "auto":
            return precision
        if not self.cuda:
            return "float32"
        return "bfloat16" if self.card is None or self.card.bfloat16 else "float16"

    def __str__(self) -> str:
        if not self.here:
            return f"{self.name} ({self.total / GIB:.3g} GiB)" if self.card else self.name
        return f"{self.name}: {self.free / GIB:.1f} of {self.total / GIB:.1f} GiB free"


def named_device(name: str) -> Device:
    """Return the device that `--on` names: a card, `RTX 4090`, an amount of memory, `12GB`, or `cpu`, this computer's.

    GB and GiB mean the same here, as on the box of a card. UsageError for another name, with those that are near.
    """
    if not isinstance(name, str):
        raise UsageError(f"--on {name!r}: expected a card or its memory, as text: '12GB'")
    if not (text := name.strip()):
        raise UsageError("--on is empty: name a card, RTX 4090, or its memory, 12GB")
    if text.lower() == "cpu":
        return processor()
    if match := MEMORY.fullmatch(text):
        size = float(match[1]) * (GIB if match[2].lower().startswith("g") else MIB)
        if not SMALLEST * GIB <= size <= LARGEST * GIB:
            raise UsageError(f"--on {text}: expected {SMALLEST:.0f}GB to {LARGEST:.0f}GB for the memory of a card")
        return Device(f"a card of {size / GIB:.4g} GiB", True, size, size, here=False)
    if (card := card_named(text)) is not None:
        return Device(card.name, True, card.gib * GIB, card.gib * GIB, here=False, card=card)
    if re.fullmatch(r"[0-9.]+", text):
        raise UsageError(f"--on {text}: no card is called so; for an amount of memory give its unit: --on {text}GB")
    raise UsageError(
        f"--on {text}: no such card in the list; near: {', '.join(near_cards(text))}",
        remedy="name its memory instead: --on 12GB",
    )


def found_device() -> Device:
    """Return the first GPU that torch would use, else this computer's processor. Loads torch where it is a build for
    GPUs, and only there.
    """
    if "torch" in sys.modules or built_for_gpus():
        import torch

        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            free += torch.cuda.memory_reserved()
            name = torch.cuda.get_device_name()
            return Device(name, True, float(total), float(free), here=True, card=card_named(name))
    return processor()


def processor() -> Device:
    """Return this computer's processor, with the memory that this process may have."""
    total, free = memory()
    return Device("this computer's processor", False, total, free, here=True)
