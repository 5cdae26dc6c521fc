"""Which paths are the gateway's own and never forwarded, however they are written."""

from __future__ import annotations

from collections.abc import Callable

from gateway.models.addresses import OWN_PREFIXES
from gateway.routes import is_own_path

OWN_PATHS = [
    "/v1/feedback",
    "/v1/feedback/0196-1",
    "/v1/request/1/feedback",
    "/v1/request/1/score",
    "/v1/request/1/property",
    "/v1/request/1",
    "/v1/request/query",
    "/v1/request/query-clickhouse",
    "/api/feedback",
    "/api/feedback/1",
    "/feedback",
    "/feedback/1",
    "/langfuse/api/public/scores",
    "/langsmith/feedback",
    "/mlflow/api/3.0/mlflow/traces/1/assessments",
    "/tensorzero/feedback",
    "/v1/logs",
    "/v1/logs/exports",
    "/v1/analytics",
    "/v1/analytics/graphs/requests",
    "/api/v1/traces",
    "/api/v1/requests",
    "/api/v1/nothing",
    "/ui",
    "/ui/traces",
    "/f/token",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/widget.js",
]
"""Every path that is reserved, or one below it."""

OTHERS = [
    "/v1",
    "/v1/",
    "/v1/chat/completions",
    "/v1/feedbacks",
    "/v1/feedback-loops",
    "/v1/requests",
    "/v1/logs2",
    "/v1/chat/feedback",
    "/v1/chat/v1/feedback",
    "/up/v1/feedback",
    "/up/feedback",
    "/files",
    "/apiary/x",
    "/v1/models?path=/v1/feedback",
    "/v1/models/a;b/c",
    "/v1/models/%66oo",
    "/v1/a/../chat",
]

ODD_SPELLINGS: list[Callable[[str], str]] = [
    lambda path: path + "/",
    lambda path: path + "?a=1",
    lambda path: path + "/?a=/../x",
    lambda path: path + "//",
    lambda path: path + "/.",
    lambda path: path + "#part",
    lambda path: path + ";v=1",
    lambda path: path + "%2F",
    lambda path: "/" + path,
    lambda path: "///" + path,
    lambda path: "/." + path,
    lambda path: "/up/.." + path,
    lambda path: "/up/%2e%2e" + path,
    lambda path: path.upper(),
    lambda path: path.title(),
    lambda path: path.replace("/", "//"),
    lambda path: path.replace("/", "/./"),
    lambda path: path.replace("/", "/x/../"),
    lambda path: path.replace("/", ";a=1/", 2).removeprefix(";a=1"),
    lambda path: path[0] + path[1:].replace("/", "\\"),
    lambda path: path[0] + path[1:].replace("/", "%2f"),
    lambda path: path[0] + path[1:].replace("/", "%5C"),
    lambda path: path[0] + "".join(f"%{ord(letter):02x}" for letter in path[1:]),
    lambda path: path[:-1] + f"%{ord(path[-1]):02X}",
    lambda path: path[:-1] + f"%25{ord(path[-1]):02x}",
    lambda path: "http://gateway.test" + path,
    lambda path: path + "%00",
    lambda path: path + "%00.json",
    lambda path: path + "%20",
    lambda path: path.replace("/", "%09/")[3:] + "%0a",
]
"""Ways in which some server may take the result for the same path."""


def all_spellings() -> list[str]:
    """Every own path in every spelling."""
    return [*OWN_PATHS, *(spell(path) for path in OWN_PATHS for spell in ODD_SPELLINGS)]


def test_the_table_names_every_reserved_prefix() -> None:
    for prefix in OWN_PREFIXES:
        assert any(path == prefix or path.startswith(prefix + "/") for path in OWN_PATHS)


def test_own_paths_are_owned_in_every_spelling() -> None:
    assert [path for path in all_spellings() if not is_own_path(path)] == []


def test_other_paths_are_not_owned() -> None:
    assert [path for path in OTHERS if is_own_path(path)] == []


def test_a_path_of_percent_signs_is_judged_in_no_time() -> None:
    assert not is_own_path("/v1/%" + "25" * 30_000)
