"""What is counted in the metrics."""

from __future__ import annotations

from gateway.api.operations import Metrics
from gateway.domain.request import Cost, Facts, Usage
from tests.store.samples import exchange

FACTS = Facts(model="m", usage=Usage(prompt_tokens=3, completion_tokens=4), cost=Cost(5, "test"))


def test_what_passed_is_counted_and_what_was_only_told_of_is_not() -> None:
    metrics = Metrics()
    metrics.observe(exchange(provider="passed"), FACTS)
    metrics.observe(exchange(provider="told of", path="https://api.openai.com/v1/chat/completions"), FACTS)
    text = metrics.to_text().decode()
    assert 'provider="passed"' in text
    assert "told of" not in text
