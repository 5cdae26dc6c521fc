"""The README.md beside training data: what libraries need to load it, and what people need to judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from gateway.datasets.training_lines import Columns, TrainingOptions

# Shown by their number of lines: a pattern that is redacted may itself be a secret.
_COUNTED_OPTIONS = frozenset({"redact_patterns", "evaluation_prompts"})


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card tells.

    Args:
        lines: by the name of the split.
        labels: lines by their label, where the format has one.
        remarks: lines that are kept, by what to know about them.
        largest_group: lines of the largest group of people and conversations; None without splits.
    """

    format_name: str
    columns: Columns
    options: TrainingOptions
    filters: Mapping[str, str]
    lines: Mapping[str, int]
    left_out: Mapping[str, int]
    labels: Mapping[str, int]
    remarks: Mapping[str, int]
    largest_group: int | None


def file_name(split: str) -> str:
    return f"{split}.jsonl"


def write_card(facts: CardFacts) -> str:
    """Return the card. It has no date, so that the same rows make the same bytes."""
    sections = [
        _front_matter(facts),
        f"# Training data: {facts.format_name}\n\nLogged requests with their feedback, one JSON object a line.",
        _table("Lines", "split", facts.lines),
        _split_note(facts),
        _table("Labels", "label", facts.labels),
        _table("Left out", "why", facts.left_out) or "## Left out\n\nNothing.",
        _table("Kept, but to know", "what", facts.remarks),
        _table("Filters", "filter", facts.filters) or "## Filters\n\nNone: all rows.",
        _table("Options", "option", _shown_options(facts.options)),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _front_matter(facts: CardFacts) -> str:
    files = [
        line for split in facts.lines for line in (f"  - split: {split}", f"    path: {file_name(split)}")
    ]
    features = [line for name, kind in facts.columns.items() for line in _feature(name, kind)]
    return "\n".join(
        [
            "---",
            "configs:",
            "- config_name: default",
            "  data_files:",
            *files,
            # Without it columns of objects are guessed from the first lines, and later ones may not fit.
            "dataset_info:",
            "  features:",
            *features,
            "---",
        ]
    )


def _feature(name: str, kind: str) -> Iterable[str]:
    return f"  - name: {name}", f"    {kind}"


def _table(title: str, head: str, rows: Mapping[str, object]) -> str:
    if not rows:
        return ""
    body = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join([f"## {title}", "", f"| {head} | |", "|---|---|", *body])


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    # Filters are the caller's texts; a card is read as Markdown.
    plain = " ".join(text.split()).replace("\\", "\\\\")
    for mark in "|<>`[]*_":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _split_note(facts: CardFacts) -> str:
    if facts.largest_group is None:
        return ""
    return (
        "Users and sessions that have lines or sessions in common are one group, and a group is in one split. "
        f"The largest has {facts.largest_group} lines."
    )


def _shown_options(options: TrainingOptions) -> dict[str, object]:
    given = options.model_dump(exclude_defaults=True)
    return {
        name: f"{len(value.splitlines())} lines" if name in _COUNTED_OPTIONS else value
        for name, value in given.items()
    }
