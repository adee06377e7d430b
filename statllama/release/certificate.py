"""What verification found, as plain data: the certificate that lies in a release as `verification.json`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Check:
    """One property of one artefact."""

    name: str
    """Such as `token ids` or `divergence`."""
    passed: bool
    value: float | None = None
    """The measured value; None where there is no number."""
    bound: float | None = None
    """The largest `value` that passes; None where there is no number."""
    detail: str = ""
    """Details: the unit, the amount compared, and the place of a failure."""
    required: bool = True
    """Whether the release fails with it; otherwise it is information."""

    def __str__(self) -> str:
        figures = "" if self.value is None else f" {self.value:.3g}"
        allowed = "" if self.bound is None else f" (allowed: {self.bound:.3g})"
        return f"{self.name}{figures}{allowed}{': ' if self.detail else ''}{self.detail}"


@dataclass(frozen=True)
class Verified:
    """One artefact of a release and its checks."""

    name: str
    """Where it lies in the release, such as `gguf/model-q4_k_m.gguf`."""
    kind: str
    """Name of its format, such as `gguf`."""
    type: str
    """Of its numbers, such as `bf16` or `q4_k_m`."""
    checks: tuple[Check, ...]
    instead: str = ""
    """What to take in its place; empty for one that passed."""

    @property
    def passed(self) -> bool:
        """Return whether every required check passed, and there is one."""
        required = [check.passed for check in self.checks if check.required]
        return bool(required) and all(required)

    def failures(self) -> list[str]:
        """Return each failed check in words."""
        failed = [str(check) for check in self.checks if check.required and not check.passed]
        return failed if failed or self.passed else ["nothing was verified"]


@dataclass(frozen=True)
class Certificate:
    """The outcome of verifying a release."""

    artefacts: tuple[Verified, ...]
    reference: tuple[Check, ...] = ()
    """What was found about the stack that everything is compared with; information only."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """What was asked: hash of the prompts, how many strings, rows, positions and replies."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """{package: version} that it was verified with."""
    withheld: tuple[Verified, ...] = ()
    """What was ordered and is not in the release: it failed a check, or could not be written (a check of that name)."""

    @property
    def passed(self) -> bool:
        """Return whether all that the release holds behaves like what was trained. False when it holds nothing."""
        return bool(self.artefacts) and all(artefact.passed for artefact in self.artefacts)

    def failures(self) -> list[str]:
        """Return each failed check in a line, with its artefact; those of withheld artefacts last."""
        artefacts = (*self.artefacts, *self.withheld)
        return [f"{artefact.name}: {failure}" for artefact in artefacts for failure in artefact.failures()]

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain JSON values; `from_json` gives an equal certificate back."""
        body = asdict(self)
        for field_ in ("artefacts", "withheld"):
            for artefact, plain in zip(getattr(self, field_), body[field_], strict=True):
                plain["passed"] = artefact.passed
        return {"schema": SCHEMA, "passed": self.passed, **body}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Certificate:
        """Return the certificate that `to_json` wrote. KeyError or TypeError for another shape."""
        artefacts, withheld = (tuple(map(_verified, data.get(field_, ()))) for field_ in ("artefacts", "withheld"))
        reference = tuple(Check(**check) for check in data["reference"])
        return cls(artefacts, reference, data["protocol"], data["versions"], withheld)


def _verified(data: Mapping[str, Any]) -> Verified:
    checks = tuple(Check(**check) for check in data["checks"])
    return Verified(data["name"], data["kind"], data["type"], checks, data.get("instead", ""))
