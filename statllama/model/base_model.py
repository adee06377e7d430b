"""The frozen base: loaded once per run and kept across stages.

On CUDA the base is loaded by Unsloth's FastLanguageModel, whose fused kernels then run; elsewhere by Transformers, in
NF4 through bitsandbytes or as stored. `adapt` puts the adapter stack of a stage on it, `detach` takes it off again.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.errors import ModelError
from statllama.model.architectures import architecture, architecture_of
from statllama.model.layout import window_of
from statllama.model.packed_attention import varlen_with_groups
from statllama.model.precision import compute_type
from statllama.model.weight_files import require_whole, stored_shapes
from statllama.store.noise import hush

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from statllama.model.adapter import Adapter

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
hush()

Backend = Literal["transformers", "unsloth"]
PIECE = 2**18  # words of 32 bits that `checksum` reads at a time; larger pieces leave the CPU's caches
MIXER = 0x100000001B3  # FNV's prime: where a piece stands counts too
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<|reserved_special_token_0|>", "<pad>")


@dataclass(frozen=True)
class Base:
    """The loaded base. `checksum` is of its weights as loaded; they never change."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    backend: Backend
    dtype: torch.dtype
    checksum: int
    max_length: int
    """Maximum tokens per row: see `preflight.require_length`."""

    def check_unchanged(self) -> None:
        """Raise ModelError when a weight of the base is not bit for bit what was loaded."""
        if checksum(self.model) != self.checksum:
            raise ModelError(
                "the frozen base changed during a stage, so this run's results cannot be trusted",
                remedy="please report this with the recipe and `statllama doctor`'s output",
            )


def choose_backend() -> Backend:
    """Return `unsloth` where CUDA and Unsloth are there, else `transformers`; STATLLAMA_BACKEND overrides."""
    wanted = os.environ.get("STATLLAMA_BACKEND")
    if wanted and wanted not in ("transformers", "unsloth"):
        raise ModelError(f"STATLLAMA_BACKEND is {wanted!r}; allowed: transformers, unsloth")
    if wanted:
        return cast(Backend, wanted)
    if importlib.util.find_spec("unsloth") is None:
        return "transformers"
    import torch

    return "unsloth" if torch.cuda.is_available() else "transformers"


def start_backend(backend: Backend) -> None:
    """Import Unsloth before Transformers, TRL and PEFT, as it must be; quiet the libraries; mend known faults."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if backend == "unsloth":
        _import_unsloth()
    import bitsandbytes as bnb
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # With AVX512-BF16, bitsandbytes repacks a Linear4bit in a no-grad forward; LoRA gradients are then silently wrong.
    if hasattr(bnb.nn.modules, "has_avx512bf16"):
        bnb.nn.modules.has_avx512bf16 = lambda: False


def _import_unsloth() -> None:
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    # Unsloth writes the trainers that it compiles here, by default into the current folder, and imports them from
    # there: so a folder of the user's own, not one that everybody may write to.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(cache / "statllama" / "unsloth_compiled_cache"))
    try:
        with unsloth_hushed():
            import unsloth  # noqa: F401
            from unsloth.utils import attention_dispatch
    except Exception as error:  # it raises many types where it, CUDA or a library it patches is missing
        raise ModelError(
            f"Unsloth cannot be loaded: {_first_line(error)}",
            remedy="`statllama doctor` names the missing part; STATLLAMA_BACKEND=transformers runs without Unsloth",
        ) from error
    # With torch 2.11 Unsloth finds no kernel for packed rows (see `packed_attention`); "0" tells it to take none.
    if os.environ.get("UNSLOTH_TORCH_VARLEN") != "0" and attention_dispatch._TORCH_VARLEN_ATTN is None:
        attention_dispatch._TORCH_VARLEN_ATTN = varlen_with_groups()


@contextmanager
def unsloth_hushed() -> Iterator[None]:
    """Send Unsloth's banners and advice, which it prints to stdout, to the log; errors pass."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        if text := said.getvalue().strip():
            logging.getLogger(__name__).info("Unsloth said:\n%s", text)


def resolve_dtype(precision: str) -> torch.dtype:
    """Return the compute type that `train.precision` means on this machine. ModelError for one that its GPU lacks.

    Before Ampere, GPUs have no bfloat16: torch emulates it, slowly, and Unsloth would take float16 without a word.
    """
    import torch

    if precision == "bfloat16" and torch.cuda.is_available() and compute_type("auto") != "bfloat16":
        raise ModelError("this GPU has no bfloat16", remedy="set `train.precision` to auto, which takes float16 here")
    return cast("torch.dtype", getattr(torch, compute_type(precision)))


def load_tokenizer(spec: BaseModelSpec, identity: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """Return the tokenizer, with the recipe's chat template and a pad token that is never a training target.

    `identity` (see `identity.base_identity`) holds the hub commits to load.
    """
    from transformers import AutoTokenizer

    name, revision = spec.tokenizer or spec.model, identity["tokenizer"].get("commit")
    if Path(name).is_absolute() and not Path(name).is_dir():  # Transformers would take it for a name on the hub
        raise ModelError(
            f"the base folder {name} is not there",
            remedy="put it back; or, for a run from another machine, name it: statllama import BUNDLE --base FOLDER",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"the tokenizer of {name} cannot be loaded: {_first_line(error)}") from error
    if not tokenizer.is_fast:
        raise ModelError(
            f"{name} has no fast tokenizer (tokenizer.json), and masks need one", remedy="use a tokenizer that has one"
        )
    if spec.chat_template is not None:
        tokenizer.chat_template = Path(spec.chat_template).read_text(encoding="utf-8")
    if tokenizer.pad_token is None:
        vocabulary = tokenizer.get_vocab()
        tokenizer.pad_token = next((t for t in PAD_TOKENS if t in vocabulary), tokenizer.eos_token)
    tokenizer.padding_side = "right"
    return cast("PreTrainedTokenizerBase", tokenizer)


def load_base(
    spec: BaseModelSpec, identity: Mapping[str, Any], precision: str, max_length: int, backend: Backend
) -> Base:
    """Load the base frozen, without remote code or pickles, for rows of up to `max_length` tokens.

    Where the base has fewer positions, that is its limit. ModelError says what failed and how to mend it.
    """
    from transformers import AutoConfig

    dtype, commit = resolve_dtype(precision), identity["model"].get("commit")
    tokenizer = load_tokenizer(spec, identity)
    load = _load_unsloth if backend == "unsloth" else _load_transformers
    try:
        config = AutoConfig.from_pretrained(spec.model, revision=commit, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"the base model {spec.model} cannot be loaded: {_first_line(error)}") from error
    record = architecture_of(config.to_dict(), f"the base model {spec.model}")
    if backend == "unsloth" and not record.unsloth:
        raise ModelError(
            f"Unsloth has no fused kernels for {record.model_type}", remedy="set STATLLAMA_BACKEND=transformers"
        )
    if backend == "unsloth" and window_of(config) is not None and getattr(config, "layer_types", None) is not None:
        raise ModelError(
            f"the base model {spec.model} has a sliding window in some of its layers, which Unsloth does not compute",
            remedy="set STATLLAMA_BACKEND=transformers",
        )
    require_whole(config, stored_shapes(spec.model, commit), f"the base model {spec.model}")
    try:
        # Asked for more, Unsloth rescales RoPE: the base would then be another model.
        max_length = min(max_length, getattr(config, "max_position_embeddings", None) or max_length)
        model = load(spec, commit, dtype, max_length)
    except Exception as error:
        raise ModelError(f"the base model {spec.model} cannot be loaded: {_first_line(error)}") from error
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer has {len(tokenizer):,} tokens but the base embeds only {rows:,}",
            remedy="use the base's own tokenizer (remove `base.tokenizer`)",
        )
    model.requires_grad_(False)
    model.eval()
    return Base(model, tokenizer, backend, dtype, checksum(model), max_length)


def _load_transformers(spec: BaseModelSpec, commit: str | None, dtype: torch.dtype, max_length: int) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantization = None
    if spec.quantization == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return AutoModelForCausalLM.from_pretrained(
        spec.model,
        revision=commit,
        adapter_kwargs={"revision": commit},  # else it looks for an adapter on the branch `main`
        dtype=dtype,
        quantization_config=quantization,
        device_map={"": 0} if torch.cuda.is_available() else {"": "cpu"},
        attn_implementation="sdpa",
        use_safetensors=True,
        trust_remote_code=False,
    )


def _load_unsloth(spec: BaseModelSpec, commit: str | None, dtype: torch.dtype, max_length: int) -> Any:
    from unsloth import FastLanguageModel

    with unsloth_hushed():
        model, _ = FastLanguageModel.from_pretrained(
            model_name=spec.model,
            revision=commit,
            max_seq_length=max_length,
            dtype=dtype,
            load_in_4bit=spec.quantization == "nf4",
            # Without this Unsloth silently takes its own pre-quantised mirror of the repository.
            use_exact_model_name=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    return model


def adapt(base: Base, lora: LoraSpec, parents: Sequence[Adapter], seed: int, checkpointing: bool) -> PeftModel:
    """Return the base with `parents` frozen on it and a fresh slice to train: see `stack.attach`, `slice_seed`."""
    from statllama.model import stack
    from statllama.model.token_rows import require_rows, token_ids

    seed = stack.slice_seed(seed, len(parents))
    if base.backend == "transformers":
        return stack.attach(base.model, lora, parents, seed, token_ids(base.tokenizer, lora.token_rows))
    require_rows(base, lora, parents)
    targets = stack.require_modules(base.model, lora.target_modules, lora.layers)
    peft = _unsloth_peft(base, lora, checkpointing)
    stack.install(peft, lora, parents, targets, seed)
    _leave_dropout_to_peft(peft)
    return peft


def with_stack(base: Base, adapters: Sequence[Adapter]) -> Any:
    """Return the base with `adapters` frozen on it, in evaluation mode; the bare base when there are none."""
    from statllama.model import stack
    from statllama.model.token_rows import require_rows

    if not adapters:
        if base.backend == "unsloth":
            _take_fused_forwards_off(base.model)
        base.model.eval()
        return base.model
    if base.backend == "transformers":
        peft = stack.attach_frozen(base.model, adapters)
    else:
        lora = LoraSpec(r=1, alpha=1.0)
        require_rows(base, lora, adapters)
        peft = _unsloth_peft(base, lora, checkpointing=False)
        stack.install(peft, lora, adapters, (), seed=0)
    peft.eval()
    return peft


@contextmanager
def scoring(base: Base, adapters: Sequence[Adapter]) -> Iterator[Any]:
    """Lend `with_stack`; afterwards the base is as it was."""
    from statllama.model import stack

    model = with_stack(base, adapters)
    try:
        yield model
    finally:
        if adapters:
            stack.detach(model)


def with_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Return a base with a saved adapter on it, as plain PEFT loads it: nothing of the adapter stack is involved."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder))


def _unsloth_peft(base: Base, lora: LoraSpec, checkpointing: bool) -> PeftModel:
    """Return Unsloth's PEFT model over all linear modules of the architecture, whatever the stage trains.

    Its patched forwards stay on the base after a stage and expect all of them; `stack.install` freezes the others.
    """
    from unsloth import FastLanguageModel

    with unsloth_hushed():
        peft = FastLanguageModel.get_peft_model(
            base.model,
            r=lora.r,
            target_modules=list(architecture(base.model.config.model_type).modules),
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            bias="none",
            use_rslora=lora.rslora,
            use_gradient_checkpointing="unsloth" if checkpointing else False,
            random_state=0,
        )
    return cast("PeftModel", peft)


def _leave_dropout_to_peft(peft: PeftModel) -> None:
    """Make Unsloth call PEFT's forward instead of its fused kernels where parents and dropout meet.

    The kernels read `.weight` and apply `nn.Dropout` to the input of all slices, so `stack.install` leaves an Identity
    there, which the kernels take for no dropout at all. A module of any other kind makes them stand back.
    """
    from torch import nn

    for module in peft.modules():
        own = [name for name, a in getattr(module, "lora_A", {}).items() if getattr(a, "dropout", 0.0)]
        for name in own:
            module.lora_dropout[name] = nn.Sequential()  # type: ignore[index, operator, union-attr]


def _take_fused_forwards_off(model: torch.nn.Module) -> None:
    """Undo what Unsloth's `get_peft_model` leaves on the base: forwards that fail where there is no adapter."""
    for module in model.modules():
        for name in ("apply_qkv", "apply_o", "forward"):
            function = module.__dict__.get(name)
            if getattr(function, "__module__", None) == "unsloth.kernels.fast_lora":
                delattr(module, name)


def checksum(model: torch.nn.Module) -> int:
    """Return a 64-bit checksum of all weights, buffers and NF4 scales in their places. Runs where the weights are.

    Each tensor is read as words of 32 bits, piece by piece (a few MiB of temporary memory). A piece counts as the sum
    of word x odd number of its place, modulo 2^64: no single change and no swap within a piece leaves that as it was.
    """
    import torch

    total = 0
    places: dict[torch.device, torch.Tensor] = {}
    with torch.no_grad():
        for tensor in _tensors(model):
            if tensor.device not in places:
                places[tensor.device] = torch.arange(1, 2 * PIECE, 2, dtype=torch.int64, device=tensor.device)
            data = tensor.detach().contiguous().view(-1).view(torch.uint8)
            for piece in data.split(4 * PIECE):
                if piece.numel() % 4 or piece.storage_offset() % 4:  # else it cannot be read as words: a copy can
                    piece = torch.cat([piece, piece.new_zeros(-piece.numel() % 4)])
                words = piece.view(torch.int32)
                value = int((words * places[tensor.device][: words.numel()]).sum())
                total = (total * MIXER + value) % 2**64
    return total


def _tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Yield the parameters, what bitsandbytes keeps beside them to dequantise them, and buffers."""
    import torch

    for parameter in model.parameters():
        yield parameter
        state = getattr(parameter, "quant_state", None)
        while state is not None:  # with double quantisation the scales are quantised themselves: `state2`
            yield from (value for value in vars(state).values() if torch.is_tensor(value))
            state = state.state2
    yield from model.buffers()


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
