"""A run made up for tests of the report: plausible, or with names and texts that attack the page."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from statllama.config.blind import Blind
from statllama.evaluation.paired import judge, judge_budget, paired_change
from statllama.report.data import (
    Benchmark,
    Curve,
    Delta,
    DialData,
    DialPoint,
    Flip,
    Flips,
    Gate,
    Reply,
    ReportData,
    Score,
    Source,
    Stage,
    Topic,
    estimate,
)
from statllama.report.live import with_live
from statllama.runs.watch.live import Live
from statllama.runs.watch.run_state import Activity, PromptAnswer, RunState, SeenScore, StageState
from statllama.store import Holder

HOSTILE = (
    "<script>window.hit=1</script>",
    "\"'><img src=x onerror=window.hit=1>",
    "</style></title></textarea><script>window.hit=1</script>",
    "<svg onload=window.hit=1><a href=javascript:window.hit=1>",
    "{{ 7 * 7 }} {% raw %} {# #}",
    "$\\frac{1}{0}$ 5 $ & &lt; ]]> <!-- -->",
    "\x00\x1b[31m\ud800\ufffe \u202eright to left\u202c \U0001f4c8 \u7d71\u8a08",
    "a" * 300,
)


def items(share: float, n: int, seed: int) -> list[float]:
    """0/1 scores with about this share of ones."""
    draw = random.Random(seed)
    return [float(draw.random() < share) for _ in range(n)]


def delta(against: str, before: Sequence[float], after: Sequence[float]) -> Delta:
    """A tested change."""
    judged = judge(paired_change(before, after))
    return Delta(against, judged.change, judged.p_adjusted, judged.verdict)


def curve(steps: int, start: float, end: float, rate: float) -> Curve:
    """A loss that falls, a rate that warms up and decays to 0, a noisy norm that is missing once."""
    draw, places = random.Random(steps), range(1, steps + 1)
    return Curve(
        tuple(places),
        tuple(end + (start - end) * 0.97**i + draw.random() / 5 for i in places),
        tuple(rate * min(i / 5, (steps - i) / steps) for i in places),
        tuple(None if i == 2 else 1 + draw.random() for i in places),
    )


def benchmark(task: str, stacks: Sequence[str], shares: Sequence[float], topics: Sequence[str] = ()) -> Benchmark:
    """Every stack's score on 120 items; each stack stands on the one before."""
    found = {name: items(share, 120, i) for i, (name, share) in enumerate(zip(stacks, shares, strict=True))}
    base = found[stacks[0]]
    scores = [Score(stacks[0], estimate(base), 120, 120, 0)]
    for before, name in pairwise(stacks):
        changes = delta(stacks[0], base, found[name]), delta(before, found[before], found[name])
        scores.append(Score(name, estimate(found[name]), 120, 150, 2, *changes))
    named = []
    for i, topic in enumerate(topics):
        part = slice(i * 120 // len(topics), (i + 1) * 120 // len(topics))
        change = delta(stacks[0], base[part], found[stacks[-1]][part])
        named.append(Topic(topic, len(base[part]), {n: estimate(v[part]) for n, v in found.items()}, change))
    blind = Blind(0.31, 0.02) if topics else None
    return Benchmark(task, "acc", "1.0", tuple(scores), tuple(named), bool(topics), chance=0.25, blind=blind)


def flip(row: int, text: str, right: bool) -> Flip:
    """An item whose answer became right, or wrong."""
    replies = Reply(text, None, float(not right)), Reply("B. " + text, "B", float(right))
    return Flip(row, text, f"<|user|>{text}", "B", *replies, choices=(text, "B"))


def plain() -> ReportData:
    """A run of four stages, the last not trained, on two benchmarks."""
    names = ("cpt", "sft", "dpo", "dtft")
    source = Source("data/sft.jsonl", 1200, 1100, 1100, 250_000, 45_000, 3, {"repeats an earlier row": 100})
    stages = [
        Stage(
            name,
            "dpo" if name == "dpo" else name[:3],
            names[max(0, i - 1) : i],
            {"learning rate": "0.001", "batch": "8", "rank": "16"},
            key=f"{i}" * 64,
            trained=True,
            created=f"2026-11-21T11:5{i}:00+00:00",
            steps=60 * (i + 1),
            tokens=50_000,
            seconds=33.3 * (i + 1),
            adapter_bytes=1_203_224,
            curve=curve(60 * (i + 1), 6 - 2 * i, 1.0, 10.0 ** (-3 - i)),
            sources=(source,),
            drift_base=0.01 * (i + 1),
            drift_parent=0.01,
        )
        for i, name in enumerate(names[:3])
    ]
    stages.append(Stage("dtft", "sft", ("dpo",), key="3" * 64))
    stacks = ("base", *names[:3])
    stats = benchmark("stats", stacks, (0.3, 0.32, 0.5, 0.52), ("means", "proportions", "slopes"))
    general = benchmark("general", stacks, (0.7, 0.6, 0.45, 0.45))
    flips = [
        Flips("stats", before, "dpo", (flip(3, "What is the mean?", True),), (flip(9, "Why?", False),), 31, 1)
        for before in ("base", "sft")
    ]
    broken = judge_budget([1.0] * 99, [0.0] * 30 + [1.0] * 69, -5.0)
    return ReportData(
        name="quickstart",
        description="A small Llama learns statistics.",
        base="quickstart/base",
        stages=tuple(stages),
        benchmarks=(stats, general),
        flips=tuple(flips),
        gates=(Gate("sft", "general", "base", broken, "sft broke its gate on general"),),
        notes=("stats: only the first 120 of 150 items are scored.",),
        environment={"torch": "2.13.0", "backend": "transformers"},
        recipe="name: quickstart\nstages: []\n",
        overrides=("stages.dpo.beta=0.2",),
        last="dpo",
    )


def hostile() -> ReportData:
    """Every string of a run is an attack, and there is more of everything than fits."""
    h = HOSTILE
    names = [f"{i}{h[i % len(h)]}" for i in range(9)]
    stages = tuple(
        Stage(
            name,
            h[i % len(h)],
            tuple(names[max(0, i - 2) : i]),
            {h[0]: h[1]},
            key=h[2],
            trained=i != 8,
            left_out=h[3] if i == 7 else "",
            created=h[4],
            steps=3 + i,
            curve=None if i == 8 else curve(1 + 40 * i, 5, 1, 1e-3),
            sources=(Source(h[i % len(h)], 10, 9, 9, 100, 50, 0, {h[1]: 1}),),
        )
        for i, name in enumerate(names)
    )
    stacks = ("base", *names[:8])
    shares = [0.5 + 0.04 * i for i in range(9)]
    benchmarks = tuple(benchmark(f"{i}{text}", stacks, shares, () if i else h) for i, text in enumerate(h[-4:]))
    flips = tuple(Flips(text, "base", names[7], (flip(1, text, True),), (flip(2, text, False),), 1, 1) for text in h)
    return ReportData(
        name=h[0],
        description=h[1],
        base=h[2],
        stages=stages,
        benchmarks=benchmarks,
        flips=flips,
        gates=(Gate(h[0], h[1], h[2], judge_budget([1.0, 0.0], [1.0, 0.0], -1.0), h[3]),),
        notes=h,
        environment=dict(zip(h, reversed(h), strict=True)),
        recipe="\n".join(h),
        overrides=h,
        last=names[7],
    )


def dial(general: str | None = "general") -> DialData:
    """A dial of five settings on three benchmarks."""
    found = {}
    for i, scale in enumerate((0.0, 0.25, 0.5, 1.0, 1.5)):
        found[scale] = {
            "stats": items(0.3 + 0.2 * scale, 120, i),
            "general": items(0.7 - 0.2 * scale, 120, i),
            "gsm8k": items(0.1, 120, i),
        }
    points = tuple(
        DialPoint(
            scale,
            {task: estimate(values) for task, values in of.items()},
            {} if scale == 1 else {task: delta("scale 1", found[1.0][task], values) for task, values in of.items()},
        )
        for scale, of in found.items()
    )
    return DialData("quickstart", "sft", "dpo", points, "stats", general, ("stats: 3 prompts were cut.",))


def going(state: RunState) -> Live:
    """A run in this process."""
    return Live(state, Holder.here(), {"processor": "A CPU, 2 cores", "GPU": "A card", "GPU memory": "23.6 GiB"}, True)


GPU = {"utilization.gpu": "97", "memory.used": "9000", "memory.total": "24000", "name": "A card"}


def running() -> RunState:
    """The run of `plain`, while its third stage trains and the fourth waits; the clock stands at 1,000."""
    state = RunState("quickstart", "A small Llama learns statistics.", started=100.0, updated=990.0, tasks=("stats",))
    draw = random.Random(1)
    for place, (name, steps) in enumerate((("cpt", 60), ("sft", 120), ("dpo", 180), ("dtft", 30))):
        state.stages[name] = one = StageState(name, "dpo" if name == "dpo" else name[:3], key=f"{place}" * 64)
        one.steps, one.doing = steps, "done" if place < 2 else "training" if place == 2 else "waiting"
        one.step = (60, 120, 70, 0)[place]
        for step in range(1, one.step + 1):
            figures = {"loss": 2 - step / 100, "grad_norm": 1 + draw.random(), "learning_rate": 1e-4}
            figures |= {"tokens_per_second": 900 + 50 * draw.random(), "memory_bytes": 1.5 * 2**30}
            if name == "dpo":
                figures |= {"rewards/margins": step / 50, "rewards/accuracies": min(1.0, 0.5 + step / 100)}
                figures |= {"drift": step / 1000} if step % 10 == 0 else {}
            one.series.add(step, figures)
        one.seconds, one.drift_to_base = (33.3, 0.01) if place < 2 else (None, None)
    state.stages["dpo"].at, state.stages["dpo"].eta_seconds = 990.0, 130.0
    state.stages["dpo"].tokens_per_second, state.stages["dpo"].memory_bytes = 925.0, 3 * 2**29
    state.stages["dtft"].tokens = 92_500
    state.activity = Activity("training", "dpo", 900.0, done=70, total=180, at=990.0)
    state.score_seconds = {"stats": 10.0}
    state.scores = {name: {"stats": SeenScore(0.3, 0.04, "acc")} for name in ("base", "cpt", "sft")}
    said = ("It is 3.", "The mean is the sum of the values over their number.", "3")
    state.answers = {
        name: (PromptAnswer("What is the mean of 2 and 4?", text, ended=name != "base"),)
        for name, text in zip(("base", "cpt", "sft"), said, strict=True)
    }
    state.notes = ["resuming from the checkpoint of step 20"]
    return state


def live() -> ReportData:
    """The page's data of that run."""
    data = plain()
    stages = tuple(replace(s, trained=s.name in ("cpt", "sft"), curve=None) for s in data.stages)
    return with_live(replace(data, stages=stages, last="sft"), going(running()), 1000.0, GPU, 60)


def hostile_live() -> ReportData:
    """A run whose names, notes, prompts, answers and error attack the page, and which failed."""
    h, state = HOSTILE, RunState(HOSTILE[0], HOSTILE[1], "failed", HOSTILE[2], HOSTILE[3], notes=list(HOSTILE))
    for text in h:
        state.stages[text] = one = StageState(text, h[1], "failed", step=1, steps=2)
        one.series.add(1, {"loss": 1.0, "rewards/margins": 0.5, "tokens_per_second": 3.0})
    state.answers = {stack: tuple(PromptAnswer(text, text) for text in h) for stack in h}
    dead = Holder(pid=2**22 + 1, host=h[3], since="", command=h[4])
    return with_live(None, Live(state, dead, {"processor": h[0], "GPU": h[1]}, False), 10.0, {}, 5)
