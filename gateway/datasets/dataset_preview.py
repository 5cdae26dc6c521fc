"""The first lines of an export, as a trainer would see them."""

from contextlib import aclosing
from dataclasses import dataclass, replace

from gateway.datasets.export_format import ExportCounts
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportReader
from gateway.datasets.registry import FORMATS
from gateway.errors import BadInput

PREVIEW_LINES = 20
# Requests that are read at most; pairs and duplicates are found among these alone.
PREVIEW_REQUESTS = 2_000

_LINE_SUFFIXES = ("csv", "jsonl")
# Formats whose lines can be shown.
PREVIEW_FORMATS = tuple(each.name for each in FORMATS.values() if each.suffix in _LINE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Preview:
    """Lines of a file, of the oldest requests, and what was counted until there."""

    lines: tuple[str, ...]
    requests: int
    counts: ExportCounts


async def preview_export(reader: ExportReader, query: ExportQuery, tenant: str | None) -> Preview:
    """Return the first lines of a file. Raises BadInput, and NotFound where nothing can be trained on."""
    if query.file_format.name not in PREVIEW_FORMATS or query.file_format.is_archive(query.options):
        raise BadInput(f"has no lines to show; those of {', '.join(PREVIEW_FORMATS)} have.", field="format")
    limit = min(query.limit or PREVIEW_REQUESTS, PREVIEW_REQUESTS)
    text = bytearray()
    async with reader.open(replace(query, limit=limit), tenant, most_rows=limit) as file:
        async with aclosing(file.chunks()) as chunks:
            async for data in chunks:
                text += data
                if text.count(b"\n") >= PREVIEW_LINES:
                    break
        lines = text.decode().splitlines()[:PREVIEW_LINES]
        return Preview(tuple(lines), file.progress.rows_done, file.counts)
