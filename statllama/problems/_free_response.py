"""Free response: siblings as the parts (a), (b), (c) of one question, an examiner's answer, and a rubric of points.

Each point of the rubric says what earns it and how a reply is checked for it; `statllama/evaluation/rubric.py` does the
checking. The rubric is of what the examiner's answer shows: whatever is asked of a part is in its text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._formulas import plain as without_marks
from ._phrases import decides
from ._problem import Problem
from ._rows import MATHS, Row, message
from ._siblings import Claim, Sibling

DIRECTIONS = {
    "train": (
        "Show all your work and indicate your methods. Begin each part with its label, and end it with a line "
        "`Answer: ...`.",
        "Answer the parts one by one, under their labels, with your work. The last line of a part is `Answer: ...`.",
        "Write the label of each part, your method and your work, and then the result as `Answer: ...` on a new line.",
        "Explain your methods and show the work for every part. Put its label first and a line `Answer: ...` last.",
    ),
    "test": (
        "Give each part under its own label, (a), (b) and so on. Show your working, name your methods, and close every "
        "part with one line of the form `Answer: ...`.",
    ),
}
"""What is asked of the form of a reply, by split; the benchmark asks it in the words of the test split."""

_ALPHAS = ("0.01", "0.05", "0.10")
_DEMANDS = {
    "train": {
        "hypotheses": "state the hypotheses",
        "both sides": "state the hypotheses of a two-sided test",
        "conditions": "check the conditions",
        "interval": "interpret the interval in context",
        "decision": "state your conclusion at alpha = {alpha}",
    },
    "test": {
        "hypotheses": "write down H0 and Ha",
        "both sides": "write down H0 and Ha of a two-sided test",
        "conditions": "verify what the method requires",
        "interval": "say what the limits mean in context",
        "decision": "give a conclusion in context at the {alpha} level",
    },
}
_OPENING = {"train": "Also", "test": "In addition,"}
_OPEN = (  # what asks for a choice among options, and how the same is asked without them
    (r"Choose the correct statement\.", "What can be said of it?"),
    (r"Choose the correct (?:interpretation|reading) of ([^,]+)\.$", r"Interpret \1 in context."),
    (r"Choose the correct (?:interpretation|reading) of", "Interpret"),
    (r"Choose the correct description of|Choose the description of (?=an? )", "Describe in context "),
    (r"Choose the description of", "Describe"),
    (r"Choose (the|a) ", r"Give \1 "),
    (r"Which statement interprets ([^,]+)\?$", r"Interpret \1 in context."),
    (r"Which statement describes (.+?)\?", r"Describe \1."),
    (r"Which statement says what (.+?) is\?", r"Explain what \1 is."),
    (r"Which statement explains (.+?)\?", r"Explain \1."),
    (r"Which statement names (.+?)\?", r"Name \1."),
    (r"Which statement (?:gives|is) (H0|Ha|an?|the)\b(.*?)\?", r"State \1\2."),
    (r"Which statement says (.+?)\?", r"State \1, in context."),
    (r"Which statement (about .+?),? is correct( if .+?)?\?", r"What can be said \1\2?"),
    (r"Which statement is correct\?", "What can be said of it?"),
    (r"Which sentence says what (.+?) means(?: in context)?\?", r"Interpret \1 in context."),
    (r"Which answer is correct\?", "What is the answer?"),
    (r"Which describes (.+?)\?", r"Describe \1."),
    (r"Which description fits (.+?)\?", r"Describe what \1 shows."),
    (r"Which is one trial, if", "What is one trial, if"),
    (r"Which of these are assigned", "What is assigned"),
    (r"Which of these is (an? .+?)\?", r"What is \1 in this situation?"),
    (r"Which of these has (.+?)\?", r"Describe in context what has \1."),
    (r"Which of these (is|are) ", r"What \1 "),
)
_RANDOM = "random"
_FIT = "normal|skew|outlier|symmetric|at least|independen|large counts|expected|10%|central limit"
_BOUNDARY = re.compile(r"[.?!][\"”)]?\s+|\n\n")
_RESULT = re.compile(r"= (-?\d[\d,]*)(?![\d%.])|(?<![\d.])(-?\d[\d,]*\.\d+)(?!%)")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_LEVEL = re.compile(r"(\d+)% confiden(?:t|ce)")
_CAPTURES = "between|captures|contains|covers|lies|from"
WORK_TOLERANCE = 0.01  # of an intermediate result, as a share of it
_LEAST_P = 0.0001  # of a p-value that is written with four decimals
_LARGE = 10  # a whole number below it is too likely to stand somewhere by chance


@dataclass(frozen=True)
class _Part:
    """One part: its label, its sibling and solution, the lines above `Answer:`, what else it demands."""

    label: str
    sibling: Sibling
    solution: tuple[str, ...]
    ask: str
    lines: tuple[str, ...]
    demands: tuple[str, ...]
    alpha: str
    others: tuple[str, ...]


def to_free_response(problem: Problem, math: str = "plain") -> Row:
    """Return a question in parts for SFT ("messages") and for scoring ("question", "rubric", "answer").

    The rubric is a list of points, {part, earns, check, wants, others, value, tolerance}: see `evaluation/rubric.py`.
    "answer" is the examiner's, which earns them all. Off-syllabus siblings are left out where two others are left.
    """
    draw = random.Random(f"frq/{problem.family}")
    stem, asks = _split([sibling.question for sibling in problem.siblings])
    on = [i for i in range(4) if problem.covered[i]]
    pool = on if len(on) >= 2 else list(range(4))
    demands = {i: _demands(problem.siblings[i], problem.solutions[i], asks[i]) for i in pool}
    count = 2 if any(len(found) > 1 for found in demands.values()) else 3
    places = sorted(draw.sample(pool, min(count, len(pool))))
    alpha = _alpha([problem.siblings[i] for i in places], draw)
    parts = [
        _part("abc"[n], problem, i, asks[i], demands[i], alpha, draw.randrange(len(_DECISIONS)))
        for n, i in enumerate(places)
    ]
    asked = "\n".join(f"({part.label}) {_with_demands(part, problem.split)}" for part in parts)
    question = f"{stem.rstrip()}\n\n{asked}".lstrip()
    answer = MATHS[math]("\n\n".join(_answered(part) for part in parts))
    directions = draw.choice(DIRECTIONS[problem.split])
    return {
        "messages": [message("user", f"{question}\n\n{directions}"), message("assistant", answer)],
        "question": question,
        "rubric": [point for part in parts for point in _points(part, question)],
        "answer": answer,
        "topic": problem.topic,
        "kind": problem.kind,
        "difficulty": problem.difficulty,
        "held_out": problem.held_out,
        "ap": ", ".join(dict.fromkeys(problem.covered[i] for i in places)),
    }


def _split(questions: Sequence[str]) -> tuple[str, list[str]]:
    """Return what four questions begin with, in whole sentences, and what each goes on to ask, without options."""
    columns = enumerate(zip(*questions, strict=False))
    alike = next((at for at, letters in columns if len(set(letters)) > 1), min(map(len, questions)))
    ends = [found.end() for found in _BOUNDARY.finditer(questions[0], 0, alike)]
    cut = ends[-1] if ends else 0
    return questions[0][:cut], [_opened(question[cut:]) for question in questions]


def _opened(ask: str) -> str:
    for choice, open_question in _OPEN:
        ask = re.sub(choice, open_question, ask)
    return ask.replace("  ", " ")


def _p_value(sibling: Sibling) -> float | None:
    """Return the p-value that a part leads to, or None where nothing is tested."""
    claim = sibling.claim
    if claim is None:
        return None
    return sibling.answer.numbers[0] if claim.p is None else claim.p


def _alpha(siblings: Sequence[Sibling], draw: random.Random) -> str:
    """Return a level that leaves no doubt about any p-value, or "" where nothing is tested or no level does.

    A p-value that is not itself asked for, and so may be read from a table or with other degrees of freedom, is less
    than half of the level or more than twice as much.
    """

    def clear(sibling: Sibling, alpha: float) -> bool:
        p = _p_value(sibling)
        if p is None or sibling.claim is None:
            return True
        if sibling.claim.p is None:
            return abs(p - alpha) > 2 * sibling.answer.tolerance + 0.001
        return p < alpha / 2 or p > 2 * alpha

    fit = [alpha for alpha in _ALPHAS if all(clear(sibling, float(alpha)) for sibling in siblings)]
    return draw.choice(fit) if fit and any(sibling.claim for sibling in siblings) else ""


def _demands(sibling: Sibling, solution: Sequence[str], ask: str) -> tuple[str, ...]:
    """Return what a part asks for besides the answer and the work: what its solution shows."""
    claim, text = sibling.claim, "\n".join(solution)
    stated = bool(claim and claim.null and f"Ha: {claim.alternative}" not in ask)
    found = {
        "hypotheses": stated and bool(claim and claim.p is None),
        "both sides": stated and bool(claim and claim.p is not None),
        "conditions": any(_RANDOM in step and re.search(_FIT, step) for step in solution)
        and bool(claim or _LEVEL.search(text)),
        "interval": len(sibling.answer.numbers) == 2 and bool(_LEVEL.search(text)),
        "decision": bool(claim),
    }
    return tuple(name for name, shown in found.items() if shown)


def _part(
    label: str, problem: Problem, place: int, ask: str, demands: tuple[str, ...], alpha: str, wording: int
) -> _Part:
    sibling, solution = problem.siblings[place], problem.solutions[place]
    lines = [step for step in solution if without_marks(step) != sibling.answer.text]
    claim, p = sibling.claim, _p_value(sibling)
    if not alpha:
        demands = tuple(name for name in demands if name not in ("both sides", "decision"))
        claim = claim if claim and claim.p is None else None
    if claim and claim.null:
        lines = _with_hypotheses(lines, claim)
    if claim and p is not None and alpha:
        lines = [line for line in lines if not decides(line)]  # at a level of its own
        if claim.p is not None:
            lines.append(f"The two-sided p-value is {f'{p:.4f}' if p >= _LEAST_P else f'below {_LEAST_P}'}.")
        lines.append(_decision(claim, p, alpha, wording))
    others = tuple(s.answer.text for i, s in enumerate(problem.siblings) if i != place)
    work = tuple(step for step in solution if not decides(step))
    return _Part(label, sibling, work, ask, tuple(lines), demands, alpha, others)


def _with_hypotheses(lines: Sequence[str], claim: Claim) -> list[str]:
    """Return the lines of a solution with both hypotheses, the alternative beside the null where that stands alone."""
    null, alternative = f"H0: {claim.null}", f"Ha: {claim.alternative}"
    if any(alternative in line for line in lines):
        return list(lines)
    at = next((at for at, line in enumerate(lines) if f"`{null}`" in line), None)
    if at is None:
        return [f"The hypotheses are `{null}` and `{alternative}`.", *lines]
    return [*lines[:at], f"{lines[at]} The alternative hypothesis is `{alternative}`.", *lines[at + 1 :]]


_DECISIONS = (
    ("Since {p} < {alpha}, we reject H0: there is convincing evidence that {words}.",
     "Since {p} > {alpha}, we fail to reject H0: there is not convincing evidence that {words}."),
    ("The p-value {p} is less than alpha = {alpha}, so H0 is rejected. There is convincing evidence that {words}.",
     "The p-value {p} is greater than alpha = {alpha}, so H0 is not rejected. There is not convincing evidence that "
     "{words}."),
)  # fmt: skip


def _decision(claim: Claim, p: float, alpha: str, wording: int) -> str:
    rejected = _rejects(p, alpha)
    if p < _LEAST_P:
        begin = f"The p-value is less than alpha = {alpha}, so H0 is rejected."
        return f"{begin} There is convincing evidence that {claim.words}."
    return _DECISIONS[wording][not rejected].format(p=f"{p:.4f}", alpha=alpha, words=claim.words)


def _rejects(p: float, alpha: str) -> bool:
    return p < float(alpha)


def _with_demands(part: _Part, split: str) -> str:
    """Return the question of a part with what else it demands."""
    asked = [_DEMANDS[split][name].format(alpha=part.alpha) for name in part.demands]
    if not asked:
        return part.ask
    listed = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])} and {asked[-1]}"
    return f"{part.ask} {_OPENING[split]} {listed}."


def _answered(part: _Part) -> str:
    lines = [*part.lines, f"Answer: {part.sibling.answer.text}"]
    return f"({part.label}) " + "\n".join(lines)


def _points(part: _Part, question: str) -> list[Row]:
    """Return the points of a part, in the order in which a reply earns them."""
    answer, claim = part.sibling.answer, part.sibling.claim
    points = []

    def add(check: str, earns: str, wants: Sequence[str], **more: Any) -> None:
        rest = {"others": [], "value": None, "tolerance": 0.0} | more
        points.append({"part": part.label, "earns": earns, "check": check, "wants": list(wants)} | rest)

    if {"hypotheses", "both sides"} & set(part.demands) and claim:
        add("hypotheses", f"states H0: {claim.null} and Ha: {claim.alternative}", [claim.null, claim.alternative])
    if "conditions" in part.demands:
        add("words", "names random selection or assignment, and what else the method needs", [_RANDOM, _FIT])
    if results := _results(part, question):
        add("work", f"shows an intermediate result, such as {results[0]}", results, tolerance=WORK_TOLERANCE)
    if answer.numbers:
        value = answer.numbers[0] if len(answer.numbers) == 1 else None
        add("answer", f"gives {answer.text}", [answer.text], value=value, tolerance=answer.tolerance)
    else:
        add("closest", f"says: {answer.text}", [answer.text], others=list(part.others))
    if "interval" in part.demands and (level := _LEVEL.search("\n".join(part.lines))):
        add(
            "words",
            f"interprets the interval with {level[1]}% confidence",
            ["confident|confidence", f"{level[1]}%", _CAPTURES],
        )
    if "decision" in part.demands and claim and (p := _p_value(part.sibling)) is not None:
        rejects = _rejects(p, part.alpha)
        what = "rejects H0" if rejects else "does not reject H0"
        add("decision", f"{what} at alpha = {part.alpha}", ["reject" if rejects else "fail", part.alpha])
        there = "there is" if rejects else "there is not"
        add("conclusion", f"concludes that {there} convincing evidence that {claim.words}",
            ["yes" if rejects else "no", claim.words])  # fmt: skip
    return points


def _results(part: _Part, question: str) -> list[str]:
    """Return the intermediate results of a solution that neither the question nor the answer gives away."""
    given = [_float(number) for number in _NUMBER.findall(f"{question} {part.alpha} {part.sibling.answer.text}")]
    found: list[str] = []
    for whole, decimal in _RESULT.findall(" ".join(part.solution).replace("`", "")):
        number = whole or decimal
        value = _float(number)
        near = any(abs(abs(value) - abs(other)) <= 2 * WORK_TOLERANCE * abs(other) for other in given)
        telling = bool(decimal) or abs(value) > _LARGE
        if telling and value != 0 and not near and number not in found:
            found.append(number)
    return found


def _float(number: str) -> float:
    return float(number.replace(",", "")) if number.strip("-,") else 0.0
