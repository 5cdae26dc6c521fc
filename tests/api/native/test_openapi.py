from __future__ import annotations

from typing import Any

from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from gateway.api.native.http_responses import render_error
from gateway.models.principal import Principal, Role
from gateway.store.base import Store
from gateway.web.endpoint import Api, Endpoint
from gateway.web.openapi import build_openapi
from gateway.web.query_params import QueryParams

from .served import face_over


class Vote(BaseModel):
    value: int = Field(ge=-10, le=10, description="From -10 to 10.")
    labels: list[str] = []


class Receipt(BaseModel):
    feedback_ids: list[str]


class Failure(BaseModel):
    status: str


class Question(QueryParams):
    q: str = Field("", description="Q.")


def namesake() -> type[BaseModel]:
    class Receipt(BaseModel):
        other: int

    return Receipt


async def nothing(request: web.Request, principal: Principal) -> web.Response:
    return web.Response()


def endpoint(method: str, path: str, **given: Any) -> Endpoint:
    usual: dict[str, Any] = {"handler": nothing, "role": Role.FEEDBACK, "summary": "Do it"}
    return Endpoint(method=method, path=path, **(usual | given))


def api(name: str, *endpoints: Endpoint) -> Api:
    return Api(
        name=name, prefixes=("/x",), endpoints=endpoints, render_error=render_error, error_model=Failure
    )


def build(*apis: Api) -> Any:
    document: Any = build_openapi(apis, "1.2.3")
    OpenAPIV31SpecValidator(document).validate()
    return document


def test_our_own_apis_make_a_valid_document(store: Store) -> None:
    native = face_over(store)
    document = build(native)
    assert set(document["paths"]) == {
        "/api/v1/requests",
        "/api/v1/requests/tail",
        "/api/v1/requests/{request_id}",
        "/api/v1/requests/{request_id}/conversation",
        "/api/v1/requests/{request_id}/receipt",
        "/api/v1/requests/{request_id}/curl",
        "/api/v1/search",
        "/api/v1/traces",
        "/api/v1/traces/{trace_id}",
        "/api/v1/sessions",
        "/api/v1/sessions/{session}",
        "/api/v1/requests/{request_id}/review",
        "/api/v1/reviews",
        "/api/v1/reviews/next",
        "/api/v1/reviews/agreement",
        "/api/v1/sessions/{session}/conversation",
        "/api/v1/users",
        "/api/v1/users/{user}",
        "/api/v1/aggregates",
        "/api/v1/compare",
        "/api/v1/alerts",
        "/api/v1/alerts/events",
        "/api/v1/alerts/preview",
        "/api/v1/alerts/{alert_id}",
        "/api/v1/report",
        "/api/v1/overview",
        "/api/v1/feedback",
        "/api/v1/feedback/current",
        "/api/v1/feedback/{feedback_id}",
        "/api/v1/datasets",
        "/api/v1/datasets/{name}",
        "/api/v1/datasets/{name}/versions",
        "/api/v1/datasets/{name}/diff",
        "/api/v1/datasets/{name}/preview",
        "/api/v1/export",
        "/api/v1/exports",
        "/api/v1/exports/{export_id}",
        "/api/v1/exports/{export_id}/cancel",
        "/api/v1/exports/{export_id}/file",
        "/api/v1/audit",
        "/api/v1/key",
        "/api/v1/keys",
        "/api/v1/webhooks",
        "/api/v1/webhooks/{webhook_id}",
        "/api/v1/webhooks/{webhook_id}/rotate",
        "/api/v1/webhooks/{webhook_id}/test",
        "/api/v1/webhooks/deliveries",
        "/api/v1/webhooks/deliveries/{delivery_id}/resend",
        "/api/v1/experiments",
        "/api/v1/experiments/{name}",
        "/api/v1/rules",
        "/api/v1/rules/dry-run",
        "/api/v1/rules/{rule_id}",
        "/api/v1/rules/{rule_id}/backfill",
    }
    assert "LoggedRequestReply" in document["components"]["schemas"]


def test_a_body_may_be_one_model_or_a_list_of_it() -> None:
    document = build(api("votes", endpoint("POST", "/x", body=Vote | list[Vote])))
    schema = document["paths"]["/x"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["anyOf"] == [
        {"$ref": "#/components/schemas/Vote"},
        {"type": "array", "items": {"$ref": "#/components/schemas/Vote"}},
    ]
    assert document["components"]["schemas"]["Vote"]["properties"]["value"]["maximum"] == 10


def test_models_of_one_name_in_two_apis_do_not_meet() -> None:
    one = api("one", endpoint("GET", "/one", reply=Receipt))
    two = api("two", endpoint("GET", "/two", reply=namesake()))
    document = build(one, two)

    def properties_of(path: str) -> list[str]:
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        name = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        return list(document["components"]["schemas"][name]["properties"])

    assert properties_of("/one") == ["feedback_ids"]
    assert properties_of("/two") == ["other"]


def test_path_patterns_become_required_parameters() -> None:
    document = build(api("f", endpoint("GET", "/x/{trace_id:.*[^/]}/y/{n}", query=Question)))
    parameters = document["paths"]["/x/{trace_id}/y/{n}"]["get"]["parameters"]
    assert [(p["name"], p["in"], p.get("required", False)) for p in parameters] == [
        ("trace_id", "path", True),
        ("n", "path", True),
        ("q", "query", False),
    ]


def test_methods_of_one_path_stand_together_under_the_tag_of_their_api() -> None:
    document = build(api("f", endpoint("GET", "/x"), endpoint("PUT", "/x")))
    assert {method: operation["tags"] for method, operation in document["paths"]["/x"].items()} == {
        "get": ["f"],
        "put": ["f"],
    }


def test_failures_have_the_shape_of_their_api_and_keys_are_asked_for_only_where_needed() -> None:
    document = build(
        api("f", endpoint("GET", "/locked", failures=(404,)), endpoint("GET", "/open", role=None))
    )
    locked, opened = (document["paths"][path]["get"] for path in ("/locked", "/open"))
    assert list(locked["responses"]) == ["200", "401", "403", "404"]
    assert locked["responses"]["404"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Failure"
    }
    assert [list(alternative) for alternative in locked["security"]] == [
        ["portkeyKey"],
        ["heliconeAuth"],
        ["bearer"],
        ["apiKey"],
        ["azureKey"],
        ["googleKey"],
        ["elevenLabsKey"],
    ]
    assert (list(opened["responses"]), opened["security"]) == (["200"], [])


def test_forwarded_paths_are_told_in_prose_and_are_no_operations() -> None:
    document = build(api("f", endpoint("GET", "/x")))
    assert "`/v1/{rest}`" in document["info"]["description"]
    assert list(document["paths"]) == ["/x"]
