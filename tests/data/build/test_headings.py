"""What kind of section a heading announces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.data.build.headings import kind_of_heading, kinds_in_order

KINDS = {
    "abstract", "introduction", "background", "methods", "results", "discussion", "conclusion", "references",
    "appendix", "acknowledgements", "other",
}  # fmt: skip
# Headings as papers have them, each read by a person.
WRITTEN = {
    "abstract": ("Abstract", "ABSTRACT.", "Abstract—", "a b s t r a c t"),
    "introduction": ("1 Introduction", "I. INTRODUCTION", "I. I NTRODUCTION", "1Introduction", "1. Motivation",
                     "Introduction and main results", "Aims and scope"),
    "background": ("2. Related Work", "§3. Background", "Literature review", "Notation and preliminaries",
                   "State of the art", "Existing methods"),
    "methods": ("2.1 Methods", "Materials and Methods", "II. MATERIALS & METHODS", "Chapter 4: Methodology",
                "Statistical analysis", "3 Proposed methodology", "Data", "3.2 Estimation of the variance",
                "## **2. Methods**", "A. Data", "Monte Carlo methods", "Experimental design"),
    "results": ("II. RESULTS", "4 Results and discussion", "A Simulation Study", "Simulations", "5. Real data analysis",
                "Numerical experiments", "Comparison with other methods", "V. Empirical results", "Applications"),
    "discussion": ("Discussion", "6. DISCUSSION", "Discussion and conclusions", "Strengths and limitations"),
    "conclusion": ("Concluding remarks", "V Conclusion", "C ONCLUSION", "7. Conclusions and future work", "Summary",
                   "Final remarks"),
    "references": ("References", "REFERENCES", "R EFERENCES", "Bibliography", "Literature cited", "References & notes"),
    "appendix": ("A Proofs", "Appendix", "APPENDIX B: Data", "A.1 Proof of Lemma 2", "S1 Text", "Proofs",
                 "B Additional simulations", "Supporting information", "Supplementary Materials", "C Experiments",
                 "Technical appendix"),
    "acknowledgements": ("Acknowledgments", "Acknowledgements", "Funding", "Conflict of interest",
                         "Authors’ contributions", "Data availability statement", "Declaration of competing interest"),
    "other": ("", "  ", "3", "III", "B Splines", "F Tests", "Introduction to Bayesian inference", "L1 regularization",
              "3.2 Proof of Theorem 1", "Missing data", "Civil war", "Linear models", "Mix of normal distributions",
              "We used the methods of the last section. " * 8),
}  # fmt: skip
PLAIN = ["Introduction", "Related Work", "Materials and Methods", "Results", "Discussion", "Conclusions", "References",
         "Acknowledgements", "Simulation Study", "Concluding Remarks", "Numerical Experiments"]  # fmt: skip


@pytest.mark.parametrize(("kind", "heading"), [(kind, heading) for kind in WRITTEN for heading in WRITTEN[kind]])
def test_headings_as_papers_have_them(kind: str, heading: str) -> None:
    assert kind_of_heading(heading) == kind


@settings(max_examples=50)
@given(st.text(max_size=210))
def test_every_text_has_a_kind(text: str) -> None:
    assert kind_of_heading(text) in KINDS


@given(
    heading=st.sampled_from(PLAIN),
    number=st.sampled_from(["", "{}. ", "{}  ", "{}.{} ", "{}.{}.{}. ", "({}) ", "Section {}: ", "§ {} "]),
    parts=st.tuples(*[st.integers(1, 30)] * 3),
    end=st.sampled_from(["", ".", ":", " ", "\n", " —"]),
    shape=st.sampled_from([str, str.upper, str.lower, lambda text: text.replace(" ", "\n  ")]),
)
def test_number_case_and_space_change_nothing(
    heading: str, number: str, parts: tuple[int, ...], end: str, shape
) -> None:  # type: ignore[no-untyped-def]
    written = number.format(*parts) + shape(heading) + end
    assert kind_of_heading(written) == kind_of_heading(heading) != "other"


@given(heading=st.sampled_from(PLAIN), place=st.integers(0, 19))
def test_roman_numbers(heading: str, place: int) -> None:
    numerals = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX".split()  # noqa: SIM905
    for written in (
        f"{numerals[place]}. {heading.upper()}",
        f"{numerals[place]} {heading}",
        f"({numerals[place]}) {heading}",
    ):
        assert kind_of_heading(written) == kind_of_heading(heading)


def test_what_is_below_a_chapter() -> None:
    headings = [(1, "Methods"), (2, "Notation of trees"), (2, "Results"), (3, "Odd"), (1, "Trees"), (2, "Leaves"),
                (1, "A Proofs"), (2, "Results")]  # fmt: skip
    assert list(kinds_in_order(headings)) == [
        "methods", "methods", "results", "results", "other", "other", "appendix", "appendix",
    ]  # fmt: skip
    assert list(kinds_in_order([])) == []
