"""Bias in surveys: its source, its direction, and what helps."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import words
from .._scenarios import SURVEYS
from .._settings_study_design import POLLS
from .._siblings import Sibling, Siblings, square
from .._wording import capital, wordings
from ._shared import in_words

# fmt: off

_NAMES = {"undercoverage": "undercoverage", "nonresponse": "nonresponse bias", "voluntary": "voluntary response bias",
          "wording": "response bias"}
_DEFINED = {
    "undercoverage": "Undercoverage arises when a part of the population has no chance to be selected.",
    "nonresponse": "Nonresponse bias arises when those selected who do not reply differ from those who do.",
    "voluntary": "Voluntary response bias arises when people choose themselves, since strong opinions reply most.",
    "wording": "Response bias arises when the wording of a question pushes people toward one answer.",
}

_STEM_SOURCE_OF_BIAS = wordings("""
    train: A survey asks {s.who} about {s.topic}.
    train: A report tells what {s.who} think about {s.topic}.
    train: A survey is meant to show the opinion of {s.who} on {s.topic}.
    train: The opinion of all {s.who} on {s.topic} is to be estimated.
    test: What do {s.who} think of {s.topic}?
    test: With {s.topic} in dispute, a reporter polls {s.who}.
    test: On the matter of {s.topic}, the views of {s.who} are wanted.
""")
_ASK_SOURCE_OF_BIAS = wordings("""
    train/undercoverage: A random sample of {n} is selected from {s.frame}. All of them answer a neutral question. What
        is the main source of bias?
    train/undercoverage: The {n} people surveyed are selected at random from {s.frame}; the question is neutral, and
        everyone answers. Which type of bias is of most concern?
    train/nonresponse: A random sample of {n} is selected from a complete list, and {percent}% of them answer a neutral
        question. What is the main source of bias?
    train/nonresponse: A neutral question is sent to {n} people selected at random from a complete list, but only
        {percent}% answer. Which type of bias is of most concern?
    train/voluntary: {s.open_call}. A neutral question is asked, and the {n} answers that come in are counted. What is
        the main source of bias?
    train/voluntary: No sample is drawn. {s.open_call}, the question is neutral, and {n} people answer. Which type of
        bias is of most concern?
    train/wording: A random sample of {n} is selected from a complete list. All of them answer the question
        "{s.leading}" What is the main source of bias?
    train/wording: The question "{s.leading}" is put to {n} people selected at random from a complete list, and everyone
        answers. Which type of bias is of most concern?
    test/undercoverage: A balanced question goes to {n} names, a random sample from {s.frame}, and everyone replies. Why
        may the results be biased?
    test/undercoverage: Interviewers talk to all {n} people whose names were drawn at random from {s.frame}, using a
        balanced question. Identify the bias.
    test/nonresponse: A balanced question goes to {n} names, a random sample from the full register, and {percent}%
        reply. Why may the results be biased?
    test/nonresponse: Interviewers try to reach {n} people whose names were drawn at random from the full register.
        Their question is balanced, and {percent}% take part. Identify the bias.
    test/voluntary: {s.open_call}, using balanced words. Within a month, {n} people have replied. Why may the results be
        biased?
    test/voluntary: {s.open_call}; the {n} people who respond to the balanced question serve as the sample. Identify the
        bias.
    test/wording: This question goes to {n} names, a random sample from the full register, and everyone replies:
        "{s.leading}" Why may the results be biased?
    test/wording: Interviewers talk to all {n} people whose names were drawn at random from the full register. They ask:
        "{s.leading}" Identify the bias.
""")


@kind(1, ap="3.4")
def source_of_bias(draw: Draw) -> Siblings:
    """Name the bias that a survey suffers from."""
    s = draw.setting(SURVEYS)
    numbers = {"n": 10 * draw.integer(15, 90), "percent": draw.integer(9, 27)}
    fields = {"s": s, **numbers}
    options = {
        "undercoverage": f"Undercoverage, since {s.missing} had no chance to be selected.",
        "nonresponse": "Nonresponse bias, since most of those selected did not answer at all.",
        "voluntary": "Voluntary response bias, since the people who answered chose themselves.",
        "wording": "Response bias, since the wording of the question favors one of the answers.",
    }
    seen = {
        "undercoverage": f"The list used for the draw leaves out {s.missing}.",
        "nonresponse": "The draw was made from the whole population, but few of those drawn replied.",
        "voluntary": "Nobody was drawn; whoever wanted to reply did so.",
        "wording": f"The question about {s.topic} is loaded.",
    }
    return in_words(
        draw, draw.ask(_STEM_SOURCE_OF_BIAS, **fields), _ASK_SOURCE_OF_BIAS, fields, options,
        {name: [f"[What is wanted is the opinion of all // The parameter concerns the opinion of all] {s.who} on "
                f"{s.topic}.", recalled(_DEFINED[name]), seen[name],
                f"[So the main concern is // This is a case of // The bias to name is] {_NAMES[name]}."]
         for name in options},
        {name: f"took the bias for {_NAMES[name]}" for name in options},
        "A bias is named after the step that goes wrong: the list, the replies, who chooses, or the question.",
        numbers,
    )


_STEM_BIAS_REMEDY = wordings("""
    train: The opinion of {s.who} on {s.topic} is surveyed.
    train: A survey on {s.topic} is meant for all {s.who}.
    train: A group wants to know what {s.who} think about {s.topic}.
    train: A newspaper surveys {s.who} about {s.topic}.
    test: How do {s.who} feel about {s.topic}?
    test: Plans for a poll on {s.topic} among {s.who} are under review.
    test: A poll deals with {s.topic}, and {s.who} are to be heard.
""")
_ASK_BIAS_REMEDY = wordings("""
    train/undercoverage: A random sample of {n} is selected from {s.frame}; all answer a neutral question. Which change
        would reduce the bias most?
    train/undercoverage: The main problem is that the {n} people are selected at random from {s.frame}. How could the
        survey be improved?
    train/nonresponse: A random sample of {n} is selected from a complete list, but only {percent}% answer the neutral
        question. Which change would reduce the bias most?
    train/nonresponse: The main problem is that of {n} people selected at random, only {percent}% answer. How could the
        survey be improved?
    train/voluntary: {s.open_call}; {n} people answer a neutral question. Which change would reduce the bias most?
    train/voluntary: The main problem is that the {n} answers come from people who wanted to answer. How could the
        survey be improved?
    train/wording: A random sample of {n} is selected from a complete list; all answer the question "{s.leading}" Which
        change would reduce the bias most?
    train/wording: The main problem is that the {n} people selected are asked "{s.leading}" How could the survey be
        improved?
    test/undercoverage: The {n} names are a random sample from {s.frame}. Everyone replies to a fair question. What
        should the pollster do differently?
    test/undercoverage: A critic notes: "Your {n} names all stem from {s.frame}." What would meet this criticism?
    test/nonresponse: The {n} names are a random sample from the entire population, but a mere {percent}% reply to a
        fair question. What should the pollster do differently?
    test/nonresponse: A critic notes: "You wrote to {n} people, and {percent}% wrote back." What would meet this
        criticism?
    test/voluntary: {s.open_call}, and {n} people reply to a fair question. What should the pollster do differently?
    test/voluntary: A critic notes: "Your {n} replies come from those who felt like replying." What would meet this
        criticism?
    test/wording: The {n} names are a random sample from the entire population. Everyone replies to the question
        "{s.leading}" What should the pollster do differently?
    test/wording: A critic notes that all {n} people were asked "{s.leading}" What would meet this criticism?
""")


@kind(1, ap="3.4")
def bias_remedy(draw: Draw) -> Siblings:
    """Which change to a survey reduces its bias."""
    s = draw.setting(SURVEYS)
    numbers = {"n": 10 * draw.integer(15, 90), "percent": draw.integer(9, 27)}
    fields = {"s": s, **numbers}
    options = {
        "undercoverage": f"Select the people from a list that includes {s.missing}.",
        "nonresponse": "Contact the selected people again until most of them have answered.",
        "voluntary": "Select the people at random instead of waiting for their answers.",
        "wording": "Reword the question so that it does not suggest either of the answers.",
    }
    seen = {
        "undercoverage": f"With {s.missing} on the list, every part of the population can be selected.",
        "nonresponse": "When nearly all of those selected reply, the sample is again a random one.",
        "voluntary": "When chance selects the people, strong opinions have no better chance than others.",
        "wording": "A neutral question leaves the choice of an answer to the people asked.",
    }
    return in_words(
        draw, draw.ask(_STEM_BIAS_REMEDY, **fields), _ASK_BIAS_REMEDY, fields, options,
        {name: [recalled(_DEFINED[name]), seen[name],
                f"[This reduces {_NAMES[name]} // So {_NAMES[name]} becomes smaller // The change therefore acts "
                f"against {_NAMES[name]}]."] for name in options},
        {name: f"chose the remedy for {_NAMES[name]}" for name in options},
        "A bias is reduced where it arises: by a better list, more replies, a random draw, or a neutral question.",
        numbers,
    )


_STEM_BIAS_DIRECTION = wordings("""
    train: A survey is to estimate the proportion of {p.who} who {p.does}.
    train: What proportion of {p.who} {p.does}? A survey is to tell.
    train: The proportion of {p.who} who {p.does} is estimated from a sample.
    train: A report estimates what percentage of {p.who} {p.does}.
    test: How many {p.who} {p.does}? A poll is to find out.
    test: The share of {p.who} who {p.does} is taken from a poll.
    test: A reporter polls {p.who} to find out how many of them {p.does}.
""")
_ASK_BIAS_DIRECTION = wordings("""
    train/frame high: The {n} {p.many} are selected at random from {p.high_frame}, and all of them answer. What bias is
        to be expected?
    train/frame high: All {n} {p.many} in the sample answer; they were selected at random from {p.high_frame}. How is
        the estimate probably biased?
    train/frame low: The {n} {p.many} are selected at random from {p.low_frame}, and all of them answer. What bias is to
        be expected?
    train/frame low: All {n} {p.many} in the sample answer; they were selected at random from {p.low_frame}. How is the
        estimate probably biased?
    train/loss high: Of {n} {p.many} selected at random from a complete list, {percent}% answer, and {p.high_loss}
        answer least often. What bias is to be expected?
    train/loss high: The {n} {p.many} are selected at random from a complete list, but few {p.high_loss} answer. How is
        the estimate probably biased?
    train/loss low: Of {n} {p.many} selected at random from a complete list, {percent}% answer, and {p.low_loss} answer
        least often. What bias is to be expected?
    train/loss low: The {n} {p.many} are selected at random from a complete list, but few {p.low_loss} answer. How is
        the estimate probably biased?
    test/frame high: The names come from {p.high_frame}: {n} were drawn at random, and none refused. In which way is the
        result likely to be wrong?
    test/frame high: For convenience, {n} names are drawn at random from {p.high_frame}, and everyone replies. Describe
        the flaw and its effect.
    test/frame low: The names come from {p.low_frame}: {n} were drawn at random, and none refused. In which way is the
        result likely to be wrong?
    test/frame low: For convenience, {n} names are drawn at random from {p.low_frame}, and everyone replies. Describe
        the flaw and its effect.
    test/loss high: The names come from a full register: {n} were drawn at random, but hardly any {p.high_loss} are
        among the {percent}% who replied. In which way is the result likely to be wrong?
    test/loss high: Although {n} names are drawn at random from a full register, {p.high_loss} mostly do not reply.
        Describe the flaw and its effect.
    test/loss low: The names come from a full register: {n} were drawn at random, but hardly any {p.low_loss} are among
        the {percent}% who replied. In which way is the result likely to be wrong?
    test/loss low: Although {n} names are drawn at random from a full register, {p.low_loss} mostly do not reply.
        Describe the flaw and its effect.
""")


@kind(2, ap="3.4")
def bias_direction(draw: Draw) -> Siblings:
    """The source of a bias and whether the estimate is too high or too low."""
    p = draw.setting(POLLS)
    numbers = {"n": 10 * draw.integer(15, 90), "percent": draw.integer(11, 38)}
    fields = {"p": p, **numbers}
    stem = draw.ask(_STEM_BIAS_DIRECTION, **fields)
    groups = ((p.high_frame, p.low_frame), (p.high_loss, p.low_loss))

    def make(source: int, low: int) -> Sibling:
        way, more = ("high", "low")[low], ("more", "less")[low]
        asked = f"{('frame', 'loss')[source]} {way}"
        name = ("Undercoverage", "Nonresponse")[source]
        who = groups[source][low]
        cause = (f"The sample is drawn from {who} alone.", f"{capital(who)} seldom answer.")[source]
        return Sibling(
            asked,
            f"{stem} {draw.ask(_ASK_BIAS_DIRECTION, asked, **fields)}",
            [
                f"[The parameter is the proportion of // What is to be estimated is the proportion of] all {p.who} who "
                f"{p.does}.",
                cause,
                f"[So {p.many} who {p.does} are {more} common in the sample than in the population // In the sample, "
                f"{p.many} who {p.does} are therefore {('over', 'under')[low]}represented].",
                "[ // A larger sample taken in the same way would not remove this bias.]",
            ],
            words(f"{name}, and the estimate is probably too {way}."),
            "The direction of a bias follows from who is missing in the sample.",
        )

    return square(
        make,
        ("took undercoverage for nonresponse", "took nonresponse for undercoverage"),
        ("turned the direction of the bias around",) * 2,
        numbers,
    )
