"""Study-design answers from the printed test question alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb

Expected = float | str | re.Pattern[str]
Read = Callable[[str], Expected]


def by_phrase(rules: Mapping[str, str]) -> Read:
    """The answer (the beginning of it) whose phrases occur in the question; exactly one must."""

    def read(question: str) -> Expected:
        hits = [answer for phrases, answer in rules.items() if re.search(phrases, question)]
        assert len(hits) == 1, (question, hits)
        return re.compile(hits[0])

    return read


def _find(pattern: str, question: str) -> str:
    """The one group of the pattern that took part in its first match."""
    found = re.search(pattern, question)
    assert found is not None, (pattern, question)
    return next(group for group in found.groups() if group is not None)


def _number(pattern: str, question: str) -> int:
    return int(_find(pattern, question))


def _source_of_bias(question: str) -> str:
    if "random" not in question:
        return "Voluntary"
    if "%" in question:
        return "Nonresponse"
    return "Response" if "full register" in question else "Undercoverage"


def _bias_remedy(question: str) -> str:
    if "%" in question:
        return "Contact"
    if 'the question "' in question or 'were asked "' in question:
        return "Reword"
    return (
        "Select the people from" if re.search("sample from|all stem from", question) else "Select the people at random"
    )


def _bias_direction(question: str) -> str:
    too_many = "cycling club|health-food|choir festival|pump dealer|without a bicycle|low prices|no ear|rely on rain"
    too_few = "tram tickets|discount coupons|chess league|marshy|bicycle tours|queue at|on tour|sprinklers"
    high, low = (re.search(phrases, question) is not None for phrases in (too_many, too_few))
    assert high != low, question
    source = "Nonresponse" if "full register" in question else "Undercoverage"
    return f"{source}, and the estimate is probably too {'high' if high else 'low'}"


def _systematic_selection(question: str) -> float:
    total = _number(r"(\d+) [a-z ]+ are numbered in order|entries 1 to (\d+)|goes up to number (\d+)", question)
    start = _number(r"begins at number (\d+)|entry (\d+) is|By chance, number (\d+)", question)
    by_size = re.search(r"If (\d+) \w+ are needed|is to have (\d+)", question)
    step = (
        total // int(by_size[1] or by_size[2]) if by_size else _number(r"one \w+ in (\d+) is|step is (\d+)", question)
    )
    counted = re.search(r"member (\d+) of the sample|comes (\d+)\w\w when the start comes first", question)
    if counted:
        return float(start + (int(counted[1] or counted[2]) - 1) * step)
    return float(start + _number(r"lies (\d+) selections beyond|comes (\d+)\w\w after", question) * step)


def _stratified_allocation(question: str) -> float:
    found = re.search(r"(\d+), (\d+) and (\d+)", question)
    assert found is not None, question
    sizes = [int(size) for size in found.groups()]
    place = ("first", "second", "third").index(_find(r"the (first|second|third) group", question))
    inside = Fraction(sizes[place], sum(sizes))
    share = 1 - inside if re.search("outside|do not come", question) else inside
    return float(share * _number(r"sample of (\d+)|If (\d+) places", question))


def _random_digits(question: str) -> float:
    line = _number(r"[Uu]sing line (\d)|from line (\d)", question)
    digits = _find(rf"[Ll]ine {line}(?: is |: | \()(\d[\d ]+\d)", question).replace(" ", "")
    total, labels = _number(r"01 to (\d+)", question), []
    for pair in re.findall("..", digits):
        repeats = re.search("selected again|with replacement", question)
        if 0 < int(pair) <= total and (repeats or int(pair) not in labels):
            labels.append(int(pair))
    return float(labels[_number(r"the (\d+)\w\w (?:selected|label)", question) - 1])


def _joint_selection(question: str) -> float:
    groups = _number(r"make up (\d+)|evenly over (\d+)|every one of the (\d+)", question)
    size = _number(r"of equal size, (\d+)|, (\d+) in each|holds (\d+)", question)
    taken = _number(r"selects (\d+)|If (\d+)", question)
    if "as a whole" in question:
        return taken / groups
    if re.search("regardless|together", question):
        return comb(taken, 2) / comb(groups * size, 2)
    return (taken / size) ** 2 if "from different groups" in question else comb(taken, 2) / comb(size, 2)


def _blinding(question: str) -> str:
    subjects = " have no " not in question
    judge = not re.search("holds a list|has seen", question)
    if subjects and judge:
        return "The subjects as well"
    if judge:
        return "The evaluator, but"
    return "The subjects, but" if subjects else "Neither"


def _experiment_vocabulary(question: str) -> str:
    levels = _find(r"at random \(([^)]+)\)|groups with ([^.]+)\.|at random: ([^.]+)\.", question)
    if re.search("units of|assigned to conditions", question):
        units = _find(r"each of [0-9]+ ([a-z ]+?) one|[0-9]+ ([a-z ]+) are|Each of [0-9]+ ([a-z ]+) is", question)
        return f"The {units} in the experiment"
    if re.search("imposed|the levels", question):
        return levels[0].upper() + levels[1:]
    if re.search("at the end|the outcome", question):
        return f"The {_find(r'determines the ([a-z ]+)|matter for the ([a-z ]+)|by their ([a-z ]+)', question)}"
    assert re.search("manipulates|design sets", question), question
    factors = {"syrup": "kind of syrup", "breaks": "length of the breaks", "storage": "cellar temperature"}
    return f"The {next((factor for word, factor in factors.items() if word in levels), 'type of mulch')}"


def _factorial_units(question: str) -> float:
    found = re.search(r"Suppose (?P<k>\d+) .* one of (?P<a>\d+) .* one of (?P<b>\d+) ", question)
    found = found or re.search(r": (?P<a>\d+) .* and (?P<b>\d+) .* crossed, with (?P<k>\d+) ", question)
    found = found or re.search(r"of (?P<a>\d+) rows .* and (?P<b>\d+) columns .* for (?P<k>\d+) ", question)
    assert found is not None, question
    a, b, k = (int(found[name]) for name in "abk")
    if re.search("how many groups|different treatments", question):
        return float(a * b)
    if re.search("at hand|whole plan", question):
        return float(a * b * k)
    return a * b * k / _number(r"particular one of the (\d+)|factor with (\d+) levels", question)


def _random_assignment(question: str) -> str:
    numbers = [int(x) for x in re.findall(r"\d+", _find(r"(\d+(?:, \d+){6} and \d+)", question))]
    blocks = [range(8)] if re.search("No blocks|as one group", question) else [range(4), range(4, 8)]
    low = re.search("lower numbers|low numbers", question) is not None
    chosen = [
        i for block in blocks for i in sorted(block, key=lambda i: numbers[i] * (1 if low else -1))[: len(block) // 2]
    ]
    return "Labels {}, {}, {} and {}".format(*sorted(i + 1 for i in chosen))


def _scope(question: str) -> str:
    sampled = re.search("from a large population|from the whole population", question)
    assigned = re.search("had decided which of them|to assign the treatments", question)
    reach = "that extends" if sampled else "that applies only"
    return f"{'A causal conclusion' if assigned else 'An association'} {reach}"


READ: dict[str, Read] = {
    "sampling_method": by_phrase(
        {
            "Slips for all|as a whole": "A simple random",
            "list of each|within the first": "A stratified",
            "Chance picks|there enters": "A cluster",
            "Along|A random number up to": "A systematic",
        }
    ),
    "sampling_advantage": by_phrase(
        {
            "them at once|without regard": "Every group",
            "separate random draws|the next": "Each ",
            "studied completely|in them is taken": "Only a few",
            "random first entry|starting point": "The selections",
        }
    ),
    "source_of_bias": _source_of_bias,
    "bias_remedy": _bias_remedy,
    "bias_direction": _bias_direction,
    "systematic_selection": _systematic_selection,
    "stratified_allocation": _stratified_allocation,
    "random_digits": _random_digits,
    "joint_selection": _joint_selection,
    "experimental_design": by_phrase(
        {
            "Slips for all|no grouping beforehand": "A completely",
            "two hats|from one of two": "A randomized block",
            "neighbors are paired|closely similar": "A matched",
            "opted for|was left to": "An observational",
        }
    ),
    "blocking_variable": by_phrase(
        {
            "as blocks|for each source": "Draw lots .* within each",
            "without any grouping|equally likely": "Draw lots .* once over all",
            "impossible to tell|leaves open": "Give ",
            "be matched|differences between": "Form pairs",
        }
    ),
    "design_principles": by_phrase(
        {
            "unknown influences|nobody thought": "Chance decides",
            "influence of single|through the number": "As many",
            "kept out of|known beforehand": "Treatments are",
            "come about anyway|standard of comparison": "Some of",
        }
    ),
    "blinding": _blinding,
    "experiment_vocabulary": _experiment_vocabulary,
    "factorial_units": _factorial_units,
    "random_assignment": _random_assignment,
    "scope_of_inference": _scope,
    "confounding": by_phrase(
        {
            "third variable|mixed up": ".* may also .* itself",
            "supposed effect|outcome leads": ".* for this reason",
            "significance test|mere luck": "With only",
            "be typical|extended to other": ".* were volunteers",
        }
    ),
    "procedure_of_sample": by_phrase(
        {
            "averages|the average": "A one-sample t",
            "%": "A one-sample z",
            "nothing to do with|the same for every": "A chi-square",
            "line": "A t test",
        }
    ),
    "procedure_of_experiment": by_phrase(
        {
            "groups of .*(?:average|one measurement)": "A two-sample t",
            "matched": "A paired t",
            "a success|exceeds": "A two-sample z",
            "poor, fair|four grades": "A chi-square",
        }
    ),
}
