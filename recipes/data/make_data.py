"""Write the statistics training files and the test items of the statistics_mc benchmark.

    python recipes/data/make_data.py            # writes into recipes/data and eval/statistics_mc
    python recipes/data/make_data.py --out DIR  # writes the same files under DIR

The sources are glossary.jsonl, written for this project, and the problems of `statllama.problems`, whose
answers are computed. The same seed gives the same bytes. Training rows use the split "train", benchmark items
"test".
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from statllama.problems import Problem, generate, to_messages, to_multiple_choice, to_preference, topics

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SEED = 2026
SFT_ROWS, DPO_ROWS, DTFT_ROWS, TEST_ITEMS = 3000, 1500, 1000, 405
PHRASINGS = 3
LETTERS = "ABCD"

Row = Mapping[str, object]
Term = Mapping[str, str]

QUESTIONS = (
    "What is meant by the term {term} in statistics?",
    "Define {term}.",
    "In statistics, what does {term} mean?",
    "Explain the statistical term {term}.",
    "Give a short definition of {term}.",
    "How would you explain {term} to a beginning student of statistics?",
    "I came across the term {term} in a statistics text. What does it mean?",
)


def read_glossary(path: Path = HERE / "glossary.jsonl") -> list[Term]:
    """The glossary: rows with term, description and formula (empty when there is none)."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def chat(question: str, answer: str) -> Row:
    """One chat example of two turns."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def definition(term: Term) -> str:
    """The answer to a definition question: the description and, where there is one, the formula."""
    return f"{term['description']} Formula: {term['formula']}." if term["formula"] else term["description"]


def definitions(glossary: Sequence[Term], seed: int) -> Iterator[Row]:
    """`PHRASINGS` differently worded questions for each term."""
    rng = random.Random(f"definitions/{seed}")
    for term in glossary:
        for text in rng.sample(QUESTIONS, PHRASINGS):
            yield chat(text.format(term=term["term"]), definition(term))


def spot_the_slip(problem: Problem, rng: random.Random) -> Row:
    """A student's wrong answer, what went wrong, and the right answer."""
    wrong, slip = rng.choice(problem.distractors)
    ask = rng.choice(
        (
            "A student answered: {wrong} What went wrong?",
            "My answer is: {wrong} Is that right?",
            "A classmate got this: {wrong} Where is the mistake?",
        )
    )
    return chat(
        f"{problem.question}\n\n{ask.format(wrong=stop(wrong))}",
        f"That is not right: the answer given {slip}. {problem.idea} The right answer: {stop(problem.answer)}"
        if ask.startswith("My")
        else f"The student {slip}. {problem.idea} The right answer: {stop(problem.answer)}",
    )


def which_is_right(problem: Problem, rng: random.Random) -> Row:
    """Two answers, one of them right, with the reason."""
    wrong, slip = rng.choice(problem.distractors)
    names = rng.sample(("Ana", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana"), 2)
    first_right = rng.random() < 0.5
    right_name, wrong_name = names if first_right else names[::-1]
    said = [problem.answer, wrong] if first_right else [wrong, problem.answer]
    return chat(
        f"{problem.question}\n\n{names[0]} says: {stop(said[0])} {names[1]} says: {stop(said[1])} Who is "
        "right, and why?",
        f"{right_name} is right. {problem.idea} {wrong_name} {slip}.",
    )


def letter_choice(problem: Problem, rng: random.Random) -> Row:
    """A four-option item answered by its letter and the option."""
    item = to_multiple_choice(problem, rng.randrange(2**31))
    choices, answer = item["choices"], item["answer"]
    assert isinstance(choices, list)
    assert isinstance(answer, int)
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=True))
    return chat(f"{problem.question}\n{listed}\nAnswer:", f"{LETTERS[answer]}. {choices[answer]}")


def short_answer(problem: Problem, rng: random.Random) -> Row:
    """The answer with the one idea behind it, without the working."""
    ask = rng.choice(("Just the answer and the main idea, please.", "Answer in short.", "Give a brief answer."))
    return chat(f"{problem.question} {ask}", f"{stop(problem.answer)} {problem.idea}")


def name_the_term(term: Term, rng: random.Random) -> Row:
    """The term for a description that does not contain it."""
    ask = rng.choice(("Which statistical term is this?", "What is the name for this in statistics?"))
    return chat(f"{term['description']} {ask}", f"This is called: {term['term']}.")


def conversation(glossary: Sequence[Term], count: int, seed: int) -> Iterator[Row]:
    """Short conversational rows: three quarters and more from problems, the rest from the glossary."""
    rng = random.Random(f"dtft/{seed}")
    hidden = [term for term in glossary if not set(words(term["term"])) & set(words(term["description"]))]
    named = rng.sample(hidden, min(len(hidden), count // 8))
    forms = (spot_the_slip, which_is_right, letter_choice, letter_choice, short_answer)
    # another seed than the other files, so that most questions are new
    drawn = generate(count - len(named), seed=seed + 2, split="train")
    rows = [forms[index // len(topics()) % len(forms)](problem, rng) for index, problem in enumerate(drawn)]
    rows += [name_the_term(term, rng) for term in named]
    rng.shuffle(rows)
    yield from rows


def stop(text: str) -> str:
    """The text with a full stop at its end."""
    return text if text.endswith((".", "?")) else f"{text}."


def words(text: str) -> list[str]:
    """Lower-case words of more than three letters, without a plural s."""
    return [word.rstrip("s") for word in text.lower().replace("-", " ").split() if len(word) > 3]


def benchmark(count: int, seed: int) -> Iterator[Row]:
    """Multiple-choice items of the test split, with the letters of the answers in balance."""
    places = [index % len(LETTERS) for index in range(count)]
    random.Random(f"places/{seed}").shuffle(places)
    for problem, place in zip(generate(count, seed=seed, split="test"), places, strict=True):
        item = to_multiple_choice(problem, seed)
        choices, answer = list(item["choices"]), item["answer"]  # type: ignore[call-overload]
        choices[place], choices[answer] = choices[answer], choices[place]
        yield {**item, "choices": choices, "answer": place}


def files(seed: int = SEED) -> Iterator[tuple[str, Iterable[Row]]]:
    """The name of each file, relative to the repository, and its rows."""
    glossary = read_glossary()
    yield "recipes/data/definitions.jsonl", definitions(glossary, seed)
    yield "recipes/data/problems_sft.jsonl", map(to_messages, generate(SFT_ROWS, seed=seed))
    yield "recipes/data/problems_dpo.jsonl", map(to_preference, generate(DPO_ROWS, seed=seed + 1))
    yield "recipes/data/problems_dtft.jsonl", conversation(glossary, DTFT_ROWS, seed)
    yield "eval/statistics_mc/test.jsonl", benchmark(TEST_ITEMS, seed)


def render(rows: Iterable[Row]) -> bytes:
    """The rows as JSON lines in UTF-8."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all files; `--out` sets the folder, `--seed` the seed."""
    parser = argparse.ArgumentParser(description="Write the statistics training files and benchmark items.")
    parser.add_argument("--out", type=Path, default=ROOT, help="folder to write under (default: the repository)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of all draws (default: {SEED})")
    options = parser.parse_args(arguments)
    for name, rows in files(options.seed):
        target = options.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(render(rows))


if __name__ == "__main__":
    main()
