"""Personal data: planted ones are found, numbers of statistics are not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.clean.pii import KINDS, iban, luhn, redacted
from statllama.problems import rows

ALL = [kind.name for kind in KINDS]
# Tokens in two pieces, so that no scanner of this repository takes them for real ones.
TOKENS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp" + "_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "glpat" + "-" + "x1Y2z3A4b5C6d7E8f9G0",
    "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "sk" + "-proj-" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6",
    "hf" + "_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "npm" + "_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9aB1cD3eF5",
    "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\nowIB\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize(
    ("kind", "text", "left"),
    [
        ("email", "Ann Lee (ann.lee@stat.uni-ulm.de), Ulm", "Ann Lee ([EMAIL]), Ulm"),
        ("email", "{ann, bob.ray}@cs.ucl.ac.uk", "[EMAIL]"),
        ("email", "ann [at] uni-ulm [dot] de", "[EMAIL]"),
        ("email", "mailto:o'neil+x@mail.org.", "mailto:[EMAIL]."),
        ("phone", "Tel.: 0731 50-10 123, Ulm", "Tel.: [PHONE], Ulm"),
        ("phone", "or +49 (0)731 5010 123.", "or [PHONE]."),
        ("phone", "ring +1 (212) 736-5000 now", "ring [PHONE] now"),
        ("phone", "office (212) 736-5000, 212-736-5001", "office [PHONE], [PHONE]"),
        ("ip", "from 134.60.1.111 on", "from [IP] on"),
        ("ip", "at 2a00:1450:4001:81b::200e today", "at [IP] today"),
        ("card", "paid with 4111 1111 1111 1111.", "paid with [CARD]."),
        ("card", "5500-0055-5555-5559", "[CARD]"),
        ("card", "3782 822463 10005", "[CARD]"),
        ("iban", "to GB82 WEST 1234 5698 7654 32 by", "to [IBAN] by"),
        ("iban", "DE89370400440532013000", "[IBAN]"),
        ("ssn", "her number, 123-45-6789, is", "her number, [SSN], is"),
        *(("key", f"token {token} here", "token [KEY] here") for token in TOKENS),
    ],
)
def test_personal_data_are_found(kind: str, text: str, left: str) -> None:
    assert redacted(text, ALL)[0] == left
    assert set(redacted(text, ALL)[1]) == {kind}
    assert redacted(text, [name for name in ALL if name != kind])[0] == text


@pytest.mark.parametrize(
    "text",
    [
        "write to user@example.com or root@localhost",  # addresses of documentation
        "model@fit.values and x@data in R; @app.route",
        "Section 3.2.1.4 of version 2.10.0.1",
        "192.168.0.1, 127.0.0.1, 10.20.30.40, 192.0.2.1",  # nobody's
        "the interval (212, 736) and 212-736 rows, 1990-2001",
        "0.4111111111111111 and 4111111111111112, 1234 5678 9012 3456",
        "4137 2983 1934 8273 5521 9027 4111 1111 1111 1111 0021",  # a table of random digits
        "x +12 345 678 and 5 +49 731 5010 123",
        "the phone survey of 2,019 adults; phone: 3 of 5",
        "GB83 WEST 1234 5698 7654 32, US12 3456 7890 1234 5678",
        "000-12-3456, 666-12-3456, 912-34-5678, 123-00-4567 and 123-45-0000",
        "12:30:45, std::vector, dplyr::add, a::b, 00:1A:2B:3C:4D:5E",
        "sk-learn and hf_hub, AKIA-12, eyJ is a prefix; sk-plus-a-long-hyphenated-name-of-no-digits",
        "p = 0.05, z = 1.96, n = 1,234,567,890, mean 3.14159265358979",
    ],
)
def test_what_is_no_personal_data_stays(text: str) -> None:
    assert redacted(text, ALL) == (text, {})


def test_generated_problems_have_none() -> None:
    for made in rows("sft", 300, seed=11):
        for message in made["messages"]:
            assert redacted(message["content"], ALL)[1] == {}


def test_check_digits_of_worked_numbers() -> None:
    """Numbers from ISO/IEC 7812-1's algorithm and from the registry of IBANs."""
    assert luhn("79927398713") and luhn("4539578763621486") and luhn("378282246310005")
    assert [d for d in "0123456789" if luhn("7992739871" + d)] == ["3"]
    written = "GB82WEST12345698765432 DE89370400440532013000 NO9386011117947 MT84MALT011000012345MTLCAST001S"
    assert all(map(iban, written.split()))
    assert not any(map(iban, ["GB82WEST12345698765433", "DE8937040044053201300", "XX89370400440532013000"]))


@given(st.text(st.sampled_from("0123456789"), min_size=14, max_size=15))
def test_one_check_digit_in_ten_is_right_and_every_changed_digit_is_seen(digits: str) -> None:
    (check,) = [d for d in "0123456789" if luhn(digits + d)]
    changed = str((int(digits[3]) + 1) % 10)
    assert not luhn(digits[:3] + changed + digits[4:] + check)


DATA = ["ann@uni-ulm.de", "134.60.1.111", "4111 1111 1111 1111", "123-45-6789", "+49 731 5010", TOKENS[1]]
GLUE = [" ", ".", "@", "+", "-", "1", "12", "(", ")", "[at]", "[EMAIL]", "[IP]", "tel: ", "\n", "mean", "{", "}", ":"]
PIECES = st.sampled_from([*DATA, *GLUE, "GB82 WEST 1234 5698 7654 32"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_redacted_text_has_none_left_and_the_rest_is_as_it_was(text: str) -> None:
    once, counts = redacted(text, ALL)
    assert redacted(once, ALL) == (once, {})
    assert bool(counts) == (once != text)
    pieces = [piece for piece in re.split(r"\[[A-Z]+\]", once) if piece]
    at = 0
    for piece in pieces:  # what stays is in the text, in order
        at = text.index(piece, at) + len(piece)


@pytest.mark.parametrize("sign", ["a@", "{", "1.", "+49 ", "eyJ", "(", "1:", "tel 1 ", "A1-", "aa11 "])
def test_no_text_takes_long(sign: str) -> None:
    """Repeats of each pattern are bounded, so no text makes them try for minutes."""
    redacted(sign * 5000, ALL)
