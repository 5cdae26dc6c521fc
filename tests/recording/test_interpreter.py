"""From exchanges to facts and costs, before or after what may not be kept is dropped."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.models.exchange import Identity, LoggingOptOut, PayloadPolicy
from gateway.recording.interpreter import CostCalculator, prepare
from gateway.wire.pricing import ConfiguredPrice, PriceTable

from .conftest import PRICING
from .watched import chat


def test_facts_and_costs_are_those_of_the_bytes() -> None:
    pricing = CostCalculator(
        PriceTable({"gpt-4o": ConfiguredPrice(1.0, 2.0, None, None)}, {}), lambda name: None
    )
    facts = pricing.read_facts(chat())
    assert (facts.model, facts.usage.prompt_tokens, facts.usage.completion_tokens) == ("gpt-4o", 3, 4)
    assert facts.cost_nanousd == 3 * 1000 + 4 * 2000
    early = prepare(chat(payloads=PayloadPolicy.OFF))
    assert early.facts is not None
    assert pricing.with_cost(early.exchange, early.facts) == facts


def test_the_model_that_the_caller_states_is_the_one_that_is_priced() -> None:
    pricing = CostCalculator(
        PriceTable({"mine": ConfiguredPrice(1.0, 1.0, None, None)}, {}), lambda name: None
    )
    stated = chat(identity=Identity("a", "a", metadata={"_model": "mine"}))
    assert pricing.read_facts(stated).cost_nanousd == 7000
    assert pricing.read_facts(chat()).cost_nanousd != 7000


def test_a_row_that_cannot_be_understood_has_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr("gateway.recording.interpreter.read_facts", fail)
    assert PRICING.read_facts(chat()).note == "interpretation failed: ValueError"


@pytest.mark.parametrize(
    "given",
    [
        {"payloads": PayloadPolicy.OFF},
        {"payloads": PayloadPolicy.REDACTED},
        {"opt_out": LoggingOptOut(response=True)},
    ],
)
def test_facts_of_what_is_not_kept_whole_are_read_before(given: dict[str, Any]) -> None:
    prepared = prepare(chat(**given))
    assert prepared.facts is not None
    assert prepared.facts.response_id == "chatcmpl-1"
    assert prepare(chat()).facts is None
