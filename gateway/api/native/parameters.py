"""The query parameters of searches, as the documentation shows them: made of the criteria that handlers read."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.moment import PATTERN
from gateway.errors import BadInput
from gateway.query.criterion import Criterion, Takes
from gateway.query.search import AUDIT, COUNTED_REQUESTS, FEEDBACK, METADATA, REQUESTS, Searchable
from gateway.web.face import Parameter

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

_SCHEMAS: Mapping[Takes, dict[str, object]] = {
    Takes.TEXT: {"type": "string"},
    Takes.NUMBER: {"type": "number"},
    Takes.FLAG: {"type": "boolean"},
    Takes.WHOLE_NUMBER: {"type": "integer", "minimum": 0},
    Takes.STATUS: {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    Takes.TIME: {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": PATTERN},
            {"type": "integer", "minimum": 10**14},
        ]
    },
}


def criteria_parameters(searchable: Searchable) -> tuple[Parameter, ...]:
    """Return a parameter for each criterion, and one for each kind of metadata."""
    return (
        *(
            Parameter(name, criterion.description, _schema(criterion))
            for name, criterion in searchable.criteria.items()
        ),
        *(_metadata_parameter(searchable, prefix) for prefix in searchable.prefixes),
    )


def slice_parameters(
    found: str, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT
) -> tuple[Parameter, ...]:
    """Return the parameters that say which of the results are meant."""
    return (
        Parameter(
            "limit",
            f"Most {found} to return.",
            {"type": "integer", "minimum": 1, "maximum": most, "default": default},
        ),
        Parameter("cursor", "`next_cursor` of the reply before this one, to go on from there."),
    )


def _schema(criterion: Criterion) -> dict[str, object]:
    if criterion.choices:
        return {"type": "string", "enum": [*criterion.choices]}
    return _SCHEMAS[criterion.takes]


def _metadata_parameter(searchable: Searchable, prefix: str) -> Parameter:
    whose = "the request" if prefix == METADATA else "the feedback"
    return Parameter(
        f"{prefix}KEY",
        f"{searchable.found.capitalize()} where the metadata of {whose} has this value under KEY; may be given for "
        "several keys.",
    )


FORMAT = Parameter(
    "format", "`csv`, as does `Accept: text/csv`.", {"type": "string", "enum": ["json", "csv"]}
)
CSV_FORMAT = Parameter(
    "format",
    "`csv`, as does `Accept: text/csv`: all that is found, row by row, where no `limit` is given.",
    {"type": "string", "enum": ["json", "csv"]},
)

TEXTS = Parameter(
    "texts",
    "`true`: with `question`, `answer` and `no_answer` of the request that each entry counts for.",
    {"type": "boolean", "default": False},
)

REQUEST_CRITERIA = criteria_parameters(REQUESTS)
FIGURE_CRITERIA = criteria_parameters(COUNTED_REQUESTS)
SEARCH_PARAMETERS = (*REQUEST_CRITERIA, *slice_parameters("requests"), CSV_FORMAT)
TRACE_PARAMETERS = (*REQUEST_CRITERIA, *slice_parameters("traces"))
SESSION_PARAMETERS = (*REQUEST_CRITERIA, *slice_parameters("sessions"))
FEEDBACK_PARAMETERS = (*criteria_parameters(FEEDBACK), *slice_parameters("entries"), TEXTS, CSV_FORMAT)
AUDIT_PARAMETERS = (*criteria_parameters(AUDIT), *slice_parameters("entries"))


def read_switch(given: Mapping[str, str], parameter: Parameter) -> bool:
    """Tell whether a parameter is `true`; left out it is `false`. Raises BadInput for another value."""
    text = given.get(parameter.name, "false")
    if text not in ("true", "false"):
        raise BadInput("must be true or false.", field=parameter.name)
    return text == "true"
