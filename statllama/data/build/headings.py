"""What kind of section a heading announces, by its words and its number. English headings; any other is `other`.

2.1 Methods, II. METHODS, Materials and Methods, 3Methodology      methods
Discussion and conclusions (the first word that says it)           discussion
A Proofs, Appendix B: Data, S1 Text, Supporting information        appendix
Funding, Competing interests, Data availability                    acknowledgements
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

LONGEST = 200
"""Characters of the longest heading. What is longer is a paragraph, whose kind is `other`."""

_WHOLE = {
    "introduction": "overview scope|purpose|aim|aims|aims and scope|objective|objectives|hypotheses|intro",
    "background": "notation|notations|setup|set up|setting|settings|review|context",
    "methods": "data|the data|dataset|datasets|data set|data sets|data description|data collection|data sources|"
    "participants|subjects|patients|procedure|procedures|measures|measurements|instruments|materials|sample|analysis|"
    "the model|model|models|inference|computation|implementation|implementation details|proposed approach|"
    "our approach|approach|study population|study area",
    "results": "application|applications|examples|illustration|illustrations|case study|case studies|"
    "data analysis|ablations|theoretical properties|asymptotic properties|asymptotic theory|large sample properties",
    "references": "literature|cited literature|notes and references|further reading|works cited|reference list",
    "appendix": "proofs|proof|technical details|technical lemmas|technical proofs|auxiliary results|auxiliary lemmas|"
    "omitted proofs|supplement|supplements",
    "acknowledgements": "thanks|grants|disclosures|disclosure|declarations|contributors|orcid",
}
_START = {
    "background": "related work|related works|prior work|previous work|existing work|existing methods|"
    "literature review|review of literature|review of the literature|state of the art|problem statement|"
    "problem formulation|problem set|"
    "notation and|notations and|preliminaries|theoretical background|theoretical framework",
    "methods": "materials and method|material and method|statistical analysis|statistical analyses|experimental setup|"
    "experimental set up|experimental design|study design|simulation setup|simulation design|data and|model and|"
    "model specification|sample size|data preparation|data preprocessing",
    "results": "real data|real world data|numerical stud|numerical experiment|numerical result|numerical example|"
    "numerical illustration|empirical stud|empirical result|empirical analys|empirical application|"
    "empirical evaluation|empirical illustration|monte carlo stud|monte carlo experiment|experiments|"
    "experimental results|data example|"
    "data application|illustrative example|motivating application|ablation stud",
    "discussion": "strengths and limitations|threats to validity",
    "conclusion": "future work|future research|future directions|closing remarks|final remarks|final thoughts|summary",
    "references": "references|bibliography|literature cited",
    "appendix": "appendix|appendices|annex|supporting information|supplementary|supplemental|online supplement|"
    "electronic supplementary|web appendix|online appendix",
    "acknowledgements": "conflict of interest|conflicts of interest|competing interest|declaration of|"
    "author contribution|authors contribution|data availability|data and code availability|code availability|"
    "availability of|"
    "ethics approval|ethics statement|ethical approval|disclosure statement|about the author|credit author|"
    "open access|informed consent|consent for publication|consent to",
}
_HEAD = {
    "abstract": "abstract|abstracts",
    "introduction": "introduction|motivation",
    "background": "background|preliminaries|prerequisites",
    "methods": "method|methods|methodology|methodologies|algorithm|algorithms|estimation|estimator|estimators|design",
    "results": "result|results|finding|findings|experiment|experiments|simulation|simulations|evaluation|comparison|"
    "comparisons",
    "discussion": "discussion|discussions|limitation|limitations|implications",
    "conclusion": "conclusion|conclusions|concluding|outlook",
    "references": "references|bibliography",
    "appendix": "appendix|appendices|supplement",
    "acknowledgements": "acknowledgement|acknowledgements|acknowledgment|acknowledgments|funding",
}
"""A word that names the kind as the last noun of what the heading is about: `Simulation results` are results."""
_LETTERED_WORDS = (
    "proof|proofs|derivation|derivations|lemmas|additional|auxiliary|omitted|supplementary|further|extra|more|details|"
    "implementation|hyperparameters|hyperparameter|tables|figures|code|datasets|dataset|prompts|glossary"
)
_LETTERED = frozenset(_LETTERED_WORDS.split("|"))
"""Words that make a heading with a letter an appendix: `B Further tables`."""
_NEVER_AFTER_ARTICLE = _LETTERED - {"further", "hyperparameter", "dataset", "more", "supplementary"}


def _table(phrases: dict[str, str]) -> dict[str, str]:
    return {phrase: kind for kind, listed in phrases.items() for phrase in listed.split("|")}


_KIND_OF_WHOLE, _KIND_OF_HEAD = _table(_WHOLE), _table(_HEAD)
_KIND_OF_START = sorted(_table(_START).items(), key=lambda pair: (-len(pair[0]), pair[0]))  # the longest first

_ROMAN = r"(?:X{0,2}(?:IX|IV|V?I{1,3}|V)|X{1,2})"
_DIGITS = re.compile(r"\(?\d{1,4}(?:\.\d{1,3}){0,5}(?:[.):]?\s+|[.):](?=\D)|(?=[A-Z][a-z])|(?=[A-Z]{4}))")
_NUMERAL = re.compile(rf"\(?(?:{_ROMAN}|{_ROMAN.lower()})(?:[.):]\s*|\s+)")
_APPENDIX = re.compile(r"(?:[A-Z]\.\d|[ABS]\d{1,2}\b(?!\.?\w))[\d.]*[:)]?\s+(?=\S)")
_LETTER = re.compile(r"\(?[A-Za-z][.):]\s*(?=[A-Za-z]{2})")
_BARE_LETTER = re.compile(r"([A-HJ-L])\s+(?=[A-Z])")
_PART = re.compile(r"(?:§+|(?:section|sec\.|chapter|part)\b)[\s.]*(?=[\dIVX])", re.IGNORECASE)
_AROUND = " \t#*_=:;.,-–—|[]{}"
_SPLIT_CAPITAL = re.compile(r"(?<![A-Za-z])([A-Z]) ([A-Z]{2,})")
_AND = re.compile(r" and | or ")
_OF = re.compile(r" (?:of|for|on|in|with|to|from|under|via|by|using|at|as|about|between) ")


def kind_of_heading(text: str) -> str:
    """Return the kind of the section under a heading, one of those of `records.Section`; `other` when nothing says it.

    >>> [kind_of_heading(text) for text in ("2.1 Methods", "II. RESULTS", "A Proofs", "A simulation study")]
    ['methods', 'results', 'appendix', 'results']
    """
    if len(text) > LONGEST:
        return "other"
    title = " ".join(text.split()).strip(_AROUND)
    if len(title) >= 5 and all(len(part) == 1 for part in title.split()):  # A B S T R A C T
        return kind_of_heading(title.replace(" ", ""))
    joined = _SPLIT_CAPITAL.sub(r"\1\2", title)  # small capitals, as a PDF has them: I. I NTRODUCTION
    if joined != title and (kind := _by_number(joined)) != "other":
        return kind
    return _by_number(title)


def kinds_in_order(headings: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Yield the kind of each section of a document, given (level, heading) in reading order.

    A heading that says nothing has the kind of the chapter that it is in, and whatever is below an appendix is part of
    it.

    >>> list(kinds_in_order([(1, "Methods"), (2, "Notation of trees"), (1, "Appendix"), (2, "Results")]))
    ['methods', 'methods', 'appendix', 'appendix']
    """
    above: list[tuple[int, str]] = []
    for level, heading in headings:
        while above and above[-1][0] >= level:
            above.pop()
        kind, outer = kind_of_heading(heading), above[-1][1] if above else "other"
        if kind == "other" or outer == "appendix":
            kind = outer
        above.append((level, kind))
        yield kind


def _by_number(title: str) -> str:
    """Return the kind of a heading with its number, which may say that it is an appendix."""
    title = _PART.sub("", title, count=1) if _PART.match(title) else title
    if _APPENDIX.match(title):
        return "appendix"
    for number in (_DIGITS, _NUMERAL):
        if match := number.match(title):
            kind = _by_words(_words(title[match.end() :]))
            return "other" if kind == "appendix" and "proof" in title.lower() else kind  # a chapter of the text
    if match := _LETTER.match(title):  # an appendix, or a part of a chapter: the words say which
        words = _words(title[match.end() :])
        return "appendix" if _LETTERED & set(words.split()[:1]) else _by_words(words)
    if match := _BARE_LETTER.match(title):
        words = _words(title[match.end() :])
        first = set(words.split()[:1])
        if match[1] == "A":  # or the article: A Simulation Study
            return "appendix" if first & _NEVER_AFTER_ARTICLE else _by_words(words)
        return "appendix" if first & _LETTERED or _by_words(words) != "other" else "other"
    return _by_words(_words(title))


def _words(title: str) -> str:
    """Return the words in lower case without accents and signs, one space between them."""
    plain = unicodedata.normalize("NFKD", title.replace("&", " and ")).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("'", "").replace("’", "")
    words = re.findall(r"[^\W_]+", plain)
    return " ".join(words[1:] if words[:1] in (["the"], ["a"], ["an"]) and len(words) > 1 else words)


def _by_words(title: str) -> str:
    """Return the kind that the words say: all of them, the first ones, or the noun that the heading is about."""
    if kind := _KIND_OF_WHOLE.get(title):
        return kind
    if title.startswith("introduction to "):  # a chapter of a textbook: its subject is what follows
        return "other"
    for start, kind in _KIND_OF_START:
        if title.startswith(start):
            return kind
    for part in _AND.split(title):
        if kind := _KIND_OF_WHOLE.get(part):
            return kind
        for word in reversed(_OF.split(part)[0].split()):
            if kind := _KIND_OF_HEAD.get(word):
                return kind
    return "other"
