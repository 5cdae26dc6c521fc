"""The query parameters of searches, as the documentation shows them: made of the criteria that handlers read."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.audit import Via
from gateway.domain.exchange import Outcome
from gateway.domain.feedback import Kind, Source
from gateway.query.search import AUDIT_CRITERIA, CRITERIA, FEEDBACK_CRITERIA, METADATA, Criterion
from gateway.web.face import Parameter

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

_TEXT: dict[str, object] = {"type": "string"}
_TIME: dict[str, object] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]
}
_SCHEMAS: Mapping[str, dict[str, object]] = {
    "status": {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    "outcome": {"type": "string", "enum": [*Outcome]},
    "client_retry": {"type": "integer", "minimum": 0},
    "judged": {"type": "boolean"},
    "from": _TIME,
    "to": _TIME,
}
_FEEDBACK_SCHEMAS: Mapping[str, dict[str, object]] = {
    "kind": {"type": "string", "enum": [*Kind]},
    "source": {"type": "string", "enum": [*Source]},
    "is_joined": {"type": "boolean"},
    "min_score": {"type": "number"},
    "max_score": {"type": "number"},
    "from": _TIME,
    "to": _TIME,
}


_AUDIT_SCHEMAS: Mapping[str, dict[str, object]] = {
    "via": {"type": "string", "enum": [*Via]},
    "from": _TIME,
    "to": _TIME,
}


def _criteria(
    criteria: Mapping[str, Criterion], schemas: Mapping[str, dict[str, object]]
) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(name, criterion.description, schemas.get(name, _TEXT))
        for name, criterion in criteria.items()
    )


def _with_metadata(
    found: str, criteria: Mapping[str, Criterion], schemas: Mapping[str, dict[str, object]]
) -> tuple[Parameter, ...]:
    return (
        *_criteria(criteria, schemas),
        Parameter(
            f"{METADATA}KEY",
            f"{found.capitalize()} whose metadata has this value under KEY; may be given for several keys.",
        ),
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


REQUEST_CRITERIA = _with_metadata("requests", CRITERIA, _SCHEMAS)
SEARCH_PARAMETERS = (*REQUEST_CRITERIA, *slice_parameters("requests"))
TRACE_PARAMETERS = (*REQUEST_CRITERIA, *slice_parameters("traces"))
SESSION_PARAMETERS = (*REQUEST_CRITERIA, *slice_parameters("sessions"))
FEEDBACK_PARAMETERS = (
    *_with_metadata("entries", FEEDBACK_CRITERIA, _FEEDBACK_SCHEMAS),
    *slice_parameters("entries"),
)
AUDIT_PARAMETERS = (*_criteria(AUDIT_CRITERIA, _AUDIT_SCHEMAS), *slice_parameters("entries"))
