"""Whatever may be sent by the documents that describe the API is answered as they say, and never with a 5xx.

Source: https://schemathesis.readthedocs.io
"""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.demonstration import GATEWAY_KEY
from tests.running import RunningGateway

EXAMPLES = 25
"""Calls made of each operation."""

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

HEADERS = {"x-portkey-api-key": GATEWAY_KEY}


def probe(operation: schemathesis.APIOperation, base_url: str) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    def call(case: Case) -> None:
        case.call_and_validate(base_url=base_url, headers=HEADERS, checks=CHECKS)

    call()


def test_every_operation_of_our_own_document(gateway: RunningGateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        probe(operation, gateway.url)
