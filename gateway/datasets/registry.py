"""The formats that requests are exported in, by name."""

from collections.abc import Mapping

from gateway.datasets.export_format import Format, abbreviate
from gateway.datasets.parquet import PARQUET
from gateway.datasets.text_files import CSV, JSON_LINES
from gateway.datasets.training_formats import TRAINING_FORMATS
from gateway.errors import BadInput

_ALL: tuple[Format, ...] = (JSON_LINES, CSV, PARQUET, *TRAINING_FORMATS)

FORMATS: Mapping[str, Format] = {each.name: each for each in _ALL}


def export_formats() -> list[tuple[str, str]]:
    """Return names and descriptions of the formats that can be used here."""
    return [(each.name, each.description) for each in _ALL if each.missing_package() is None]


def find_format(name: str) -> Format:
    """Return a format that can be used here. Raises BadInput."""
    if name not in FORMATS:
        raise BadInput(f"must be one of {', '.join(FORMATS)}; got {abbreviate(name)}.", field="format")
    if (problem := FORMATS[name].missing_package()) is not None:
        raise BadInput(problem, field="format")
    return FORMATS[name]
