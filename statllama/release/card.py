"""The model card (README.md) of a release, from manifests, scores and the certificate. Loads no torch.

It says what is known and what is not: what was not measured is named, a failed verification stands at its top. Every
text of the user's is shown as it is (`markdown.py`); folders of the machine it was made on are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from statllama.config.replayed import sources_in
from statllama.config.shipped import shipped_root
from statllama.evaluation.chosen import spoken_choice
from statllama.release.card_base import BaseFacts, base_section, folder_name
from statllama.release.card_index import model_index
from statllama.release.card_question import Asked
from statllama.release.card_scores import Recorded, forgotten_section, missing, recorded, scores_section
from statllama.release.card_use import Reader
from statllama.release.certificate import Certificate, Verified
from statllama.release.formats import Format, release_format, release_formats
from statllama.release.licences import Duties
from statllama.release.markdown import code, paragraph, plain, table
from statllama.report.words import DASH, count, duration, figure, moment, share
from statllama.runs.subject import StackRef, Subject, TrainedStage

if TYPE_CHECKING:
    from statllama.store import Store

RELATIONS = ("finetune", "quantized", "adapter")
"""Hugging Face's names for a model's relation to its base; that of the whole model comes first."""
_TYPES = {
    "cpt": "continued pre-training",
    "sft": "supervised fine-tuning",
    "dpo": "direct preference optimisation",
    "kto": "Kahneman-Tversky optimisation",
    "grpo": "group relative policy optimisation",
}


@dataclass(frozen=True)
class Contents:
    """What lies in a release beside its artefacts, which the certificate names."""

    name: str
    """Name of the release."""
    side_files: Mapping[str, str] = field(default_factory=dict)
    """{file: its description}, of the formats."""
    licences: tuple[str, ...] = ()
    """Names of the licence files."""
    template: str | None = None
    """Text of the chat template; None: the tokenizer has none."""
    asked: Asked = field(default_factory=Asked)
    """The question that the examples ask."""
    base: BaseFacts = field(default_factory=BaseFacts)


def card(
    subject: Subject,
    stack: StackRef,
    store: Store,
    contents: Contents,
    duties: Duties,
    certificate: Certificate,
    notes: Sequence[str] = (),
) -> str:
    """Return the card's text, in Markdown with YAML metadata. `stack`: what is released.

    `certificate`: of what the release holds; failures among it were published with `--force`. `notes`: more sentences
    for its limits.
    """
    stages = _stages(subject, stack)
    trained = _with_siblings(subject, stages)
    found = recorded(subject, stack, store)
    base, commit = _base(subject)
    body = _metadata(subject, trained, certificate, duties) | model_index(subject, found, contents.name)
    header = yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
    parts = [f"---\n{header}---", f"# {plain(contents.name)}"]
    parts += _banner(certificate)
    if duties.built_with:
        parts.append(f"**{plain(duties.built_with)}**")
    parts += _what(subject, stages, base, commit)
    parts += base_section(subject, contents.base, duties)
    parts += _files(certificate, contents)
    where = base if commit else f"path/to/{base}"
    reader = Reader(contents.name, where, commit, contents.template, contents.asked.text)
    parts += _use(certificate, reader, contents.asked.source)
    parts += _training(trained)
    parts += scores_section(subject, found)
    parts += forgotten_section(subject, found)
    parts += _limits(subject, trained, found, notes)
    parts += _verification(certificate)
    parts += _licence(duties, contents)
    parts += _environment(subject, stages)
    return _without_folders("\n\n".join(parts) + "\n", subject, store)


# ------------------------------------------------------------------ what is known


def _stages(subject: Subject, stack: StackRef) -> list[tuple[TrainedStage, float]]:
    """Return the stages of the stack in order, each with the factor on its update."""
    by_key = {stage.key: stage for stage in subject.stages}
    return [(by_key[key], factor) for key, factor in stack.parts]


def _with_siblings(subject: Subject, stages: Sequence[tuple[TrainedStage, float]]) -> list[tuple[TrainedStage, float]]:
    """Return the stages, each blend after those that it is made of: they were trained for it, on data of their own."""
    by_key = {stage.key: stage for stage in subject.stages}
    found: list[tuple[TrainedStage, float]] = []
    for stage, factor in stages:
        siblings = [by_key[key] for key in _manifest(stage).get("siblings", ()) if key in by_key]
        found += [*_with_siblings(subject, [(sibling, 1.0) for sibling in siblings]), (stage, factor)]
    return found


def _base(subject: Subject) -> tuple[str, str | None]:
    """Return the base's hub id and commit, or the name of its folder and None."""
    commit = subject.identity.get("model", {}).get("commit")
    return (subject.base.model, str(commit)) if commit else (folder_name(subject.base.model), None)


def _manifest(stage: TrainedStage) -> Mapping[str, Any]:
    assert stage.entry is not None
    return stage.entry.manifest


def _metadata(
    subject: Subject, stages: Sequence[tuple[TrainedStage, float]], certificate: Certificate, duties: Duties
) -> dict[str, Any]:
    """Return the metadata that Hugging Face reads. https://huggingface.co/docs/hub/model-cards-metadata"""
    base, commit = _base(subject)
    formats = [one for one, _ in _held(certificate)]
    body: dict[str, Any] = {"license": duties.id}
    if duties.id == "other":
        body["license_name"] = "unknown"
    if commit:
        body["base_model"] = base
        body["base_model_relation"] = formats[0].relation if formats else RELATIONS[-1]
    if libraries := [one.library for one in formats if one.library]:
        body["library_name"] = libraries[0]
    body["pipeline_tag"] = "text-generation"
    hubs = (source.get("hub") for stage, _ in stages for source in sources_in(_manifest(stage)["config"]))
    if datasets := list(dict.fromkeys(hub for hub in hubs if hub)):
        body["datasets"] = datasets
    kinds = dict.fromkeys(stage.type for stage, _ in stages)
    body["tags"] = ["statllama", "lora", *kinds, *dict.fromkeys(tag for one in formats for tag in one.tags)]
    return body


def _held(certificate: Certificate) -> list[tuple[Format, list[Verified]]]:
    """Return the formats that the release holds with their artefacts, those of the whole model first."""
    found = [(one, [a for a in certificate.artefacts if a.kind == one.name]) for one in release_formats()]
    return sorted((pair for pair in found if pair[1]), key=lambda pair: RELATIONS.index(pair[0].relation))


# ------------------------------------------------------------------ sections


def _banner(certificate: Certificate) -> Iterator[str]:
    if certificate.passed:
        return
    bad = [one for one in certificate.artefacts if not one.passed]
    good = [one for one in certificate.artefacts if one.passed]
    failures = [f"{one.name}: {failure}" for one in bad for failure in one.failures()] or ["nothing was verified"]
    what = ", ".join(code(one.name) for one in bad) if good else "It"
    spared = f"\n>\n> Passed: {', '.join(code(one.name) for one in good)}." if good else ""
    yield (
        f"> [!WARNING]\n> **THIS RELEASE FAILED ITS VERIFICATION.** {what} {'do' if len(bad) > 1 and good else 'does'} "
        "not behave like the trained model, and was published with `--force`. The scores below are not those of "
        f"{'what failed' if good else 'the files here'}.\n>"
        + "".join(f"\n> - {plain(failure)}" for failure in failures)
        + spared
    )


def _what(
    subject: Subject, stages: Sequence[tuple[TrainedStage, float]], base: str, commit: str | None
) -> Iterator[str]:
    if subject.description:
        yield paragraph(subject.description)
    origin = f"[{plain(base)}](https://huggingface.co/{base})" if commit else f"the folder {code(base)}"
    names = ", then ".join(f"{plain(stage.name)} ({_TYPES.get(stage.type, stage.type)})" for stage, _ in stages)
    made = f"The base is {origin}." + (f" Trained on it: {names}." if stages else "")
    if not stages:
        yield made
        return
    yield (
        f"{made} Each stage trained a LoRA adapter on the frozen base and on the adapters before it; nothing "
        "was merged before this release."
    )


def _files(certificate: Certificate, contents: Contents) -> Iterator[str]:
    rows = [release_format(one.kind).contents(one) for one in certificate.artefacts]
    rows += contents.side_files.items()
    rows += [(name, "licence and notices of the base") for name in contents.licences]
    rows += [
        ("verification.json", "the certificate: comparisons with the trained model, and their differences"),
        ("SHA256SUMS", "checksums of all files: `sha256sum --check SHA256SUMS`"),
    ]
    yield "## Contents"
    yield table(("file", "what it is"), [(code(name), what) for name, what in rows])
    if certificate.withheld:
        yield "Ordered, but withheld because it failed:"
        for_each = [(one, one.instead[:1].upper() + one.instead[1:]) for one in certificate.withheld]
        yield "\n".join(
            f"- {code(one.name)}: {plain('; '.join(one.failures()))}. {plain(instead)}." for one, instead in for_each
        )


def _use(certificate: Certificate, reader: Reader, source: str) -> Iterator[str]:
    """Yield how to use the release, the whole model first. `source`: where the question is from."""
    yield "## How to run it"
    yield "All paths are relative to this folder." + (
        " The examples answer as the release was verified: without a system prompt, the likeliest token always (a "
        "temperature of 0)." + (f" They ask {plain(source)}." if source else "")
        if reader.chat
        else ""
    )
    for one, held in _held(certificate):
        yield from one.use(held, reader)


def _training(stages: Sequence[tuple[TrainedStage, float]]) -> Iterator[str]:
    if not stages:
        return
    yield "## How it was trained"
    head = ("stage", "type", "steps", "batch", "learning rate", "rank", "alpha", "loss", "tokens", "time")
    yield table(head, [_stage(stage, factor) for stage, factor in stages], range(2, 9))
    rows = [row for stage, _ in stages for row in _sources(stage)]
    yield table(("stage", "data", "rows", "used", "tokens", "with loss"), rows, range(2, 6))
    yield "Rows: those of the source; used: after limits, repeats and weights. Loss: of the first and the last step."


def _stage(stage: TrainedStage, factor: float) -> tuple[str, ...]:
    manifest = _manifest(stage)
    train, lora = manifest["config"].get("train", {}), manifest["config"].get("lora", {})
    metrics = manifest["metrics"]
    paid = "reward" in metrics  # of grpo the loss says nothing
    first, last = (metrics.get(name) for name in (("first_reward", "reward") if paid else ("first_loss", "loss")))
    name = plain(stage.name) + (f" (times {factor:g})" if factor != 1 else "")
    if blended := manifest["config"].get("of"):
        total = sum(blended.values())
        of = ", ".join(f"{plain(sibling)} {weight / total:.2g}" for sibling, weight in blended.items())
        kind = f"blend ({plain(manifest['config']['method'])}) of {of}"
        return name, kind, *(DASH,) * 3, count(metrics.get("rank")), *(DASH,) * 3, duration(metrics.get("seconds"))
    return (
        name,
        _TYPES.get(stage.type, plain(stage.type)),
        count(metrics.get("steps")),
        count(train.get("batch_size")),
        f"{figure(train.get('learning_rate'))}, {plain(train.get('schedule', DASH))}",
        count(lora.get("r")),
        figure(lora.get("alpha")) + (" (rsLoRA)" if lora.get("rslora") else ""),
        (figure(last) if first is None else f"{figure(first)} to {figure(last)}") + (" (reward)" if paid else ""),
        count(metrics.get("tokens")),
        duration(metrics.get("seconds")),
    )


def _sources(stage: TrainedStage) -> Iterator[tuple[str, ...]]:
    config, data = _manifest(stage)["config"], _manifest(stage).get("data", {})
    yield from _counts(plain(stage.name), config.get("data", ()), data.get("sources", ()))
    for part in data.get("replayed", {}).get("parts", ()):
        if part["stage"] is None:  # of another stage's data the card has lines already
            specs = [{"written": part["sources"][0]["name"]}] if "generated" in part else config["replay"]["data"]
            yield from _counts(f"{plain(stage.name)} (replayed)", specs, part["sources"])


def _counts(
    name: str, specs: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, ...]]:
    for spec, source in zip(specs, sources, strict=False):
        yield (
            name,
            _source(spec),
            count(source["rows_read"]),
            count(source["rows_used"]),
            count(source["tokens"]),
            share(source["supervised_tokens"], source["tokens"]),
        )


def _source(spec: Mapping[str, Any]) -> str:
    """Return a source's public name: a hub dataset, a file's name without its folder, or generated problems."""
    if written := spec.get("written"):  # by a model
        return plain(written)
    if hub := spec.get("hub"):
        part = "".join(f", {plain(spec[key])}" for key in ("config", "split") if spec.get(key))
        return f"[{plain(hub)}](https://huggingface.co/datasets/{hub}){part}"
    if problems := spec.get("problems"):
        topics = f" on {plain(', '.join(problems['topics']))}" if problems.get("topics") else ""
        return f"generated statistics problems ({plain(problems.get('form', 'sft'))}{topics})"
    return code(Path(str(spec.get("path"))).name)


def _limits(
    subject: Subject, stages: Sequence[tuple[TrainedStage, float]], found: Recorded, notes: Sequence[str]
) -> Iterator[str]:
    yield "## Limits"
    said = list(missing(subject, found, [stack.name for stack in found.stacks]))
    if not subject.evaluate.tasks:
        held = (
            ": what is known is how well it predicts held-out rows like those it was trained on" if subject.held else ""
        )
        said.append(f"No benchmark was scored, so its abilities are unknown{held}.")
    for stage, _ in stages:
        if _manifest(stage)["metrics"].get("ended_by") == "drift":
            said.append(f"{stage.name} drifted beyond its cap; its adapter is the last one within it.")
        if chosen := spoken_choice(_manifest(stage)["metrics"]):
            said.append(f"{stage.name}: {chosen}.")
        if stage.left_out:
            said.append(f"{stage.name} broke a gate of its recipe: {stage.left_out}.")
    said.append("Benchmarks measure only what they ask. The model was not tested for safety, bias or public use.")
    said.append("It can be confidently wrong: check numbers and claims before you rely on them.")
    yield "\n".join(f"- {paragraph(sentence[:1].upper() + sentence[1:])}" for sentence in (*said, *notes))


def _verification(certificate: Certificate) -> Iterator[str]:
    yield "## Verification"
    asked = certificate.protocol
    yield (
        "Every file was loaded by the program that will run it and compared with the stack of adapters on the base's "
        f"original weights in float32: {asked.get('texts', 0)} texts to tokenise, {asked.get('chats', 0)} chats, "
        f"{asked.get('positions', 0)} predictions, {asked.get('replies', 0)} greedy replies, and every single weight. "
        "The whole list, with bounds, is in `verification.json`."
    )
    rows = [_verified(artefact) for artefact in certificate.artefacts]
    rows += [(*cells, f"{result}; withheld") for *cells, result in map(_verified, certificate.withheld)]
    yield table(("file", "type", "other token ids", "KL, nats", "replies that differ", "result"), rows, (2, 3, 4))
    for check in certificate.reference:
        if check.name == "divergence" and check.value is not None:
            yield f"For comparison: {check.value:.2g} is the {plain(check.detail)}."


def _verified(artefact: Verified) -> tuple[str, ...]:
    checks = {check.name: check for check in artefact.checks}

    def value(name: str) -> str:
        check = checks.get(name)
        return DASH if check is None or check.value is None else f"{check.value:.2g}"

    failed = [check.name for check in artefact.checks if check.required and not check.passed]
    result = "passed" if artefact.passed else f"**FAILED**: {plain(', '.join(failed) or 'nothing was checked')}"
    figures = (value(name) for name in ("token ids", "divergence", "greedy text"))
    return code(artefact.name), plain(artefact.type), *figures, result


def _licence(duties: Duties, contents: Contents) -> Iterator[str]:
    yield "## Licence"
    if duties.built_with:
        where = f" It is at <{duties.url}>." if duties.url else ""
        copies = ", ".join(code(name) for name in contents.licences) or "none"
        yield (
            f"{plain(duties.built_with)}. The base is under the {plain(duties.name)}, and so is this model.{where} If "
            "you pass it on, pass on the licence and the file NOTICE, show the words above, and let the name of any "
            f"derived model begin with {code(duties.prefix)}. Files of the licence here: {copies}."
        )
    elif duties.name:
        yield f"That of the base: {plain(duties.name)}."
    else:
        yield "Unknown: the base's licence applies, and the base states none."
    if duties.notice:
        yield "\n".join(f"> {paragraph(line)}" for line in duties.notice.splitlines() if line.strip())
    if duties.warnings:
        yield "\n".join(f"- **{plain(warning)}**" for warning in duties.warnings)


def _environment(subject: Subject, stages: Sequence[tuple[TrainedStage, float]]) -> Iterator[str]:
    if not stages:
        return
    manifests = [_manifest(stage) for stage, _ in stages]
    found = {"run": subject.name}
    for label, key in (("compute type", "dtype"), ("backend", "backend"), ("statllama", "statllama")):
        found[label] = ", ".join(dict.fromkeys(str(m[key]) for m in manifests if m.get(key)))
    for name in dict.fromkeys(name for manifest in manifests for name in manifest.get("versions", {})):
        found[name] = ", ".join(dict.fromkeys(str(m.get("versions", {}).get(name, DASH)) for m in manifests))
    for stage, manifest in zip(stages, manifests, strict=True):
        seed = manifest["config"].get("train", {}).get("seed", DASH)
        found[f"stage {stage[0].name}"] = f"{moment(manifest['created'])}, seed {seed}, key {stage[0].key[:16]}"
    yield "## How it was made"
    yield table(("what", "which"), [(plain(name), plain(value)) for name, value in found.items() if value])


def _without_folders(text: str, subject: Subject, store: Store) -> str:
    """Return the text without folders of this machine: of the recipe, the workspace, the base and the user."""
    folders = {subject.root.absolute(), shipped_root() / "recipes", store.root, Path.home(), Path.cwd()}
    folders |= {Path(place).parent for place in (subject.base.model, subject.base.tokenizer or "") if place[:1] == "/"}
    for folder in sorted((str(f) for f in folders if len(str(f)) > 1), key=len, reverse=True):
        for shown in (folder, plain(folder)):
            text = re.sub(rf"(?<![\w.-]){re.escape(shown)}(/|(?![\w.-]))", "", text)
    return text
