"""Rows as Helicone's queries and its export tool write them: what is taken of one, and how it is checked.

Source: the `HeliconeRequest` type and valhalla/jawn/src/lib/stores/request of https://github.com/Helicone/helicone.
"""

from __future__ import annotations

import math
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator

from gateway.web.exported import Amount, Count, ExportedRow, Id, Millis, Status, TimeUs
from gateway.web.validation import shown

NOBODY = str(UUID(int=0))
"""How some of its tables spell that there is no id."""


def _score(value: object) -> bool | float:
    is_truth = isinstance(value, dict) and value.get("valueType") == "boolean"
    number = value.get("value") if isinstance(value, dict) else value
    if isinstance(number, bool):
        return number
    try:
        found = float(number) if isinstance(number, str | int | float) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"must be a number, true or false; got {shown(value)}")
    return found > 0 if is_truth else found


Score = Annotated[bool | float, BeforeValidator(_score)]
"""A number, or an object that holds one as its `value` and tells its `valueType`."""


class HeliconeRow(ExportedRow):
    """A logged request. Which fields there are depends on the query."""

    request_id: Id | None = None
    request_created_at: TimeUs
    request_path: str | None = None
    target_url: str | None = None
    request_user_id: str | None = None
    request_properties: dict[str, object] | None = None
    properties: dict[str, object] | None = None
    prompt_id: str | None = None
    request_model: str | None = None
    model_override: str | None = None
    model: str | None = None
    request_body: object = None
    provider: str = "unknown"
    response_id: str | None = None
    response_created_at: TimeUs | None = None
    response_status: Status = 0
    response_model: str | None = None
    response_body: object = None
    delay_ms: Millis | None = None
    time_to_first_token: Millis | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_cache_read_tokens: Count | None = None
    prompt_cache_write_tokens: Count | None = None
    costUSD: Amount | None = None
    cost: Amount | None = None
    cache_reference_id: str = NOBODY
    cache_enabled: bool = False
    feedback_rating: bool | None = None
    feedback_created_at: TimeUs | None = None
    scores: dict[Id, Score] | None = None
