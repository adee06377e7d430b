"""Prints scores: the scorecard of a run, and comparisons of scored models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.table import Table

from statllama.cli.console.terminal import Out, counted, figure, new_table, plain, print_table, width
from statllama.config.metrics import HOLDOUT
from statllama.evaluation.compare import Comparison, Contrast, Flips, Sample, Tested
from statllama.evaluation.meaning import Note, floors, grouped
from statllama.evaluation.paired import Judged, Verdict, spoken_level
from statllama.evaluation.scorecard import Cell, Scorecard
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.unit import Unit
from statllama.runs import tables

COLOURS: dict[Verdict, str] = {"better": "green", "worse": "red"}
PASSAGE = 300  # characters of a text, from its end: there the question of a prompt stands, and the answer of a solution
FIGURES = ("reference", "score", "difference", "interval", "items", "clusters", "gained", "lost", "p")
BLIND = " The blind baseline is what a classifier gets right that sees the options alone."
BRIEF = FIGURES[:4]  # what is shown beside the verdict where there is no room for all


def print_scorecard(card: Scorecard) -> None:
    """Print scores with standard errors, the paired changes from base and parent, and their verdicts."""
    for i, task in enumerate(card.tasks):
        first = card.rows[0].cells[i]
        Out.print(f"[bold]{plain(task)}[/] ({_asked(first)}{floors_after('; ', first)})")
        whole = _card_table(card, i, ("base", "parent") if card.tests else ())
        if width(whole) <= Out.width:
            Out.print(whole)
        else:
            for other in ("base", "parent"):
                print_table(_card_table(card, i, (other,)))
        words: dict[str, list[str]] = {}
        for row in card.rows:
            if (judged := row.cells[i].from_base) is not None:
                words.setdefault(judged.verdict, []).append(row.name)
        changes = [judged.change for row in card.rows if (judged := row.cells[i].from_base) is not None]
        if any(change.clusters == 1 < change.n for change in changes):
            Out.print(f"  all {changes[0].n} items are one cluster, which says nothing of others")
        elif any(change.clusters < change.n for change in changes):
            low, high = (f"{limit(change.effective for change in changes):.0f}" for limit in (min, max))
            Out.print(
                f"  {changes[0].n} items in {changes[0].clusters} clusters: for these changes they say as much as "
                f"{low if low == high else f'{low} to {high}'} that do not belong together"
            )
        for line in _losses(card, i):
            Out.print(line)
        if task in card.smallest:
            Out.print(f"  {card.smallest[task]}")
        if words:
            Out.print(
                "  against the base: " + "; ".join(f"{', '.join(names)}: {word}" for word, names in words.items())
            )
        print_notes([note for note in card.notes if note.task == task])
    tested = f" Changes are paired: {card.level}." if card.tests else ""
    blind = BLIND if any(cell.blind for cell in card.rows[0].cells) else ""
    Out.print(f"[dim]{measured_in(cell.unit for cell in card.rows[0].cells)} ± standard error.{tested}{blind}[/]")
    if drifts := {row.name: row.drift for row in card.rows if row.drift is not None}:
        Out.print("[bold]drift[/] (KL of the predictions on the probe texts, nats a token)")
        table = new_table("stack", figure("from parent"), figure("from base"))
        for name, drift in drifts.items():
            table.add_row(plain(name), f"{drift.to_parent:.3g}", f"{drift.to_base:.3g}")
        print_table(table)


def _asked(first: Cell) -> str:
    """Return what a benchmark's scores are, and of how many items, as markup."""
    held = "held-out row" if first.unit.loss else "held-out pair"
    items = counted(first.n, held if first.task.startswith(HOLDOUT) else "item")
    items += ", only a part of the items" if first.limited else ""
    loss = ", nats per token, lower is better" if first.unit.loss else ""
    return f"{plain(first.unit.metric)}{loss}, {items}"


def _losses(card: Scorecard, task: int) -> Iterator[str]:
    """Yield the losses that stand beside the scores on a benchmark, and the perplexities of a hold-out."""
    cells = {row.name: row.cells[task] for row in card.rows}
    first = card.rows[0].cells[task]
    if not first.unit.loss and any(cell.loss is not None for cell in cells.values()):
        held = "loss of the chosen completions, nats per token" if first.perplexity else "held-out loss, bits per byte"
        losses = (f"{plain(name)} {cell.loss:.3f}" for name, cell in cells.items() if cell.loss is not None)
        yield f"  {held} (lower is better): {', '.join(losses)}"
    elif first.unit.loss:
        known = (f"{plain(name)} {cell.perplexity:.2f}" for name, cell in cells.items() if cell.perplexity is not None)
        yield f"  perplexity: {', '.join(known)}"


def measured_in(units: Iterable[Unit]) -> str:
    """Return what the figures of some benchmarks are, as the beginning of a sentence."""
    losses = {unit.loss for unit in units}
    if losses == {True}:
        return "Losses in nats per token (lower is better)"
    return "Points, and losses in nats per token (lower is better)," if True in losses else "Points"


def floors_after(text: str, scored: Cell | Contrast | TaskScore) -> str:
    """Return a text with chance and the blind baseline of a benchmark behind it; nothing where neither is known."""
    known = floors(scored.chance, scored.blind)
    return f"{text}{known}" if known else ""


def print_notes(notes: Sequence[Note], *, tasks: bool = False) -> None:
    """Print reasons to read scores with care, those of one kind on a line; with `tasks`, naming the benchmark."""
    for task in dict.fromkeys(note.task for note in notes):
        for (meaningless, what), names in grouped([note for note in notes if note.task == task]).items():
            head = "[red]meaningless:[/]" if meaningless else "[yellow]note:[/]"
            Out.print(f"  {head} {f'{plain(task)}: ' if tasks else ''}{plain(what)}: {plain(', '.join(names))}")


def _card_table(card: Scorecard, task: int, against: Sequence[str]) -> Table:
    """Return one benchmark of the scorecard: a row for each stack, its score, and the change from each of `against`."""
    changes_of = (name for other in against for name in (f"from {other}", "p"))
    table = new_table("stack", *map(figure, ("score", *changes_of)))
    for row in card.rows:
        cell = row.cells[task]
        changes = (text for other in against for text in change_cells(getattr(cell, f"from_{other}"), cell.unit))
        name = f"{row.name} (selected on)" if cell.selected else row.name
        table.add_row(plain(name), cell.unit.spoken(cell.value, cell.stderr), *changes)
    return table


def change_cells(judged: Judged | None, unit: Unit) -> tuple[str, str]:
    """Return (change with its interval, adjusted p), each coloured when it is evidence."""
    if judged is None:
        return "", ""
    text = tables.change(judged.change, unit)
    return _coloured(text, judged.verdict), _coloured(_p(judged.p_adjusted), judged.verdict)


def _coloured(text: str, word: Verdict) -> str:
    return f"[{COLOURS[word]}]{text}[/]" if word in COLOURS else text


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def print_comparison(comparison: Comparison, items: int = 0, *, topics: bool = False) -> None:
    """Print each benchmark and model against the reference; on demand topics, and the first `items` flipped items each
    way.
    """
    if not topics:
        contrasts = tuple(replace(contrast, topics={}) for contrast in comparison.contrasts)
        comparison = replace(comparison, contrasts=contrasts)
    Out.print(f"reference: [bold]{plain(comparison.reference)}[/]")
    contrasts = comparison.contrasts
    _print_tested(
        [(f"{plain(c.task)} [dim]{plain(c.unit.metric)}[/]", c.other, c.total, c.overall, c.unit) for c in contrasts]
    )
    for contrast in {contrast.task: contrast for contrast in contrasts}.values():
        if text := floors_after("", contrast):
            Out.print(f"  {plain(contrast.task)}: {text}")
    print_notes(comparison.notes, tasks=True)
    for task in dict.fromkeys(contrast.task for contrast in contrasts if contrast.topics):
        Out.print(f"[bold]{plain(task)}[/] by topic, exploratory")
        rows = [
            (plain(t), c.other, 0, tested, c.unit)
            for c in contrasts
            if c.task == task
            for t, tested in c.topics.items()
        ]
        _print_tested(sorted(rows, key=lambda row: row[0]), "topic")
    for contrast in contrasts if items else ():
        _print_flips(contrast, contrast.gained, items, comparison.reference, "higher")
        _print_flips(contrast, contrast.lost, items, comparison.reference, "lower")
    for task, having in comparison.left_out.items():
        Out.print(f"[yellow]left out:[/] {plain(task)}, which is scored for {plain(' and '.join(having))} only")
    Out.print(f"[dim]{_closing(comparison)}[/]")


def print_more(comparison: Comparison, items: int, topics: bool) -> None:
    """Name the options that show what was not asked for."""
    flipped = any(contrast.gained or contrast.lost for contrast in comparison.contrasts)
    more = ["--items 3"] if flipped and not items else []
    more += ["--topics"] if not topics and any(contrast.topics for contrast in comparison.contrasts) else []
    if more:
        Out.print(f"[dim]More: {' '.join(more)}[/]")


TestedRow = tuple[str, str, int, Tested, Unit]
"""What was compared, the model, items there are (0: those tested), the result, and what its figures are."""


def _print_tested(rows: Sequence[TestedRow], what: str = "benchmark") -> None:
    """Print one table where there is room; else, for each benchmark, one of the scores with their verdicts and one of
    the rest. Topics, of which there are many, stay together.
    """
    clustered = any(tested.change.clusters < tested.change.n for *_, tested, _ in rows)
    figures = FIGURES if clustered else tuple(name for name in FIGURES if name != "clusters")
    whole = _tested_table(rows, what, figures, verdicts=True)
    if width(whole) > Out.width:
        whole.padding = 0
    if width(whole) <= Out.width:
        Out.print(whole)
        return
    by_itself = what == "benchmark"
    for subject in dict.fromkeys(row[0] for row in rows) if by_itself else ("",):
        if by_itself:
            Out.print(f"[bold]{subject}[/]")
        part = [row for row in rows if row[0] == subject or not by_itself]
        print_table(_tested_table(part, "" if by_itself else what, BRIEF, verdicts=True))
        print_table(_tested_table(part, "" if by_itself else what, figures[len(BRIEF) :], verdicts=False))


def _tested_table(rows: Iterable[TestedRow], what: str, figures: Sequence[str], *, verdicts: bool) -> Table:
    """Return a table of changes. `what`: the head of its first column; without one there is no such column."""
    names = (what, "model") if what else ("model",)
    table = new_table(*names, *map(figure, figures))
    if verdicts:
        table.add_column("verdict", min_width=len("difference"), max_width=len("no evidence of a"))
    before = ""
    for subject, model, total, tested, unit in rows:
        texts = _figures(tested, total, unit)
        word = [_coloured(tested.verdict, tested.verdict)] if verdicts else []
        first = ["" if subject == before else subject] if what else []
        table.add_row(*first, plain(model), *(texts[name] for name in figures), *word)
        before = subject
    return table


def _figures(tested: Tested, total: int, unit: Unit) -> dict[str, str]:
    """Return the columns of FIGURES."""
    change = tested.change
    ends = unit.bounds(change.low, change.high)
    return {
        "items": f"{change.n} of {total}" if total > change.n else str(change.n),
        "reference": unit.spoken(tested.before),
        "score": unit.spoken(tested.after),
        "difference": _coloured(unit.spoken_change(change.difference), tested.verdict),
        "interval": f"[{', '.join(f'{end:+.{_digits(end, unit)}f}' for end in ends)}]",
        "clusters": "" if change.clusters == change.n else str(change.clusters),
        "gained": str(change.gained),
        "lost": str(change.lost),
        "p": _coloured(_p(tested.p_adjusted), tested.verdict),
    }


def _digits(end: float, unit: Unit) -> int:
    """Return the decimals of the end of an interval; none where it is the end of the range."""
    return 0 if abs(end) == 100 else unit.digits


def _print_flips(contrast: Contrast, flips: Flips, items: int, reference: str, way: str) -> None:
    if not flips:
        return
    loss = contrast.unit.loss
    count = counted(len(flips), "held-out row" if loss else "item")
    way = {"higher": "has a lower loss", "lower": "has a higher loss"}[way] if loss else f"scores {way}"
    shown = f"; the first {items}:" if len(flips) > items else ":"
    Out.print(f"[bold]{plain(contrast.task)}[/]: {plain(contrast.other)} {way} on {count}{shown}")
    for old, new in flips[:items]:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", max_width=max(9, Out.width // 4), overflow="fold")
        grid.add_column(overflow="fold")
        topic = f" ({plain(old['topic'])})" if "topic" in old else ""
        grid.add_row(f"  item {old['row']}", f"{plain(_end(old.get('question', old['prompt'])))}[dim]{topic}[/]")
        grid.add_row("  right", plain(_end(_choice(old, old["answer"]))))
        for name, sample in ((reference, old), (contrast.other, new)):
            grid.add_row(f"  {plain(name)}", _answer(sample))
        Out.print(grid)
        Out.print()


def _end(text: str) -> str:
    """Return the last part of a text, in whole words on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= PASSAGE else f"... {flat[-PASSAGE:].partition(' ')[2] or flat[-PASSAGE:]}"


def _answer(sample: Sample) -> str:
    """Return the model's answer; for a generated one, the part that was read from it and the text's end."""
    chosen = plain(_end(_choice(sample, sample["prediction"])))
    return f"{chosen}  [dim]from: {plain(_end(sample['generated']))}[/]" if "generated" in sample else chosen


def _choice(sample: Sample, answer: Any) -> str:
    """Return an answer as text: that of the choice where it is a choice's number."""
    choices = sample.get("choices")
    if choices and isinstance(answer, int) and 0 <= answer < len(choices):
        return str(choices[answer])
    return str(answer)


def _closing(comparison: Comparison) -> str:
    """Return the basis of the verdicts."""
    level = spoken_level(contrast.overall.change for contrast in comparison.contrasts)
    text = f"{measured_in(c.unit for c in comparison.contrasts)}, paired over the same items: {level}."
    text = text.replace(",,", ",")
    if any(contrast.blind for contrast in comparison.contrasts):
        text += BLIND
    if any(contrast.topics for contrast in comparison.contrasts):
        text += " The topics of a change are judged together; with few items each, only large changes show."
    return text
