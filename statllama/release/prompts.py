"""Questions for the forms of a release: strings to tokenise, chats, and texts to predict. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statllama.data.examples import Message
from statllama.evaluation.probe import LONGEST, probe_rows
from statllama.model.pre_tokenizers import normal
from statllama.store.canonical import digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROWS = 16  # probe texts that are predicted
ROW_TOKENS = 64
ROW_POSITIONS = 8  # of each, at which predictions are compared
LONG_TOKENS = 1024  # of one long text: what depends on the distance between tokens shows only there
LONG_POSITIONS = 32

_PLAIN = (
    "The mean of 3, 5 and 10 is 6.",
    "a",
    " ",
    "\n",
    "\t",
    "Hello, world!",
    " leading space",
    "trailing space ",
    "  two  spaces  between  ",
    "line one\nline two\n\nline four\n",
    "windows\r\nline\r\nends\r\n",
    "tab\tseparated\tvalues",
    " \n \t \n ",
    "CamelCaseAndsnake_case_and-kebab-case",
    "ALL CAPS SENTENCE WITHOUT END",
    "it's, we're, I'll, you've, he'd, I'M, THEY'RE, can't, o'clock, 'tis",
    "“curly quotes” and ‘single ones’ — dashes – of two kinds … dots",
    "(parentheses) [brackets] {braces} <angles> /slashes\\ |pipes| ~tilde~ `ticks`",
    "!@#$%^&*()_+-=[]{};':\",./<>?",
    "....,,,,;;;;::::!!!!????",
    "-----=====_____*****#####",
    "e.g. i.e. etc. vs. Dr. Mr. U.S.A. a.m.",
    "https://example.org/path/to?query=1&other=two#fragment",
    "someone.else+tag@mail.example.com",
    "C:\\Users\\name\\file.txt and /usr/local/bin/python3.11",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababababababababababab",
    "xX" * 40,
    "Answer: (C)\nBecause p < 0.05, we reject the null hypothesis.",
    "H₀: μ = 0 against H₁: μ ≠ 0, at α = 0.05",
    "x̄ = Σxᵢ/n, s² = Σ(xᵢ − x̄)²/(n − 1), ρ, σ, χ², β₀ + β₁x + ε",
    "∫₀^∞ e^{-x²} dx = √π/2 and ∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−L|<ε",
    r"$$\hat{\beta} = (X^\top X)^{-1} X^\top y \quad \text{OLS}$$",
    r"\begin{equation} P(A \mid B) = \frac{P(B \mid A)\,P(A)}{P(B)} \end{equation}",
    "| group | n | mean |\n|---|---:|---:|\n| A | 12 | 3.4 |\n| B | 9 | −1.2 |",
    "# Title\n\n## Section\n\n- item one\n- item *two*\n  1. nested **bold**\n\n> quote\n",
    "```python\nprint('hi')\n```",
)
_DIGITS = (
    *("0", "7", "12", "123", "1234", "12345", "123456", "1234567", "1234567890", "00012", "000", "9" * 25),
    *("3.14159", "-0.5", "+1.96", "1e-10", "6.02e23", "1,234,567.89", "50%", "0x1F", "1/2", "2:30", "1st 2nd 3rd"),
    *(
        "2024-07-26",
        "26/07/2024",
        "+49 30 123456",
        "v1.2.3-rc.4",
        "10^6",
        "1 000 000",
        "x1y22z333",
        "٣٤٥",
        "१२३",
        "½ ¾",
    ),
    *("n=100, p=.032, t(98)=2.17, 95% CI [0.08, 1.92]", "1234 5678 9012 3456", "①②③", "Ⅳ Ⅸ", "１２３４"),
)
_CODE = (
    "def mean(xs):\n    return sum(xs) / len(xs)\n",
    "for (int i = 0; i < n; ++i) { total += a[i]; }",
    "SELECT avg(x) FROM t WHERE g = 'a' GROUP BY h;",
    "df <- read.csv('x.csv'); summary(lm(y ~ x1 + x2, data = df))",
    '{"key": [1, 2.5, null, true], "nested": {"a": "b\\n"}}',
    "<html><body class='x'>&amp; &lt;tag&gt;</body></html>",
    "#!/bin/bash\nset -euo pipefail\ngrep -E '^a+$' \"$1\" | wc -l > /dev/null 2>&1\n",
    "x = lambda a, *b, **c: {**c, 'a': a}  # comment\t\n",
    "\tif (a && b || !c) {\n\t\treturn a?.b ?? c;\n\t}\n",
    "        deep indentation\n                deeper\n    back\n",
    "A = np.linalg.inv(X.T @ X) @ X.T @ y",
    "fn main() -> Result<(), Box<dyn Error>> { Ok(()) }",
    "a:=b==c!=d<=e>=f<<g>>h->i=>j::k..l...m",
    "%s %d %5.2f {} {0} {name!r:>10} ${VAR} $(cmd) `cmd`",
)
_LANGUAGES = (
    "Größe, Übermaß, Straße, naïve café, garçon, señor, Ångström, Łódź, žluťoučký kůň, ĳsselmeer",
    "Быстрая коричневая лиса прыгает через ленивую собаку. Съешь ещё этих мягких булок!",
    "Η μέση τιμή είναι το άθροισμα διά του πλήθους.",
    "المتوسط الحسابي هو مجموع القيم على عددها؟",
    "הממוצע הוא סכום הערכים חלקי מספרן.",
    "平均値は合計を個数で割ったものです。カタカナ、ひらがな、漢字。",
    "平均数是所有数值之和除以个数。繁體字與简体字，「引號」。",
    "평균은 모든 값의 합을 개수로 나눈 것이다.",
    "ค่าเฉลี่ยคือผลรวมหารด้วยจำนวนข้อมูล",
    "औसत सभी मानों के योग को उनकी संख्या से भाग देने पर मिलता है।",
    "சராசரி என்பது கூட்டுத்தொகை ÷ எண்ணிக்கை",
    "საშუალო არითმეტიკული; Միջին թվաբանական; መካከለኛ",
    "Trung bình cộng là tổng chia cho số phần tử.",
    "İstanbul'da ışık, ığdır; DİYARBAKIR",
    "ᚠᚢᚦᚨᚱᚲ 𐍈𐌰𐌹𐍂𐌺𐌰 𝔐𝔞𝔱𝔥 𝒻𝓊𝓃 𝟘𝟙𝟚 ℝℂℕ",
    "ﬁ ﬂ ﬀ ligatures; ǆ ǅ Ǆ; ſ ẞ; K Å",
)
_MARKS = (
    "e\u0301 a\u0308 n\u0303 o\u0302\u0323 (combining) é ä ñ ộ (composed)",
    "Z\u0351\u036b\u0343\u036a\u0302\u0346\u0300a\u0334\u0321\u034alg\u0321\u0352o",
    "q\u0307\u0323 and \u0301 alone",
    "\u0915\u094d\u0937 \u0928\u093f \u0b95\u0bcd\u0bb7\u0bbf",
    "가 \u1100\u1161 (jamo)",
    "👍 😀 🎉 📈📉📊 🧮",
    "👩\u200d🔬 👨\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽 🇩🇪🇫🇷 1️⃣ ❤️ ☺ ☺️",
    "😀text😀text 😀 \n😀\n",
    "zero\u200bwidth\u200cnon\u200djoiner\ufeffbom\u2060word",
    "soft\u00adhyphen non\u00a0breaking\u202fnarrow\u2009thin\u3000ideographic",
    "line\u2028separator para\u2029graph next\u0085line v\u000btab form\u000cfeed",
    "\u202eright-to-left override\u202c and \u2067isolate\u2069",
    "control \u0001\u0002\u001b[31mred\u001b[0m \u007f del",
    "replacement \ufffd private \ue000 noncharacter \uffff last \U0010ffff",
    "𠮷野家 𩸽 𐐷 𝄞 🂡 🀄",
)
_LOOK_ALIKES = (
    *("<|eot_id|", "<eot_id>", "< |eot_id|>", "<|eot_id |>", "<|EOT_ID|>", "<|eot_id|\u200b>", "<|", "|>", "<||>"),
    *("<|begin_of_text", "begin_of_text|>", "<|reserved_special_token_|>", "<|reserved_special_token_9999|>"),
    *("<s>", "</s>", "<unk>", "<pad>", "[INST] x [/INST]", "<<SYS>>", "[CLS][SEP][MASK]", "<|im_start|>user", "<0x0A>"),
    *(
        "<|start_header_id|user<|end_header_id>",
        "▁the▁mean",
        "Ġthe Ġmean Ċ",
        "##ing",
        "\\<|eot_id|\\>",
        "&lt;|eot_id|&gt;",
    ),
)


def strings(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return over 200 different texts of every kind; of the tokenizer's own special tokens, each within words and
    alone.
    """
    runs = [mark * n for mark in (" ", "\n", "\t") for n in (2, 3, 4, 7, 8, 15, 16, 33)]
    runs += [f"a{' ' * n}b{chr(10) * n}c" for n in range(1, 13)] + [
        "\n \n",
        " \n\n",
        "\n\n ",
        "\r\n \r\n",
        "a \n",
        "\u00a0\u00a0",
    ]
    codes = [chr(code) for code in (0, 0xA0, 0xAD, 0x2028, 0x3000, 0xFEFF, 0x1F600, 0xE000, 0x10FFFF)]
    own = [str(token) for token in tokenizer.added_tokens_decoder.values()][:40]
    special = [text for token in own for text in (token, f"a{token}b", f" {token}\n{token} ")]
    mixed = [f"{a}{b}" for a, b in zip(_LANGUAGES, _MARKS, strict=False)] + [
        f"{n}{w}" for n, w in zip(_DIGITS, _CODE, strict=False)
    ]
    found = [*_PLAIN, *_DIGITS, *_CODE, *_LANGUAGES, *_MARKS, *_LOOK_ALIKES, *runs, *codes, *special, *mixed]
    return tuple(dict.fromkeys(normal(text, _rules(tokenizer)) for text in found))


def chats(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[Message, ...], ...]:
    """Return the conversations that end with the user's turn: with and without a system's turn, of one and of several
    turns.
    """
    ask = Message("user", "What does a p-value of 0.03 mean?")
    system = Message("system", "You are a careful statistician. Answer in one sentence.")
    reply = Message("assistant", "Data this extreme would be seen in 3 % of samples if there were no effect.")
    text = "Write `<|eot_id` backwards, then 1234567 and e\u0301 😀.\n\n    indented\n- item"
    odd = Message("user", normal(text, _rules(tokenizer)))
    return (ask,), (system, ask), (ask, reply, odd), (system, odd, reply, ask), (system, ask, reply, odd, reply, ask)


def normal_form(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Name the form of Unicode that a tokenizer brings text into first, such as `NFC`; None for none.

    llama.cpp takes text as it comes, so its ids agree for text in that form alone, and texts and chats are in it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normaliser = getattr(backend, "normalizer", None)
    return None if normaliser is None else type(normaliser).__name__


def _rules(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return the rules as tokenizer.json states them."""
    return {"normalizer": {"type": normal_form(tokenizer)}}


@dataclass(frozen=True)
class Row:
    """A text to predict: its token ids, and the positions whose next-token distributions are compared, ascending."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]


def rows(tokenizer: PreTrainedTokenizerBase, most: int) -> tuple[Row, ...]:
    """Return the probe texts of at most `ROW_TOKENS` tokens, and one long text of at most `LONG_TOKENS` and `most`."""
    found = probe_rows(tokenizer, min(LONGEST, most))
    chosen = [found[i * len(found) // ROWS] for i in range(ROWS)] if len(found) > ROWS else list(found)
    bos = tokenizer.bos_token_id
    text = [token for row in found for token in row.ids if token != bos]
    whole = (([bos] if bos is not None else []) + text * (LONG_TOKENS // max(1, len(text)) + 1))[
        : min(LONG_TOKENS, most)
    ]
    short = (Row(ids, spread(len(ids), ROW_POSITIONS)) for row in chosen if (ids := tuple(row.ids[:ROW_TOKENS])))
    return (*short, Row(tuple(whole), spread(len(whole), LONG_POSITIONS, len(whole) // 2)))


def spread(length: int, count: int, start: int = 1) -> tuple[int, ...]:
    """Return at most `count` different positions from `start` to the last, evenly.

    >>> spread(9, 4)
    (2, 4, 6, 8)
    """
    start = min(start, length - 1)
    return tuple(sorted({start + (i + 1) * (length - 1 - start) // count for i in range(count)}))


def fingerprint(texts: Sequence[str], asked: Sequence[Row], conversations: Sequence[Sequence[Message]]) -> str:
    """Return the SHA-256 of all that is asked, 64 hex digits."""
    talks = [[[message.role, message.content] for message in chat] for chat in conversations]
    return digest([list(texts), talks, [[list(row.ids), list(row.positions)] for row in asked]])


def readable(texts: Sequence[str], most: int = 3) -> Iterator[str]:
    """Yield the first few texts, short and on one line, for a message."""
    yield from (repr(text if len(text) <= 40 else f"{text[:37]}...") for text in texts[:most])
