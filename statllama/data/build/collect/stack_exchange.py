"""Questions and answers of a Stack Exchange site, from the Posts.xml of its data dump.

    collect:
      - type: stack_exchange
        path: dumps/Posts.xml.zst
        site: stats.stackexchange.com
        pairs_part: votes

A question with its accepted answer, or with the one of most votes, is a row of format `question_answer`. Two answers of
one question that votes tell apart are a row of format `preference`. All is under CC BY-SA, which asks for attribution:
`provenance` has each post's address, author and licence, which was 2.5 before 2011-04-08, 3.0 before 2018-05-02, and is
4.0 since (https://stackoverflow.com/help/licensing); a post's own word goes before its date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from statllama.config.keyed import Unkeyed, keyed
from statllama.config.spec import Count, Name
from statllama.data.build.chain import Step
from statllama.data.build.collect._dumps import dump_files, fingerprint
from statllama.data.build.collect._html import as_text, has_image
from statllama.data.build.collect._posts import questions
from statllama.data.build.collect.spec import CollectorSpec, Names
from statllama.data.build.licences import normalised, refusal
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.errors import DataError

NUMERICS = 1
LICENCES = (("2011-04-08", "CC-BY-SA-2.5"), ("2018-05-02", "CC-BY-SA-3.0"), ("9999", "CC-BY-SA-4.0"))
"""(day before which a post was written, its licence)"""


class Spec(CollectorSpec):
    """Which questions and answers of a dump."""

    type: Literal["stack_exchange"]
    path: Annotated[str, Unkeyed()]
    """Posts.xml of a dump, also with .gz or .zst; unpack a .7z before. Not in the key: the file's bytes are."""
    site: Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.[a-z]+$")]
    """Host of the site, such as stats.stackexchange.com, for the addresses of posts."""
    part: Name | None = "questions"
    """Part of the build that questions with their answer belong to. None: no such rows."""
    pairs_part: Name | None = None
    """Part of the build that pairs of answers belong to. None: no such rows."""
    tags: Annotated[Names, Field(min_length=1)] | None = None
    """Tags, one of which a question has. None: all questions."""
    tags_without: Names = ()
    """Tags, none of which a question has."""
    min_score: int = 1
    """Least votes of a question, those against it taken off."""
    closed: bool = False
    """Let in questions that were closed."""
    images: bool = False
    """Let in posts with images, of which only their description is left."""
    accepted_only: bool = False
    """Take accepted answers alone; else, where none is accepted, the one with the most votes."""
    min_accepted_score: int = 0
    """Least votes of an accepted answer."""
    min_answer_score: int = 3
    """Least votes of an answer that is not accepted, and of the better one of a pair."""
    min_chars: Count = 100
    """Least characters of an answer."""
    margin: Count = 5
    """Votes that the better answer of a pair has more than the worse one."""
    pairs: Count = 1
    """Most pairs of one question."""
    limit: Count | None = None
    """Number of questions that are read. None: all."""

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        if self.part is None and self.pairs_part is None:
            raise ValueError("give `part`, `pairs_part` or both")
        if self.part == self.pairs_part:
            raise ValueError(f"`part` and `pairs_part` are both {self.part!r}; they hold rows of different formats")
        return self


def steps(spec: Spec, root: Path, name: str) -> tuple[Step, ...]:
    """Return the step that reads the dump. DataError when there is no such file."""
    if spec.path.endswith(".7z"):
        raise DataError(f"{spec.path}: a .7z is not read", remedy=f"unpack it: 7z x {spec.path} Posts.xml")
    files = dump_files(spec.path, root, (".xml",))
    posts = [path for path in files if path.name.lower().startswith("posts.")] if len(files) > 1 else files
    if len(posts) != 1:
        names = ", ".join(path.name for path in files[:5])
        raise DataError(f"{spec.path}: not one Posts.xml but {len(posts)} ({names})", remedy="name it in `path`")
    return (Reading(spec, str(posts[0]), fingerprint(posts), name),)


@dataclass(frozen=True)
class Reading:
    """Reads a dump; a record in is a question with its answers."""

    spec: Spec
    file: str
    fingerprint: str
    name: str
    block: int = 200
    threads: bool = False

    def material(self) -> Mapping[str, Any]:
        """Return what decides the rows: settings and the file's bytes."""
        return {"step": "stack_exchange", "numerics": NUMERICS, "spec": keyed(self.spec), "file": self.fingerprint}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return None."""

    def listed(self, plan: Any) -> Iterator[Json]:
        """Yield the questions with their answers. Errors: see `_posts.questions`."""
        return questions(Path(self.file), self.spec.limit)

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield the rows of each question."""
        for record in records:
            if "problem" in record:
                yield LeftOut(record["problem"], f"{Path(self.file).name}, line {record['line']}")
            elif record["question"] is None:
                for answer in record["answers"]:
                    yield LeftOut("an answer whose question is not in the dump", _id(answer["id"], self.spec))
            elif reason := _refused(record["question"], self.spec):
                yield LeftOut(reason, _id(record["question"]["id"], self.spec), record["question"]["Title"] or "")
            else:
                yield from _rows(record["question"], record["answers"], self.spec)


def _refused(question: Json, spec: Spec) -> str | None:
    """Return the reason why a question is left out with all its answers."""
    tags = set(_tags(question))
    if question["DeletionDate"]:
        return "a question that was deleted"
    if question["ClosedDate"] and not spec.closed:
        return "a question that was closed"
    if spec.tags is not None and not tags & set(spec.tags):
        return f"a question with no tag among {', '.join(spec.tags)}"
    if found := [tag for tag in spec.tags_without if tag in tags]:
        return f"a question with the tag {found[0]}"
    if (question["Score"] or 0) < spec.min_score:
        return f"a question with fewer than {spec.min_score} votes"
    if not question["Title"] or not (question["Body"] or "").strip():
        return "a question without title or text"
    return "a question with an image" if has_image(question["Body"]) and not spec.images else None


def _rows(question: Json, answers: Sequence[Json], spec: Spec) -> Iterator[Outcome]:
    """Yield a question's rows, and what of its answers is no use."""
    asked = f"{' '.join(question['Title'].split())}\n\n{as_text(question['Body'])}"
    texts: dict[int, str] = {}
    for answer in answers:
        text = as_text(answer["Body"] or "")
        reason = _unfit(answer, text, spec)
        if reason is None:
            texts[answer["id"]] = text
        else:
            yield LeftOut(reason, _id(answer["id"], spec))
    usable = sorted((a for a in answers if a["id"] in texts), key=lambda a: (-(a["Score"] or 0), a["id"]))
    if spec.part is not None:
        best = _answer(question, usable, spec)
        if best is None:
            more = "" if spec.accepted_only else f", and none with {spec.min_answer_score} votes"
            yield LeftOut(f"no accepted answer{more}", _id(question["id"], spec), question["Title"])
        else:
            row = {"question": asked, "answer": texts[best["id"]]}
            yield _row("question_answer", spec.part, row, question, (best,), spec)
    if spec.pairs_part is not None:
        pairs = _pairs(question, usable, spec)
        if len(usable) > 1 and not pairs:
            yield LeftOut(f"no two answers {spec.margin} votes apart", _id(question["id"], spec), question["Title"])
        for chosen, rejected in pairs:
            row = {"prompt": asked, "chosen": texts[chosen["id"]], "rejected": texts[rejected["id"]]}
            yield _row("preference", spec.pairs_part, row, question, (chosen, rejected), spec)


def _unfit(answer: Json, text: str, spec: Spec) -> str | None:
    if answer["DeletionDate"]:
        return "an answer that was deleted"
    if len(text) < spec.min_chars:
        return f"an answer of fewer than {spec.min_chars} characters"
    return "an answer with an image" if has_image(answer["Body"]) and not spec.images else None


def _answer(question: Json, usable: Sequence[Json], spec: Spec) -> Json | None:
    """Return the accepted answer, or the one with the most votes; None where neither has enough."""
    for answer in usable:
        if answer["id"] == question["AcceptedAnswerId"] and (answer["Score"] or 0) >= spec.min_accepted_score:
            return answer
    best = next((a for a in usable if a["id"] != question["AcceptedAnswerId"]), None)
    enough = best is not None and not spec.accepted_only and (best["Score"] or 0) >= spec.min_answer_score
    return best if enough else None


def _pairs(question: Json, usable: Sequence[Json], spec: Spec) -> list[tuple[Json, Json]]:
    """Return pairs (chosen, rejected) that votes tell apart, of the best answers first; each with the next worse one
    that is far enough below. What the asker accepted is never rejected.
    """
    pairs = [
        (chosen, rejected)
        for i, chosen in enumerate(usable)
        for rejected in usable[i + 1 :]
        if (chosen["Score"] or 0) >= spec.min_answer_score
        and (chosen["Score"] or 0) - (rejected["Score"] or 0) >= spec.margin
        and rejected["id"] != question["AcceptedAnswerId"]
    ]
    return pairs[: spec.pairs]


def _row(kind: str, part: str, row: Json, question: Json, answers: Sequence[Json], spec: Spec) -> Outcome:
    posts = [_attribution(post, spec) for post in (question, *answers)]
    licence = " AND ".join(sorted({post["licence"] for post in posts}))
    name = ":".join([_id(question["id"], spec), *(str(answer["id"]) for answer in answers)])
    if reason := refusal(licence, spec.licences):
        return LeftOut(reason, name)
    provenance = {
        "document": _id(question["id"], spec),
        "place": posts[0]["place"],
        "licence": licence,
        "section": question["Title"],
        "attribution": posts,
        "tags": _tags(question),
        "accepted": question["AcceptedAnswerId"] == answers[0]["id"],
    }
    return Kept({"id": name, "part": part, "format": kind, "row": row, "provenance": provenance})


def _attribution(post: Json, spec: Spec) -> Json:
    """Return what CC BY-SA asks to be said of a post."""
    letter = "q" if post["id"] == post["question"] else "a"
    found: Json = {"place": f"https://{spec.site}/{letter}/{post['id']}", "votes": post["Score"] or 0}
    if post["OwnerUserId"] is not None:
        found["author"] = f"https://{spec.site}/users/{post['OwnerUserId']}"
    elif post["OwnerDisplayName"]:
        found["author"] = post["OwnerDisplayName"]
    return found | {"licence": normalised(post["ContentLicense"]) or licence_on(post["CreationDate"] or "")}


def licence_on(day: str) -> str:
    """Return the licence of a post by the day (ISO 8601) on which it was written.

    >>> [licence_on(day) for day in ("2011-04-07T23:59:59", "2011-04-08", "2018-05-02T00:00:00")]
    ['CC-BY-SA-2.5', 'CC-BY-SA-3.0', 'CC-BY-SA-4.0']
    """
    return next(licence for before, licence in LICENCES if day < before)


def _tags(question: Json) -> list[str]:
    """Return the tags of `<a><b>`, or of `|a|b|` as newer dumps have it."""
    return [tag for tag in (question["Tags"] or "").replace("<", "|").replace(">", "|").split("|") if tag]


def _id(number: int, spec: Spec) -> str:
    return f"stack_exchange:{spec.site}/{number}"
