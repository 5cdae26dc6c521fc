"""One OpenAPI 3.1 document of every face, made from the same tables that the router is made from.

Source: OpenAPI Specification 3.1.0, https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from gateway.web.auth import TOKEN_HEADER
from gateway.web.face import ANY_ROLE, Endpoint, Face, Parameter

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

_MEANINGS = {
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


def build_openapi(faces: Sequence[Face], version: str) -> Json:
    """Describe the endpoints of `faces` as an OpenAPI 3.1 document, one tag a face."""
    schemas = _Schemas(faces)
    paths: dict[str, Json] = {}
    for face in faces:
        for endpoint in face.endpoints:
            operation = _operation(face, endpoint, schemas)
            paths.setdefault(endpoint.plain_path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gateway", "version": version, "description": DESCRIPTION},
        "tags": [{"name": face.name} for face in faces],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {**SECURITY_SCHEMES, **TOKEN_SCHEMES},
        },
    }


class _Schemas:
    """JSON schemas of all bodies, replies and errors, made at once so that equal names do not collide."""

    def __init__(self, faces: Sequence[Face]) -> None:
        inputs: list[tuple[int, Mode, TypeAdapter[Any]]] = [
            (id(shape), mode, TypeAdapter(shape)) for face in faces for shape, mode in _shapes_of(face)
        ]
        self._schemas, definitions = TypeAdapter.json_schemas(
            inputs, ref_template="#/components/schemas/{model}"
        )
        self.components: Json = definitions.get("$defs", {})

    def content(self, shape: object, mode: Mode) -> Json:
        """The media type object of a JSON body of this shape."""
        return {"application/json": {"schema": self._schemas[id(shape), mode]}}


def _shapes_of(face: Face) -> Iterator[tuple[Any, Mode]]:
    if face.error_model:
        yield face.error_model, "serialization"
    for endpoint in face.endpoints:
        if endpoint.body is not None:
            yield endpoint.body, "validation"
        if endpoint.reply is not None:
            yield endpoint.reply, "serialization"


def _operation(face: Face, endpoint: Endpoint, schemas: _Schemas) -> Json:
    operation: Json = {
        "tags": [face.name],
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "description": _description(endpoint),
        "responses": _responses(face, endpoint, schemas),
        "security": _security(endpoint),
    }
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": schemas.content(endpoint.body, "validation")}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    return "_".join([endpoint.method.lower(), *re.findall("[A-Za-z0-9]+", endpoint.plain_path)])


def _description(endpoint: Endpoint) -> str:
    token = ", or a feedback token" if endpoint.takes_tokens else ""
    key = "a key of any role" if endpoint.role == ANY_ROLE else f"a key with the role `{endpoint.role}`"
    needs = f"Needs {key}{token}." if endpoint.role else "Open to all."
    return f"{endpoint.description}\n\n{needs}".strip()


def _security(endpoint: Endpoint) -> list[Json]:
    schemes = [*SECURITY_SCHEMES, *(TOKEN_SCHEMES if endpoint.takes_tokens else ())]
    return [{name: []} for name in schemes] if endpoint.role else []


def _parameters(endpoint: Endpoint) -> list[Json]:
    in_path = [
        Parameter(name, f"The {name.replace('_', ' ')}, percent-encoded.")
        for name in re.findall(r"\{(\w+)\}", endpoint.plain_path)
    ]
    return [
        *({**_parameter(parameter), "in": "path", "required": True} for parameter in in_path),
        *(
            {**_parameter(parameter), "in": "query", "required": parameter.is_required}
            for parameter in endpoint.parameters
        ),
    ]


def _parameter(parameter: Parameter) -> Json:
    return {"name": parameter.name, "description": parameter.description, "schema": parameter.schema}


def _responses(face: Face, endpoint: Endpoint, schemas: _Schemas) -> Json:
    success: Json = {"description": "Done."}
    if endpoint.reply:
        others = {media_type: {"schema": {"type": "string"}} for media_type in endpoint.reply_types}
        success["content"] = {**schemas.content(endpoint.reply, "serialization"), **others}
    failures = {
        *endpoint.failures,
        *((401, 403) if endpoint.role else ()),
        *((408, 413, 503) if endpoint.body is not None else ()),
    }
    return {"200": success, **{str(status): _failure(face, status, schemas) for status in sorted(failures)}}


def _failure(face: Face, status: int, schemas: _Schemas) -> Json:
    failure: Json = {"description": _MEANINGS.get(status, f"{HTTPStatus(status).phrase}.")}
    if face.error_model:
        failure["content"] = schemas.content(face.error_model, "serialization")
    return failure
