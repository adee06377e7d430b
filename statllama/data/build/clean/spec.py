"""What a user writes under `clean:`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from statllama.config.keyed import Unkeyed
from statllama.config.spec import Count, Positive, Spec

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Kind = Literal[
    "abstract", "introduction", "background", "methods", "results", "discussion", "conclusion", "references",
    "appendix", "acknowledgements", "other",
]  # fmt: skip
PersonalData = Literal["email", "phone", "ip", "card", "iban", "ssn", "key"]


class LengthSpec(Spec):
    """Fewest and most words, numbers included. None: no bound."""

    section: Count | None = 20
    """Fewest words of a section. Its heading stays where a section below it stays."""
    document: Count | None = 50
    """Fewest words of a document, after its sections were judged. 50: Gopher, arXiv 2112.11446, appendix A.1."""
    row: Count | None = 3
    """Fewest words of a row, all its texts together."""
    most_section: Count | None = None
    """Most words of a section."""
    most_document: Count | None = None
    """Most words of a document. Gopher leaves out web pages of more than 100,000; a thesis has as many."""
    most_row: Count | None = None
    """Most words of a row."""


class QualitySpec(Spec):
    """Thresholds of the quality rules (`quality.py` has each one's source). None switches a rule off.

    The rules see prose: formulas, code and rows of tables are taken away first. Their thresholds are those of the
    papers, but where a field says otherwise: those were chosen for whole web pages, and drop good sections of
    statistics textbooks, one in five for repeated runs of words (`benchmarks/build_clean.py` counts both).
    """

    from_words: Count = 50
    """Words of prose below which a text is not judged: shares of a few lines say nothing."""
    from_lines: Count = 5
    """Lines of prose below which no share of lines is judged: one without a full stop is a page that ends there."""
    least_word_length: Positive | None = 2.5
    """Least mean length of a word, in characters. Gopher: 3; events A, B and P(A) are words too."""
    most_word_length: Positive | None = 10.0
    """Greatest mean length of a word, in characters."""
    most_hashes: Share | None = 0.1
    """Most hash signs for each word."""
    most_ellipses: Share | None = 0.1
    """Most ellipses for each word."""
    most_bullet_lines: Share | None = 0.9
    """Most lines that begin with a bullet."""
    most_ellipsis_lines: Share | None = 0.3
    """Most lines that end with an ellipsis."""
    least_alphabetic: Share | None = 0.3
    """Fewest words with a letter among all that is no formula, tables included. Gopher: 0.8."""
    least_stop_words: Annotated[int, Field(ge=0, le=8)] | None = 2
    """Fewest different ones of the eight English stop words. Not asked of other languages."""
    least_punctuated_lines: Share | None = 0.12
    """Fewest lines that end with a punctuation mark."""
    most_short_lines: Share | None = 0.8
    """Most lines of fewer than 30 characters. FineWeb: 0.67."""
    most_repeated_lines: Share | None = 0.4
    """Most lines that repeat an earlier one. Gopher: 0.3."""
    most_repeated_line_characters: Share | None = 0.4
    """Most characters in lines that repeat an earlier one. Gopher: 0.2; FineWeb: 0.1."""
    most_repeated_paragraphs: Share | None = 0.3
    """Most paragraphs that repeat an earlier one."""
    most_repeated_paragraph_characters: Share | None = 0.2
    """Most characters in paragraphs that repeat an earlier one."""
    most_in_top_ngram: Annotated[tuple[Share, Share, Share], Field(strict=False)] | None = (0.3, 0.3, 0.3)
    """Most characters in the commonest run of 2, 3 and 4 words. Gopher: 0.2, 0.18, 0.16 of whole web pages."""
    most_in_repeated_ngrams: Annotated[tuple[Share, Share, Share, Share, Share, Share], Field(strict=False)] | None = (
        0.45,
        0.43,
        0.41,
        0.39,
        0.37,
        0.35,
    )
    """Most characters in runs of 5 to 10 words that repeat an earlier one. Gopher: 0.15 down to 0.10."""
    most_garbled: Share | None = 0.02
    """Most characters that a damaged font or encoding leaves: replacement signs, private codes, `(cid:12)`."""
    most_lorem_ipsum: Annotated[int, Field(ge=0)] | None = 0
    """Most times that `lorem ipsum` stands in a text."""


class BoilerplateSpec(Spec):
    """Which lines of documents are boilerplate. Digits, case and spaces do not make lines different."""

    documents: Count | None = 10
    """A line is boilerplate when it stands in this many documents or more, and in `share` of them. None: never."""
    share: Share = 0.001
    """Share of all documents."""
    sections: Count | None = 5
    """A line is boilerplate in a document where it stands in this many sections or more, such as a running head."""
    least_words: Count = 4
    """Words that such a line has at least: `Solution` and `Proof of the theorem` stay."""
    notices: bool = True
    """Leave out lines that are publishers' notices by their wording: licences, downloads, dates of receipt."""


class CleanSpec(Spec):
    """What is left out of the documents and rows of a build."""

    drop_sections: Annotated[tuple[Kind, ...], Field(strict=False)] = ("references", "acknowledgements")
    """Kinds of sections that are left out."""
    length: LengthSpec = LengthSpec()
    """Fewest and most words."""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = "en"
    """Language that texts have, ISO 639; judged on their prose. None: any."""
    language_certainty: Annotated[float, Field(gt=0, lt=1)] = 0.65
    """Probability of another language from which a text is left out. FineWeb (arXiv 2406.17557, section 3.3) keeps
    pages that are English with at least 0.65."""
    quality: QualitySpec | None = QualitySpec()
    """Rules of Gopher, C4 and FineWeb. None: no rules."""
    pii: Literal["redact", "drop", "keep"] = "redact"
    """Personal data: `redact` puts `[EMAIL]` and the like in its place, `drop` leaves out the section or row."""
    pii_kinds: Annotated[tuple[PersonalData, ...], Field(strict=False)] = (
        "email", "phone", "ip", "card", "iban", "ssn", "key",
    )  # fmt: skip
    """Kinds of personal data that are looked for."""
    contamination: Literal["drop", "ignore"] = "drop"
    """Sections and rows that copy a question of a benchmark: leave them out, or do not look for them. What may ask a
    question in other words stays."""
    suspects: bool = True
    """Write into `checks` of a document or row which question it may ask in other words, for a person to judge. Where
    texts are on the topics of the benchmarks it takes half of the step's time."""
    tasks: Annotated[tuple[str, ...], Field(strict=False), Unkeyed()] | None = None
    """Benchmarks whose questions are looked for. None: all under `eval/` beside the file, and all that ship. Not in the
    key, which has the questions."""
    benchmarks: Annotated[dict[str, str | dict[str, str]], Unkeyed()] = Field(default_factory=dict)
    """{benchmark: local file with its questions} in place of its own data, or {benchmark: {split: file}}: as
    `evaluate.data` of a recipe. Not in the key, which has the questions."""
    duplicates: Literal["none", "exact", "near"] = "near"
    """Documents, sections and rows that repeat an earlier one: `exact` but for case and spaces; `near` shares 80 % of
    its runs of five words."""
    boilerplate: BoilerplateSpec | None = BoilerplateSpec()
    """Lines that repeat over documents, and publishers' notices. None: all lines stay."""
