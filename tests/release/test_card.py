"""The model card: its figures are those of the records, its code runs, nothing in it is mistaken for Markdown."""

from __future__ import annotations

import doctest
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from statllama.config.base_model import BaseModelSpec
from statllama.config.blind import Blind
from statllama.evaluation.scores import Drift, TaskScore
from statllama.recipe import load_recipe
from statllama.release import card as card_module
from statllama.release import licences, markdown, prompts
from statllama.release.card import Contents, card
from statllama.release.card_scores import Recorded, forgotten_section, recorded, scores_section
from statllama.release.certificate import Certificate, Check, Verified
from statllama.release.licences import Duties, duties_of, named, write_licences
from statllama.release.markdown import code, paragraph, plain, table
from statllama.runs import attribution as evaluation
from statllama.runs.family import Family
from statllama.runs.reporting import Reporter
from statllama.runs.scorer import open_scorer
from statllama.runs.subject import StackRef, Subject
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import SHARED, TEMPLATE

TEXTS = SHARED / "data" / "llama3-tokenizer"
OF_ADAPTER = (Check("update", True, 1e-8, 1e-5), Check("divergence", True, 3e-12, 1e-6))
OF_GGUF = (Check("token ids", True, 0, 0), Check("divergence", True, 0.02, 1))
PASSED = Certificate(
    (
        Verified("adapter", "adapter", "f32", OF_ADAPTER),
        Verified("merged", "merged", "bf16", OF_GGUF),
        Verified("gguf/tiny-two-f16.gguf", "gguf", "f16", OF_GGUF),
        Verified("gguf/tiny-q4_k_m.gguf", "gguf", "q4_k_m", OF_GGUF),
    ),
    (Check("divergence", True, 0.0123, detail="KL(the reference || stack as it was trained)", required=False),),
    {"texts": 247, "chats": 5, "positions": 160, "replies": 4},
)
CONTENTS = Contents("tiny-two", {"Modelfile": "for Ollama"}, template=TEMPLATE)
NO_DUTIES = Duties("other", "", warnings=("The licence of the base is not known.",))


@pytest.fixture(scope="module")
def scored(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, Store]:
    """A run of two stages, scored on two benchmarks of which the first is what it is trained for."""
    folder = shutil.copytree(trained_once, tmp_path_factory.mktemp("card") / "trained")
    recipe = folder / "recipe.yaml"
    body = yaml.safe_load(recipe.read_text())
    body["description"] = "Two small stages."
    body["evaluate"] = {"tasks": ["letters", "replies"], "micro_tokens": 2048, "max_length": 256}
    recipe.write_text(yaml.safe_dump(body))
    load_recipe(recipe)
    store = Store(folder / "w")
    subject = find_subject(str(recipe), store)
    evaluation.evaluate(open_scorer(subject, store, Reporter()), subject.stacks(), Family.of(subject))
    return subject, store


def written(scored: tuple[Subject, Store], **changes: Any) -> str:
    subject, store = scored
    asked = {"contents": CONTENTS, "duties": NO_DUTIES, "certificate": PASSED, "notes": ()} | changes
    return card(subject, subject.stack("two"), store, *asked.values())


def sections(text: str) -> dict[str, str]:
    """{heading: what stands below it}."""
    return {
        part.partition("\n")[0]: part.partition("\n")[2] for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    }


def cells(text: str) -> list[list[str]]:
    """The cells of every row of every table."""
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if "---" not in row[0]]


def metadata(text: str) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found is not None
    return dict(yaml.safe_load(found[1]))


# ------------------------------------------------------------------ what it says


def test_scores_are_those_of_the_records(scored: tuple[Subject, Store]) -> None:
    """Means, numbers of items, changes: taken from the workspace's files, with nothing of the report's code."""
    _, store = scored
    text = sections(written(scored))["Scores"]
    records = [entry.manifest for entry in store.entries("scores") if entry.manifest["kind"] == "score"]
    assert len(records) == 6
    values = {(r["score"]["task"], r["name"]): fmean(r["score"]["items"]) for r in records}
    for task in ("letters", "replies"):
        part = text.partition(f"### {task}")[2].partition("###")[0]
        rows = {row[0].strip("*"): row for row in cells(part)}
        for name in ("base", "one", "two"):
            assert rows[name][1] == f"{100 * values[task, name]:.1f} %"
        for name in ("one", "two"):
            change = 100 * (values[task, name] - values[task, "base"])
            assert float(rows[name][3].replace("−", "-")) == pytest.approx(change, abs=0.05)
        assert rows["base"][3:] == ["–"] * 4
    assert "Metric acc, version 1.0, 12 items." in text


def test_scores_stand_beside_chance_and_the_blind_baseline(scored: tuple[Subject, Store]) -> None:
    """And what they cannot mean is said below them, without the benchmark's name that is their heading."""
    subject, _ = scored
    text = sections(written(scored))["Scores"]
    letters, replies = (text.partition(f"### {task}")[2].partition("###")[0] for task in ("letters", "replies"))
    assert "12 items. Chance is 25.0 %." in letters and "- Not shown to be above chance (25.0): " in letters
    assert "Chance" not in replies and "- Replies cut at the token limit: base (100.0 %" in replies
    found = remembered([1.0] * 25 + [0.0] * 75, [1.0] * 24 + [0.0] * 76)
    blind = Blind(0.31, 0.02, "by a *classifier*")
    known = {name: replace(score, chance=0.25, blind=blind) for name, score in found.scores["general"].items()}
    said = "\n".join(scores_section(subject, replace(found, scores={"general": known})))
    assert "The options alone give 31.0 % away (blind baseline, standard error 2.0 points: by a" in said
    assert r"by a \*classifier\*)." in said
    assert "- Not shown to be above chance (25.0): base (25.0, p = 0.538), two (24.0, p = 0.629)." in said


def test_training_is_that_of_the_manifests(scored: tuple[Subject, Store]) -> None:
    subject, _ = scored
    stages, data = [cells(part) for part in sections(written(scored))["How it was trained"].split("\n\n")[:2]]
    for row, stage in zip(stages[1:], subject.trained, strict=True):
        manifest = stage.entry.manifest
        assert row[:3] == [stage.name, "supervised fine-tuning", str(manifest["metrics"]["steps"])]
        assert row[4:7] == ["0.01, linear", "4", "8"]
        assert row[7].endswith(f"{manifest['metrics']['loss']:.4g}")
    source = subject.trained[0].entry.manifest["data"]["sources"][0]
    assert data[1][:4] == ["one", "`sft.jsonl`", str(source["rows_read"]), str(source["rows_used"])]


def test_metadata_of_a_hub_base(scored: tuple[Subject, Store]) -> None:
    """What Hugging Face reads; datasets are those on the hub."""
    subject, store = scored
    commit = "0123456789abcdef0123456789abcdef01234567"
    hub = replace(
        subject,
        base=BaseModelSpec(model="meta-llama/Llama-3.2-3B-Instruct"),
        identity={"model": {"repo": "meta-llama/Llama-3.2-3B-Instruct", "commit": commit}},
    )
    manifest = json.loads(json.dumps(hub.stages[1].entry.manifest))
    manifest["config"]["data"][0] |= {"hub": "openai/gsm8k", "config": "main", "path": None}
    manifest["config"]["replay"] = {"data": [{"hub": "general/rows", "split": "train"}]}
    manifest["data"]["replayed"] = {"parts": [{"stage": None, "sources": manifest["data"]["sources"]}]}
    stages = (hub.stages[0], replace(hub.stages[1], entry=replace(hub.stages[1].entry, manifest=manifest)))
    duties = duties_of(Path("nowhere"), hub.base.model)
    text = card(replace(hub, stages=stages), hub.stack("two"), store, CONTENTS, duties, PASSED)
    found = metadata(text)
    assert found["license"] == "llama3.2"
    assert found["base_model"] == "meta-llama/Llama-3.2-3B-Instruct"
    assert found["base_model_relation"] == "finetune" and found["library_name"] == "transformers"
    assert found["datasets"] == ["openai/gsm8k", "general/rows"]
    assert "| two (replayed) | [general/rows]" in text
    assert {"lora", "sft", "gguf"} <= set(found["tags"])
    assert f'"meta-llama/Llama-3.2-3B-Instruct", revision="{commit}"' in text
    assert "[openai/gsm8k](https://huggingface.co/datasets/openai/gsm8k), main, train" in text
    assert "**Built with Llama**" in text
    only = {
        "adapter": (Verified("adapter", "adapter", "f32", OF_ADAPTER),),
        "quantized": (Verified("gguf/x.gguf", "gguf", "f16", OF_GGUF),),
    }
    for relation, artefacts in only.items():
        certificate = replace(PASSED, artefacts=artefacts)
        found = metadata(card(hub, hub.stack("two"), store, Contents("x"), duties, certificate))
        assert found["base_model_relation"] == relation
        assert found.get("library_name") == ("peft" if relation == "adapter" else None)


def test_a_local_base_is_named_without_its_folder(scored: tuple[Subject, Store], tmp_path: Path) -> None:
    subject, store = scored
    text = written(scored, notes=[f"left in {store.root}/partial and {Path.home()}/x"])
    assert "base_model" not in metadata(text)
    for folder in (subject.root, store.root, Path(subject.base.model).parent, Path.home(), Path.cwd()):
        assert f"{folder}/" not in text and f"{folder} " not in text
    assert not re.findall(r"(?<![\w/:<])/(?:tmp|home|root|work|Users)/\S+", text)
    assert '"path/to/base' in text.replace(Path(subject.base.model).name, "base")


def test_the_words_on_verification(scored: tuple[Subject, Store]) -> None:
    part = sections(written(scored))["Verification"]
    rows = {row[0]: row[1:] for row in cells(part)}
    assert rows["`adapter`"] == ["f32", "–", "3e-12", "–", "passed"]
    assert rows["`gguf/tiny-q4_k_m.gguf`"] == ["q4_k_m", "0", "0.02", "–", "passed"]
    assert "0.012" in part


def test_a_forced_release_says_so_at_its_top(scored: tuple[Subject, Store]) -> None:
    bad = Verified("gguf/a.gguf", "gguf", "f16", (Check("token ids", False, 3, 0, "of 247 texts have other ids"),))
    text = written(scored, certificate=replace(PASSED, artefacts=(*PASSED.artefacts, bad)))
    top = text.partition("## ")[0]
    assert "THIS RELEASE FAILED ITS VERIFICATION" in top
    assert "gguf/a.gguf: token ids 3 (allowed: 0): of 247 texts have other ids" in top
    assert "**FAILED**: token ids" in sections(text)["Verification"]
    assert "FAILED" not in written(scored)


# ------------------------------------------------------------------ what was forgotten


def score(task: str, items: list[float]) -> TaskScore:
    ids = tuple(f"{i:016x}" for i in range(len(items)))
    return TaskScore(task, "1", "acc", fmean(items), None, tuple(items), ids, len(items), len(items), 0, 1.0)


def remembered(before: list[float], after: list[float]) -> Recorded:
    stacks = (StackRef("base", None), StackRef("two", "base", ("k",)))
    scores = {"general": {"base": score("general", before), "two": score("general", after)}}
    return Recorded(stacks, scores, {"two": Drift(0.25, 0.5, 99)})


def test_a_loss_is_said_plainly(scored: tuple[Subject, Store]) -> None:
    subject, _ = scored
    lost = "\n".join(forgotten_section(subject, remembered([1.0] * 90 + [0.0] * 10, [1.0] * 60 + [0.0] * 40)))
    assert "**It is worse on general than the base**: 90.0 % before, 60.0 % after (−30.0 points" in lost
    assert ["two", "0.25", "0.5", "99"] in cells(lost)
    same = "\n".join(forgotten_section(subject, remembered([1.0, 0.0] * 20, [1.0, 0.0] * 20)))
    assert "No evidence of a difference on general" in same and "is not excluded" in same
    better = "\n".join(forgotten_section(subject, remembered([0.0] * 30, [1.0] * 30)))
    assert "It is better on general than the base" in better


def test_what_was_not_measured_is_said(trained: tuple[Path, Store]) -> None:
    """Without a benchmark there are no scores, and nothing is known of what was lost."""
    recipe, store = trained
    subject = find_subject(str(recipe), store)
    text = card(subject, subject.stack("two"), store, CONTENTS, NO_DUTIES, PASSED)
    assert "**Not measured.**" in sections(text)["What it forgot"]
    assert "None are recorded." in sections(text)["Scores"]
    assert "so its abilities are unknown" in sections(text)["Limits"]
    wanting = subject.evaluated({"tasks": ["letters"]})
    text = card(wanting, wanting.stack("two"), store, CONTENTS, NO_DUTIES, PASSED)
    assert "Letters was not scored for base, one, two." in sections(text)["Limits"]


def test_a_benchmark_that_is_gone_does_not_stop_the_card(scored: tuple[Subject, Store]) -> None:
    subject, store = scored
    gone = subject.evaluated({"tasks": ["no_such_task"]})
    found = recorded(gone, gone.stack("two"), store)
    assert found.problem and not found.scores
    assert "None are recorded: " in "\n".join(scores_section(gone, found))


# ------------------------------------------------------------------ what cannot be mistaken


HOSTILE = (
    "</td><script>alert(1)</script> | cell ](http://evil) `` `code` *bold* _it_ __all__ ~~x~~ $$m$$ # head",
    "1. list\n# heading\n---\n> quote\n```\nblock",
    "---\nlicense: mit\n---",
    "- item | [link](javascript:x) <!-- comment --> &amp; ![img](x)",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_the_users_stand_for_themselves(scored: tuple[Subject, Store], text: str) -> None:
    """Judged by a Markdown parser: the same structure as with harmless texts, and the text itself is shown."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"linkify": False})

    def shape(description: str) -> list[str]:
        subject, store = scored
        stages = tuple(replace(stage, left_out=description and f"a {description}") for stage in subject.stages)
        body = card(
            replace(subject, description=description, stages=stages),
            subject.stack("two"),
            store,
            CONTENTS,
            NO_DUTIES,
            PASSED,
            notes=[description],
        )
        tokens = parser.parse(body.partition("\n---\n")[2])
        assert metadata(body)["license"] == "other"
        inner = [child for token in tokens for child in token.children or ()]
        assert not [t for t in (*tokens, *inner) if t.type in ("html_block", "html_inline", "image")]
        shown = " ".join("".join(c.content for c in t.children or ()) for t in tokens if t.type == "inline")
        assert " ".join(description.split()) in shown
        return [t.type for t in tokens] + [
            c.type for c in inner if c.type in ("link_open", "strong_open", "em_open", "s_open")
        ]

    assert shape(text) == shape("harmless")


def test_code_spans_and_cells() -> None:
    assert code("a`b") == "`` a`b ``"
    assert table(("x",), [(code("a|b"),), (plain("a|b"),)]).splitlines()[2:] == [r"| `a\|b` |", r"| a\|b |"]
    assert paragraph("- x") == r"\- x" and plain("a - x_y") == "a - x_y"


def test_examples_in_docstrings() -> None:
    for module in (markdown, licences, prompts, card_module):
        assert doctest.testmod(module).failed == 0


# ------------------------------------------------------------------ what it tells to do


def test_its_code_runs(scored: tuple[Subject, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples for Transformers and PEFT, as they stand in the card, on a release of this stack."""
    from statllama.model.adapter import load_adapter
    from statllama.release.adapter import write_adapter
    from statllama.release.merged import write_merged
    from statllama.release.source import Source

    subject, store = scored
    base = Path(subject.base.model)
    template = (base / "chat_template.jinja").read_text()
    stack = subject.stack("two")
    adapters = tuple(load_adapter(store.verify("results", key).path) for key in stack.keys)
    source = Source("tiny-two", base, base, template, adapters, ("one", "two"))
    for name, write in (("merged", write_merged), ("adapter", write_adapter)):
        (tmp_path / name).mkdir()
        write(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    text = written(scored).replace("max_new_tokens=512", "max_new_tokens=3")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    said = []
    for example in examples:
        exec(example.replace(f"path/to/{base.name}", str(base)), {"print": said.append})
    assert len(said) == 2


def test_commands_name_the_files_that_are_there(scored: tuple[Subject, Store]) -> None:
    loras = [Verified(f"gguf/tiny-two{one}-lora.gguf", "gguf-lora", "f32", OF_ADAPTER) for one in ("", "-one")]
    whole = replace(PASSED, artefacts=(*PASSED.artefacts, *loras))
    part = sections(written(scored, certificate=whole))["How to run it"]
    assert "llama-server -m gguf/tiny-q4_k_m.gguf --jinja" in part
    assert "`gguf/tiny-two-f16.gguf`" in part
    assert "--lora gguf/tiny-two-one-lora.gguf" in part
    assert "ollama create tiny-two -f Modelfile" in part
    merged = replace(PASSED, artefacts=(Verified("merged", "merged", "f16", OF_GGUF),))
    bare = sections(written(scored, contents=Contents("tiny"), certificate=merged))["How to run it"]
    assert "apply_chat_template" not in bare and "PEFT" not in bare and "ollama" not in bare


# ------------------------------------------------------------------ licences


def base_with(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


NOTICE = (
    "Llama 3.2 is licensed under the Llama 3.2 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
)


def test_duties_of_llama_3_2(tmp_path: Path) -> None:
    """Those of sections 1.b.i and 1.b.iii of its licence: name, notice, copy, "Built with Llama"."""
    agreement = "LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n\nLlama 3.2 Version Release Date: September 25, 2024\n"
    if TEXTS.is_dir():
        agreement = (TEXTS / "LICENSE-llama3.2.txt").read_text(encoding="utf-8")
        for clause in (NOTICE, "include “Llama” at the beginning of any such AI model name", "“Built with Llama”"):
            assert clause in " ".join(agreement.split())
    base = base_with(tmp_path, LICENSE__txt=agreement, USE_POLICY__md="policy")
    duties = duties_of(base, "some/finetune")
    assert (duties.id, duties.prefix, duties.built_with) == ("llama3.2", "Llama", "Built with Llama")
    assert duties.warnings == ()
    (tmp_path / "out").mkdir()
    assert write_licences(duties, tmp_path / "out") == ["LICENSE.txt", "NOTICE", "USE_POLICY.md"]
    assert (tmp_path / "out" / "NOTICE").read_text(encoding="utf-8").strip() == NOTICE
    assert (tmp_path / "out" / "LICENSE.txt").read_text(encoding="utf-8") == agreement


SHAPE = '{"model_type": "llama", "vocab_size": 128256}'


@pytest.mark.parametrize(
    ("model", "files", "id_"),
    [
        ("meta-llama/Llama-3.2-3B-Instruct", {}, "llama3.2"),
        ("unsloth/Meta-Llama-3.1-8B", {}, "llama3.1"),
        ("meta-llama/Meta-Llama-3-8B", {}, "llama3"),
        ("meta-llama/Llama-3.3-70B-Instruct", {}, "llama3.3"),
        ("me/mine", {"README__md": "---\nlicense: llama3.2\n---\n# x\n"}, "llama3.2"),
        ("me/mine", {"README__md": "---\nlicense: apache-2.0\nbase_model: meta-llama/Llama-3.2-1B\n---\n"}, "llama3.2"),
        ("me/mine", {"config__json": '{"_name_or_path": "unsloth/Llama-3.2-1B"}'}, "llama3.2"),
        (
            "me/mine",
            {"config__json": SHAPE[:-1] + ', "rope_scaling": {"rope_type": "llama3", "factor": 32.0}}'},
            "llama3.2",
        ),
        ("me/mine", {"config__json": SHAPE}, "llama3"),
        ("me/mine", {"README__md": "---\nlicense: apache-2.0\n---\n"}, "apache-2.0"),
        ("me/mine", {"README__md": "---\nlicense: [a, b\n---\n"}, "other"),
        ("TinyLlama/TinyLlama-1.1B", {}, "other"),
        ("huggyllama/llama-30b", {}, "other"),
        ("/models/llama-3.2/of-another-kind", {}, "other"),
    ],
)
def test_which_licence_it_is(tmp_path: Path, model: str, files: dict[str, str], id_: str) -> None:
    assert duties_of(base_with(tmp_path, **files), model).id == id_


def test_what_is_missing_is_warned_of(tmp_path: Path, scored: tuple[Subject, Store]) -> None:
    """The text of Meta's licence is not the project's to ship: where the base has none, the user has to add it."""
    duties = duties_of(tmp_path, "meta-llama/Llama-3.2-3B")
    assert "https://www.llama.com/llama3_2/license" in duties.warnings[0]
    text = sections(written(scored, duties=duties))["Licence"]
    assert "https://www.llama.com/llama3_2/license" in text and NOTICE in text
    unknown = duties_of(tmp_path, "me/mine")
    assert unknown.id == "other" and "not known" in unknown.warnings[0]
    base = base_with(tmp_path, NOTICE="Somebody's notice.", LICENSE="MIT")
    assert duties_of(base, "meta-llama/Llama-3.2-3B").notice == f"Somebody's notice.\n\n{NOTICE}"
    assert [path.name for path in duties_of(base, "me/mine").files] == ["LICENSE"]


@pytest.mark.parametrize(
    ("prefix", "name", "wanted"),
    [
        ("Llama", "stats", "Llama-stats"),
        ("Llama", "Llama-3.2-stats", "Llama-3.2-stats"),
        ("Llama", "llama-stats", "Llama-stats"),
        ("Llama-3", "Llama 3 stats", "Llama 3 stats"),
        ("Llama-3", "Llama-stats", "Llama-3-Llama-stats"),
        ("", "stats", "stats"),
    ],
)
def test_names(prefix: str, name: str, wanted: str) -> None:
    assert named(Duties("x", "", prefix=prefix), name) == wanted
