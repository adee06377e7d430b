"""Study-design problems against what their recorded features and numbers imply."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import pytest

from statllama.problems import kinds, make_problem

from .checks import Oracle, Params, agree, check_topic
from .printed.study_design import READ

_BIASES = {
    "undercoverage": "Undercoverage",
    "nonresponse": "Nonresponse",
    "voluntary": "Voluntary",
    "wording": "Response",
}


def _asked(answers: dict[str, str]) -> Oracle:
    """The beginning of the answer, by what is asked."""
    return lambda p: answers[p["asked"]]


def _scope(p: Params) -> str:
    cause = "A causal conclusion" if p["asked"] in ("both", "assigned") else "An association"
    return cause + (" that extends" if p["asked"] in ("both", "sampled") else " that applies only")


def _blind(p: Params) -> str:
    return {
        "neither": "Neither",
        "subjects": "The subjects, but",
        "evaluators": "The evaluator,",
        "both": "The subjects as",
    }[p["asked"]]


def _direction(p: Params) -> str:
    source, way = p["asked"].split()
    return f"{'Undercoverage' if source == 'frame' else 'Nonresponse'}, and the estimate is probably too {way}"


def _selected(p: Params) -> float:
    rule, counted = p["asked"].split()
    step = p["n"] if rule == "step" else p["population"] // p["n"]
    numbers = [x for x in range(1, p["population"] + 1) if x >= p["start"] and (x - p["start"]) % step == 0]
    return float(numbers[p["j"] - 1 if counted == "counted" else p["j"]])


def _allocated(p: Params) -> float:
    place = ("first", "second", "third").index(p["asked"].split()[-1])
    shares = [Fraction(size, sum(p["sizes"])) * p["n"] for size in p["sizes"]]
    inside = p["asked"].startswith("inside")
    return float(shares[place] if inside else sum(s for i, s in enumerate(shares) if i != place))


def _read_digits(p: Params) -> float:
    line = p["lines"][int(p["asked"][-1]) - 1]
    labels = [pair for pair in line if pair in range(1, p["total"] + 1)]
    return float((labels if p["asked"].startswith("with ") else list(dict.fromkeys(labels)))[p["j"] - 1])


def _both_selected(p: Params) -> float:
    """By counting the pairs of selected individuals, where that can be done."""
    total, n = p["groups"] * p["size"], p["groups"] * p["m"]

    def of_pairs(taken: int, among: int) -> float:
        return len(list(itertools.combinations(range(taken), 2))) / len(list(itertools.combinations(range(among), 2)))

    return {
        "simple": of_pairs(n, total),
        "same": of_pairs(p["m"], p["size"]),
        "different": p["m"] ** 2 / len(list(itertools.product(range(p["size"]), repeat=2))),
        "cluster": p["few"] / p["groups"],
    }[p["asked"]]


def _factorial(p: Params) -> float:
    units = list(itertools.product(range(p["a"]), range(p["b"]), range(p["k"])))
    return float(
        {
            "treatments": len({unit[:2] for unit in units}),
            "units": len(units),
            "first": sum(unit[0] == 1 for unit in units),
            "second": sum(unit[1] == 1 for unit in units),
        }[p["asked"]]
    )


def _assigned(p: Params) -> re.Pattern[str]:
    groups, size = p["asked"].split()
    labeled = dict(enumerate(p["numbers"], start=1))
    blocks = [range(1, 5), range(5, 9)] if groups == "block" else [range(1, 9)]
    chosen: list[int] = []
    for block in blocks:
        middle = sorted(labeled[label] for label in block)[len(block) // 2]
        chosen += [label for label in block if (labeled[label] < middle) == (size == "smallest")]
    return re.compile(r"Labels {}, {}, {} and {}$".format(*sorted(chosen)))


ORACLES: dict[str, Oracle] = {
    "sampling_method": _asked(
        {
            "simple random": "A simple random",
            "stratified": "A stratified",
            "cluster": "A cluster",
            "systematic": "A systematic",
        }
    ),
    "sampling_advantage": _asked(
        {"simple random": "Every group", "stratified": "Each", "cluster": "Only a few", "systematic": "The selections"}
    ),
    "source_of_bias": _asked(_BIASES),
    "bias_remedy": _asked(
        {
            "undercoverage": "Select the people from a list",
            "nonresponse": "Contact",
            "voluntary": "Select the people at random",
            "wording": "Reword",
        }
    ),
    "bias_direction": _direction,
    "systematic_selection": _selected,
    "stratified_allocation": _allocated,
    "random_digits": _read_digits,
    "joint_selection": _both_selected,
    "experimental_design": _asked(
        {
            "completely randomized": "A completely",
            "blocked": "A randomized block",
            "matched pairs": "A matched",
            "observational": "An observational",
        }
    ),
    "blocking_variable": lambda p: re.compile(
        {
            "blocked": "Draw lots for .* within each",
            "completely randomized": "Draw lots for .* once over all",
            "confounded": "Give ",
            "matched pairs": "Form pairs",
        }[p["asked"]]
    ),
    "design_principles": _asked(
        {
            "randomization": "Chance decides",
            "replication": "As many",
            "blocking": "Treatments are",
            "control": "Some of",
        }
    ),
    "blinding": _blind,
    "experiment_vocabulary": lambda p: re.compile(
        {
            "units": r"The [\w -]+ in the experiment$",
            "factor": r"The (amount|oven temp|length|type|volume|share|kind|cellar temp)",
            "treatments": r"(?!The )",
            "response": r"The (weight|height|gain|depth|number|breaking|yield|taste|growth)(?!.* in the experiment$)",
        }[p["asked"]]
    ),
    "factorial_units": _factorial,
    "random_assignment": _assigned,
    "scope_of_inference": _scope,
    "confounding": lambda p: re.compile(
        {
            "confounding": r".* may also .*, which itself ",
            "reverse": r".* may for this reason be the ones to ",
            "chance": rf"With only {p['n']} ",
            "sample": rf"The {p['n']} .* were volunteers",
        }[p["asked"]]
    ),
    "procedure_of_sample": _asked(
        {
            "mean": "A one-sample t",
            "proportion": "A one-sample z",
            "counts": "A chi-square test for indep",
            "slope": "A t test for a regression",
        }
    ),
    "procedure_of_experiment": _asked(
        {
            "means": "A two-sample t",
            "pairs": "A paired t",
            "proportions": "A two-sample z",
            "counts": "A chi-square test for homog",
        }
    ),
}


def test_answers() -> None:
    check_topic("study_design", ORACLES)


@pytest.mark.parametrize("kind", kinds("study_design"))
def test_printed_questions_are_enough(kind: str) -> None:
    """The question as it is printed has one answer, found without the generator."""
    for seed in range(60):
        problem = make_problem("study_design", kind, seed, "test")
        agree(problem, READ[kind](problem.question))
