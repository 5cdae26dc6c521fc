"""Datasets: logged requests written to files by jobs that survive restarts."""

from __future__ import annotations

from gateway.datasets.files import ExportFiles, ExportLinks
from gateway.datasets.formats import Column, JsonLines, Selection
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner

__all__ = [
    "Column",
    "ExportFiles",
    "ExportJobs",
    "ExportLinks",
    "ExportRunner",
    "JsonLines",
    "Selection",
]
