"""Whatever may be sent by the document of our API is answered as it says, and what may not is refused.

Source: https://schemathesis.readthedocs.io
"""

from __future__ import annotations

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

from tests.demonstration import GATEWAY_KEY
from tests.running import RunningGateway

EXAMPLES = 15
"""Calls made of each operation."""

HEADERS = {"x-portkey-api-key": GATEWAY_KEY}

Operation = APIOperation[Any, Any, Any, Any]


def probe(operation: Operation, base_url: str, mode: GenerationMode) -> None:
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
        case.call_and_validate(
            base_url=base_url,
            headers=HEADERS,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    # Of an operation that takes no parameters nothing can be wrong.
    with suppress(Unsatisfiable):
        call()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_answers_as_the_document_says(gateway: RunningGateway, mode: GenerationMode) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    operations = list(schemathesis.openapi.from_dict(document).get_all_operations())
    assert len(operations) > 20
    for found in operations:
        assert isinstance(found, Ok)
        probe(found.ok(), gateway.url, mode)
