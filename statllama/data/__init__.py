"""Data: rows of files and hub datasets to token ids with a mask of the tokens that carry loss.

Loads no torch, but for `collate` (batches), which is imported by name; so is `checks` (of a batch).
"""

from __future__ import annotations

from statllama.data.chat import DATE_STRING, TEMPLATE_VARIABLES
from statllama.data.encode import Kind
from statllama.data.files import LocalFile, local_files
from statllama.data.formats import check_columns, check_source, format_names, recognise
from statllama.data.prepare import Prepared, prepare
from statllama.data.report import MixtureReport, SourceReport
from statllama.data.sources import fingerprint, pinned, resolved, rows, source_name
from statllama.data.tokenise import TrainOn

__all__ = [
    "DATE_STRING",
    "TEMPLATE_VARIABLES",
    "Kind",
    "LocalFile",
    "MixtureReport",
    "Prepared",
    "SourceReport",
    "TrainOn",
    "check_columns",
    "check_source",
    "fingerprint",
    "format_names",
    "local_files",
    "pinned",
    "prepare",
    "recognise",
    "resolved",
    "rows",
    "source_name",
]
