"""Whose logs can be imported, and what tells one's rows from another's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.api.helicone import history as helicone
from gateway.api.portkey.history import past as portkey
from gateway.domain.past import PastRequest
from gateway.domain.principal import Principal
from gateway.errors import BadInput
from gateway.feedback import Scale

AUTO, HELICONE, PORTKEY = "auto", "helicone", "portkey"
DIALECTS = (AUTO, HELICONE, PORTKEY)

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Translator:
    """Turns rows into past requests.

    Args:
        dialect: one of DIALECTS; `auto`: told by each row's fields.
        tenant: whose rows they become.
        scale: how Portkey's feedback becomes scores.
        renames: our names of providers by those in the rows, in lower case.
    """

    dialect: str
    tenant: str | None
    scale: Scale
    renames: Mapping[str, str]

    def translate(self, row: Row) -> PastRequest:
        """Return what a row tells. Raises BadInput for one that cannot be understood."""
        dialect = _dialect_of(row) if self.dialect == AUTO else self.dialect
        importer = Principal(f"import:{dialect}", frozenset(), self.tenant)
        past = (
            helicone.to_past_request(row, importer)
            if dialect == HELICONE
            else portkey.to_past_request(row, importer, self.scale)
        )
        provider = self.renames.get(past.exchange.provider.lower())
        return past if provider is None else replace(past, exchange=replace(past.exchange, provider=provider))


def _dialect_of(row: Row) -> str:
    if helicone.is_row(row):
        return HELICONE
    if portkey.is_row(row):
        return PORTKEY
    raise BadInput(
        "has neither the created_at of Portkey nor the request_created_at of Helicone.",
        field="row",
        hint="Without a time it cannot be taken.",
    )
