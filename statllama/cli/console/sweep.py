"""Prints a sweep: its trials, the best first, what mattered, and the command that trains the best one."""

from __future__ import annotations

from statllama.cli.console.terminal import Out, figure, new_table, plain, print_table
from statllama.evaluation.unit import unit_of
from statllama.report import words
from statllama.report.sweep import state_of, summary
from statllama.runs.sweep import Sweep
from statllama.runs.variants import short_names, shown

MOST = 20
"""Trials that are printed; the page has all."""


def print_sweep(sweep: Sweep) -> None:
    """Print the best trials, the shares of the fields, and the best one's values."""
    if not sweep.trials:
        return
    unit, names = unit_of(sweep.metric), short_names(tuple(sweep.trials[0].settings))
    table = new_table("trial", *(figure(plain(name)) for name in names.values()), figure(plain(sweep.objective)))
    table.add_column("training", justify="right", no_wrap=True)
    table.add_column("")
    for trial in sweep.ranked[:MOST]:
        value = "" if trial.value is None or trial.state != "done" else unit.spoken(trial.value)
        cells = [plain(shown(trial.settings[field])) for field in names]
        state = "" if trial.state == "done" else plain(state_of(trial))
        table.add_row(str(trial.number), *cells, value, words.duration(trial.seconds), state)
    print_table(table)
    if len(sweep.trials) > MOST:
        Out.print(f"[dim]The best {MOST} of {len(sweep.trials)}; --out FILE.html has all.[/]")
    if sweep.matters:
        ranked = sorted(sweep.matters.items(), key=lambda pair: -pair[1])
        shares = ", ".join(f"{names[field]} {100 * share:.0f} %" for field, share in ranked)
        Out.print(f"what mattered (share of the variance between trials; {plain(sweep.by)}): {plain(shares)}")
    Out.print(plain(summary(sweep)))
