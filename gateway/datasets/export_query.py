"""ExportQuery: what a caller asks to export, read from names and texts, and read again when a job goes on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.datasets.export_format import RESERVED_NAMES, ExportRow, Format, FormatOptions, abbreviate
from gateway.datasets.registry import find_format
from gateway.errors import BadInput
from gateway.models.clock import parse_time_us
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op
from gateway.query.filters import FEEDBACK_FILTERS, REQUEST_FILTERS, FilterSchema, requests_with_feedback

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_SCHEMAS: Mapping[str, FilterSchema] = {"requests": REQUEST_FILTERS, "feedback": FEEDBACK_FILTERS}
_TIMES = {"from": False, "to": True}


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """The requests of an export, their format and its options.

    Args:
        given: by name, with times that stay the same however late they are read again.
        dataset: `NAME` or `NAME@VERSION`, whose requests are exported in the place of those of a filter.
        limit: of requests, the oldest first; None: all.
        min_weight: least sum of weights of the feedback on a request that has a score.
        min_people: least number of authors of the feedback on a request.
    """

    file_format: Format
    options: FormatOptions
    where: Filter
    given: Mapping[str, str]
    limit: int | None = None
    min_weight: float = 0.0
    min_people: int = 0
    is_all_in_trace: bool = False
    dataset: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "ExportQuery":
        """Read filters, options of the format and `RESERVED_NAMES`. Raises BadInput; names the field."""
        if "format" not in given:
            raise BadInput("is missing; it names the format.", field="format")
        file_format = find_format(given["format"])
        given = {name: absolute_time(name, text) for name, text in given.items()}
        option_names = file_format.options.model_fields
        filters = {n: text for n, text in given.items() if n not in RESERVED_NAMES and n not in option_names}
        if "dataset" in given:
            _refuse_filters_beside_dataset(given, filters)
        is_all_in_trace = _read_flag(given, "all_in_trace")
        where = _read_filters(given.get("of", "requests"), filters, file_format)
        options = file_format.options.read({name: given[name] for name in option_names if name in given})
        if file_format.is_training:
            where = AllOf((where, _training_condition(options, is_all_in_trace)))
        return cls(
            file_format,
            options,
            where,
            given,
            limit=None if "limit" not in given else _read_whole_number(given, "limit", least=1),
            min_weight=_read_number(given, "min_weight"),
            min_people=_read_whole_number(given, "min_people", least=0),
            is_all_in_trace=is_all_in_trace,
            dataset=given.get("dataset"),
        )

    def shortfall(self, row: ExportRow) -> str | None:
        """Return why a row has too little feedback; None where it has enough."""
        entries = row.counted if self.file_format.is_training and not self.is_all_in_trace else row.feedback
        if self.min_weight and sum(e.weight for e in entries if e.score is not None) < self.min_weight:
            return f"weight of the feedback below {self.min_weight:g}"
        if len({each.author for each in entries if each.author is not None}) < self.min_people:
            return f"feedback of fewer than {self.min_people} people"
        return None


def _read_filters(subject: str, filters: Mapping[str, str], file_format: Format) -> Filter:
    if subject not in _SCHEMAS:
        raise BadInput(f"must be one of {', '.join(_SCHEMAS)}; got {abbreviate(subject)}.", field="of")
    schema = _SCHEMAS[subject]
    for name in filters:
        if name not in schema.criteria and schema.prefix_of(name) is None:
            options = ", ".join(file_format.options.model_fields) or "none"
            raise BadInput(
                f"is neither a filter of {schema.found} nor an option of {file_format.name}.",
                field=name,
                hint=f"Options: {options}. Filters: {', '.join((*schema.criteria, 'metadata.KEY'))}.",
            )
    where = schema.to_filter(filters.items())
    return requests_with_feedback(where) if subject == "feedback" else where


def read_filters(given: Mapping[str, str]) -> Filter:
    """Return the requests that filters mean, which `of` may say are of feedback. Raises BadInput."""
    subject = given.get("of", "requests")
    if subject not in _SCHEMAS:
        raise BadInput(f"must be one of {', '.join(_SCHEMAS)}; got {abbreviate(subject)}.", field="of")
    where = _SCHEMAS[subject].to_filter((name, text) for name, text in given.items() if name != "of")
    return requests_with_feedback(where) if subject == "feedback" else where


def _refuse_filters_beside_dataset(given: Mapping[str, str], filters: Mapping[str, str]) -> None:
    if beside := [*filters, *(["of"] if "of" in given else [])]:
        raise BadInput(
            "cannot be given with a dataset, whose requests are what they are.",
            field=beside[0],
            hint="Leave it out, or export by filters.",
        )


def _training_condition(options: FormatOptions, is_all_in_trace: bool) -> Filter:
    counts = Comparison("has_feedback" if is_all_in_trace else "is_judged", Op.EQ, True)
    # Other requests of a judged trace stay out.
    return AnyOf((counts, Comparison("has_feedback", Op.EQ, False))) if options.takes_unjudged else counts


def absolute_time(name: str, text: str) -> str:
    """Return a filter's value, of `from` and `to` one that means the same time later. Raises BadInput."""
    if name not in _TIMES:
        return text
    try:
        return str(parse_time_us(text, is_end=_TIMES[name]))
    except ValueError as error:
        raise BadInput(str(error), field=name) from None


def _read_flag(given: Mapping[str, str], name: str) -> bool:
    if given.get(name, "false") not in ("true", "false"):
        raise BadInput(f"must be true or false; got {abbreviate(given[name])}.", field=name)
    return given.get(name) == "true"


def _read_number(given: Mapping[str, str], name: str) -> float:
    text = given.get(name, "0")
    if not _NUMBER.fullmatch(text):
        raise BadInput(f"must be a number such as 1.5; got {abbreviate(text)}.", field=name)
    return float(text)


def _read_whole_number(given: Mapping[str, str], name: str, *, least: int) -> int:
    text = given.get(name, "0")
    if not (re.fullmatch("[0-9]{1,9}", text) and int(text) >= least):
        raise BadInput(
            f"must be a whole number from {least} to 999999999; got {abbreviate(text)}.", field=name
        )
    return int(text)
