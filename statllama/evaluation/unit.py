"""What people read a score as: a share in per cent, or a loss in nats per token, of which lower is better.

Inside all scores are such that higher is better, and changes are in points: hundredths of a score. So a mean
log-probability is minus a loss, and a change of +2 points is a loss that fell by 0.02. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from statllama.config.metrics import LOG_PROBABILITY


@dataclass(frozen=True)
class Unit:
    """How scores of one metric, and changes of them, are put in figures."""

    metric: str
    """The metric's name for readers."""
    loss: bool
    """Whether it is a loss, whose figures are nats per token."""
    words: str
    """The unit of a score."""
    of_changes: str
    """The unit of a change."""

    @property
    def digits(self) -> int:
        """Return the decimals that a figure is shown with."""
        return 3 if self.loss else 1

    def score(self, value: float) -> float:
        """Return a score as its figure.

        >>> unit_of("acc").score(0.5), unit_of(LOG_PROBABILITY).score(-1.25)
        (50.0, 1.25)
        """
        return -value if self.loss else 100 * value

    def error(self, stderr: float) -> float:
        """Return the standard error of a score as its figure."""
        return stderr if self.loss else 100 * stderr

    def change(self, points: float) -> float:
        """Return a change, or the end of its interval, as its figure: that of a loss has the other sign.

        >>> unit_of(LOG_PROBABILITY).change(2.0)
        -0.02
        """
        return -points / 100 if self.loss else points

    def bounds(self, low: float, high: float) -> tuple[float, float]:
        """Return both ends of an interval of changes, the lower figure first."""
        return (self.change(high), self.change(low)) if self.loss else (low, high)

    def spoken(self, value: float, stderr: float | None = None) -> str:
        """Return a score in figures, with its standard error.

        >>> unit_of("acc").spoken(0.505, 0.034), unit_of(LOG_PROBABILITY).spoken(-1.25)
        ('50.5 ± 3.4', '1.250')
        """
        error = "" if stderr is None else f" ± {self.error(stderr):.{self.digits}f}"
        return f"{self.score(value):.{self.digits}f}{error}"

    def spoken_change(self, points: float) -> str:
        """Return a change in figures, with its sign."""
        return f"{self.change(points):+.{self.digits}f}"

    @property
    def of_changes_in_full(self) -> str:
        """Return the unit of a change for a caption."""
        return self.of_changes if self.loss else "percentage points"

    def figure(self, points: float) -> str:
        """Return the size of a change, or its error, without unit and sign.

        >>> unit_of("acc").figure(2.3), unit_of(LOG_PROBABILITY).figure(2.3)
        ('2.3', '0.023')
        """
        return f"{abs(self.change(points)):.{self.digits}f}"

    def size(self, points: float) -> str:
        """Return the size of a change with its unit.

        >>> unit_of("acc").size(2.3), unit_of(LOG_PROBABILITY).size(2.3)
        ('2.3 points', '0.023 nats per token')
        """
        return f"{self.figure(points)} {self.of_changes}"


SHARE = Unit("", False, "per cent", "points")
LOSS = Unit("loss", True, "nats per token", "nats per token")


def unit_of(metric: str) -> Unit:
    """Return what scores of a metric are read as."""
    return LOSS if metric == LOG_PROBABILITY else Unit(metric, False, SHARE.words, SHARE.of_changes)
