"""Every weight of an artefact against the base's weight plus the stack's update, computed anew.

What a type rounds is known, so this finds what no prompt would: a stage that is smaller than the rounding, two modules
with each other's update, a bit. Nothing here is shared with the code that writes: safetensors and PyPI's gguf read, and
the update is formed in float64.

With W the base's weight, u_i = s_i B_i A_i the update of stage i and R what the artefact holds, e = R - (W + sum_i u_i)
is what the artefact is off by. Of a float type it may be half the distance of two neighbouring numbers. Of a type with
blocks it may be a share of the block's largest number (`bounds.BLOCKS`), and then a whole stage may hide in it;
but rounding points nowhere, and a missing stage points against u_i. The least-squares fit e ~ sum_i c_i u_i over all
weights tells: the share of stage i that is there is 1 + c_i, and its standard error follows from the size of e.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from torch import Tensor

from statllama.model.adapter import Adapter, load_adapter
from statllama.release.adapter import summed_rows
from statllama.release.bounds import ADAPTER_ERROR, BLOCKS, DIGITS, FLOATS, MODULE_ERROR, SHARE_ERROR
from statllama.release.certificate import Check
from statllama.release.source import Source

NUMBERS = 1 << 18  # of one tensor in memory at once: 2 MiB in float64
_ARITHMETIC = 2.0**-21  # of float32 sums in the code that writes, relative to what is summed
_HEAD, _EMBEDDING = "lm_head", "model.embed_tokens"
_UNUSED = "rotary_emb.inv_freq"  # old bases store what the configuration says


class Tensors(Protocol):
    """The tensors of an artefact by their names in Transformers."""

    def names(self) -> set[str]:
        """Return all names."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Return (out, in), or (width,)."""

    def type(self, name: str) -> str:
        """Return the type of its numbers, such as `BF16` or `Q4_K`."""

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return the rows in float32, in Transformers' order. `start` and `stop` are multiples of `unit`, or the
        end.
        """

    def unit(self, name: str) -> int:
        """Return the number of rows read together."""


class InSafetensors:
    """A model folder's tensors."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        files = {"model.safetensors"}
        if index.exists():
            files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        self._opened = [safe_open(folder / file, "pt") for file in sorted(files)]
        self._slices = {name: file.get_slice(name) for file in self._opened for name in file.keys()}  # noqa: SIM118

    def names(self) -> set[str]:
        return set(self._slices)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._slices[name].get_shape())

    def type(self, name: str) -> str:
        return str(self._slices[name].get_dtype())

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        found: Tensor = self._slices[name][start:stop]
        return found.float()

    def unit(self, name: str) -> int:
        return 1


class _Sums:
    """Sums over the tensors."""

    def __init__(self, stages: int) -> None:
        self.gram = torch.zeros(stages, stages, dtype=torch.float64)
        self.along = torch.zeros(stages, dtype=torch.float64)
        self.noise = torch.zeros(stages, stages, dtype=torch.float64)  # Gram matrices, each times its mean e^2
        self.worst = 0.0  # largest error over what is allowed
        self.where = ""
        self.module = 0.0  # largest share that a module lacks of a stage's update, over what rounding explains
        self.which = ""
        self.problems: list[str] = []

    def error(self, ratio: float, where: str) -> None:
        if not ratio <= self.worst:  # not a number is worse than any
            self.worst, self.where = ratio if ratio == ratio else float("inf"), where

    def stages(self, inner: Tensor, stages: list[int], size: int, name: str) -> None:
        """Add a tensor of `size` numbers that these stages changed; `inner`: of e, W and each u_i with one another.

        What lies along W is left out: to lose little, quantisers make all weights of a tensor a little smaller.
        """
        if inner[1, 1] > 0:
            inner = inner - torch.outer(inner[:, 1], inner[1]) / inner[1, 1]
        inverse = _inverse(inner[2:, 2:])
        errors = (inverse.diagonal() * inner[0, 0] / size).clamp_min(0).sqrt()
        for off, error in zip((inverse @ inner[0, 2:]).tolist(), errors.tolist(), strict=True):
            if abs(off) > self.module * (allowed := MODULE_ERROR + 8 * error):
                self.module, self.which = abs(off) / allowed, name
        at = torch.tensor(stages, dtype=torch.long)
        gram = torch.zeros_like(self.gram)
        gram[at[:, None], at] = inner[2:, 2:]
        self.gram += gram
        self.noise += inner[0, 0] / size * gram
        self.along[at] += inner[0, 2:]


def check_weights(source: Source, found: Tensors, type_: str) -> list[Check]:
    """Check all weights, and the share of each stage in them. `type_`: of the artefact, for the bounds."""
    base = InSafetensors(source.base)
    sums = _Sums(len(source.updates))
    names = _expected(base, found, source, sums)
    for name, original in names:
        _compare(source, base, original, found, name, sums)
    return [
        Check(
            "weights",
            sums.worst <= 1 and not sums.problems,
            sums.worst,
            1.0,
            "; ".join(sums.problems[:3]) or f"largest error over what {type_} rounds{_in(sums.where)}",
        ),
        *_shares(source, sums, required=type_ not in FLOATS),
        Check(
            "modules",
            sums.module <= 1 or type_ in FLOATS,
            sums.module,
            None if type_ in FLOATS else 1.0,
            f"largest share that one module lacks of a stage, over what rounding explains{_in(sums.which)}",
            required=type_ not in FLOATS,
        ),
    ]


def _in(name: str) -> str:
    return f", in {name}" if name else ""


def _expected(base: Tensors, found: Tensors, source: Source, sums: _Sums) -> list[tuple[str, str]]:
    """Return (name, name in the base) of the tensors to compare; what is missing or too much is a problem."""
    wanted = {name: name for name in base.names() if not name.endswith(_UNUSED)}
    tied = bool(json.loads((source.base / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings"))
    if any(_HEAD in adapter.slices for adapter in source.updates):
        wanted.setdefault(f"{_HEAD}.weight", f"{_EMBEDDING}.weight")
    elif tied and f"{_HEAD}.weight" not in found.names():
        wanted.pop(f"{_HEAD}.weight", None)  # it is the embedding
    adapted = {f"{module}.weight" for adapter in source.updates for module in adapter.slices}
    for what, names in (
        ("is missing", set(wanted) - found.names()),
        ("is superfluous", found.names() - set(wanted)),
        ("has an adapter, but is not there", adapted - set(wanted)),
    ):
        sums.problems += [f"{name} {what}" for name in sorted(names)]
    return sorted((name, original) for name, original in wanted.items() if name in found.names())


def _compare(source: Source, base: Tensors, original: str, found: Tensors, name: str, sums: _Sums) -> None:
    shape = base.shape(original)
    if found.shape(name) != shape:
        sums.problems.append(f"{name} is of shape {found.shape(name)} instead of {shape}")
        return
    module = name.removesuffix(".weight")
    parts = {i: one.slices[module] for i, one in enumerate(source.updates) if module in one.slices}
    factors = [(part.B.double() * part.scaling, part.A.double()) for part in parts.values()]
    slack = None if found.type(name) in BLOCKS else _slack(factors, shape)
    inner = torch.zeros(len(parts) + 2, len(parts) + 2, dtype=torch.float64)  # of e, W and each u_i with one another
    for start, stop in row_blocks(shape, found.unit(name)):
        weight = base.rows(original, start, stop).double()
        vectors = torch.empty(len(parts) + 2, *weight.shape, dtype=torch.float64)
        error, wanted, *updates = vectors
        wanted.copy_(weight)
        for update, (b, a) in zip(updates, factors, strict=True):
            wanted += torch.mm(b[start:stop], a, out=update)
        torch.sub(found.rows(name, start, stop), wanted, out=error)
        arithmetic = None if slack is None else torch.addmm(weight.abs(), slack[0][start:stop], slack[1])
        sums.error(_ratio(error, wanted, arithmetic, found.type(name)), name)
        flat = vectors.flatten(1)
        inner += flat @ flat.T
    size = shape[0] * (shape[1] if len(shape) > 1 else 1)
    squares, whole = float(inner[0, 0]), float(inner[1, 1])
    if block := BLOCKS.get(found.type(name)):
        allowed = block.mean * (whole / size) ** 0.5 + block.least
        sums.error((squares / size) ** 0.5 / allowed, f"{name} (root mean square)")
    sums.stages(inner, list(parts), size, name)


def row_blocks(shape: tuple[int, ...], unit: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of rows of a tensor that are in memory together."""
    width = shape[1] if len(shape) > 1 else 1
    step = max(1, NUMBERS // max(1, width) // unit) * unit
    yield from ((start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def _slack(factors: Sequence[tuple[Tensor, Tensor]], shape: tuple[int, ...]) -> tuple[Tensor, Tensor] | None:
    """Return two factors of a bound on all that is summed in an update, by Cauchy and Schwarz: (out, n) and (n, in)."""
    if len(shape) < 2:
        return None
    rows = [b.norm(dim=1) for b, _ in factors] or [torch.zeros(shape[0], dtype=torch.float64)]
    columns = [a.norm(dim=0) for _, a in factors] or [torch.zeros(shape[1], dtype=torch.float64)]
    return torch.stack(rows, 1), torch.stack(columns, 0)


def _ratio(error: Tensor, wanted: Tensor, summed: Tensor | None, type_: str) -> float:
    """Return the largest error over what the type allows. `summed`: size of what float32 arithmetic has added up; None:
    `wanted`.

    Of types with blocks that is far below what they round.
    """
    if type_ in DIGITS:
        digits, least = DIGITS[type_]
        exponent = torch.where(wanted == 0, -1022, torch.frexp(wanted).exponent)
        half = torch.ldexp(torch.ones_like(wanted), exponent - digits - 1).clamp_min(least / 2)
        slack = _ARITHMETIC * (wanted.abs() if summed is None else summed)
        return float((error.abs() / (half + slack)).max())
    if type_ not in BLOCKS:
        return float("inf")
    block = BLOCKS[type_]
    errors = error.abs().reshape(-1, block.numbers).amax(1)
    allowed = block.worst * wanted.abs().reshape(-1, block.numbers).amax(1) + block.least
    return float((errors / allowed).max())


def _inverse(gram: Tensor) -> Tensor:
    """Return the inverse of a Gram matrix, (n, n); of what is the same or nothing, its pseudo-inverse."""
    lengths = gram.diagonal().clamp_min(0).sqrt()
    scale = torch.where(lengths > 0, 1 / lengths, 0.0)
    inverse: Tensor = torch.linalg.pinv(scale[:, None] * gram * scale, rtol=1e-10, hermitian=True)
    return scale[:, None] * inverse * scale


def _shares(source: Source, sums: _Sums, required: bool) -> Iterator[Check]:
    """Yield the share of each stage's update that is in the weights, with its standard error."""
    lengths, inverse = sums.gram.diagonal(), _inverse(sums.gram)
    off = inverse @ sums.along
    errors = (inverse @ sums.noise @ inverse).diagonal().clamp_min(0).sqrt()
    for name, length, share, error in zip(source.stages, lengths, off.tolist(), errors.tolist(), strict=True):
        allowed = max(SHARE_ERROR, 5 * error)
        detail = (
            f"{100 * (1 + share):.1f} % of the stage's update is in the weights (standard error {100 * error:.1g} %)"
        )
        if not length:
            detail = "the stage changes no weight"
        elif allowed >= 1 and required:
            detail = f"too small beside this type's rounding to be told (standard error {100 * error:.1g} %)"
        passed = abs(share) <= allowed or not required
        yield Check(f"stage {name}", passed, abs(share), allowed if required else None, detail, required)


# ------------------------------------------------------------------ the adapter


def check_adapter(source: Source, folder: Path, error: float) -> list[Check]:
    """Compare the update of an adapter folder with that of the stack. `error`: see `check_update`."""
    return check_update(source.adapters, load_adapter(folder), error)


def check_update(adapters: Sequence[Adapter], adapter: Adapter, error: float) -> list[Check]:
    """Compare the update of `adapter` with that of `adapters` together, module by module.

    `error`: the relative error (Frobenius norm) that a smaller rank is said to cost; 0: it must be the same update.
    """
    modules = {module for one in adapters for module in one.slices}
    problems = [f"{module} is missing" for module in sorted(modules - set(adapter.slices))]
    problems += [f"{module} is superfluous" for module in sorted(set(adapter.slices) - modules)]
    problems += _of_rows(adapters, adapter)
    squares = whole = worst = 0.0
    where = ""
    for module in sorted(modules & set(adapter.slices)):
        (a, b), (own_a, own_b) = _joined(adapters, module), _joined((adapter,), module)
        if (own_a.shape[1], own_b.shape[0]) != (a.shape[1], b.shape[0]):
            problems.append(f"{module} is of another shape")
            continue
        off, size = _norm(torch.cat([own_b, -b], 1), torch.cat([own_a, a], 0)), _norm(b, a)
        squares, whole = squares + off**2, whole + size**2
        ratio = off / size if size else float(off > 0)
        if not ratio <= worst:
            worst, where = ratio, module
    if error:
        total, allowed = (squares / whole) ** 0.5 if whole else 0.0, 1.001 * error + 1e-6
        detail = problems or [f"relative error of the update, {error:.3g} by its own account"]
        return [Check("update", total <= allowed and not problems, total, allowed, detail[0])]
    detail = problems or [f"largest relative error of a module's update, in {where or 'all modules'}"]
    return [Check("update", worst <= ADAPTER_ERROR and not problems, worst, ADAPTER_ERROR, detail[0])]


def _of_rows(adapters: Sequence[Adapter], adapter: Adapter) -> list[str]:
    """Name what differs in the rows of tokens."""
    wanted, found = summed_rows(adapters), summed_rows((adapter,))
    problems = [f"rows of tokens of {name} are not those of the stack" for name in sorted({*wanted} ^ {*found})]
    for name in sorted({*wanted} & {*found}):
        own, right = found[name], wanted[name]
        if own.ids != right.ids or own.delta.shape != right.delta.shape:
            problems.append(f"{name} has rows of other tokens")
        elif not float((own.delta - right.delta).norm()) <= ADAPTER_ERROR * float(right.delta.norm()):
            problems.append(f"the rows of tokens of {name} differ from the stack's")
    return problems


def _joined(adapters: Sequence[Adapter], module: str) -> tuple[Tensor, Tensor]:
    """Return A (r, in) and B (out, r) in float64 with the update B A."""
    parts = [adapter.slices[module] for adapter in adapters if module in adapter.slices]
    return torch.cat([p.A.double() for p in parts], 0), torch.cat([p.B.double() * p.scaling for p in parts], 1)


def _norm(b: Tensor, a: Tensor) -> float:
    """Return the Frobenius norm of B A, without forming it: with A^T = Q R it is that of B R^T."""
    return float(torch.linalg.norm(b @ torch.linalg.qr(a.T, mode="r").R.T))
