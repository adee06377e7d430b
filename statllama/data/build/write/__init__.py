"""Has a model write rows about sections of documents, each with the sentence that supports it.

`windows.py` cuts sections to size, `prompts.py` asks about them in turns of genre and audience, `kinds/` has one module
for each kind of row, `step.py` is the step. See README.md for what a user writes.
"""
