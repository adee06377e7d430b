"""Data: rows of files and hub datasets to token ids with a mask of the tokens that carry loss.

Loads no torch, but for `collate` (batches) and `checks` (of a batch).
"""
