"""What lies ahead of a planned run: sizes, faults, memory, disk and time of its stages, and what its scores can show.
What `plan` shows; trains nothing, unless it is to measure the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from statllama.recipe import Recipe
from statllama.runs.advice import Advice, advise
from statllama.runs.forecast.calibrate import calibrate
from statllama.runs.forecast.device import Device
from statllama.runs.forecast.forecast import StageForecast, forecast
from statllama.runs.forecast.outlook import Outlook, outlook
from statllama.runs.foresight import Sight, foresee
from statllama.runs.plan import PlannedStage, plan
from statllama.runs.releasing import AheadRelease, Maker, Releases
from statllama.runs.reporting import Reporter
from statllama.runs.runner import Measure, sizes
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.store.leases import working


@dataclass(frozen=True)
class Prospect:
    """What lies ahead of one recipe's run."""

    recipe: Recipe
    stages: tuple[PlannedStage, ...]
    """Of a study, those that no earlier recipe has."""
    measures: Mapping[str, Measure]
    advice: tuple[Advice, ...]
    needs: Mapping[str, StageForecast]
    """{stage: its memory, budget and disk}."""
    outlook: Outlook
    """Its time."""
    sights: Sequence[Sight]
    """What its benchmarks can show."""
    releases: tuple[AheadRelease, ...] = ()
    """What it will release."""


def prospects(
    recipes: Sequence[Recipe],
    store: Store,
    reporter: Reporter,
    device: Device,
    *,
    until: str | None = None,
    measure: bool = False,
    maker: Maker | None = None,
) -> Iterator[Prospect]:
    """Yield what lies ahead of each recipe, on a device; of stages that several have, once.

    `measure`: first time a few real steps of each type of stage, and items of each benchmark. Raises a StatllamaError
    as `run` would before it loads a model; Interrupted when stopped while it measures. `maker`: of releases.
    """
    shown, kinds = set[str](), set[str]()
    for recipe in recipes:
        planned = plan(recipe, store, until)
        releases = Releases(recipe, store, reporter, maker)
        releases.check(planned)
        fresh = tuple(stage for stage in planned if stage.key not in shown)
        shown.update(stage.key for stage in planned)
        with StopSignal() as stop:
            session = Session(recipe, store, reporter, stop, base=planned[0].material["base"])
            measures = sizes(session, fresh)
            if measure:
                with working(store):  # the data that it measures with stay
                    kinds |= {one.kind for one in calibrate(session.timing, planned, stop, known=kinds)}
            needs = forecast(recipe, planned, session.prepare, device)
            seen = outlook(session.timing.on(device), planned, fresh)
        yield Prospect(
            recipe,
            fresh,
            measures,
            advise(recipe, fresh, {name: (size.rows, size.steps) for name, size in measures.items()}, device.cuda),
            {stage.spec.name: needs[stage.spec.name] for stage in fresh},
            seen,
            foresee(recipe, store, planned) if fresh else (),
            tuple(releases.ahead(planned, needs)),
        )
