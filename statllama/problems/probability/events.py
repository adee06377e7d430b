"""Two events: union, independence, mutual exclusion."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._problem import plain, probability, words
from .._settings_probability import TRAITS
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings

# fmt: off


_STEM_ADDITION_RULE = wordings("""
    train: Among {e.who}, the probability that {e.one!a} {e.a} is {a}, the probability that the {e.one} {e.b} is {b},
        and the probability of both is {both}.
    train: Of {e.who}, {a100}% {e.all_a}, {b100}% {e.all_b}, and {both100}% do both. One {e.one} is chosen at random.
    train: One {e.one} is chosen at random from {e.who}. Let A be the event that the {e.one} {e.a} and B the event that
        the {e.one} {e.b}; P(A) = {a}, P(B) = {b} and P(A and B) = {both}.
    train: A survey of {e.who} shows that {a100}% {e.all_a}, that {b100}% {e.all_b}, and that {both100}% are in both
        groups.
    test: For a randomly selected {e.one}, "{e.a}" has probability {a} and "{e.b}" has probability {b}. Both hold with
        probability {both} among {e.who}.
    test: Records on {e.who} show a proportion of {a} {who} {e.all_a}, a proportion of {b} {who} {e.all_b}, and an
        overlap of {both}.
    test: How do two traits overlap among {e.who}? It turns out that {a100}% {e.all_a}, that {b100}% {e.all_b}, and
        that the two groups have {both100}% of all {e.many} in common.
""")
_ASK_ADDITION_RULE = wordings("""
    train/or: What is the probability that at least one of the two is true of a randomly chosen {e.one}?
    train/or: Find the probability that a randomly chosen {e.one} {e.a} or {e.b}, or both.
    train/neither: What is the probability that neither of the two is true of a randomly chosen {e.one}?
    train/neither: Find the probability that a randomly chosen {e.one} belongs to neither group.
    train/one: What is the probability that exactly one of the two is true of a randomly chosen {e.one}?
    train/one: Find the probability that a randomly chosen {e.one} belongs to one group but not to the other.
    train/most: What is the probability that at most one of the two is true of a randomly chosen {e.one}?
    train/most: Find the probability that a randomly chosen {e.one} does not belong to both groups.
    test/or: If one {e.one} is selected at random, how likely is at least one of the two?
    test/or: Compute the probability that one of these {e.many}, selected at random, has at least one of the two
        traits.
    test/neither: If one {e.one} is selected at random, how likely is neither of the two?
    test/neither: Compute the probability that one of these {e.many}, selected at random, has neither trait.
    test/one: If one {e.one} is selected at random, how likely is exactly one of the two?
    test/one: Compute the probability that one of these {e.many}, selected at random, has just one of the two traits.
    test/most: If one {e.one} is selected at random, how likely is no more than one of the two?
    test/most: Compute the probability that one of these {e.many}, selected at random, does not have both traits.
""")


@kind(1, ap="4.6")
def addition_rule(draw: Draw) -> Siblings:
    """At least one, neither, exactly one or at most one of two events."""
    e = draw.setting(TRAITS)
    a, b, both = draw.decimal(0.2, 0.7, 2), draw.decimal(0.2, 0.7, 2), draw.decimal(0.05, 0.5, 2)
    either = round(a + b - both, 2)
    draw.need(both < min(a, b) - 0.03 and either < 0.97 and abs(both - a * b) > 0.01)
    stem = draw.ask(_STEM_ADDITION_RULE, e=e, a=a, b=b, both=both, a100=round(100 * a), b100=round(100 * b),
                    both100=round(100 * both), who="that" if e.many in ("farms", "cars", "households") else "who")
    ends = {
        "or": (either, "At least one means A or B, so the probability is the union itself,", plain(either)),
        "neither": (1 - either, "Neither is the complement of A or B, so the probability is", f"1 - {plain(either)}"),
        "one": (either - both, "Exactly one leaves out the overlap, so the probability is",
                f"{plain(either)} - {both}"),
        "most": (1 - both, "At most one is the complement of A and B, so the probability is", f"1 - {both}"),
    }

    def make(asked: str) -> Sibling:
        value, why, how = ends[asked]
        steps = [
            f"[Let A be that // Let A be the event that] the {e.one} {e.a} and B that the {e.one} {e.b}.",
            f"[By the general addition rule, // The probability of at least one is] `P(A or B) = P(A) + P(B) - "
            f"P(A and B) = {a} + {b} - {both} = {plain(either)}`.",
            f"{why} `{how} = {plain(value)}`." if how != plain(value) else f"{why} {how}.",
            "[ // The overlap, counted in both P(A) and P(B), was subtracted once.]",
        ]
        return Sibling(asked, f"{stem} {draw.ask(_ASK_ADDITION_RULE, asked, e=e)}", steps, probability(value, 2, 0.0),
                       "Adding P(A) and P(B) counts the overlap twice, so it is subtracted once.")

    names = ("at least one of the events", "neither event", "exactly one of the events", "at most one of the events")
    return four([make(asked) for asked in ends], [f"gave the probability of {name}" for name in names],
                {"a": a, "b": b, "both": both})


_STEM_EXCLUSIVE_OR_INDEPENDENT = wordings("""
    train: For {e.one!a} chosen at random from {e.who}, let A be that the {e.one} {e.a}, with P(A) = {a}, and B that
        the {e.one} {e.b}, with P(B) = {b}.
    train: Of {e.who}, {a100}% {e.all_a} (event A) and {b100}% {e.all_b} (event B). One {e.one} is chosen at random.
    train: The probability that {e.one!a} {e.a} is {a}, and the probability that the {e.one} {e.b} is {b}. Call these
        events A and B.
    train: Consider two events for a random member of the population of {e.who}: A, the {e.one} {e.a}, and B, the
        {e.one} {e.b}. Their probabilities are {a} and {b}.
    test: From {e.who}, one {e.one} is selected at random. Event A, that the {e.one} {e.a}, has probability {a}; event
        B, that the {e.one} {e.b}, has probability {b}.
    test: A student models {e.who} with P(A) = {a} and P(B) = {b}, where A means "{e.a}" and B means "{e.b}".
    test: In a population of {e.who}, {a100}% {e.all_a} and {b100}% {e.all_b}. For a random {e.one}, write A and B for
        these events.
""")
_ASK_EXCLUSIVE_OR_INDEPENDENT = wordings("""
    train/or: If A and B are {relation}, what is P(A or B)?
    train/or: Find the probability that at least one of the events occurs, if they are {relation}.
    train/neither: If A and B are {relation}, what is the probability that neither occurs?
    train/neither: Find the probability that neither of the events occurs, if they are {relation}.
    test/or: Compute the probability that {e.one!a} {e.a} or {e.b}, assuming {relation} events.
    test/or: If the events are {relation}, how likely is it that {e.one!a} {e.a} or {e.b}?
    test/neither: Compute the probability that neither event is true of {e.one!a}, assuming {relation} events.
    test/neither: If the events are {relation}, how likely is it that neither is true of {e.one!a}?
""")


@kind(1, ap="4.4, 4.6")
def exclusive_or_independent(draw: Draw) -> Siblings:
    """A union or its complement when two events are independent or mutually exclusive."""
    e = draw.setting(TRAITS)
    a, b = draw.decimal(0.1, 0.6, 2), draw.decimal(0.1, 0.6, 2)
    draw.need(a + b < 0.96)
    stem = draw.ask(_STEM_EXCLUSIVE_OR_INDEPENDENT, e=e, a=a, b=b, a100=round(100 * a), b100=round(100 * b))

    def make(exclusive: int, neither: int) -> Sibling:
        relation = ("independent", "mutually exclusive")[exclusive]
        both = 0.0 if exclusive else a * b
        either = a + b - both
        joint = "0" if exclusive else f"P(A) * P(B) = {a} * {b} = {plain(both)}"
        steps = [
            f"[For {relation} events, // As the events are {relation},] `P(A and B) = {joint}`.",
            f"[By the addition rule, // Then] `P(A or B) = P(A) + P(B) - P(A and B) = {a} + {b} - {plain(both)} = "
            f"{plain(either)}`.",
            f"[The probability of neither is the complement, // Neither is the complement of A or B, with probability] "
            f"`1 - {plain(either)} = {plain(1 - either)}`." if neither
            else f"[The probability that at least one of the events occurs is {plain(either)} // So at least one of "
            f"the events occurs with probability {plain(either)}].",
        ]
        ask = draw.ask(_ASK_EXCLUSIVE_OR_INDEPENDENT, ("or", "neither")[neither], e=e, relation=relation)
        return Sibling(f"{('union', 'neither')[neither]} of {relation} events", f"{stem} {ask}", steps,
                       probability(1 - either if neither else either, 4, 0.0005),
                       "Mutually exclusive events have no overlap; independent events overlap in `P(A) * P(B)`.")

    return square(
        make,
        ("treated independent events as mutually exclusive", "treated mutually exclusive events as independent"),
        ("gave the probability of neither event", "gave the probability of at least one event"),
        {"a": a, "b": b},
    )


_STEM_INDEPENDENCE_CHECK = wordings("""
    train: Let A be that {e.one!a} {e.a} and B that the {e.one} {e.b}. For {e.who} last year, P(A) = {a0}, P(B) = {b0}
        and P(A and B) = {j0}; this year, P(A) = {a1}, P(B) = {b1} and P(A and B) = {j1}.
    train: Two surveys of {e.who} asked about A, "{e.a}", and B, "{e.b}". Last year, P(A) = {a0}, P(B) = {b0} and P(A
        and B) = {j0}. This year, P(A) = {a1}, P(B) = {b1} and P(A and B) = {j1}.
    train: The events A ({e.one!a} {e.a}) and B ({e.one!a} {e.b}) have these probabilities among {e.who}. Last year:
        P(A) = {a0}, P(B) = {b0}, P(A and B) = {j0}. This year: P(A) = {a1}, P(B) = {b1}, P(A and B) = {j1}.
    train: A report on {e.who} compares last year with this year. P(A), the probability that {e.one!a} {e.a}, was {a0}
        last year and is {a1} this year; P(B), that the {e.one} {e.b}, was {b0} and is {b1}; P(A and B) was {j0} and is
        {j1}.
    test: In last year's records of {e.who}, the proportions for A ("{e.a}"), B ("{e.b}") and both are {a0}, {b0} and
        {j0}; in this year's records, they are {a1}, {b1} and {j1}.
    test: Write A for "{e.a}" and B for "{e.b}". A study of {e.who} lists, for last year, A {a0}, B {b0}, both {j0},
        and for this year, A {a1}, B {b1}, both {j1}.
    test: Much has changed for {e.who}. A, that {e.one!a} {e.a}, had probability {a0} last year and has {a1} this year;
        B, that {e.one!a} {e.b}, had {b0} and has {b1}; both together had {j0} and have {j1}.
""")
_ASK_INDEPENDENCE_CHECK = wordings("""
    train: For {place}, are A and B independent, and what is P({first} | {second})?
    train: Based on {place}, decide whether the events are independent, and find P({first} | {second}).
    test: With the probabilities of {place}, are "{e.a}" and "{e.b}" independent, and how likely is {first} given
        {second}?
    test: Judging by {place}, is the event "{e.a}" independent of the event "{e.b}"? Also compute P({first} |
        {second}).
""")


@kind(2, ap="4.6")
def independence_check(draw: Draw) -> Siblings:
    """Independence in one of two years, and a conditional probability in one of two directions."""
    e = draw.setting(TRAITS)
    u, v = draw.decimal(0.2, 0.8, 1), draw.decimal(0.2, 0.8, 1)  # P(A | B) and P(B | A), the same in both years
    other, even = draw.decimal(0.2, 0.8, 1), draw.integer(0, 1)
    draw.need(abs(u - v) > 0.05 and abs(other - v) > 0.15)
    years = [(u * b / v, b, u * b) for b in ((v, other), (other, v))[even]]
    draw.need(all(a < 0.95 and a + b - j < 0.98 and abs(100 * a - round(100 * a)) < 1e-6 for a, b, j in years))
    shown = {f"{name}{i}": plain(x) for i, year in enumerate(years) for name, x in zip("abj", year, strict=True)}
    stem = draw.ask(_STEM_INDEPENDENCE_CHECK, e=e, **shown)

    def make(i: int, k: int) -> Sibling:
        a, b, j = years[i]
        place, first, second = ("last year", "this year")[i], "AB"[k], "BA"[k]
        verdict = "independent" if i == even else "not independent"
        steps = [
            f"[For {place}, // With the probabilities of {place},] `P(A) * P(B) = {plain(a)} * {plain(b)} = "
            f"{plain(a * b)}`, and P(A and B) = {plain(j)}.",
            f"[Events are independent exactly when the two are equal // The two must be equal for independence], so A "
            f"and B are {verdict}.",
            f"[By definition, // Given {second},] `P({first} | {second}) = P(A and B) / P({second}) = {plain(j)} / "
            f"{plain((b, a)[k])} = {plain((u, v)[k])}`.",
        ]
        return Sibling(
            f"{place}, P({first} | {second})",
            f"{stem} {draw.ask(_ASK_INDEPENDENCE_CHECK, e=e, place=place, first=first, second=second)}",
            steps,
            words(f"{verdict.capitalize()}; the conditional probability is {plain((u, v)[k])}."),
            "Two events are independent exactly when `P(A and B) = P(A) * P(B)`.",
        )

    return square(make, ("used the probabilities of the other year",) * 2,
                  ("exchanged the event and the condition",) * 2,
                  {"years": [[round(x, 4) for x in year] for year in years]})


_STEM_EVENT_RELATION = wordings("""
    train: For {e.who}, let A be that a randomly chosen {e.one} {e.a} and B that the {e.one} {e.b}. P(A) = {a} and P(B)
        = {b}.
    train: A randomly chosen {e.one} {e.a} with probability {a} (event A) and {e.b} with probability {b} (event B).
    train: Among {e.who}, {a100}% {e.all_a} (event A) and {b100}% {e.all_b} (event B).
    train: Two events are defined for {e.one!a} chosen at random from {e.who}: A, the {e.one} {e.a}, has probability
        {a}; B, the {e.one} {e.b}, has probability {b}.
    test: Suppose that {a100}% of {e.who} {e.all_a} (A), and that {b100}% {e.all_b} (B).
    test: A table for {e.who} gives P(A) = {a} for the event that the {e.one} {e.a} and P(B) = {b} for the event that
        the {e.one} {e.b}.
    test: Select one of the {e.who} at random. With probability {a}, the {e.one} {e.a}; call this A. With probability
        {b}, the {e.one} {e.b}; call this B.
""")
_ASK_EVENT_RELATION = wordings("""
    train: Which statement about A and B is correct if P(A and B) = {joint}?
    train: Both events occur with probability {joint}. How are A and B related?
    test: What follows if {e.one!a} {e.a} and {e.b} with probability {joint}?
    test: With a probability of {joint} that {e.one!a} {e.a} and {e.b}, which description fits the events?
""")


@kind(1, ap="4.4, 4.6")
def event_relation(draw: Draw) -> Siblings:
    """Independent, mutually exclusive, or dependent in one of two directions."""
    e = draw.setting(TRAITS)
    a, b = draw.decimal(0.2, 0.5, 1), draw.decimal(0.2, 0.5, 1)
    product, step = a * b, draw.choice((0.02, 0.03, 0.04, 0.05))
    draw.need(a + b < 0.9 and product - step > 0.01 and product + step < min(a, b) - 0.02)
    stem = draw.ask(_STEM_EVENT_RELATION, e=e, a=a, b=b, a100=round(100 * a), b100=round(100 * b))
    cases = {
        "independent": (product, "equal to", "They are independent: knowing A leaves B exactly as likely as before."),
        "mutually exclusive": (0.0, "less than", "They are mutually exclusive: knowing A makes B entirely impossible."),
        "dependent, B more likely": (product + step, "greater than",
                                     "They are dependent: knowing A makes B more likely than it was before."),
        "dependent, B less likely": (product - step, "less than",
                                     "They are dependent: knowing A makes B less likely but still possible."),
    }

    def make(asked: str) -> Sibling:
        joint, compared, statement = cases[asked]
        shown = Given(round(joint, 4))
        steps = [
            f"[Independent events have // If A and B were independent, then] `P(A and B) = P(A) * P(B) = {a} * {b} = "
            f"{plain(product)}`; mutually exclusive events have P(A and B) = 0.",
            f"[Here // For A and B,] P(A and B) = {shown}, which is {compared} {plain(product)}.",
            f"[Then // Given A,] `P(B | A) = {shown} / {a} = {joint / a:.3f}`, and P(B) = {b}.",
            statement,
        ]
        return Sibling(asked, f"{stem} {draw.ask(_ASK_EVENT_RELATION, e=e, joint=shown)}", steps, words(statement),
                       "Independence compares P(A and B) with `P(A) * P(B)`; mutual exclusion compares it with 0.")

    return four([make(asked) for asked in cases],
                ["called the events independent", "called the events mutually exclusive",
                 "thought that A makes B more likely", "thought that A makes B less likely but possible"],
                {"a": a, "b": b, "step": step})
