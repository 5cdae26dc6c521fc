"""Portkey's public API as an OpenAPI document, as far as its clients rely on it: made of its names and types.

Source: https://github.com/Portkey-AI/openapi
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.api.portkey.analytics.contract import ANSWERS, TIME, Shape

Json = dict[str, Any]

STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
NUMBER: Json = {"type": "number"}
MOMENT: Json = {"type": "string", "format": "date-time"}
UUID: Json = {"type": "string", "format": "uuid"}
OBJECT: Json = {"type": "object", "additionalProperties": True}
TEXTS: Json = {"type": "object", "additionalProperties": STRING}

NOT_LESS_THAN_NOTHING: Json = {"minimum": 0}
GRADE: Json = {"minimum": -10, "maximum": 10}

EXPORTED = (
    "id", "trace_id", "created_at", "request", "response", "is_success", "ai_org", "ai_model", "req_units",
    "res_units", "total_units", "request_url", "cost", "cost_currency", "response_time",
    "response_status_code", "mode", "config", "prompt_slug", "metadata",
)  # fmt: skip
"""What of a log an export may be asked for."""

METRICS = (
    "total_units_min", "total_units_max", "prompt_token_min", "prompt_token_max", "completion_token_min",
    "completion_token_max",
)  # fmt: skip
LISTS = (
    "status_code", "virtual_keys", "configs", "api_key_ids", "ai_org_model", "trace_id", "span_id", "prompt_slug",
)  # fmt: skip


def document(server: str) -> Json:
    """Return the document of an API that is served at this URL, `…/v1`."""
    return {
        "openapi": "3.0.3",
        "info": {"title": "Portkey's API as its clients know it", "version": "2"},
        "servers": [{"url": server}],
        "paths": {**_feedback(), **_logs(), **_exports(), **_analytics()},
    }


def _feedback() -> Json:
    given = _object({"trace_id": STRING, "value": INTEGER | GRADE}, weight=_weight(), metadata=OBJECT)
    changed = _object({"value": INTEGER | GRADE}, weight=_weight(), metadata=OBJECT)
    saved = _object({}, status=STRING, message=STRING, feedback_ids=_list(STRING))
    return {
        "/feedback": {"post": _operation(saved, body=given)},
        "/feedback/{id}": {"put": _operation(saved, body=changed, path={"id": UUID})},
    }


def _logs() -> Json:
    request = _object({"url": STRING, "body": OBJECT}, method=STRING, headers=TEXTS)
    response = _object({"body": OBJECT}, status=INTEGER, headers=TEXTS, response_time=INTEGER)
    metadata = _object({}, trace_id=STRING, span_id=STRING, span_name=STRING)
    log = _object({"request": request, "response": response}, metadata=metadata)
    told = _object(
        {
            "_id": STRING,
            "request": _object({"url": STRING, "method": STRING, "portkeyHeaders": TEXTS}),
            "response": _object(
                {"status": INTEGER, "responseTime": INTEGER, "lastUsedOptionJsonPath": STRING}
            ),
            "organisation_id": STRING | {"nullable": True},
            "created_at": MOMENT,
        }
    )
    return {
        "/logs": {"post": _operation({}, body={"oneOf": [log, _list(log)]})},
        "/logs/{logId}": {"get": _operation(told, path={"logId": STRING})},
    }


def _exports() -> Json:
    names = _list({"type": "string", "enum": list(EXPORTED)})
    asked = _object({"filters": _filters()}, workspace_id=STRING, requested_data=names)
    made = _object({"id": UUID, "total": INTEGER, "object": _just("export")})
    states = ("draft", "in_progress", "success", "failed", "stopped")
    ids = dict.fromkeys(("id", "organisation_id", "created_by", "workspace_id"), UUID)
    item = _object(
        {
            **ids,
            "filters": _filters(),
            "requested_data": names,
            "status": {"type": "string", "enum": list(states)},
            "description": STRING,
            "created_at": MOMENT,
            "last_updated_at": MOMENT,
            "object": _just("export"),
        }
    )
    said = _object({"message": STRING, "object": _just("export")})
    one = {"exportId": STRING}
    link = _object({"signed_url": {"type": "string", "format": "uri"}})
    listed = _object({}, object=_just("list"), total=INTEGER, data=_list(item))
    return {
        "/logs/exports": {
            "get": _operation(listed, query={"workspace_id": STRING}),
            "post": _operation(made, body=asked | {"required": ["filters", "requested_data"]}),
        },
        "/logs/exports/{exportId}": {
            "get": _operation(item, path=one),
            "put": _operation(made, body=asked, path=one),
        },
        "/logs/exports/{exportId}/start": {"post": _operation(said, path=one)},
        "/logs/exports/{exportId}/cancel": {"post": _operation(said, path=one)},
        "/logs/exports/{exportId}/download": {"get": _operation(link, path=one)},
    }


def _filters() -> Json:
    whole = dict.fromkeys(METRICS, INTEGER)
    texts = dict.fromkeys(("ai_model", "workspace_slug", *(set(LISTS) - {"api_key_ids", "span_id"})), STRING)
    weighted = dict.fromkeys(("weighted_feedback_min", "weighted_feedback_max"), NUMBER)
    cost = dict.fromkeys(("cost_min", "cost_max", "page_size", "current_page"), NUMBER)
    times = dict.fromkeys(("time_of_generation_min", "time_of_generation_max"), MOMENT)
    return _object({}, **whole, **texts, **weighted, **cost, **times, metadata=OBJECT)


def _analytics() -> Json:
    query = {
        **dict.fromkeys(METRICS, INTEGER | NOT_LESS_THAN_NOTHING),
        **dict.fromkeys(("cost_min", "cost_max"), NUMBER | NOT_LESS_THAN_NOTHING),
        **dict.fromkeys(("weighted_feedback_min", "weighted_feedback_max"), NUMBER | GRADE),
        **dict.fromkeys(LISTS, STRING),
        "metadata": STRING,
    }
    paths = {}
    for path, shape in ANSWERS.items():
        pages = dict.fromkeys(("current_page", "page_size"), INTEGER | NOT_LESS_THAN_NOTHING)
        asked = query | (pages if path.startswith("groups/") else {})
        named = path.replace("metadata/team", "metadata/{metadataKey}")
        in_path = {"metadataKey": STRING} if named != path else {}
        paths[f"/analytics/{named}"] = {
            "get": _operation(
                _schema_of(shape),
                path=in_path,
                query=asked,
                needed={"time_of_generation_min": MOMENT, "time_of_generation_max": MOMENT},
            )
        }
    return paths


def _schema_of(shape: Shape) -> Json:
    if isinstance(shape, dict):
        return _object({name: _schema_of(field) for name, field in shape.items()})
    if isinstance(shape, list):
        return _list(_schema_of(shape[0]))
    if isinstance(shape, set):
        return {"type": "string", "enum": sorted(shape)}
    return MOMENT if shape == TIME else STRING if shape is str else INTEGER


def _operation(
    reply: Json,
    *,
    body: Json | None = None,
    path: Mapping[str, Json] = {},
    query: Mapping[str, Json] = {},
    needed: Mapping[str, Json] = {},
) -> Json:
    operation: Json = {
        "responses": {"200": {"description": "Done.", "content": {"application/json": {"schema": reply}}}},
        "parameters": [
            *(
                {"in": "path", "name": name, "required": True, "schema": type_}
                for name, type_ in path.items()
            ),
            *({"in": "query", "name": name, "required": True, "schema": t} for name, t in needed.items()),
            *({"in": "query", "name": name, "schema": type_} for name, type_ in query.items()),
        ],
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _object(required: Mapping[str, Json], **others: Json) -> Json:
    schema: Json = {"type": "object", "properties": {**required, **others}}
    return schema | ({"required": list(required)} if required else {})


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _just(word: str) -> Json:
    return {"type": "string", "enum": [word]}


def _weight() -> Json:
    return NUMBER | {"minimum": 0, "maximum": 1}
