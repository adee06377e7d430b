"""Prints what the `statllama data` commands find out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from statllama.cli.console.terminal import (
    Out,
    counted,
    figure,
    new_table,
    plain,
    print_table,
    readable_bytes,
    short,
    shortened,
    visible,
)

if TYPE_CHECKING:
    from statllama.data.cache import Kept
    from statllama.data.masking import Tokens
    from statllama.data.selection import Selection
    from statllama.data.verdicts import Verdict
    from statllama.runs.data_check import HoldoutCheck, Preview, StageCheck
    from statllama.runs.suspects_review import Review

LEARNED = "black on green3"  # tokens that carry loss
MARKS = {"error": "[bold red]error[/]  ", "warning": "[yellow]warning[/]", "hint": "[dim]hint[/]   "}
EXAMPLE = 1500  # characters of the first example
PASSAGE = 300
FEW = 5  # questions with suspects that are shown
DAY = 86_400.0


def print_check(check: StageCheck) -> None:
    """Print a stage's data: a table of its sources, the first example with its mask, copies and duplicates,
    verdicts.
    """
    Out.print(f"[bold cyan]{check.spec.name}[/] ({check.spec.type})")
    if check.selection is not None:
        print_table(_sources(check))
        _print_left_out(check)
    if check.report is not None:
        for source in check.report.sources:
            marked = ", tokens with loss marked" if source.supervised_tokens else ""
            Out.print(f"  the first example of {plain(source.name)}{marked}:")
            _print_marked(source.sample)
        asks = not check.report.supervised_tokens  # of questions: the model writes what it learns from
        packed = f", {check.report.rows:,} packed rows" if check.spec.train.packing else ""
        filled = f", rows filled to {check.report.utilisation:.0%} of {check.spec.train.max_length}"
        Out.print(
            f"  [dim]{check.report.examples:,} {'prompts' if asks else 'examples'}{packed}, "
            f"{check.report.tokens:,} tokens an epoch{'' if asks else filled}[/]"
        )
    print_verdicts(check.verdicts)


def print_holdouts(checks: Sequence[HoldoutCheck]) -> None:
    """Print what a recipe holds out: rows that no stage trains on and every stack is scored on."""
    Out.print(
        "[bold cyan]held out[/]: no stage is trained on these rows or their copies, all stacks are scored on them"
    )
    table = new_table("hold-out", "from", "scored as", figure("rows"), figure("not scored"))
    for check in checks:
        sources = plain(", ".join(check.sources))
        if check.holdout is None:
            table.add_row(plain(check.name), sources, "", "", "")
            continue
        lost = sum(check.holdout.dropped.values())
        table.add_row(plain(check.name), sources, check.holdout.kind, f"{len(check.holdout.ids):,}", f"{lost:,}")
    print_table(table)
    for check in checks:
        for reason, count in check.holdout.dropped.items() if check.holdout else ():
            Out.print(f"  {plain(check.name)}: {counted(count, 'row')} not scored: {plain(reason)}")
    if faults := [check.fault for check in checks if check.fault is not None]:
        print_verdicts(faults)


def _sources(check: StageCheck) -> Table:
    figures = map(figure, ("rows", "usable", "uses", "tokens", "with loss", "cut", "repeats"))
    table = new_table("source", "format", *figures)
    assert check.selection is not None
    for i, source in enumerate(check.selection.sources):
        report = check.report.sources[i] if check.report is not None else None
        tokens = ("", "", "", "")
        if report is not None:
            tokens = (f"{report.rows_used:,}", f"{report.tokens:,}", f"{report.share:.0%}", f"{report.truncated:,}")
        table.add_row(
            plain(source.name), check.formats[i], f"{source.read:,}", f"{len(source.kept):,}", *tokens,
            f"{source.survey.duplicates:,}",
        )  # fmt: skip
    return table


def _print_left_out(check: StageCheck) -> None:
    assert check.selection is not None
    for report in check.report.sources if check.report is not None else ():
        if report.left_out:
            Out.print(
                f"  {plain(report.name)}: {counted(report.left_out, 'assistant turn')} without loss, as the rows say"
            )
    for source in check.selection.sources:
        for reason, count in source.dropped.items():
            Out.print(f"  {plain(source.name)}: {counted(count, 'row')} left out: {plain(reason)}")
        for fault in source.faults:
            Out.print(f"  [red]{plain(shortened(fault))}[/]")
    for hit in check.selection.hits:
        question = hit.question
        Out.print(f"  [red]{_place(hit.where)}[/] copies question {question.number} of {plain(question.task)}:")
        Out.print(f"      {hit.form}, {hit.share:.0%}")
        Out.print(f"      row:      {plain(_cut(hit.passage))}")
        Out.print(f"      question: {plain(_cut(question.text))}")
    _print_contamination(check.selection)
    for copy in check.selection.held_copies[:FEW]:
        Out.print(f"  left out: {_place(copy.where)} has {copy.how} as a held-out row")
    if (more := check.selection.held_copied - FEW) > 0:
        Out.print(f"  [dim]and so for {more:,} more rows[/]")
    for text, original, similarity in check.repeats:
        Out.print(f"  left out, {similarity:.0%} alike: {plain(_cut(text))}")
        Out.print(f"                        [dim]as: {plain(_cut(original))}[/]")


def _print_contamination(selection: Selection) -> None:
    """Print what was looked for and found, and the questions that rows may ask in other words, the nearest first."""
    if not selection.looked_for:
        return
    tasks = ", ".join(f"{count:,} of {plain(task)}" for task, count in selection.looked_for.items())
    rows = sum(source.survey.rows for source in selection.sources)
    copies = {0: "none is copied", 1: "1 row copies one"}.get(selection.copies, f"{selection.copies:,} rows copy one")
    Out.print(f"  benchmark questions looked for in {rows:,} rows: {tasks}; {copies}")
    for group in selection.suspects[:FEW]:
        nearest, question = group.nearest[0], group.question
        more = group.rows - 1
        others = f", and {more:,} more {'row' if more == 1 else 'rows'} like it" if more else ""
        Out.print(
            f"  [yellow]{_place(nearest.where)}[/] may ask question {question.number} of {plain(question.task)} "
            f"in other words: similarity {nearest.similarity:.2f}{others}"
        )
        Out.print(f"      row:      {plain(_cut(nearest.passage))}")
        Out.print(f"      question: {plain(_cut(question.text))}")
    if len(selection.suspects) > FEW:
        more = len(selection.suspects) - FEW
        Out.print(f"  [dim]and so for {more:,} more questions: --suspects FILE.jsonl writes all[/]")


def print_judged(reviews: Sequence[Review]) -> None:
    """Print a judge's answers: how many of each, and the rows that it takes for a benchmark question."""
    counts = Counter(review.judgement.answer if review.judgement else "not judged" for review in reviews)
    said = ", ".join(
        f"{counts[answer]:,} {answer}" for answer in ("yes", "no", "unclear", "not judged") if counts[answer]
    )
    Out.print(f"  judged, the same question or not: {said}")
    if reviews and counts["unclear"] == len(reviews):
        first = reviews[0].judgement
        Out.print(f"  [yellow]no answer is yes or no[/]; the first: {plain(_cut(first.said if first else ''))}")
    for review in reviews:
        if review.judgement and review.judgement.answer == "yes":
            question = review.question
            Out.print(
                f"  [red]{_place(review.suspect.where)}[/] asks question {question.number} of {plain(question.task)} "
                f"(similarity {review.suspect.similarity:.2f})"
            )


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print one finding per line, with its remedy."""
    if not verdicts:
        Out.print("  [green]ok[/]: nothing to fix")
    for verdict in verdicts:
        Out.print(f"  {MARKS[verdict.level]} {plain(verdict.source)}: {plain(shortened(verdict.text))}")
        if verdict.remedy:
            Out.print(f"           -> {plain(verdict.remedy)}")


def _print_marked(sample: str) -> None:
    """Print text with ⟦...⟧ around tokens with loss: in colour on a terminal, with the marks elsewhere."""
    text = visible(sample if len(sample) <= EXAMPLE else f"{sample[:EXAMPLE]} ...")
    if Out.is_terminal:
        shown = Text()
        for i, part in enumerate(text.split("⟦")):
            learned, closed, rest = part.partition("⟧") if i else ("", "", part)
            shown.append(learned, LEARNED)
            shown.append(rest if closed or not i else "")
        Out.print(shown)
    else:
        Out.print(text, markup=False)


def print_preview(preview: Preview) -> None:
    """Print a row token by token: position, id, text, and whether it carries loss."""
    Out.print(f"{_place(preview.where)} ({preview.format})")
    for title, tokens in preview.sequences:
        if title:
            Out.print(f"[bold]{title}[/]")
        learned = sum(tokens.learned)
        Out.print(f"[dim]{len(tokens.ids):,} tokens, {learned:,} with loss[/]")
        print_table(_tokens(preview, tokens))


def _tokens(preview: Preview, tokens: Tokens) -> Table:
    table = new_table(figure("position"), figure("id"), "token", "loss")
    for position, (number, learned) in enumerate(zip(tokens.ids, tokens.learned, strict=True)):
        text = Text(repr(visible(preview.tokenizer.decode([number])))[1:-1], style=LEARNED if learned else "")
        table.add_row(str(position), str(number), text, "yes" if learned else "")
    return table


def print_cache(items: Sequence[Kept]) -> None:
    """Print the prepared data: kind, sources, bytes, age in days."""
    if not items:
        Out.print("the workspace holds no prepared data")
        return
    table = new_table("key", "what", "sources", figure("size"), figure("age"))
    for item in items:
        manifest = item.entry.manifest
        sources = ", ".join(map(str, manifest.get("sources", ())))
        table.add_row(
            item.entry.key[:12], plain(manifest.get("what", "")), plain(sources), readable_bytes(item.size),
            f"{item.age / DAY:.1f} d",
        )  # fmt: skip
    print_table(table)
    Out.print(_total(items))


def print_pruned(items: Sequence[Kept]) -> None:
    """Print the entries that `data cache --prune` removed."""
    Out.print(f"removed: {_total(items)}")


def _total(items: Sequence[Kept]) -> str:
    count = f"{len(items)} {'entry' if len(items) == 1 else 'entries'}"
    return f"{count}, {readable_bytes(sum(item.size for item in items))}"


def print_topics(topics: Iterable[tuple[str, Mapping[str, str]]]) -> None:
    """Print the topics of generated problems and their kinds, each with the topics of the AP course that cover it."""
    table = new_table("topic", figure("kinds"), "covered by the AP course in its topics")
    for name, kinds in topics:
        shown = [f"{kind} ({covered or 'off the syllabus'})" for kind, covered in kinds.items()]
        table.add_row(name, str(len(kinds)), ", ".join(shown))
    print_table(table)


def print_written(count: int, path: Any, seconds: float) -> None:
    """Print the outcome of `data problems`."""
    Out.print(f"{counted(count, 'row')} written to {plain(short(path))} in {seconds:.1f} s")


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= PASSAGE else f"{flat[:PASSAGE]} ..."


def _place(where: str) -> str:
    """Return where a row is, with a short path."""
    return plain(shortened(where))
