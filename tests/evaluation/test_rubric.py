"""Points of a rubric: what earns each and what does not, judged by hand; the benchmark's hook; bad rubrics."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.config.benchmarks import BenchmarkError, find_tasks
from statllama.config.evaluate import EvaluateSpec
from statllama.evaluation.rubric import earned, fault, parts, share
from statllama.evaluation.suite import Suite
from tests.conftest import write_jsonl

LISTED = " ".join(map(str, range(1, 101)))


def point(check: str, *wants: str, **more: Any) -> dict[str, Any]:
    return {"part": "a", "earns": "it", "check": check, "wants": list(wants), "others": [], "value": None,
            "tolerance": 0.0} | more  # fmt: skip


def test_parts_go_by_the_labels_that_begin_a_line() -> None:
    reply = "Intro\n(a) one, see part (b)\n  two\n**(b)** three\nPart C: four\nd. five\n### (e) six"
    assert {label: text.strip("* \n") for label, text in parts(reply).items()} == {
        "a": "one, see part (b)\n  two", "b": "three", "c": "four", "d": "five", "e": "six",
    }  # fmt: skip
    assert parts("(a) draft\n(b) x\n(a) final") == {"a": " final", "b": " x\n"}  # the last one counts
    assert parts("(a) work\nAnswer: 3\n\nSummary:\n(a) 3") == {"a": " work\nAnswer: 3\n\nSummary:\n"}
    others = parts("Part a\none\n**Part b**\ntwo\n$(c)$ three\n\\textbf{(d)} four\n5. (e) five\nPart F - six")
    assert {label: text.strip("*}- \n") for label, text in others.items()} == {
        "a": "one", "b": "two", "c": "three", "d": "four", "e": "five", "f": "six"}  # fmt: skip
    assert parts("") == parts("no labels, and (a) not at the beginning") == {}


T_TEST = ("Two-sample t test for a difference of means", ["One-sample t test for a mean",
          "Paired t test for a mean difference", "t test for the slope of a regression line"])  # fmt: skip
KEPT = ("Fail to reject H0: there is not convincing evidence that less than 47% of all guests order dessert.",
        ["Reject H0: there is convincing evidence that less than 47% of all guests order dessert."] * 3)  # fmt: skip
MEAN_UP = ("The mean increases, and the standard deviation decreases.",
           ["The mean decreases, and the standard deviation increases.",
            "The mean increases, and the standard deviation increases.",
            "The mean decreases, and the standard deviation decreases."])  # fmt: skip
LEVEL = ("In the long run, about 95% of the intervals from random samples of 31 laptops capture the mean battery life.",
         ["We are 95% confident that the mean battery life of all laptops is between 433.5 and 502.9 minutes.",
          "With 95% confidence, the sample mean is within 34.7 minutes of the mean battery life of all laptops.",
          "Means of random samples of 31 laptops typically differ from the mean battery life by about 17 minutes."],
         )  # fmt: skip


@pytest.mark.parametrize(
    ("right", "others", "reply", "expected"),
    [
        (*T_TEST, "Two-sample t test for a difference of means", True),
        (*T_TEST, "A two-sample t-test", True),
        (*T_TEST, "use the 2-sample t test", False),  # another spelling than any foreseen
        (*T_TEST, "a paired t test", False),
        (*T_TEST, "a t test", False),
        (*T_TEST, "a two-sample t test or a paired t test", False),
        (*T_TEST, "one-sample, paired and two-sample t tests, or one for the slope", False),
        (*T_TEST, LISTED, False),
        (*T_TEST, "", False),
        (*KEPT, "We do not reject H0, since there isn't convincing evidence.", True),
        (*KEPT, "Fail to reject: insufficient evidence that fewer than 47% order dessert", True),
        (*KEPT, "Reject H0, as there is convincing evidence that less than 47% order dessert.", False),
        (*MEAN_UP, "The mean increases and the standard deviation decreases", True),
        (*MEAN_UP, "The mean decreases and the standard deviation increases", False),
        (*MEAN_UP, "The mean increases and the standard deviation increases", False),
        (*LEVEL, "In repeated samples of 31 laptops, about 95% of intervals capture the mean battery life.", True),
        (*LEVEL, "About 95% of all intervals built like this from samples of 31 would capture the true mean.", True),
        (*LEVEL, "There is a 95% chance that the mean battery life is between 433.5 and 502.9 minutes.", False),
        ("The factory is fined, and the mean is 50.", ["The factory is not fined, and the mean is 50.",
         "The factory is fined, and the mean is greater than 50.", "The factory is not fined, and the mean is greater "
         "than 50."], "The mean is 50 and the factory is fined", True),
        ("The factory is fined, and the mean is 50.", ["The factory is not fined, and the mean is 50.",
         "The factory is fined, and the mean is greater than 50.", "The factory is not fined, and the mean is greater "
         "than 50."], "The mean is 50 and the factory is not fined", False),
    ],
)  # fmt: skip
def test_closest(right: str, others: list[str], reply: str, expected: bool) -> None:
    rubric = [point("closest", right, others=others)]
    assert earned(rubric, f"(a) Some work.\nAnswer: {reply}") == (expected,)


def test_replies_written_by_hand() -> None:
    """A right and a wrong reply to each of 30 questions, in words of their own."""
    taken = {True: 0, False: 0}
    for item in json.loads((Path(__file__).parent / "replies_by_hand.json").read_text(encoding="utf-8")):
        rubric = [point("closest", item["right"], others=item["others"])]
        for reply, right in item["replies"].items():
            taken[right] += earned(rubric, f"(a) Answer: {reply}")[0]
    assert taken == {True: 24, False: 0}


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        (point("answer", "0.0087", value=0.00872, tolerance=0.0004), "p = 0.0089\nAnswer: 0.0089", True),
        (point("answer", "0.0087", value=0.00872, tolerance=0.0004), "Answer: p-value = 0.87%", True),
        (point("answer", "0.0087", value=0.00872, tolerance=0.0004), "The p-value is 0.0087.", False),  # not stated
        (point("answer", "0.0087", value=0.00872, tolerance=0.0004), "Answer: 0.0087 or 0.5", False),
        (point("answer", "0.0087", value=0.00872, tolerance=0.0004), f"Answer: {LISTED} 0.0087", False),
        (point("answer", "0.0087", value=0.00872, tolerance=0.0004), "Answer: 0.0087\nNo.\nAnswer: 0.3", False),
        (point("answer", "(39.32, 44.48) kg", tolerance=0.015), "Answer: (39.33, 44.47)", True),
        (point("answer", "(39.32, 44.48) kg", tolerance=0.015), "Answer: from 39.32 to 44.48 kg", True),
        (point("answer", "(39.32, 44.48) kg", tolerance=0.015), "Answer: (39.32, 45.1) kg", False),
        (point("answer", "474 turtles", value=474.0), "Answer: 474", True),
        (point("answer", "474 turtles", value=474.0), "Answer: 473", False),
        (point("work", "0.735", "2.02", tolerance=0.01), "SE = 4.82 / sqrt(43) = 0.73", True),
        (point("work", "1,250.5", tolerance=0.01), "the sum is 1250.5", True),
        (point("work", "0.735", tolerance=0.01), "SE = 0.75", False),
        (point("work", "50", tolerance=0.01), LISTED, False),
        (point("words", "random", "normal|skew"), "A random sample without strong skew.", True),
        (point("words", "random", "normal|skew"), "A random sample.", False),
        (point("words", "confident", "95%"), "We are 95 percent confident", True),
        (point("words", "confident", "95%"), "We are 5% unconfident", False),
        (point("hypotheses", "mu = 83", "mu > 83"), r"$H_0: \mu = 83$, $H_a: \mu > 83$", True),
        (point("hypotheses", "mu = 83", "mu > 83"), "H0: the mean is 83\nH1: the mean is greater than 83", True),
        (point("hypotheses", "mu = 83", "mu > 83"), "H0: mu = 83; Ha: mu < 83", False),
        (point("hypotheses", "mu = 83", "mu > 83"), "H0: mu = 83.5; Ha: mu > 83.5", False),
        (point("hypotheses", "mu = 83", "mu > 83"), "H0: mu = 83", False),
        (point("hypotheses", "p1 = p2", "p1 != p2"), "H₀: p₁ − p₂ = 0, Hₐ: p₁ − p₂ ≠ 0", True),
        (point("hypotheses", "beta = -3.04", "beta < -3.04"), "H0: β = −3.04 and Ha: β < −3.04", True),
        (point("decision", "fail", "0.05"), "As 0.2 > 0.05, we fail to reject H0.", True),
        (point("decision", "fail", "0.05"), "H0 is not rejected at the 5% level.", True),
        (point("decision", "fail", "0.05"), "We fail to reject H0.", False),  # at which level?
        (point("decision", "fail", "0.05"), "Since 0.01 < 0.05, reject H0.", False),
        (point("decision", "reject", "0.05"), "Since 0.01 < .05, H0 is rejected.", True),
        (point("decision", "reject", "0.05"), "We'd reject if p < 0.05; it isn't, so we cannot reject it.", False),
        (point("conclusion", "no", "the mean weight of all eggs exceeds 60 grams"),
         "There is insufficient evidence that the mean weight of eggs exceeds 60 grams.", True),
        (point("conclusion", "no", "the mean weight of all eggs exceeds 60 grams"),
         "The evidence is not convincing that the mean weight exceeds 60 grams.", True),
        (point("conclusion", "no", "the mean weight of all eggs exceeds 60 grams"),
         "There is convincing evidence that the mean weight of eggs exceeds 60 grams.", False),
        (point("conclusion", "yes", "the shares of claim A do not hold for all birds"),
         "There is convincing evidence that the shares of claim A do not hold for all birds.", True),
        (point("conclusion", "yes", "the mean weight of all eggs exceeds 60 grams"), "There is evidence.", False),
    ],
)  # fmt: skip
def test_checks(wanted: dict[str, Any], text: str, expected: bool) -> None:
    assert earned([wanted], f"(a) {text}") == (expected,)
    assert earned([wanted], f"(b) {text}") == (False,)  # under another part's label
    assert fault([wanted]) is None


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        (point("decision", "fail", "0.05"), "At the 5% level there is insufficient evidence to reject H0.", True),
        (point("decision", "fail", "0.05"), "There isn't enough convincing evidence to reject H0 at 0.05.", True),
        (point("decision", "fail", "0.05"), "The evidence is not strong enough to reject H0 at 0.05.", True),
        (point("decision", "reject", "0.05"), "There is not enough evidence to reject H0 at 0.05.", False),
        (point("decision", "reject", "0.05"), "As 0.01 is not above 0.05, the evidence suffices to reject H0.", True),
        (point("decision", "fail", "0.05"), "Failing to reject H0 at alpha = 0.05 is the result.", True),
        (point("conclusion", "yes", "the mean weight exceeds 5"),
         "Since 0.01 is not greater than 0.05, there is convincing evidence that the mean weight exceeds 5.", True),
        (point("conclusion", "no", "the mean weight exceeds 5"),
         "Since 0.3 > 0.05, there is not convincing evidence that the mean weight exceeds 5.", True),
        (point("hypotheses", "p = 0.6", "p > 0.6"), "H0: p = 0.60, Ha: p > .6", True),
        (point("hypotheses", "p = 0.6", "p > 0.6"), "H0: p = 60%; Ha: p > 60%", True),
        (point("hypotheses", "p = 0.6", "p > 0.6"), "H0: p = 0.65, Ha: p > 0.65", False),
        (point("hypotheses", "p = 0.6", "p > 0.6"), "H0: p_hat = 0.6, Ha: p_hat > 0.6", False),
        (point("hypotheses", "p = 0.6", "p > 0.6"), r"$H_0: \hat{p} = 0.6$, $H_a: \hat{p} > 0.6$", False),
        (point("hypotheses", "mu = 83", "mu > 83"), "H0: x_bar = 83 and Ha: x_bar > 83", False),
        (point("hypotheses", "mu = 83", "mu > 83"), "H0 says that mu = 83, Ha that mu > 83", True),
        (point("hypotheses", "mu = 1200", "mu != 1200"), "H0: mu = 1,200, Ha: mu != 1,200.0", True),
    ],
)  # fmt: skip
def test_what_careful_writers_write(wanted: dict[str, Any], text: str, expected: bool) -> None:
    assert earned([wanted], f"(a) {text}") == (expected,)


@pytest.mark.parametrize("character", [" ", "*", "#", "_", "1", "(", "\n", "$", "- "])
def test_a_reply_of_one_character_over_and_over_takes_no_time(character: str) -> None:
    rubric = [
        point("decision", "reject", "0.05"),
        point("hypotheses", "mu = 1", "mu > 1"),
        point("conclusion", "yes", "x"),
    ]
    start = time.process_time()
    earned(rubric, f"(a) {character * 20_000}\n{character * 20_000}")
    assert time.process_time() - start < 1.0


def test_the_share_counts_every_point() -> None:
    rubric = [point("words", "random"), point("answer", "5", value=5.0), point("words", "normal", part="b")]
    assert share(rubric, "(a) Random.\nAnswer: 5\n(b) skew") == pytest.approx(2 / 3)
    assert share(rubric, "") == share(rubric, LISTED) == share(rubric, "random normal Answer: 5") == 0.0


@pytest.mark.parametrize(
    ("rubric", "message"),
    [
        (None, "is not a list of points: None"),
        ([], "is not a list of points: []"),
        (["5"], "point 1 is not an object: '5'"),
        ([point("words", "x"), point("guess", "x")], "point 2: `check` is 'guess'; allowed: answer, closest, work"),
        ([point("words", "x", part="1")], "`part` is '1'; allowed: a letter from a to h"),
        ([point("words")], "`wants` is not a list of texts: []"),
        ([point("work", "five")], "`work` takes numbers, got ['five']"),
        ([point("decision", "reject")], "`decision` takes 2 `wants`, got ['reject']"),
        ([point("decision", "reject", "five percent")], "`decision` takes `reject` or `fail`, and a level"),
        ([point("conclusion", "maybe", "it is")], "`conclusion` takes `yes` or `no`"),
        ([point("hypotheses", "mu is 5", "mu > 5")], "hypotheses are written as in `mu = 83` and `mu > 83`"),
        ([point("closest", "yes")], "`closest` takes `others`"),
        ([point("closest", "yes", others="no")], "`closest` takes `others`"),
        ([point("closest", "yes", others=[1])], "`closest` takes `others`"),
        ([point("answer", "3", tolerance="wide")], "`tolerance` is 'wide'; write a number from 0 up"),
        ([point("answer", "3", tolerance=-1)], "`tolerance` is -1; write a number from 0 up"),
        ([point("answer", "3", value="three")], "`value` is 'three'; write a number"),
        ([point("work", "--3")], "`work` takes numbers, got ['--3']"),
        ([point("decision", "fail", "1,000")], "`decision` takes `reject` or `fail`, and a level"),
        ([point("words", "a|")], "`words` takes texts with something on both sides of `|`"),
        ([point("words", "x") | {"check": ["words"]}], "`check` is ['words']; allowed"),
        ([{"part": "a", "check": "words", "wants": ["x"]}], "`earns` is None; say in a text what earns it"),
    ],
)  # fmt: skip
def test_a_broken_rubric_is_told(rubric: object, message: str) -> None:
    assert message in str(fault(rubric))


TASK = {
    "task": "own", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
    "test_split": "test", "output_type": "generate_until", "doc_to_text": "question", "doc_to_target": "answer",
    "metric_list": [{"metric": "points"}], "metadata": {"version": 1, "rubric": "rubric"},
    "generation_kwargs": {"until": ["</s>"], "max_gen_toks": 8},
}  # fmt: skip
ROWS = [{"question": f"(a) What is {i} + {i}?", "answer": f"(a) Answer: {2 * i}",
         "rubric": [point("answer", str(2 * i), value=2.0 * i), point("words", "sum")]} for i in range(3)]  # fmt: skip


def suite(folder: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> Suite:
    (folder / "own").mkdir()
    config = {key: value for key, value in (TASK | changes).items() if value is not None}
    (folder / "own" / "own.yaml").write_text(yaml.safe_dump(config))
    write_jsonl(folder / "own" / "test.jsonl", rows)
    return Suite(find_tasks(["own"], [folder]).values(), EvaluateSpec(tasks=("own",)))


def test_a_benchmark_names_the_column_of_its_rubric(tmp_path: Path) -> None:
    task = suite(tmp_path).load("own")
    docs = list(task.test_docs())
    assert [task.process_results(doc, [doc["answer"]]) for doc in docs] == [{"points": 0.5}] * 3
    assert task.process_results(docs[2], ["(a) The sum of both.\nAnswer: 4"]) == {"points": 1.0}
    assert task.aggregation()["points"]([0.5, 1.0]) == 0.75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric_list": [{"metric": "exact_match"}]}, "`metric` is 'exact_match'"),
        ({"metric_list": None}, "`metadata.rubric` scores replies by points"),
        ({"output_type": "loglikelihood"}, "`metadata.rubric` scores replies by points"),
        ({"metadata": {"rubric": 5}}, "`metadata.rubric` must name the column"),
        ({"metadata": {"version": 1}}, "`metric` is 'points'"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "take_first"}]}]}, "`filter_list` does not go with"),
    ],
)
def test_a_rubric_that_scores_nothing_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        suite(tmp_path, **changes)


def test_a_row_with_a_broken_rubric_is_named(tmp_path: Path) -> None:
    broken = json.loads(json.dumps(ROWS))
    broken[1]["rubric"][0]["check"] = "guess"
    with pytest.raises(BenchmarkError, match=r"own: .*test.jsonl, row 2: `rubric` point 1: `check` is 'guess'"):
        suite(tmp_path, broken).load("own")
