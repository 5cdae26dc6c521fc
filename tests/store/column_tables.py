"""Tables of columns in `docs/reference/columns.md`; `python -m tests.store.column_tables` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.models.columns import FILTER, GROUP, PERSONAL, Column
from gateway.models.feedback import FEEDBACK_COLUMNS
from gateway.models.request import REQUEST_COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "columns.md"
_TABLES = {"requests": REQUEST_COLUMNS, "feedback": FEEDBACK_COLUMNS}
_MARKED = re.compile(r"(<!-- columns of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return the page with each marked table as the declarations have it."""
    return _MARKED.sub(lambda found: found[1] + "\n".join(_lines(_TABLES[found[2]])) + "\n" + found[3], page)


def _lines(columns: Sequence[Column]) -> Iterator[str]:
    yield "| column | from | used to | what it is |\n|---|---|---|---|"
    for column in columns:
        uses = {"filter": FILTER, "group": GROUP, "erase": PERSONAL}
        used = ", ".join(name for name, use in uses.items() if column.uses & use)
        yield f"| `{column.name}` | {column.origin} | {used} | {column.description} |"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
