"""Study-design problems against the features recorded with them."""

from __future__ import annotations

import itertools

from .checks import Params, check_topic


def _scope(p: Params) -> str:
    start = "A causal conclusion" if p["assigned"] else "An association"
    reach = {
        (True, True): " that extends",
        (True, False): ", but only",
        (False, True): " that extends",
        (False, False): " among",
    }
    return start + reach[p["assigned"], p["sampled"]]


def _selected(p: Params) -> float:
    step = p["population"] // p["n"]
    return float(range(p["start"], p["population"] + step, step)[p["j"] - 1])


def _read_digits(p: Params) -> float:
    labels = dict.fromkeys(pair for pair in p["pairs"] if pair in range(1, p["total"] + 1))
    return float(list(labels)[p["j"] - 1])


def test_answers() -> None:
    check_topic(
        "study_design",
        {
            "sampling_method": lambda p: {
                "simple random": "A simple random",
                "stratified": "A stratified",
                "cluster": "A cluster",
                "systematic": "A systematic",
                "convenience": "A convenience",
            }[p["method"]],
            "scope_of_inference": _scope,
            "source_of_bias": lambda p: {
                "undercoverage": "Undercoverage",
                "nonresponse": "Nonresponse",
                "voluntary": "Voluntary",
                "wording": "Response bias from wording",
            }[p["bias"]],
            "systematic_selection": _selected,
            "stratified_allocation": lambda p: p["n"] * p["sizes"][p["stratum"]] / sum(p["sizes"]),
            "experimental_design": lambda p: {
                "completely randomized": "A completely",
                "blocked": "A randomized block",
                "matched pairs": "A matched",
                "observational": "An observational",
            }[p["design"]],
            "random_digits": _read_digits,
            "blocking_variable": lambda p: f"One block for each of the two {p['blocks']}, ",
            "factorial_units": lambda p: float(
                sum(1 for _ in itertools.product(range(p["a"]), range(p["b"]), range(p["k"])))
            ),
        },
    )
