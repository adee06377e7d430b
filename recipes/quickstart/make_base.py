"""Make `base/`: a tiny Llama that knows the general world and has read no statistics.

    python make_base.py                 the base of the repository (README.md has time and loss)
    python make_base.py --steps 20 --out try   a quick try

The same seed, library versions and number of threads give the same files.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from worlds import documents
from worlds.documents import Dialogue
from worlds.items import Row

Weighted = tuple[list[int], list[float]]

HERE = Path(__file__).resolve().parent
TEST_FILE = HERE.parents[1] / "eval" / "quickstart_general" / "test.jsonl"
BOS, END, START_HEADER, END_HEADER, EOT, PAD = SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
)
# Llama 3's own splitting rule. The merges are learnt with `{1}` in place of `{1,3}`, so no token holds
# two digits, and readers that know Llama 3 (llama.cpp's `llama-bpe`) still give the same tokens.
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim }}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""


def splitter(rule: str) -> pre_tokenizers.PreTokenizer:
    """Split by the rule, then map bytes to printable characters."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(rule), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train_tokenizer(texts: Iterator[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with Llama 3's special tokens, rule and chat template."""
    core = Tokenizer(models.BPE(ignore_merges=True))
    core.pre_tokenizer = splitter(LLAMA3_SPLIT.replace("{1,3}", "{1}"))
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    core.pre_tokenizer = splitter(LLAMA3_SPLIT)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS}:1 $B:1",
        special_tokens=[(BOS, core.token_to_id(BOS))],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOT,
        pad_token=PAD,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int) -> LlamaForCausalLM:
    """A random Llama; every width is a multiple of 64, so that NF4 blocks fit its rows."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 128,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def encode(document: str | Dialogue, tokenizer: PreTrainedTokenizerFast, question_weight: float) -> Weighted:
    """Token ids of a document and how much each counts in the loss.

    Questions hold many random numbers and names that nobody can foretell, so they count less than
    answers and plain text.
    """
    if isinstance(document, str):
        ids = tokenizer(f"{BOS}{document}{END}", add_special_tokens=False)["input_ids"]
        return ids, [1.0] * len(ids)
    ids, weights = [], []
    for index, turn in enumerate(document):
        text = tokenizer.apply_chat_template([turn], tokenize=False)
        part = tokenizer(text if index == 0 else text.removeprefix(BOS), add_special_tokens=False)["input_ids"]
        header = part.index(tokenizer.convert_tokens_to_ids(END_HEADER)) + 1
        weight = 1.0 if turn["role"] == "assistant" else question_weight
        ids += part
        weights += [question_weight] * header + [weight] * (len(part) - header)
    return ids, weights


def rows(
    rng: random.Random,
    tokenizer: PreTrainedTokenizerFast,
    vocabulary: list[str],
    length: int,
    question_weight: float,
) -> Iterator[Weighted]:
    """Rows of whole documents, filled with padding of weight 0 where the next document does not fit."""
    row: list[int] = []
    weight: list[float] = []
    forbidden = {item["question"] for item in read_test(TEST_FILE)}
    while True:
        document = documents.draw(rng, vocabulary)
        asked = () if isinstance(document, str) else (turn["content"] for turn in document)
        assert forbidden.isdisjoint(asked), "a test question was drawn for training"
        ids, weights = encode(document, tokenizer, question_weight)
        if len(row) + len(ids) > length:
            rest = length - len(row)
            yield row + [tokenizer.pad_token_id] * rest, weight + [0.0] * rest
            row, weight = [], []
        row, weight = row + ids[:length], weight + weights[:length]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 40 steps, constant, then linear to zero over the last 30 %."""
    return peak * min(1.0, (step + 1) / 40, (steps - step) / (0.30 * steps))


def read_test(path: Path) -> list[Row]:
    """The held-out questions; `make_data.py` writes them."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def choice_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, path: Path) -> float:
    """Share of test questions whose right choice has the highest log-likelihood as the answer."""
    items = read_test(path)
    right = 0
    model.eval()
    for item in items:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": item["question"]}], tokenize=False, add_generation_prompt=True
        )
        start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        batch = tokenizer(
            [prompt + choice for choice in item["choices"]],
            add_special_tokens=False, return_tensors="pt", padding=True, padding_side="right",
        )  # fmt: skip
        with torch.inference_mode():
            logits = model(**batch).logits[:, :-1].float().log_softmax(-1)
        gain = logits.gather(-1, batch["input_ids"][:, 1:, None])[..., 0] * batch["attention_mask"][:, 1:]
        right += int(gain[:, start - 1 :].sum(-1).argmax()) == item["answer"]
    model.train()
    return right / len(items)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal (Keller Jordan 2024), in float32.

    It learns this world in about half the tokens that AdamW needs. torch.optim.Muon computes in bfloat16,
    which is slow on CPUs without bfloat16 instructions. Matrices of one shape are treated together.
    """

    def __init__(self, params: list[torch.nn.Parameter], lr: float = 1e-3, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every matrix, scaled so that its mean square is about that of AdamW's."""
        for group in self.param_groups:
            for shape in sorted({tuple(p.shape) for p in group["params"]}):
                same = [p for p in group["params"] if tuple(p.shape) == shape]
                update = orthogonal(torch.stack([self.momentum(p, group["momentum"]) for p in same]))
                scale = 0.2 * max(shape) ** 0.5
                for p, change in zip(same, update, strict=True):
                    p.mul_(1 - 0.05 * group["lr"]).add_(change, alpha=-group["lr"] * scale)

    def momentum(self, p: torch.nn.Parameter, beta: float) -> torch.Tensor:
        """The gradient with Nesterov momentum."""
        buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - beta)
        return p.grad.lerp(buffer, beta)


def orthogonal(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearly orthogonal matrices with the singular vectors of the given ones [count, rows, columns]."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.7750 * gram) @ x
    return x.mT if tall else x


def make_optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embeddings and norms."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    names = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in names]
    return [Muon(matrices), torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.0)]


def weighted_loss(model: LlamaForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token; ids and weights are [rows, length]."""
    logits = model(input_ids=ids).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    vocabulary: list[str],
    args: argparse.Namespace,
) -> dict[str, float]:
    """Train on rows of the general world and return what happened."""
    stream = rows(random.Random(args.seed + 1), tokenizer, vocabulary, args.length, args.question_weight)
    optimizers = make_optimizers(model)
    begin, tokens, smooth = time.perf_counter(), 0, math.nan
    for step in range(args.steps):
        ids, weights = (torch.tensor(part) for part in zip(*itertools.islice(stream, args.batch), strict=True))
        loss = weighted_loss(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, args.steps, args.lr)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens += int((weights > 0).sum())
        smooth = loss.item() if step == 0 else 0.95 * smooth + 0.05 * loss.item()
        if (step + 1) % args.report == 0 or step + 1 == args.steps:
            accuracy = choice_accuracy(model, tokenizer, TEST_FILE)
            print(
                f"step {step + 1}/{args.steps}  loss {smooth:.3f}  held-out accuracy {accuracy:.3f}"
                f"  tokens {tokens:,}  {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    return {"loss": smooth, "tokens": tokens, "seconds": time.perf_counter() - begin}


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the folder in bfloat16 and read it back once."""
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    AutoModelForCausalLM.from_pretrained(out)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the quickstart's base model.")
    parser.add_argument("--out", type=Path, default=HERE / "base", help="folder to write")
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps")
    parser.add_argument("--batch", type=int, default=16, help="rows a step")
    parser.add_argument("--length", type=int, default=192, help="tokens a row")
    parser.add_argument("--lr", type=float, default=4e-3, help="peak learning rate")
    parser.add_argument("--question-weight", type=float, default=0.2, help="weight of questions in the loss")
    parser.add_argument("--hidden", type=int, default=256, help="width, a multiple of 128")
    parser.add_argument("--layers", type=int, default=4, help="decoder layers")
    parser.add_argument("--vocab", type=int, default=2048, help="tokens, special ones included")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and text")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; another number, slightly other weights")
    parser.add_argument("--report", type=int, default=100, help="steps between two reports")
    return parser.parse_args()


def main() -> None:
    """Tokenizer, model, training, folder."""
    args = parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = random.Random(args.seed)
    vocabulary = documents.read_vocabulary()
    drawn = (documents.draw(rng, vocabulary) for _ in range(20_000))
    texts = (d if isinstance(d, str) else "\n\n".join(m["content"] for m in d) for d in drawn)
    tokenizer = train_tokenizer(texts, args.vocab)
    model = build_model(tokenizer, args.hidden, args.layers)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer):,} tokens", flush=True)
    result = train(model, tokenizer, vocabulary, args)
    save(model, tokenizer, args.out)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
