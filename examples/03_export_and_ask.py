"""Export a specialist and ask it: in this process, and out of the release that others will download.

    python examples/03_export_and_ask.py        # after 01_own_data.py, in the same folder; half a minute on a CPU

Arguments are release formats, as `statllama export` has them, in place of the adapter and merged weights:
`python examples/03_export_and_ask.py merged=f32 gguf=q8_0 gguf-lora`.
"""

import sys

import statllama

QUESTIONS = ("Which test do I take for the ranks of two groups of pilots?", "State the test for a table with counts.")

# 1. The stack as it was trained: the frozen base with the adapters of all stages on it.
specialist = statllama.load("own_data", "workspace")
model, tokenizer = specialist  # of the classes of Transformers and PEFT, for all that they can do
print(specialist)
for question in QUESTIONS:
    print(f"  {question}\n  -> {specialist.ask(question, max_tokens=16)}")

# 2. The release: each format is compared with that stack, in the program that will run it, before it is published.
released = statllama.export("own_data", "workspace", out="own_specialist", formats=sys.argv[1:])
print(released)

# 3. Its merged weights are a model like any other.
if (released.folder / "merged").is_dir():
    merged = statllama.load(released.folder)
    for question in QUESTIONS:
        print(f"  merged: {merged.ask(question, max_tokens=16)}")
