"""Each check of a row by itself, on worked examples."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from statllama.data.build.check.checks import clean, form, grounded, numeric
from statllama.data.build.check.findings import Finding
from statllama.data.build.check.named import recomputed
from statllama.data.build.check.reading import EMPTY, UNREADABLE, Reading, read
from statllama.problems import generate
from tests.data.build.check.rows import CONTEXT, found, row

# ------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("format", "columns", "question", "answer", "rejected", "reference"),
    [
        ("question_answer", {"question": "Q?", "reasoning": "2 + 2.", "answer": "4"}, "Q?", "Reasoning", "", "4"),
        ("gsm8k", {"question": "Half of 48?", "answer": "48/2 = 24\n#### 24"}, "Half of 48?", "48/2", "", "24"),
        ("preference", {"prompt": "Q?", "chosen": "Answer: 4", "rejected": "5"}, "Q?", "Answer: 4", "5", "4"),
        ("judged", {"prompt": "Q?", "completion": "4", "label": False}, "Q?", "", "4", ""),
        ("judged", {"prompt": "Q?", "completion": "4", "label": True}, "Q?", "4", "", "4"),
        ("prompt_answer", {"prompt": "Q?", "answer": "4 cm"}, "Q?", "4 cm", "", "4 cm"),
        ("text", {"text": "Samples vary."}, "", "Samples vary.", "", "Samples vary."),
    ],
)
def test_formats_are_read(
    format: str, columns: dict[str, Any], question: str, answer: str, rejected: str, reference: str
) -> None:
    reading = read({"id": "a", "format": format, "row": columns, "provenance": {}})
    assert isinstance(reading, Reading)
    assert (reading.question, reading.rejected, reading.reference) == (question, rejected, reference)
    assert reading.answer.startswith(answer) and bool(reading.answer) == bool(answer)


def test_what_its_format_refuses_is_told() -> None:
    empty = read(row(answer="  "))
    assert isinstance(empty, Finding) and empty.reason == EMPTY and not empty.passed
    odd = read({"id": "a", "format": "messages", "row": {"messages": "none"}, "provenance": {}})
    assert isinstance(odd, Finding) and odd.reason == UNREADABLE


# ------------------------------------------------------------------ form


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"answer": "I cannot answer that."}, form.REFUSES),
        ({"answer": "As an AI language model, I have no opinion."}, form.REFUSES),
        ({"answer": "The passage does not mention a sample size."}, form.REFUSES),
        ({"answer": "We cannot reject H0, since 0.2 > 0.05."}, ""),
        ({"answer": "I can see that the mean is 5."}, ""),
        ({"answer": "The study does not provide convincing evidence that mu is above 5."}, ""),
        ({"question": "According to the passage, how many adults were asked?"}, form.META),
        ({"question": "What do the authors claim about the mean?"}, form.META),
        ({"answer": "As stated in the text above, it is 0.62."}, form.META),
        ({"answer": "In this context, H0 is true when the mean is 5."}, ""),
        ({"question": f"{CONTEXT}\n\nAccording to the passage, how many read the news?"}, ""),  # it has the passage
        ({"answer": "The mean is [insert value]."}, form.PLACEHOLDER),
        ({"question": "Why?"}, form.SHORT_QUESTION),
        ({"question": "why " * 900}, form.LONG_QUESTION),
        ({"answer": "so " * 1600 + "."}, form.LONG_ANSWER),
        ({"answer": "The proportion is estimated by the"}, form.TRUNCATED),
        ({"answer": "It is computed as 248 /"}, form.TRUNCATED),
        ({"answer": "word " * 70 + "and it stops in the mid sentenc"}, form.TRUNCATED),
        ({"answer": "word " * 70 + "and so it ends.\nAnswer: 12 cm"}, ""),
        ({"answer": "Run:\n```\nmean(x)"}, form.TRUNCATED),
        ({"question": "What is the share? The answer is 0.62."}, form.GIVEN_AWAY),
        ({"question": "Why is the sample proportion an unbiased estimator of it?",
          "answer": "The sample proportion an unbiased estimator of it"}, form.GIVEN_AWAY),
        ({"question": "Which is robust?\nA. The mean of all the values here\nB. The median of all the values here",
          "answer": "The median of all the values here"}, ""),
    ],
)  # fmt: skip
def test_form(changes: dict[str, str], reason: str) -> None:
    finding = found("form", row(**changes))  # type: ignore[arg-type]
    assert (finding.reason, finding.passed) == (reason, not reason), finding


def test_own_patterns() -> None:
    record = row(answer="As an AI model I say kumquat.")
    own = {"patterns": {"speaks of fruit": ["kumquat"]}}
    assert found("form", record, **own, own_only=True).reason == "speaks of fruit"
    assert found("form", record, **own).reason == form.REFUSES
    with pytest.raises(ValueError, match="no regular expression"):
        form.Spec.model_validate({"refusals": ["("]})
    with pytest.raises(ValueError, match="fewest words"):
        form.Spec.model_validate({"answer_words": [5, 1]})


# ------------------------------------------------------------------ grounded


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        ("Of these, 248 said that they read the news every day.", ""),
        ("of these 248 said that they read the news each day", ""),  # one word of 11
        ("Of these, 284 said that they read the news every day.", grounded.CHANGED),
        ("Most adults in the country read a newspaper every morning.", grounded.NOT_FOUND),
        ("400 adults", grounded.SHORT),
        (" ", grounded.NONE),
    ],
)
def test_quotations(quote: str, reason: str) -> None:
    finding = found("grounded", row(quote=quote))
    assert (finding.reason, finding.passed) == (reason, not reason), finding


def test_a_row_without_a_quotation_is_not_checkable_unless_it_must_have_one() -> None:
    assert found("grounded", row()).passed is None
    assert found("grounded", row(), require_quote=True).reason == grounded.NONE
    assert (
        found("grounded", row(quote="of these 248 said that they read the news each day"), similarity=1.0).passed
        is False
    )


def test_numbers_that_come_from_nowhere() -> None:
    answer = "The share is 248 / 400 = 0.62, so 38% do not. Its standard error is sqrt(0.62 * 0.38 / 400) = 0.0243."
    assert found("grounded", row(answer=answer)).figures["unexplained"] == []
    odd = row(answer=answer + " In 2019 it was 0.5713.", quote="A survey of 400 adults was taken at random.")
    finding = found("grounded", odd)
    assert finding.passed and finding.figures["unexplained"] == ["2019", "0.5713"]
    assert found("grounded", odd, numbers="leave_out").reason == grounded.NUMBERS
    assert "unexplained" not in found("grounded", odd, numbers="ignore").figures
    alone = row(question="How many?", answer="152 read no news.")
    assert found("grounded", alone).figures["unexplained"] == []  # 400 - 248
    assert found("grounded", alone, steps=0).figures["unexplained"] == ["152"]


# ------------------------------------------------------------------ numeric


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("248 / 400 = 0.62\nAnswer: 0.62", ""),
        ("248 / 400 = 0.62\nAnswer: 62%", ""),
        ("248 / 400 = 0.26\nAnswer: 0.26", numeric.ARITHMETIC),
        ("248 / 400 = 0.62\nAnswer: 0.68", numeric.NOT_REACHED),
        ("248 / 400 = 0.6200\nAnswer: 0.6", ""),
        ("z = 1.25, and P(Z < 1.25) = 0.8944.\nAnswer: 0.8944", ""),
        ("z = 1.25, and P(Z < 1.25) = 0.8449.\nAnswer: 0.8449", numeric.STATISTIC),
        ("2 * P(Z > 1.96) = 0.05", None),
        ("It is unbiased.", None),
    ],
)
def test_numeric(answer: str, reason: str | None) -> None:
    finding = found("numeric", row(answer=answer))
    assert (finding.reason, finding.passed) == ((numeric.NOTHING, None) if reason is None else (reason, not reason))


def test_the_final_answer_may_be_left_alone() -> None:
    assert found("numeric", row(answer="248 / 400 = 0.62\nAnswer: 0.68"), final_answer=False).passed


NAMED = {
    "mean": lambda data: statistics.fmean(data),
    "median": lambda data: statistics.median(data),
    "range": lambda data: max(data) - min(data),
    "standard deviation": lambda data: float(stats.tstd(data)),
    "variance": lambda data: float(stats.tvar(data)),
}


@given(st.sampled_from(sorted(NAMED)), st.lists(st.integers(0, 400), min_size=4, max_size=9))
def test_named_statistics_are_those_of_scipy(name: str, data: list[int]) -> None:
    value = NAMED[name](data)
    question = (
        f"Ages in years: {', '.join(map(str, data[:-1]))} and {data[-1]}. What is the {name} of these {len(data)} ages?"
    )
    (right,) = recomputed(question, "", f"{value:.2f}")
    assert right.name == name and right.agrees
    (wrong,) = recomputed(question, "", f"{value + 0.02 if name != 'standard deviation' else value + 200:.2f}")
    assert not wrong.agrees or name == "variance"  # which may be the population's


@pytest.mark.parametrize(
    "question",
    [
        "The values are 2, 4, 6 and 8. What is the mean if 6 is removed?",
        "The values are 2, 4, 6 and 8. What are the mean and the median?",
        "The values are 2, 4, 6 and 8 with weights 1, 1, 2 and 3. What is the mean?",
        "The values are 2, 4, 6 and 8; 12 people were asked. What is the mean?",
        "The values are 2, 4 and 6. What is the mean?",
    ],
)
def test_what_is_not_certain_is_not_recomputed(question: str) -> None:
    assert list(recomputed(question, "", "99")) == []


def test_z_scores() -> None:
    question = (
        "Heights have a mean of 170 cm and a standard deviation of 8 cm. What is the z-score of a height of 182 cm?"
    )
    assert [r.agrees for r in recomputed(question, "", "1.5")] == [True]
    assert [r.agrees for r in recomputed(question, "", "-1.5")] == [False]


@given(st.floats(-3, 3), st.booleans())
def test_normal_areas_are_those_of_scipy(z: float, below: bool) -> None:
    area = stats.norm.cdf(round(z, 2)) if below else stats.norm.sf(round(z, 2))
    text = f"P(Z {'<' if below else '>'} {z:.2f}) = {area:.4f}"
    assert [r.agrees for r in recomputed("", text, "")] == [True]
    off = f"{area + (0.02 if area < 0.5 else -0.02):.4f}"
    assert [r.agrees for r in recomputed("", text.replace(f"{area:.4f}", off), "")] == [False]


# ------------------------------------------------------------------ clean, and all of them on sound rows


def test_copies_of_benchmark_questions(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    question = "A bag holds 3 red and 5 blue marbles. What is the probability that a marble drawn at random is red?"
    (folder / "test.jsonl").write_text(json.dumps({"question": question, "answer": "3/8"}) + "\n")
    (folder / "tiny.yaml").write_text(
        "task: tiny\ndataset_path: json\ndataset_kwargs: {data_files: {test: test.jsonl}}\ntest_split: test\n"
        "output_type: generate_until\ndoc_to_text: question\ndoc_to_target: answer\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
    )
    settings = {"benchmarks": ["tiny"], "folders": [str(tmp_path)]}
    copy = found("clean", row(question=question.replace("3 red", "4 red")), tmp_path, **settings)
    assert copy.reason == clean.COPY and "question 1 of tiny" in copy.detail
    assert found("clean", row(), tmp_path, **settings).passed


def test_sound_rows_pass_all() -> None:
    for problem in generate(60, seed=4):
        record = row(problem.question, problem.solution, context=f"{problem.idea} {problem.question}",
                     quote=problem.question.rpartition("? ")[0] or problem.question)  # fmt: skip
        for check in ("form", "grounded", "numeric"):
            assert found(check, record).passed is not False, (problem.kind, found(check, record))
