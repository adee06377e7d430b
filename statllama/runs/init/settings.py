"""Settings for a recipe out of what is known: the base's size, the memory at hand, the rows' number and lengths.

They are starting points of the usual kind, not measured on the user's data: `statllama plan` and a first run say more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.shipped import shipped_bases
from statllama.config.stage import TrainingSpec
from statllama.config.train import TrainSpec
from statllama.data.fit import Dropped, fit
from statllama.data.masking import Tokens
from statllama.data.tokenise import Judged, Pair, Tokeniser
from statllama.errors import DataError, ModelError, UsageError
from statllama.model.shape import Shape, read_shape
from statllama.runs.forecast.device import Device, named_device
from statllama.runs.init.survey import Unit, Use
from statllama.stages import stage_module
from statllama.store.files import read_json
from statllama.train.fit import Place, largest_budget
from statllama.train.memory import GIB

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Backend = Literal["transformers", "unsloth"]
MOST_TOKENS = 8192  # the default of `micro_tokens`: larger passes are hardly faster
SHIPPED = "quickstart/base"
# GiB of GPU memory from which an instruct model is proposed, its hub id and its shape, as its config.json has it.
PROPOSED = (
    (0.0, "HuggingFaceTB/SmolLM2-135M-Instruct", Shape(30, 576, 1536, 9, 3, 64, 49152, tied=True, bias=False)),
    (4.0, "unsloth/Llama-3.2-1B-Instruct", Shape(16, 2048, 8192, 32, 8, 64, 128256, tied=True, bias=False)),
    (7.5, "unsloth/Llama-3.2-3B-Instruct", Shape(28, 3072, 8192, 24, 8, 128, 128256, tied=True, bias=False)),
    (20.0, "unsloth/Llama-3.1-8B-Instruct", Shape(32, 4096, 14336, 32, 8, 128, 128256, tied=False, bias=False)),
)
_KNOWN = {name: shape for _, name, shape in PROPOSED}
SMALL, TINY = 0.5e9, 0.05e9  # parameters
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
COVERED = 0.98  # share of the rows that is not cut, at least
TEMPLATE = 32  # tokens that a chat template adds, about
CHARS_PER_TOKEN = 3.0  # of English text, rather few, so that lengths are not guessed too small
UNKNOWN_POSITIONS = 8192


@dataclass(frozen=True)
class ChosenBase:
    """The base, as a recipe names it, and what is known of it without loading it."""

    model: str
    parameters: float
    """Estimated for a hub id that is not here: from its name, or 3e9."""
    positions: int
    tokenizer: PreTrainedTokenizerBase | None
    """None for a base that is not here: lengths are then guessed from characters."""
    folder: Path | None = None

    @property
    def shape(self) -> Shape | None:
        """Return its shape; None for one that is neither here nor proposed, or of an architecture without a record."""
        if self.folder is None:
            return _KNOWN.get(self.model)
        with suppress(ModelError):
            return read_shape(self.folder)
        return None

    @property
    def quantization(self) -> Literal["nf4", "none"]:
        """Return how it is held: in 4 bit, but for a small one, which gains little by that."""
        return "none" if self.parameters < SMALL else "nf4"


@dataclass(frozen=True)
class StageSettings:
    """One stage's settings, and its rows' lengths in tokens."""

    r: int
    alpha: int
    epochs: int
    learning_rate: float
    batch_size: int
    max_length: int
    warmup: float
    longest: int
    """Tokens of the longest row."""
    cut: int
    """Rows longer than `max_length`."""
    rows: int
    """Rows of an epoch; of documents the pieces they are cut into."""

    @property
    def steps(self) -> int:
        """Return the optimizer steps of all epochs."""
        return self.epochs * -(-self.rows // self.batch_size)


def named_memory(text: str) -> Device:
    """Return the device that `--memory` names: `12GB`, `12`, or a card. UsageError for another."""
    try:
        return named_device(f"{text}GB" if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else text)
    except UsageError as error:
        message = error.message.replace("--on", "--memory", 1)
        raise UsageError(message, remedy="write it as in --memory 12GB") from None


def proposed_base(device: Device) -> str:
    """Return the largest instruct model of `PROPOSED` that trains on a device; without a GPU the smallest."""
    memory = device.total / GIB if device.cuda else 0.0
    return [name for least, name, _ in PROPOSED if least <= memory][-1]


def look_at_base(given: str) -> ChosenBase:
    """Return what is known of a base: a folder, the shipped `quickstart/base`, or a hub id. UsageError for none."""
    own = Path(os.path.expanduser(given))
    shipped = shipped_bases().get(given.removeprefix("shipped:").rstrip("/"))
    folder = shipped if shipped is not None and not own.is_dir() else own
    if not folder.is_dir():
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", given):
            raise UsageError(f"--base {given}: no such folder, and no hub id `owner/name`", remedy=f"--base {SHIPPED}")
        return ChosenBase(given, _named_size(given), UNKNOWN_POSITIONS, None)
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise UsageError(f"--base {given}: no config.json in {folder}", remedy="give a folder saved by Transformers")
    model = given if folder == shipped else str(folder.resolve())
    tokenizer = _tokenizer(folder)
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2
    return ChosenBase(model, weights, int(config.get("max_position_embeddings") or 2048), tokenizer, folder.resolve())


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    from statllama.model.base_model import load_tokenizer

    return load_tokenizer(BaseModelSpec(model=str(folder)), {"tokenizer": {}})


def _named_size(name: str) -> float:
    if name in _KNOWN:
        return float(_KNOWN[name].parameters)
    said = re.search(r"(\d+(?:\.\d+)?)\s*([BM])(?![a-z])", name, re.IGNORECASE)
    return float(said[1]) * (1e9 if said[2].upper() == "B" else 1e6) if said else 3e9


def token_counts(units: Sequence[Unit], base: ChosenBase) -> list[int | str]:
    """Return each row's tokens, with the base's own tokenizer and template where it is here, else an estimate.

    Of a pair those of the longer answer with the prompt. A text in place of a number says why the base cannot take a
    row.
    """
    if base.tokenizer is None:
        return [round(_characters(unit) / CHARS_PER_TOKEN) + TEMPLATE for unit in units]
    tokeniser = Tokeniser(base.tokenizer, train_on="responses", max_length=2**30)
    return [_counted(tokeniser, unit, base.positions) for unit in units]


def _counted(tokeniser: Tokeniser, unit: Unit, positions: int) -> int | str:
    try:
        (sequences,) = tokeniser.encode([(unit.where, unit.example)])
    except DataError as error:
        return error.message.removeprefix(f"{unit.where}: ")
    for sequence in sequences if unit.use != "cpt" else ():
        if isinstance(kept := fit(sequence, positions), Dropped):
            return f"{kept.reason.replace('max_length', f'its {positions:,} positions')}"
    return sum(map(_length, sequences))


def _characters(unit: Unit) -> int:
    if unit.use == "dpo":
        return len(unit.text) - min(len(unit.example.chosen), len(unit.example.rejected))  # type: ignore[union-attr]
    return len(unit.text)


def _length(sequence: object) -> int:
    if isinstance(sequence, Pair):
        return len(sequence.prompt) + max(len(sequence.chosen), len(sequence.rejected))
    if isinstance(sequence, Judged):
        return len(sequence.prompt) + len(sequence.completion)
    assert isinstance(sequence, Tokens)
    return len(sequence.ids)


def stage_settings(use: Use, counts: Sequence[int], base: ChosenBase) -> StageSettings:
    """Return the settings of a stage whose rows have so many tokens."""
    rows = len(counts)
    documents = use == "cpt"
    max_length = _max_length(counts, base.positions, documents)
    if documents:  # which are cut into pieces of that length, and packed
        rows = max(1, sum(-(-count // max_length) for count in counts), sum(counts) // max_length)
    batch = next((size for size in (16, 8, 4) if rows >= 10 * size), 2)
    epochs = _epochs(use, rows)
    steps = epochs * -(-rows // batch)
    r = 8 if use in ("dpo", "kto") or rows < 100 else 16 if rows < 10_000 else 32
    return StageSettings(
        r=r,
        alpha=2 * r,
        epochs=epochs,
        learning_rate=_learning_rate(use, base.parameters),
        batch_size=batch,
        max_length=max_length,
        warmup=0.05 if steps >= 20 else 0.0,  # its first step teaches nothing: too dear where there are few
        longest=max(counts),
        cut=0 if documents else sum(count > max_length for count in counts),
        rows=rows,
    )


def _max_length(counts: Sequence[int], positions: int, documents: bool) -> int:
    """Return the least length that cuts few rows, within the base's positions; of documents that of a piece."""
    ordered = sorted(counts)
    wanted = ordered[min(len(ordered) - 1, int(COVERED * len(ordered)))]
    if documents:
        wanted = min(wanted, 1024)
    lengths = [length for length in LENGTHS if length <= positions] or [positions]
    return next((length for length in lengths if length >= wanted), lengths[-1])


def _epochs(use: Use, rows: int) -> int:
    if use == "cpt":
        return 3 if rows < 500 else 2 if rows < 2000 else 1
    if use in ("dpo", "kto"):
        return 2 if rows < 1000 else 1
    return 5 if rows < 100 else 3 if rows < 2000 else 2 if rows < 10_000 else 1


def _learning_rate(use: Use, parameters: float) -> float:
    """Return the rate that the shipped recipes and common practice of LoRA have for a base of this size."""
    rates: dict[Use, tuple[float, float, float]] = {  # of a tiny base, a small one, others
        "cpt": (1e-3, 2e-4, 5e-5),
        "sft": (3e-3, 5e-4, 1e-4),
        "dpo": (2e-4, 5e-5, 5e-6),
        "kto": (2e-4, 5e-5, 5e-6),
    }
    tiny, small, others = rates[use]
    return tiny if parameters < TINY else small if parameters < SMALL else others


def micro_tokens(base: ChosenBase, stages: Mapping[Use, StageSettings], device: Device) -> int:
    """Return the tokens of a forward pass: what fits the device in every stage at worst, by the memory model; at most
    what no step could use, and `MOST_TOKENS`. The default where the base's shape is not known.

    UsageError where not even one row of a stage fits.
    """
    useful = max(s.max_length * s.batch_size * (2 if use == "dpo" else 1) for use, s in stages.items())
    budget = min(MOST_TOKENS, useful)
    if (shape := base.shape) is None:
        return budget
    below = 0
    for use, s in stages.items():
        spec = _spec(use, s)
        compute = device.compute_type(spec.train.precision)
        backend: Backend = "unsloth" if device.cuda else "transformers"
        place = Place(device.cuda, backend, base.quantization, compute, below)
        fitting = largest_budget(shape, spec, device.free, place)
        if not fitting:
            raise UsageError(
                f"{base.model}: not even one row of {s.max_length:,} tokens of stage {use} fits {device}",
                remedy="choose a smaller --base, or more --memory",
            )
        budget, below = min(budget, fitting), below + s.r
    return budget


def _spec(use: Use, s: StageSettings) -> TrainingSpec:
    train = TrainSpec(batch_size=s.batch_size, max_length=s.max_length)
    fields = {"name": use, "type": use, "data": [{"path": "x"}], "lora": LoraSpec(r=s.r, alpha=s.alpha), "train": train}
    spec: TrainingSpec = stage_module(use).Spec.model_validate(fields)
    return spec
