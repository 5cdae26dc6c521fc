"""One OpenAPI 3.1 document of all APIs, built from their endpoints."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from gateway.web.endpoint import ANY_ROLE, EXAMPLE_IDS, Api, Endpoint
from gateway.web.middleware import TOKEN_HEADER
from gateway.web.query_params import Parameter

Json = dict[str, object]
# Schemas of requests and of responses.
Mode = Literal["validation", "serialization"]

DESCRIPTION = """\
An LLM gateway that forwards requests to providers unchanged, logs them, and joins feedback to them.

These operations are the gateway's own. It forwards all other paths with any method: `/v1/{rest}` to the
default provider, or to the one named in `x-portkey-provider`, and `/{provider}/{rest}` to the provider of
that name, at its `base_url` followed by `/{rest}`, with `/v1` in between if that is a bare host. Bodies,
unknown headers and statuses pass through unchanged; see the documentation of the provider.

A forwarded request takes its trace id from `x-portkey-trace-id` or a W3C `traceparent`, or gets a new one;
`Helicone-Request-Id` may set its request id. The response has both, as `x-portkey-trace-id` and
`helicone-id`. Feedback may name a request by either, or by the provider's id of its response.

If keys are configured, a gateway key is needed in one of the headers listed under security.
"""

_STATUS_DESCRIPTIONS = {
    400: "The request is not valid; the reply names the field.",
    401: "No valid gateway key.",
    403: "The key's role does not allow this.",
    404: "Not found, or of another tenant.",
    409: "In conflict with what is stored, or an id names several things.",
    408: "The body paused for too long.",
    413: "The request, or its answer, is too large.",
    422: "A value is not allowed; the reply names it.",
    429: "Rate limit of the feedback token exceeded; `Retry-After` says when to retry.",
    503: "The store is not available, or the gateway is overloaded; `Retry-After` says when to retry.",
}


def _header_scheme(name: str, **more: str) -> Json:
    return {"type": "apiKey", "in": "header", "name": name, **more}


# Headers that may carry a gateway key.
SECURITY_SCHEMES: dict[str, Json] = {
    "portkeyKey": _header_scheme("x-portkey-api-key"),
    "heliconeAuth": _header_scheme("Helicone-Auth", description="`Bearer` and the gateway key."),
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": _header_scheme("x-api-key"),
    "azureKey": _header_scheme("api-key"),
    "googleKey": _header_scheme("x-goog-api-key"),
    "elevenLabsKey": _header_scheme("xi-api-key"),
}

TOKEN_SCHEMES: dict[str, Json] = {
    "feedbackToken": _header_scheme(
        TOKEN_HEADER, description="A feedback token instead of a key, for operations that accept it."
    )
}


class OpenApi:
    """The document of a gateway's APIs.

    Args:
        apis: returns those that are described.
    """

    def __init__(self, apis: Callable[[], Sequence[Api]], version: str) -> None:
        self._apis = apis
        self._version = version

    # Built on the first request: it takes long, and most processes are never asked.
    @cached_property
    def document(self) -> Json:
        return build_openapi(self._apis(), self._version)


def build_openapi(apis: Sequence[Api], version: str) -> Json:
    schemas = _Schemas(apis)
    paths: dict[str, Json] = {}
    for api in apis:
        for endpoint in api.endpoints:
            operation = _operation(api, endpoint, schemas)
            paths.setdefault(endpoint.path_template, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gateway", "version": version, "description": DESCRIPTION},
        "tags": _tags(apis),
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": SECURITY_SCHEMES | TOKEN_SCHEMES},
    }


def _tags(apis: Sequence[Api]) -> list[Json]:
    used = dict.fromkeys(api.tag_of(endpoint) for api in apis for endpoint in api.endpoints)
    return [{"name": tag.name, "description": tag.description} for tag in used]


class _Schemas:
    def __init__(self, apis: Sequence[Api]) -> None:
        # Made at once, so that pydantic tells models of equal name apart.
        inputs: list[tuple[int, Mode, TypeAdapter[Any]]] = [
            (id(shape), mode, TypeAdapter(shape)) for api in apis for shape, mode in _models_of(api)
        ]
        template = "#/components/schemas/{model}"
        self._schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=template)
        self.components: Json = definitions.get("$defs", {})

    def content(self, shape: object, mode: Mode, example: object = None) -> Json:
        shown = {} if example is None else {"example": example}
        return {"application/json": {"schema": self._schemas[id(shape), mode], **shown}}


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
        "tags": [api.tag_of(endpoint).name],
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "description": _description(endpoint),
        "responses": _responses(api, endpoint, schemas),
        "security": _security(endpoint),
    }
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = schemas.content(endpoint.body, "validation", endpoint.example.body)
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    return "_".join([endpoint.method.lower(), *re.findall("[A-Za-z0-9]+", endpoint.path_template)])


def _description(endpoint: Endpoint) -> str:
    if endpoint.needs_feedback_token:
        return f"{endpoint.description}\n\nNeeds a feedback token.".strip()
    token = ", or a feedback token" if endpoint.accepts_feedback_token else ""
    key = "a key of any role" if endpoint.role == ANY_ROLE else f"a key with the role `{endpoint.role}`"
    needs = f"Needs {key}{token}." if endpoint.role else "Open to all."
    return f"{endpoint.description}\n\n{needs}".strip()


def _security(endpoint: Endpoint) -> list[Json]:
    if endpoint.needs_feedback_token:
        return [{name: []} for name in TOKEN_SCHEMES]
    schemes = [*SECURITY_SCHEMES, *(TOKEN_SCHEMES if endpoint.accepts_feedback_token else ())]
    return [{name: []} for name in schemes] if endpoint.role else []


def _parameters(endpoint: Endpoint) -> list[Json]:
    in_path = [
        Parameter(name, f"The {name.replace('_', ' ')}, percent-encoded.")
        for name in re.findall(r"\{(\w+)\}", endpoint.path_template)
    ]
    example = endpoint.example
    return [
        *(
            {**_parameter(parameter, {**EXAMPLE_IDS, **example.path}), "in": "path", "required": True}
            for parameter in in_path
        ),
        *(
            {**_parameter(parameter, example.query), "in": "query", "required": parameter.is_required}
            for parameter in (endpoint.query.parameters() if endpoint.query else ())
        ),
    ]


def _parameter(parameter: Parameter, examples: Mapping[str, str]) -> Json:
    shown = {"example": examples[parameter.name]} if parameter.name in examples else {}
    return {
        "name": parameter.name,
        "description": parameter.description,
        "schema": parameter.schema,
        **shown,
    }


def _responses(api: Api, endpoint: Endpoint, schemas: _Schemas) -> Json:
    success: Json = {"description": "Done."}
    content: Json = {media_type: {"schema": {"type": "string"}} for media_type in endpoint.reply_types}
    if endpoint.reply:
        example = _example_replies().get(_operation_id(endpoint))
        content = {**schemas.content(endpoint.reply, "serialization", example), **content}
    if content:
        success["content"] = content
    of_key = (401, 403) if endpoint.role else ()
    of_body = (408, 413, 503) if endpoint.body is not None else ()
    failures = sorted({*endpoint.failures, *of_key, *of_body})
    return {
        "200": success,
        **{str(status): _other_response(api, endpoint, status, schemas) for status in failures},
    }


@cache
def _example_replies() -> Mapping[str, object]:
    """Return what a gateway answered to the examples, by operation: recorded and checked by tests."""
    replies: Mapping[str, object] = orjson.loads(
        files("gateway.web").joinpath("example_replies.json").read_bytes()
    )
    return replies


def _other_response(api: Api, endpoint: Endpoint, status: int, schemas: _Schemas) -> Json:
    response: Json = {"description": _STATUS_DESCRIPTIONS.get(status, f"{HTTPStatus(status).phrase}.")}
    # 207 is a reply of which a part failed.
    if model := endpoint.reply if status == HTTPStatus.MULTI_STATUS else api.error_model:
        response["content"] = schemas.content(model, "serialization")
    return response
