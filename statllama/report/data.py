"""The report's contents, as plain frozen data: `collect` gathers it, `charts` and `page` only draw it.

Scores and differences are percentage points (0 to 100), intervals are of 95 %. Nothing here is read from disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from statllama.config.blind import Blind
from statllama.config.metrics import HOLDOUT
from statllama.evaluation.clusters import Clusters, clustered_error, sums_of
from statllama.evaluation.paired import BudgetTest, Change, Verdict, Z
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.unit import SHARE, Unit, unit_of
from statllama.report.now import Now


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval: in per cent, or for a loss in nats per token."""

    value: float
    low: float
    high: float
    unit: Unit = field(default=SHARE, repr=False)


def estimate_of(score: TaskScore) -> Estimate:
    """Return a score as people read it, with a 95 % interval: `estimate`, or for a loss the normal interval."""
    if not score.unit.loss:
        return estimate(score.items, score.clusters)
    value, half = score.unit.score(score.value), Z * (score.stderr or 0.0)
    return Estimate(value, max(0.0, value - half), value + half, score.unit)


def estimate(items: Sequence[float], clusters: Clusters = None) -> Estimate:
    """Return the mean of the items' scores (each 0 to 1) in per cent, with a 95 % interval. Raises ValueError for no
    items.

    For 0/1 items it is Wilson's interval (1927, JASA 22, 209-212), which neither collapses at 0 and 100 nor leaves
    them, of as many items as say as much without clusters; for graded ones the normal interval, cut to 0 to 100.

    >>> estimate([1, 1, 1, 0])
    Estimate(value=75.0, low=30.06..., high=95.44...)
    """
    n = len(items)
    if n == 0:
        raise ValueError("a score needs at least one item")
    mean = sum(items) / n
    plain, error = clustered_error(items, sums_of(items, None)), clustered_error(items, sums_of(items, clusters))
    if all(x in (0, 1) for x in items):
        said = n / max(1.0, (error / plain) ** 2) if plain and error else n
        weight = 1 + Z**2 / said
        center = (mean + Z**2 / (2 * said)) / weight
        half = Z * (mean * (1 - mean) / said + Z**2 / (4 * said**2)) ** 0.5 / weight
    else:
        center, half = mean, Z * (error or 1.0)
    return Estimate(100 * mean, 100 * max(0.0, min(mean, center - half)), 100 * min(1.0, max(mean, center + half)))


@dataclass(frozen=True)
class Delta:
    """The difference of one stack from another on the same items, and its test."""

    against: str
    """Name of the other stack: `base`, or a stage."""
    change: Change
    p: float
    """Of all `change.tests` changes that are judged together (Bonferroni), as the interval is."""
    verdict: Verdict
    """By this `p`."""
    unit: Unit = SHARE
    """What the change's figures are."""


@dataclass(frozen=True)
class Score:
    """One stack on one benchmark."""

    stack: str
    """`base`, or the name of the stack's last stage."""
    estimate: Estimate
    n: int
    """Items scored."""
    total: int
    """Items that the benchmark has."""
    truncated: int
    """Items whose prompt was cut on the left to fit."""
    from_base: Delta | None = None
    """None for the base itself."""
    from_parent: Delta | None = None
    """None for the base itself."""
    selected: bool = False
    """Whether a step of the stack was selected on it, so that it is no test score."""


@dataclass(frozen=True)
class Topic:
    """One topic of a benchmark."""

    name: str
    n: int
    """Items of it."""
    estimates: Mapping[str, Estimate]
    """{stack: its score}"""
    delta: Delta | None = None
    """The last stack against the base."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: all stacks that have a score on it, the base first."""

    task: str
    metric: str
    version: str
    scores: tuple[Score, ...]
    topics: tuple[Topic, ...] = ()
    domain: bool = False
    """Whether the stages are meant to raise it; the others show what is kept."""
    smallest: str = ""
    """The smallest change from the base that its items could show, in words. Empty where nothing is compared."""
    chance: float | None = None
    """Share that guessing gets right, 0 to 1. None where items have no choices."""
    blind: Blind | None = None
    """Its blind baseline. None where it states none."""

    @property
    def unit(self) -> Unit:
        """Return what its figures are."""
        return unit_of(self.metric)

    @property
    def held(self) -> bool:
        """Return whether it is of the recipe's own held-out rows."""
        return self.task.startswith(HOLDOUT)

    def score(self, stack: str | None) -> Score | None:
        """Return the score of this stack, if it has one."""
        return next((score for score in self.scores if score.stack == stack), None)


@dataclass(frozen=True)
class Reply:
    """A stack's answer to one item."""

    text: str
    """The choice that it took, or all that it wrote."""
    extracted: str | None = None
    """For generated answers: what was read out of the text and compared."""
    score: float = 0.0
    """0 to 1."""


@dataclass(frozen=True)
class Flip:
    """An item that two stacks score differently."""

    row: int
    """Its place in the benchmark, from 1."""
    question: str
    """The last question, without the few-shot examples and template around it."""
    prompt: str
    """The model's full prompt."""
    expected: str
    """The right answer."""
    before: Reply
    after: Reply
    choices: tuple[str, ...] = ()
    """The choices; empty when the question itself names them."""


@dataclass(frozen=True)
class Flips:
    """The items of one benchmark that changed from one stack to another."""

    task: str
    before: str
    after: str
    gained: tuple[Flip, ...]
    """Those that score higher after; maybe not all of them."""
    lost: tuple[Flip, ...]
    gained_total: int
    """Number of all of them."""
    lost_total: int


@dataclass(frozen=True)
class Curve:
    """The log of a stage's optimizer steps. All lists have one length; None where nothing was logged."""

    steps: tuple[int, ...]
    """Step from 1, within the stage."""
    loss: tuple[float | None, ...]
    learning_rate: tuple[float | None, ...]
    grad_norm: tuple[float | None, ...]
    reward: tuple[float | None, ...] = ()
    """Reward of a stage with rewards; empty for others."""
    others: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """{figure: its (step, value)}, such as `rewards/margins`, `drift`, `tokens_per_second` and `memory` in GiB."""


@dataclass(frozen=True)
class Source:
    """One dataset of a stage's mixture. See `statllama.data.report.SourceReport`."""

    name: str
    rows: int
    """Rows that it has."""
    used: int
    """Uses of rows in the mixture."""
    examples: int
    tokens: int
    supervised: int
    """Tokens that carry loss."""
    truncated: int
    """Examples cut at the longest length."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """{reason: rows left out}"""


@dataclass(frozen=True)
class Stage:
    """One stage of the recipe; the results of training are None or empty when it is not trained yet."""

    name: str
    type: str
    parents: tuple[str, ...]
    """Names of the stages right below; none: the base."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """{what: value} as words, such as `learning rate` and `rank`."""
    key: str | None = None
    """64 hex digits: what its result is stored under."""
    trained: bool = False
    left_out: str = ""
    """The reason why later stages were not trained on it. Empty otherwise."""
    created: str = ""
    """When its result was published: ISO 8601."""
    steps: int | None = None
    tokens: int | None = None
    """Tokens trained on, padding left out."""
    seconds: float | None = None
    forecast: Mapping[str, float] = field(default_factory=dict)
    """{`seconds`, `memory`: what was usual of it, as forecast just before it trained}."""
    adapter_bytes: int | None = None
    peak_memory_bytes: int | None = None
    """Of the GPU's allocator, or of the process where there was no GPU."""
    curve: Curve | None = None
    sources: tuple[Source, ...] = ()
    drift_base: float | None = None
    """KL divergence of the base from this stack on the probe texts, nats per token."""
    drift_parent: float | None = None
    """The same of the stack that it started from."""


@dataclass(frozen=True)
class Gate:
    """A budget that the recipe sets on a stage's scores, and its outcome."""

    stage: str
    task: str
    against: str
    """The stage's comparison: `base`, or its parent."""
    test: BudgetTest
    said: str
    """The answer in words."""
    unit: Unit = SHARE
    """What its figures are."""


@dataclass(frozen=True)
class PromptReply:
    """A stack's answer to one of the user's own prompts."""

    stack: str
    text: str
    ended: bool
    """Whether it ended by itself; else it was cut."""


@dataclass(frozen=True)
class Prompted:
    """One of the user's own prompts (`evaluate.prompts`), with the answers of all stacks that have one, the base
    first.
    """

    prompt: str
    replies: tuple[PromptReply, ...]


@dataclass(frozen=True)
class ReportData:
    """The page's contents for one run."""

    name: str
    description: str
    base: str
    """The base model in words: what, revision, quantization."""
    stages: tuple[Stage, ...]
    """In the recipe's order: parents come first."""
    benchmarks: tuple[Benchmark, ...] = ()
    flips: tuple[Flips, ...] = ()
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()
    """Caveats for the reader of the numbers."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """{what: value}: versions, backend, compute type, machine."""
    recipe: str = ""
    """The recipe as YAML."""
    overrides: tuple[str, ...] = ()
    last: str | None = None
    """The stage whose stack is the run's result: what the summary is about. None when nothing is trained."""
    prompted: tuple[Prompted, ...] = ()
    now: Now | None = None
    """For a page that is kept up to date while the run goes on; None for a finished run."""


@dataclass(frozen=True)
class DialPoint:
    """One setting of a dial."""

    scale: float
    """Factor on the update of the stage's adapter: 0 leaves the stage out, 1 is as trained."""
    estimates: Mapping[str, Estimate]
    """{benchmark: score}"""
    deltas: Mapping[str, Delta] = field(default_factory=dict)
    """{benchmark: change from scale 1}, on the same items; empty at scale 1."""


@dataclass(frozen=True)
class DialData:
    """The effect of scaling one stage's adapter on the scores, without training again."""

    name: str
    """Name of the run."""
    stage: str
    """The stage that is scaled."""
    stack: str
    """The stack that is scored: its last stage."""
    points: tuple[DialPoint, ...]
    """By rising scale."""
    domain: str
    """The benchmark that the run is meant to raise: y of the trade-off."""
    general: str | None = None
    """The benchmark that shows what is forgotten: x of the trade-off. None: no trade-off is drawn."""
    notes: tuple[str, ...] = ()
    """Caveats for the reader of the numbers."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return all benchmarks that every point has a score on, the domain's and the general one first."""
        first = [task for task in (self.domain, self.general) if task is not None]
        rest = [task for task in (self.points[0].estimates if self.points else ()) if task not in first]
        return tuple(t for t in (*first, *rest) if all(t in point.estimates for point in self.points))
