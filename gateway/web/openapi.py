"""One OpenAPI 3.1 document of all APIs, built from their endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from gateway.web.endpoint import ANY_ROLE, Api, Endpoint
from gateway.web.middleware import TOKEN_HEADER
from gateway.web.query_params import Parameter

Json = dict[str, object]
Mode = Literal["validation", "serialization"]
"""Whether a schema says what is taken, or what is answered."""

DESCRIPTION = """\
An LLM gateway that forwards requests to providers unchanged, logs them, and joins feedback to them.

These operations are the gateway's own. Besides them it forwards, with any method: `/v1/{rest}` goes to the
default provider, or to the one named in `x-portkey-provider`, and `/{provider}/{rest}` to the provider of
that name, at its `base_url` followed by `/{rest}`, with `/v1` between where that is a bare host. Bodies,
unknown headers and statuses pass through as they are, so what may be sent there and what comes back is in
that provider's own documentation.

A forwarded request takes its trace id from `x-portkey-trace-id`, or from a W3C `traceparent`, or is given
a new one; `Helicone-Request-Id` may set its request id. The response carries both, as `x-portkey-trace-id`
and `helicone-id`. Feedback may name a request by either, or by the provider's id of its response.

Where keys are configured, a gateway key is needed, in any one of the headers listed under security.
"""

_STATUS_DESCRIPTIONS = {
    400: "Something in the request is wrong; the reply says what.",
    401: "No gateway key came, or none that is known.",
    403: "The key's role does not allow this.",
    404: "There is nothing of that name that this caller may see.",
    409: "It contradicts what is stored, or an id in it names several things.",
    408: "The body stopped coming.",
    413: "It is more than is taken, or shown, at once.",
    422: "It is well formed, but a value is not allowed; the reply says which.",
    429: "The feedback token was used too often; `Retry-After` says when to try again.",
    503: "The store cannot be used now, or too much is being sent; `Retry-After` says when to try again.",
}

SECURITY_SCHEMES: dict[str, Json] = {
    "portkeyKey": {"type": "apiKey", "in": "header", "name": "x-portkey-api-key"},
    "heliconeAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "Helicone-Auth",
        "description": "`Bearer` and the gateway key.",
    },
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "azureKey": {"type": "apiKey", "in": "header", "name": "api-key"},
    "googleKey": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "elevenLabsKey": {"type": "apiKey", "in": "header", "name": "xi-api-key"},
}
"""Where a gateway key may come."""

TOKEN_SCHEMES: dict[str, Json] = {
    "feedbackToken": {
        "type": "apiKey",
        "in": "header",
        "name": TOKEN_HEADER,
        "description": "Instead of a key, where the operation says so: a feedback token.",
    },
}


def build_openapi(apis: Sequence[Api], version: str) -> Json:
    """Describe the endpoints of `faces` as an OpenAPI 3.1 document, one tag a face."""
    schemas = _Schemas(apis)
    paths: dict[str, Json] = {}
    for api in apis:
        for endpoint in api.endpoints:
            operation = _operation(api, endpoint, schemas)
            paths.setdefault(endpoint.path_template, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gateway", "version": version, "description": DESCRIPTION},
        "tags": [{"name": api.name} for api in apis],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {**SECURITY_SCHEMES, **TOKEN_SCHEMES},
        },
    }


class _Schemas:
    """JSON schemas of all bodies, replies and errors, made at once so that equal names do not collide."""

    def __init__(self, apis: Sequence[Api]) -> None:
        inputs: list[tuple[int, Mode, TypeAdapter[Any]]] = [
            (id(shape), mode, TypeAdapter(shape)) for api in apis for shape, mode in _models_of(api)
        ]
        self._schemas, definitions = TypeAdapter.json_schemas(
            inputs, ref_template="#/components/schemas/{model}"
        )
        self.components: Json = definitions.get("$defs", {})

    def content(self, shape: object, mode: Mode) -> Json:
        """The media type object of a JSON body of this shape."""
        return {"application/json": {"schema": self._schemas[id(shape), mode]}}


def _models_of(api: Api) -> Iterator[tuple[Any, Mode]]:
    if api.error_model:
        yield api.error_model, "serialization"
    for endpoint in api.endpoints:
        if endpoint.body is not None:
            yield endpoint.body, "validation"
        if endpoint.reply is not None:
            yield endpoint.reply, "serialization"


def _operation(api: Api, endpoint: Endpoint, schemas: _Schemas) -> Json:
    operation: Json = {
        "tags": [api.name],
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "description": _description(endpoint),
        "responses": _responses(api, endpoint, schemas),
        "security": _security(endpoint),
    }
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": schemas.content(endpoint.body, "validation")}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    return "_".join([endpoint.method.lower(), *re.findall("[A-Za-z0-9]+", endpoint.path_template)])


def _description(endpoint: Endpoint) -> str:
    token = ", or a feedback token" if endpoint.accepts_feedback_token else ""
    key = "a key of any role" if endpoint.role == ANY_ROLE else f"a key with the role `{endpoint.role}`"
    needs = f"Needs {key}{token}." if endpoint.role else "Open to all."
    return f"{endpoint.description}\n\n{needs}".strip()


def _security(endpoint: Endpoint) -> list[Json]:
    schemes = [*SECURITY_SCHEMES, *(TOKEN_SCHEMES if endpoint.accepts_feedback_token else ())]
    return [{name: []} for name in schemes] if endpoint.role else []


def _parameters(endpoint: Endpoint) -> list[Json]:
    in_path = [
        Parameter(name, f"The {name.replace('_', ' ')}, percent-encoded.")
        for name in re.findall(r"\{(\w+)\}", endpoint.path_template)
    ]
    return [
        *({**_parameter(parameter), "in": "path", "required": True} for parameter in in_path),
        *(
            {**_parameter(parameter), "in": "query", "required": parameter.is_required}
            for parameter in (endpoint.query.parameters() if endpoint.query else ())
        ),
    ]


def _parameter(parameter: Parameter) -> Json:
    return {"name": parameter.name, "description": parameter.description, "schema": parameter.schema}


def _responses(api: Api, endpoint: Endpoint, schemas: _Schemas) -> Json:
    success: Json = {"description": "Done."}
    if endpoint.reply:
        others = {media_type: {"schema": {"type": "string"}} for media_type in endpoint.reply_types}
        success["content"] = {**schemas.content(endpoint.reply, "serialization"), **others}
    failures = {
        *endpoint.failures,
        *((401, 403) if endpoint.role else ()),
        *((408, 413, 503) if endpoint.body is not None else ()),
    }
    return {
        "200": success,
        **{str(status): _error_response(api, status, schemas) for status in sorted(failures)},
    }


def _error_response(api: Api, status: int, schemas: _Schemas) -> Json:
    failure: Json = {"description": _STATUS_DESCRIPTIONS.get(status, f"{HTTPStatus(status).phrase}.")}
    if api.error_model:
        failure["content"] = schemas.content(api.error_model, "serialization")
    return failure
