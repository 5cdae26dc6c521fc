"""Exports: logged requests written to files, by jobs that outlive the process that began them.

What a caller may do with a job is in `jobs.py`; `runner.py` carries jobs out and `writing.py` is what it does
then. The words of filters, columns and rows are a face's: it gives an `Exporter`, of which `jsonl.py` makes one
from functions. Another kind of file is another file beside that.
"""

from __future__ import annotations

from gateway.query.exports.exporter import Exporter, Selection
from gateway.query.exports.files import ExportFiles
from gateway.query.exports.jobs import ExportJobs
from gateway.query.exports.jsonl import Column, JsonLines
from gateway.query.exports.links import ExportLinks
from gateway.query.exports.runner import ExportRunner

__all__ = [
    "Column",
    "ExportFiles",
    "ExportJobs",
    "ExportLinks",
    "ExportRunner",
    "Exporter",
    "JsonLines",
    "Selection",
]
