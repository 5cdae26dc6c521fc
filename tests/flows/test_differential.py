"""The same request, sent straight to the provider and through the gateway: neither end can tell the difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.answer_cases import answer_cases
from tests.flows.differential_case import Case
from tests.flows.random_cases import random_cases
from tests.flows.request_cases import request_cases
from tests.gateway_process import RunningGateway
from tests.log_reader import query
from tests.raw_http import Connection, Fields, Response
from tests.scripted_upstream import Received, UpstreamProcess

ONE_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    b"host", b"expect",
}  # fmt: skip
"""Fields that are about one connection and therefore may differ."""

ADDED = [
    b"x-portkey-trace-id", b"x-gateway-trace-id", b"helicone-id", b"x-gateway-request-id", b"x-portkey-provider",
]  # fmt: skip
"""What the gateway adds, in this order, after the provider's own fields."""

CASES = [*request_cases(), *answer_cases(), *random_cases(120)]


class Line:
    """A connection that is opened anew when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None

    def call(self, request: bytes) -> Response:
        connection = self._connection or Connection(self._port)
        self._connection = connection
        try:
            response = connection.call(request)
        except Exception:
            self.close()
            raise
        if b"close" in response.values(b"connection") or _ends_with_connection(response):
            self.close()
        return response

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@pytest.fixture(scope="module")
def straight(upstream: UpstreamProcess) -> Iterator[Line]:
    line = Line(upstream.port)
    yield line
    line.close()


@pytest.fixture(scope="module")
def through(gateway: RunningGateway) -> Iterator[Line]:
    line = Line(gateway.port)
    yield line
    line.close()


def test_there_are_many_cases_and_no_two_share_a_name() -> None:
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_request_and_its_answer_pass_unchanged(
    case: Case, upstream: UpstreamProcess, straight: Line, through: Line
) -> None:
    request = case.request(upstream.script(*case.steps))
    upstream.take()
    expected, [expected_arrival] = straight.call(request), upstream.take()
    straight.close()
    got, [arrival] = through.call(request), upstream.take()

    assert _arrival(arrival) == _arrival(expected_arrival)
    assert _of_one_hop(arrival.fields) <= {b"host", b"transfer-encoding"}
    assert _of_one_hop(got.fields) <= {b"connection", b"transfer-encoding"}
    assert (got.status, got.reason) == (expected.status, expected.reason)
    fields, added = _split_added(got.fields)
    assert _end_to_end(fields) == _end_to_end(expected.fields)
    assert [name for name, _ in added][: len(ADDED)] == ADDED
    if b"x-accel-buffering" in [name.lower() for name, _ in added]:
        is_stream = any(
            value.lower().startswith(b"text/event-stream") for value in got.values(b"content-type")
        )
        assert is_stream or not got.values(b"content-length")
    assert len(got.body) == len(expected.body)
    assert got.sha256 == expected.sha256


def test_none_of_them_failed_on_its_way(gateway: RunningGateway) -> None:
    errors = query(gateway.database, "SELECT DISTINCT error FROM requests WHERE trace_id LIKE '%-%-7%'")
    assert [error for (error,) in errors] == [None]


def _arrival(received: Received) -> dict[str, object]:
    """What must be the same of a request when it arrives."""
    return {
        "method": received.method,
        "target": received.target,
        "fields": _end_to_end(received.fields),
        "sha256": received.sha256,
        "size": received.size,
        "is chunked": bool(received.values(b"transfer-encoding")),
    }


def _end_to_end(fields: Fields) -> Fields:
    options = b",".join(value for name, value in fields if name.lower() == b"connection")
    dropped = ONE_HOP | {option.strip().lower() for option in options.split(b",")}
    return [(name, value) for name, value in fields if name.lower() not in dropped]


def _of_one_hop(fields: Fields) -> set[bytes]:
    return {name.lower() for name, _ in fields} & ONE_HOP


def _split_added(fields: Fields) -> tuple[Fields, Fields]:
    start = next(at for at, (name, _) in enumerate(fields) if name == ADDED[0])
    return fields[:start], fields[start:]


def _ends_with_connection(response: Response) -> bool:
    return not (
        response.values(b"content-length")
        or response.values(b"transfer-encoding")
        or response.status in (204, 304)
    )
