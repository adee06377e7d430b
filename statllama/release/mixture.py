"""The type of each tensor of a GGUF file: llama.cpp's mixtures, by name of the whole (`q4_k_m`).

The rules are those of `llama_tensor_get_type_impl` and `tensor_type_fallback` in llama.cpp's `src/llama-quant.cpp`, for
all our architectures and without an importance matrix: tensors that lose most get more bits, the head most of all (the
embedding, where it is the head), and norms stay in float32.
"""

from __future__ import annotations

from collections.abc import Mapping

from gguf import GGML_QUANT_SIZES, LlamaFileType
from gguf import GGMLQuantizationType as Type

from statllama.errors import UsageError, near
from statllama.model.layout import Layout

KINDS: Mapping[str, tuple[LlamaFileType, Type]] = {
    "f32": (LlamaFileType.ALL_F32, Type.F32),
    "f16": (LlamaFileType.MOSTLY_F16, Type.F16),
    "bf16": (LlamaFileType.MOSTLY_BF16, Type.BF16),
    "q8_0": (LlamaFileType.MOSTLY_Q8_0, Type.Q8_0),
    "q6_k": (LlamaFileType.MOSTLY_Q6_K, Type.Q6_K),
    "q5_k_m": (LlamaFileType.MOSTLY_Q5_K_M, Type.Q5_K),
    "q5_k_s": (LlamaFileType.MOSTLY_Q5_K_S, Type.Q5_K),
    "q5_1": (LlamaFileType.MOSTLY_Q5_1, Type.Q5_1),
    "q5_0": (LlamaFileType.MOSTLY_Q5_0, Type.Q5_0),
    "q4_k_m": (LlamaFileType.MOSTLY_Q4_K_M, Type.Q4_K),
    "q4_k_s": (LlamaFileType.MOSTLY_Q4_K_S, Type.Q4_K),
    "q4_1": (LlamaFileType.MOSTLY_Q4_1, Type.Q4_1),
    "q4_0": (LlamaFileType.MOSTLY_Q4_0, Type.Q4_0),
    "q3_k_l": (LlamaFileType.MOSTLY_Q3_K_L, Type.Q3_K),
    "q3_k_m": (LlamaFileType.MOSTLY_Q3_K_M, Type.Q3_K),
    "q3_k_s": (LlamaFileType.MOSTLY_Q3_K_S, Type.Q3_K),
    "q2_k": (LlamaFileType.MOSTLY_Q2_K, Type.Q2_K),
}
"""{kind: (what the file says it is, the type of most tensors)}, from the largest to the smallest."""
FLOATS = (Type.F32, Type.F16, Type.BF16)
FALLBACK = {
    Type.Q2_K: Type.Q4_0, Type.Q3_K: Type.Q4_0, Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0
}  # fmt: skip
"""For rows that are not whole blocks of 256."""


def tensor_type(kind: str, name: str, columns: int, layout: Layout, tied: bool) -> Type:
    """Return the type of a matrix called `name` in GGUF (`blk.0.attn_v.weight`) with rows of `columns` numbers.

    `tied`: the file has no head, the embedding stands for it.
    """
    whole = KINDS[kind][1]
    if whole in FLOATS:
        return whole
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        chosen = Type.Q8_0 if columns % _block(whole) or whole is Type.Q8_0 else Type.Q6_K
    elif name.startswith("blk."):
        _, layer, role, _ = name.split(".")
        chosen = _in_layer(kind, role, int(layer), layout.layers, layout.heads // layout.kv_heads)
        if (
            layout.layers == 80
            and layout.kv_heads != layout.heads
            and role == "attn_v"
            and chosen in (Type.Q3_K, Type.Q4_K)
        ):
            chosen = Type.Q5_K  # the 70B models (of Llama and of Qwen 2): eight heads share these values
    else:
        chosen = whole
    if columns % _block(chosen):
        chosen = FALLBACK.get(chosen, Type.F16)
    return chosen if columns % _block(chosen) == 0 else Type.F16


def _in_layer(kind: str, role: str, layer: int, layers: int, group: int) -> Type:
    """Return the type in layer `layer` of `layers`, with `group` heads to a kv head, before a look at the shape."""
    whole = KINDS[kind][1]
    more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2  # use_more_bits
    match kind, role:
        case (("q4_k_m" | "q5_k_m"), ("attn_v" | "ffn_down")):
            return Type.Q6_K if more else whole
        case "q4_k_s", "attn_v":
            return Type.Q5_K if layer < 4 else whole
        case "q4_k_s", "ffn_down":
            return Type.Q5_K if layer < layers // 8 else whole
        case "q3_k_l", ("attn_v" | "ffn_down" | "attn_output"):
            return Type.Q5_K
        case "q3_k_m", "attn_v":
            return Type.Q5_K if layer < 2 else Type.Q4_K
        case "q3_k_m", "ffn_down":
            return Type.Q5_K if layer < layers // 16 else Type.Q4_K
        case "q3_k_m", "attn_output":
            return Type.Q4_K
        case "q2_k", "attn_v":
            return Type.Q4_K if group >= 4 else Type.Q3_K
        case "q2_k", ("ffn_down" | "attn_output"):
            return Type.Q3_K
    return whole


def _block(type_: Type) -> int:
    """Return the numbers in one block."""
    return GGML_QUANT_SIZES[type_][0]


def require_kind(kind: str) -> None:
    """Raise UsageError for a kind that there is not, with the near ones."""
    if kind not in KINDS:
        raise UsageError(f"there is no GGUF type {kind!r}", remedy=near(kind, KINDS))
