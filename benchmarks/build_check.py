"""How many planted faults the checks of `data build` find, check by check, and how many sound rows they leave out.

Sound rows are generated problems with their worked solutions, each with a section that holds worked examples and a
quotation from it. The faults are planted in other problems than those. `--gsm8k FILE` plants changed results in
people's solutions too (JSON lines with `question` and `answer`, GSM8K's train split); its few own mistakes count as
sound rows lost. All checks that need no model see all rows (`all: true`): no check is spared by a cheaper one.

    python benchmarks/build_check.py [--rows 1000] [--gsm8k FILE.jsonl] [--save]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from common import report

from statllama.data.build.blocks import left_out_of, records_of
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.check import Spec, steps
from statllama.data.build.review import wilson
from statllama.problems import Problem, generate
from statllama.store import Entry, Store

REPO = Path(__file__).resolve().parent.parent
CHECKS: dict[str, Any] = {
    "form": {}, "grounded": {}, "numeric": {}, "clean": {"benchmarks": ["ap_statistics"]}, "different": {}, "all": True,
}  # fmt: skip
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "As an AI language model, I cannot compute this value.",
    "The passage does not provide enough information to answer this question.",
    "I don't have access to the data that would be needed here.",
    "Unfortunately, I am unable to answer without the full table.",
    "I cannot determine the answer from what is given.",
    "The given text does not mention the standard deviation.",
    "I'm just an AI, so please consult a statistician.",
)
META = (
    "According to the passage, {}",
    "Based on the text above: {}",
    "{} Use what the authors report.",
    "As described in the section, {}",
    "{} Answer as stated in the given excerpt.",
)
Row = dict[str, Any]
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w%]|[.,]\d)")
_RESULT = re.compile(r"(?<=[=≈] )-?(\d[\d,]*(?:\.\d+)?)(?![\w%]|[.,]\d)(?=\s*(?:[.,;]|$|\n| [a-z]))", re.MULTILINE)


def section(problem: Problem, others: Sequence[Problem]) -> str:
    """A section of a text book: the problem's idea, and worked examples of other problems around its own."""
    examples = [f"{other.idea} For example: {other.question} {other.solution}" for other in others]
    own = f"{problem.idea} {problem.question} {problem.solution}"
    return "\n\n".join([*examples[:1], own, *examples[1:]])


def row(name: str, question: str, answer: str, context: str, quote: str) -> Row:
    """A written row."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": name, "part": "qa", "format": "messages", "row": {"messages": messages}, "context": context,
            "provenance": {"document": "generated", "quote": quote}}  # fmt: skip


def sentence(text: str, draw: random.Random) -> str:
    """A sentence of at least eight words."""
    found = [s for s in re.split(r"(?<=[.?!])\s+", text) if len(s.split()) >= 8]
    return draw.choice(found) if found else text


def sound(name: str, problem: Problem, others: Sequence[Problem], draw: random.Random) -> Row:
    """A row without fault."""
    context = section(problem, others)
    return row(name, problem.question, problem.solution, context, sentence(context, draw))


def other_digits(number: str, draw: random.Random) -> str:
    """The number with its first two digits exchanged, or with another first digit: a slip that matters."""
    places = [i for i, c in enumerate(number) if c.isdigit()]
    significant = [i for i in places if number[: i + 1].strip("0.,")]
    if len(significant) > 1 and number[significant[0]] != number[significant[1]] and number[significant[1]] != "0":
        a, b = significant[:2]
        swapped = list(number)
        swapped[a], swapped[b] = swapped[b], swapped[a]
        return "".join(swapped)
    at = significant[0] if significant else places[-1]
    digit = draw.choice([d for d in "123456789" if d != number[at]])
    return number[:at] + digit + number[at + 1 :]


def with_answer(base: Row, answer: str) -> Row | None:
    """The row with another answer; None where it is the same."""
    messages = base["row"]["messages"]
    if answer == messages[1]["content"]:
        return None
    return {**base, "row": {"messages": [messages[0], {**messages[1], "content": answer}]}}


def changed_result(base: Row, draw: random.Random) -> Row | None:
    """One result of the work is another number, wherever it stands from there on, in the final answer too."""
    text = base["row"]["messages"][1]["content"]
    results = [found for found in _RESULT.finditer(text) if re.search(r"\d\s*[-+*/^]\s*[\d(]|sqrt", _side(text, found))]
    if not results:
        return None
    found = draw.choice(results)
    other = other_digits(found[1], draw)
    tail = re.sub(rf"(?<![\d.,]){re.escape(found[1])}(?![\d]|[.,]\d)", other, text[found.start(1) :])
    return with_answer(base, text[: found.start(1)] + tail)


def _side(text: str, found: re.Match[str]) -> str:
    """The text of the line before a result, from the relation before it on."""
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()].rstrip("=≈ ")
    return re.split(r"[=≈]", line)[-1]


def changed_answer(base: Row, draw: random.Random) -> Row | None:
    """The final answer is another number than the work arrives at."""
    work, mark, final = base["row"]["messages"][1]["content"].rpartition("Answer: ")
    numbers = list(_NUMBER.finditer(final))
    if not mark or len(numbers) != 1 or not _NUMBER.search(work):
        return None
    at = numbers[0]
    return with_answer(base, f"{work}{mark}{final[: at.start()]}{other_digits(at[0], draw)}{final[at.end() :]}")


def with_quote(base: Row, quote: str) -> Row | None:
    """The row with another quotation."""
    return (
        None if quote == base["provenance"]["quote"] else {**base, "provenance": {**base["provenance"], "quote": quote}}
    )


def quote_number(base: Row, draw: random.Random) -> Row | None:
    """The quotation has another number than its context."""
    quote = base["provenance"]["quote"]
    numbers = list(_NUMBER.finditer(quote))
    if not numbers:
        return None
    at = draw.choice(numbers)
    return with_quote(base, quote[: at.start()] + other_digits(at[0], draw) + quote[at.end() :])


def quote_reworded(base: Row, draw: random.Random) -> Row | None:
    """A quarter of the quotation's words are others."""
    words = base["provenance"]["quote"].split()
    for at in draw.sample(range(len(words)), max(2, len(words) // 4)):
        words[at] = draw.choice(["observed", "roughly", "value", "because", "other", "method", "always", "result"])
    return with_quote(base, " ".join(words))


def cut_off(base: Row, draw: random.Random) -> Row | None:
    """The answer ends in the middle of a line of its work."""
    text = base["row"]["messages"][1]["content"]
    lines = text.splitlines()
    at = draw.randrange(len(lines) - 1)
    words = lines[at].split()
    if len(words) < 8:
        return None
    return with_answer(base, "\n".join([*lines[:at], " ".join(words[: len(words) // 2])]))


def planted(
    good: Sequence[Row], spare: Callable[[], Row], benchmark: Sequence[Row], n: int, draw: random.Random
) -> Iterator[tuple[str, str, Row]]:
    """Yield (fault, the check that is for it, row): up to n of each."""
    kinds: list[tuple[str, str, Callable[[Row], Row | None]]] = [
        ("the result of written arithmetic is changed", "numeric", lambda base: changed_result(base, draw)),
        ("the final answer alone is changed", "numeric", lambda base: changed_answer(base, draw)),
        ("the solution of another question", "numeric", lambda base: with_answer(base, base["rejected"])),
        ("quotation from elsewhere", "grounded", lambda base: with_quote(base, spare()["provenance"]["quote"])),
        ("quotation with another number", "grounded", lambda base: quote_number(base, draw)),
        ("quotation with a quarter reworded", "grounded", lambda base: quote_reworded(base, draw)),
        ("a refusal", "form", lambda base: with_answer(base, draw.choice(REFUSALS))),
        ("the answer is cut off", "form", lambda base: cut_off(base, draw)),
        ("the question speaks of a passage", "form", lambda base: _asked(base, draw.choice(META))),
    ]
    for fault, check, make in kinds:
        made = (found for found in (make(spare()) for _ in range(20 * n)) if found is not None)
        yield from ((fault, check, found) for found in islice(made, n))
    for base in islice(good, n):
        yield "the same question, another answer", "different", {**base, "row": _answered(base, "It is 1.\nAnswer: 1")}
        yield "a near copy of another row", "different", _asked(base, "{} Show your work.") or base
    for item in islice(benchmark, n):
        yield "a question of the benchmark", "clean", _asking(spare(), item["question"])
        other = _NUMBER.sub(lambda found: other_digits(found[0], draw), item["question"])
        yield "a question of the benchmark with other numbers", "clean", _asking(spare(), other)


def _answered(base: Row, answer: str) -> Row:
    return {"messages": [base["row"]["messages"][0], {"role": "assistant", "content": answer}]}


def _asking(base: Row, question: str) -> Row:
    return {**base, "row": {"messages": [{"role": "user", "content": question}, base["row"]["messages"][1]]}}


def _asked(base: Row, form: str) -> Row | None:
    return _asking(base, form.format(base["row"]["messages"][0]["content"]))


def findings(rows: Sequence[Row], checks: dict[str, Any], folder: Path) -> dict[str, Any]:
    """{id: its findings}, by the real steps."""
    store, before, source, entries = Store(folder), ["rows"], None, list[Entry]()
    for step in steps(Spec.model_validate(checks), {}, REPO):

        def inputs(of: Entry | None = source) -> Iterator[Row]:
            return iter(rows) if of is None else records_of(of)

        with Here() as here:
            source = run_step(step, key_of(step, before), inputs, store, here, Watcher())
        entries.append(source)
        before = [source.key]
    last = entries[-1]
    ended = [*records_of(last), *(each["record"] for each in left_out_of(last))]
    return {record["id"]: record["provenance"]["checks"] for record in ended}


def _failing(checks: dict[str, Any]) -> list[str]:
    return [check for check, finding in checks.items() if finding["passed"] is False]


def counted(found: dict[str, Any], faults: dict[str, tuple[str, str]], lost: Sequence[str]) -> dict[str, Any]:
    """Figures of each fault, and of the sound rows."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, (fault, _) in faults.items():
        groups[fault].append(name)
    checks = dict(faults.values())
    failing = {name: _failing(each) for name, each in found.items()}
    result: dict[str, Any] = {"faults": {}, "sound": {}}
    for fault, names in groups.items():
        by = Counter(check for name in names for check in failing[name])
        own, any_ = by[checks[fault]], sum(bool(failing[name]) for name in names)
        low, high = wilson(any_ / len(names), len(names))
        result["faults"][fault] = {"check": checks[fault], "rows": len(names), "by_its_check": own, "by_any": any_,
                                   "interval": [round(low, 4), round(high, 4)], "by": dict(by)}  # fmt: skip
    of_check = Counter(check for name in lost for check in failing[name])
    any_ = sum(bool(failing[name]) for name in lost)
    low, high = wilson(any_ / len(lost), len(lost))
    reasons = Counter(found[name][check]["reason"] for name in lost for check in failing[name])
    result["sound"] = {"rows": len(lost), "lost": any_, "interval": [round(low, 4), round(high, 4)], "by": dict(of_check),
                       "reasons": dict(reasons)}  # fmt: skip
    return result


def show(title: str, figures: dict[str, Any]) -> None:
    """Print a table."""
    print(f"\n{title}")
    print(f"{'planted':48}{'rows':>6}  {'its check':>10}{'found':>7}{'any check':>11}   95 %")
    for fault, each in figures["faults"].items():
        own, any_ = each["by_its_check"] / each["rows"], each["by_any"] / each["rows"]
        low, high = each["interval"]
        print(f"{fault:48}{each['rows']:>6}  {each['check']:>10}{own:>7.1%}{any_:>11.1%}   {low:.1%} to {high:.1%}")
    sound_ = figures["sound"]
    low, high = sound_["interval"]
    print(
        f"sound rows lost: {sound_['lost']} of {sound_['rows']} (95 %: {low:.2%} to {high:.2%}); by {sound_['by'] or 'none'}"
    )
    for reason, count in sound_["reasons"].items():
        print(f"  {count} {reason}")


def generated(n: int, folder: Path) -> dict[str, Any]:
    """Figures on generated problems."""
    draw = random.Random(0)
    problems = list(generate(7 * n, seed=19))
    rows = {}

    def of(i: int) -> Row:
        others = [problems[(i + k) % len(problems)] for k in (101, 211)]
        return sound(f"row{i}", problems[i], others, draw) | {"rejected": problems[i].rejected}

    good = [of(i) for i in range(n)]
    order = iter(draw.sample(range(n, len(problems)), len(problems) - n) * 30)
    lines = (REPO / "eval" / "ap_statistics" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    benchmark = [json.loads(line) for line in draw.sample(lines, min(len(lines), n))]
    faults = {}
    for k, (fault, check, base) in enumerate(planted(good, lambda: of(next(order)), benchmark, n // 5, draw)):
        rows[f"bad{k}"] = {**base, "id": f"bad{k}"}
        faults[f"bad{k}"] = (fault, check)
    began = time.perf_counter()
    found = findings([*good, *rows.values()], CHECKS, folder)
    seconds = time.perf_counter() - began
    figures = counted(found, faults, [each["id"] for each in good])
    unexplained = sum(bool(found[each["id"]]["grounded"].get("unexplained")) for each in good)
    uncheckable = sum(found[each["id"]]["numeric"]["passed"] is None for each in good)
    more = {"milliseconds_a_row": 1000 * seconds / len(found), "sound_with_unexplained_numbers": unexplained,
            "sound_not_checkable_by_numeric": uncheckable}  # fmt: skip
    return figures | more


def written(file: Path, n: int, folder: Path) -> dict[str, Any]:
    """Figures on people's solutions."""
    draw = random.Random(0)
    items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()][: 2 * n]
    every = [
        row(f"g{i}", item["question"], re.sub(r"<<[^<>]*>>", "", item["answer"]).replace("#### ", "Answer: "), "", "")
        for i, item in enumerate(items)
    ]
    good, base = every[: len(every) // 2], every[len(every) // 2 :]
    faults, bad = {}, []
    kinds = (("the result of written arithmetic is changed", _result_alone), ("the final answer alone is changed", changed_answer))
    for fault, change in kinds:
        for each in filter(None, (change(item, draw) for item in base)):
            name = f"bad{len(bad)}"
            bad.append({**each, "id": name})
            faults[name] = (fault, "numeric")
    return counted(findings([*good, *bad], {"numeric": {}, "all": True}, folder), faults, [each["id"] for each in good])


def _result_alone(base: Row, draw: random.Random) -> Row | None:
    """One number after an `=` is another."""
    text = base["row"]["messages"][1]["content"]
    results = list(re.finditer(r"(?<==)(\s*\$?)(\d[\d,]*(?:\.\d+)?)(?![\w%]|[.,]\d)", text))
    if not results:
        return None
    at = draw.choice(results)
    return with_answer(base, text[: at.start(2)] + other_digits(at[2], draw) + text[at.end(2) :])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, help="sound rows; a fifth as many of each fault")
    parser.add_argument("--gsm8k", type=Path, help="people's solutions, JSON lines")
    parser.add_argument("--save", action="store_true", help="write results/build_check.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {"generated": generated(args.rows, Path(folder) / "generated")}
        show("generated problems", figures["generated"])
        if args.gsm8k:
            figures["gsm8k"] = written(args.gsm8k, args.rows, Path(folder) / "gsm8k")
            show("people's solutions (GSM8K)", figures["gsm8k"])
    report("build_check", figures, args.save)


if __name__ == "__main__":
    main()
