"""An own reward: a function of yours pays for completions, and a GRPO stage on top of a short SFT learns from it.

    python examples/02_own_reward.py      # after 01_own_data.py, in the same folder; a minute or two on a CPU

An argument sets the number of GRPO steps.
"""

import inspect
import sys
from pathlib import Path
from typing import Any

import statllama

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 12


def right_words(prompts: list[Any], completions: list[Any], answer: list[str], **columns: Any) -> list[float]:
    """Pay 1 for the right answer, and a part of it for an answer that shares words with it.

    The arguments are lists with an entry for each completion: TRL's own, and every column of the data (`answer`).

    >>> right_words(["Which test?"] * 2, ["Rank test.", "Paired t test."], answer=["Rank test."] * 2)
    [1.0, 0.4]
    """
    rewards = []
    for completion, right in zip(completions, answer, strict=True):
        said = completion if isinstance(completion, str) else completion[-1]["content"]
        got, wanted = set(said.lower().split()), set(right.lower().split())
        rewards.append(2 * len(got & wanted) / max(1, len(got) + len(wanted)))
    return rewards


# 1. The reward's file lies beside the recipe; its text is part of the stage's key, so another reward is another result.
folder = Path("own_data")
(folder / "my_rewards.py").write_text("from typing import Any\n\n\n" + inspect.getsource(right_words), encoding="utf-8")

# 2. The recipe of 01 with a shorter SFT, which leaves something to learn, and a stage that generates and is paid.
recipe = folder / "own_reward.yaml"
recipe.write_text(
    f"""\
name: own_reward
extends: own_data.yaml
stages:
  - name: sft
    train: {{steps: 14}}
  - name: grpo
    type: grpo
    data: [{{path: lessons.jsonl}}]
    rewards: [{{name: local, function: "my_rewards:right_words"}}]
    generations: 8
    max_completion_length: 12
    lora: {{r: 16, alpha: 32, rslora: true}}
    train: {{steps: {STEPS}, batch_size: 64, learning_rate: 8e-4, max_length: 128}}
""",
    encoding="utf-8",
)

# 3. The function is code that runs with all your rights: a run of it must be allowed.
run = statllama.run(recipe, "workspace", trust_local_code=True)
grpo = run.metrics["grpo"]
print(f"reward {grpo['first_reward']:.2f} -> {grpo['reward']:.2f} in {grpo['steps']} steps\n{run}")
print(statllama.compare(["own_reward:sft", "own_reward:grpo"], "workspace"))
