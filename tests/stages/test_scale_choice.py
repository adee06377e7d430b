"""A blend of one stage, and the scale that hold-outs choose: against plain models with the updates merged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from statllama.errors import Interrupted, RecipeError, TrainingError
from statllama.evaluation.chosen import Scaled, Tried, chosen_scale, spoken_choice
from statllama.model.adapter import load_adapter
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.keys import difference
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import conversations, stage, write_jsonl
from tests.reference import merged
from tests.running import adapter_bytes, run

Write = Callable[..., Path]
SCALES = (0.25, 0.5, 1.0, 2.0)
CHOICE: dict[str, Any] = {"on": "holdout:sft", "keep": {"holdout:general": 0.02}}
TRAIN = {"steps": 6, "learning_rate": 0.1}


def recipe(write_recipe: Write, choose: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A stage on a first one, and a blend of it alone: at half size, or at the best of four scales."""
    source = {"path": "sft.jsonl", "format": "messages", "holdout": 0.2}
    stages = [stage("first", train={"steps": 2}), stage("sft", data=[source], train=TRAIN)]
    own = {"scales": list(SCALES), "choose": choose} if choose is not None else {"scale": 0.5}
    path = write_recipe(
        [*stages, {"name": "dial", "type": "blend", "of": {"sft": 1}, **own, **fields}],
        evaluate={"holdouts": {"general": {"path": "general.jsonl", "format": "messages"}}},
    )
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"what is {i}"},
                {"role": "assistant", "content": "define what of define"},
            ]
        }
        for i in range(8)
    ]
    write_jsonl(path.parent / "general.jsonl", rows)
    return path


def metrics(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result / "manifest.json").read_text())["metrics"]
    return found


def test_one_stage_at_half_size_is_half_its_update(write_recipe: Write) -> None:
    path = recipe(write_recipe)
    result = run(path, path.parent / "w")
    whole, half = load_adapter(result["sft"]), load_adapter(result["dial"])
    assert metrics(result["dial"])["rank"] == 4 and metrics(result["dial"])["error"] == 0
    assert whole.slices.keys() == half.slices.keys()
    for module, part in whole.slices.items():
        own = half.slices[module]
        assert torch.equal(
            own.scaling * (own.B.double() @ own.A.double()), part.scaling * part.B.double() @ part.A.double() / 2
        )
    subject = find_subject(str(path), Store(path.parent / "w"))
    assert [len(subject.stack(name).keys) for name in ("first", "sft", "dial")] == [1, 2, 2], "it stands where sft does"


def brute_force(path: Path, result: dict[str, Path], names: tuple[str, ...]) -> dict[float, dict[str, float]]:
    """{scale: {hold-out: loss}} of plain models with the updates merged; 0: the stack below."""
    loaded = load_recipe(path)
    session = Session(loaded, Store(path.parent / "w"), Reporter(), StopSignal())
    held = {f"holdout:{one.name}": one for one in session.holdouts()}
    found: dict[float, dict[str, float]] = {}
    for scale in (0.0, *SCALES):
        base = AutoModelForCausalLM.from_pretrained(loaded.base.model, dtype=torch.float32)
        parts = [(result["first"], 1.0), (result["sft"], scale)]
        model = merged(base, [(folder, 2.0 * factor) for folder, factor in parts])  # alpha 8, r 4
        found[scale] = {}
        for name in names:
            nats, tokens = 0.0, 0
            for row in held[name].dataset:
                ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])[1:]
                with torch.no_grad():
                    logits = model(input_ids=ids).logits[0, :-1]
                nats += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
                tokens += int((labels != -100).sum())
            found[scale][name] = nats / tokens
    return found


class Stopping(Reporter):
    """Stops the run at the third scale, as a signal would."""

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        if what.startswith("dial: scale 1 "):
            raise Interrupted("stopped")
        yield


def test_stopped_and_run_again_the_choice_is_that_of_a_table_made_by_hand(write_recipe: Write) -> None:
    path = recipe(write_recipe, {"on": "holdout:sft", "keep": {"holdout:general": 100.0}})
    with pytest.raises(Interrupted):
        runner.run(load_recipe(path), Store(path.parent / "w"), Stopping())
    result = run(path, path.parent / "w")
    names = ("holdout:sft", "holdout:general")
    table = brute_force(path, result, names)
    scaled = Scaled.of_json(metrics(result["dial"])["scaled"])
    assert scaled.before == pytest.approx(table[0][names[0]], rel=1e-5)
    for one in scaled.tried:
        assert one.value == pytest.approx(table[one.scale][names[0]], rel=1e-5)
        assert one.lost[names[1]] == pytest.approx(table[one.scale][names[1]] - table[0][names[1]], abs=1e-4)
    best = min(SCALES, key=lambda scale: table[scale][names[0]])
    assert scaled.scale == best
    assert str(scaled) in str(spoken_choice(metrics(result["dial"])))
    plain = run(
        path,
        path.parent / "plain",
        "stages.dial.scales=[]",
        "stages.dial.choose=null",
        "stages.dial.rank=4",
        f"stages.dial.scale={best}",
    )
    assert adapter_bytes(result["dial"]) == adapter_bytes(plain["dial"]), "it is the blend of that scale"

    # What it may lose decides too: the best scale loses too much.
    lost = {scale: table[scale][names[1]] - table[0][names[1]] for scale in SCALES}
    assert lost[best] > 0.02
    allowed = [scale for scale in SCALES if lost[scale] <= lost[best] / 2]
    kept = run(path, path.parent / "w", f"stages.dial.choose.keep={{holdout:general: {lost[best] / 2}}}")
    chosen = Scaled.of_json(metrics(kept["dial"])["scaled"])
    assert chosen.scale == min(allowed, key=lambda scale: table[scale][names[0]]) != best
    assert chosen.tried == scaled.tried

    # Where every scale loses more, all that was measured is said.
    none = ("stages.dial.choose.keep={holdout:general: 0.0}", f"stages.dial.scales=[{best}]")
    with pytest.raises(TrainingError) as raised:
        run(path, path.parent / "w", *none)
    said = str(raised.value)
    assert "stage dial: each of its scales loses more than `choose.keep` allows (nats per token: 0 on hold" in said
    line = f"  scale {best:g}: held-out loss on {names[0]} {scaled.best.value:.4f}, {names[1]} +"
    assert line in said and f"+{scaled.best.lost[names[1]]:.4f} nats per token" in said
    remedy = f"--set 'stages.dial.scales=[{best / 4:g}, {best / 2:g}, {best:g}]'"
    assert remedy in str(raised.value.remedy)

    # Both hold-outs are no tests of it any more.
    run(path, path.parent / "w")
    subject = find_subject(str(path), Store(path.parent / "w"))
    assert subject.selected_on(subject.stack("dial")) == {names[0]: ("dial",), names[1]: ("dial",)}
    assert subject.selected_on(subject.stack("sft")) == {}


@pytest.mark.parametrize(
    ("choose", "where", "said"),
    [
        ({"on": "holdout:sfd"}, "stages[2].choose.on (stage dial)", "did you mean 'sft'"),
        ({"on": "sft"}, "stages[2].choose.on (stage dial)", "'sft' is no hold-out: did you mean 'holdout:sft'"),
        ({"on": "holdout:first"}, "stages[2].choose.on (stage dial)", "stage first holds no rows out"),
        (
            {"on": "holdout:sft", "keep": {"holdout:genral": 0.1}},
            "stages[2].choose.keep.holdout:genral (stage dial)",
            "did you mean 'general'",
        ),
    ],
)
def test_hold_outs_that_are_not_there(write_recipe: Write, choose: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        load_recipe(recipe(write_recipe, choose))
    (problem,) = raised.value.problems
    assert problem.where == where and said in problem.message and problem.line and problem.remedy


def test_what_it_is_chosen_on_is_in_the_key(write_recipe: Write) -> None:
    path = recipe(write_recipe, CHOICE)

    def planned(*overrides: str) -> Any:
        return {s.spec.name: s for s in plan(load_recipe(path, overrides), Store(path.parent / "w"))}["dial"]

    before = planned()
    assert planned("stages.dial.scales=[2.0, 1.0, 0.25, 0.5]").key == before.key, "their order means nothing"
    rows = "what its scale is chosen on changed"
    for change, said in {
        "stages.dial.scales=[0.5, 1.0]": "scales",
        "stages.dial.choose.on=holdout:general": rows,
        "stages.dial.choose.keep={holdout:general: 0.03}": rows,
        "stages.dial.choose.keep={}": rows,
        "evaluate.max_length=80": rows,
    }.items():
        after = planned(change)
        assert after.key != before.key and said in difference(before.material, after.material), change
    write_jsonl(path.parent / "general.jsonl", conversations(60)[50:])
    assert planned().key != before.key


def test_of_equal_scales_the_smallest() -> None:
    tried = [Tried(0.5, 1.0, {"g": 0.01}), Tried(1.0, 1.0, {"g": 0.0}), Tried(2.0, 0.9, {"g": 0.02})]
    found = [chosen_scale("h", "holdout_loss", 2.0, tried, {"g": most}) for most in (0.01, 0.0, 0.02, -1.0)]
    assert [one and one.scale for one in found] == [0.5, 1.0, 2.0, None]
    right = chosen_scale("h", "holdout_accuracy", 0.5, [Tried(0.5, 0.6, {}), Tried(1.0, 0.7, {})], {})
    assert right is not None and right.scale == 1.0 and "held-out accuracy on h 70.0" in str(right)
    assert Scaled.of_json(json.loads(json.dumps(right.as_json()))) == right
