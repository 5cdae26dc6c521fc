"""Whatever may be sent by our document, or by Portkey's, is answered as it says; what may not is refused.

Source: https://schemathesis.readthedocs.io
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contracts.portkey_document import document
from tests.demo_gateway import GATEWAY_KEY
from tests.gateway_process import RunningGateway
from tests.openapi_paths import without_endless

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "4"))
"""Calls made of each operation; many more by hand, from time to time."""

HEADERS = {"x-portkey-api-key": GATEWAY_KEY}

Operation = APIOperation[Any, Any, Any, Any]

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


def probe(
    operation: Operation, base_url: str, mode: GenerationMode, checks: Sequence[Callable[..., Any]] = CHECKS
) -> None:
    """Call an operation with much that its schema allows, or with much that it does not."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    def call(case: Case[Any]) -> None:
        case.call_and_validate(base_url=base_url, headers=HEADERS, checks=list(checks))

    # Of an operation that takes no parameters nothing can be wrong.
    with suppress(Unsatisfiable):
        call()


def operations_of(document: dict[str, Any]) -> list[Operation]:
    found = list(schemathesis.openapi.from_dict(document).get_all_operations())
    assert all(isinstance(operation, Ok) for operation in found)
    return [operation.ok() for operation in found if isinstance(operation, Ok)]


# Before ours, which makes export jobs with a column that Portkey does not have.
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_portkey_s_document_allows_is_answered_as_it_says(gateway: RunningGateway) -> None:
    server = f"{gateway.url}/v1"
    operations = operations_of(document(server))
    assert len(operations) == 32
    for operation in operations:
        # It names no statuses but 200; that refusals have Portkey's shape is told in our own document.
        checks = (not_a_server_error, content_type_conformance, response_schema_conformance)
        probe(operation, server, GenerationMode.POSITIVE, checks)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_answers_as_our_document_says(gateway: RunningGateway, mode: GenerationMode) -> None:
    operations = operations_of(without_endless(httpx.get(f"{gateway.url}/openapi.json").json()))
    assert len(operations) > 20
    for operation in operations:
        probe(operation, gateway.url, mode)
