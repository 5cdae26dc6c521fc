"""Feedback of guardrails reaches the store later where it was away, each entry once, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.errors import BadInput, StoreUnavailable
from gateway.feedback.guardrails import GuardrailFeedbackWriter
from gateway.feedback.payloads import NewFeedback
from gateway.models.feedback import Feedback
from gateway.models.guardrails import (
    CheckResult,
    Guardrail,
    GuardrailCheck,
    GuardrailFeedback,
    GuardrailReport,
    GuardrailResult,
)
from gateway.models.principal import Principal


class Service:
    """Takes feedback as FeedbackService does, and fails as often as it is set to."""

    def __init__(self) -> None:
        self.failures = 0
        self.given: list[tuple[str | None, str]] = []

    async def give(
        self, items: Sequence[NewFeedback], principal: Principal, *, dialect: str
    ) -> list[Feedback]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full.")
        if any(item.subject_id == "refused" for item in items):
            raise BadInput("names nothing.")
        self.given += [(principal.name, item.subject_id) for item in items]
        return []


def report(request_id: str, key: str = "app", *, has_feedback: bool = True) -> GuardrailReport:
    holds = CheckResult(True, "")
    check = GuardrailCheck("default.notNull", lambda message: holds)
    feedback = GuardrailFeedback(5.0, 1.0, {}) if has_feedback else None
    guardrail = Guardrail(id="g", type="guardrail", checks=(check,), on_success=feedback)
    return GuardrailReport(request_id, None, key, GuardrailResult(guardrail, (holds,), 0, 0))


async def write(service: Any, *reports: GuardrailReport) -> None:
    writer = GuardrailFeedbackWriter(service)
    for each in reports:
        writer.report(each)
    await writer.close()


async def test_entries_are_given_in_order_by_the_key_of_their_request() -> None:
    service = Service()
    await write(service, report("a"), report("b"), report("c", "other"), report("d"))
    assert service.given == [("app", "a"), ("app", "b"), ("other", "c"), ("app", "d")]


async def test_what_is_refused_keeps_no_other_back() -> None:
    service = Service()
    await write(service, report("a"), report("refused"), report("b"))
    assert service.given == [("app", "a"), ("app", "b")]


async def test_a_result_without_feedback_gives_none() -> None:
    service = Service()
    await write(service, report("a", has_feedback=False))
    assert service.given == []


async def test_feedback_waits_while_the_store_is_away() -> None:
    service = Service()
    service.failures = 1
    writer: Any = GuardrailFeedbackWriter(service)  # type: ignore[arg-type]
    writer.report(report("a"))
    try:
        await writer._give_all()
    except StoreUnavailable:
        writer.report(report("b"))
    await writer.close()
    assert service.given == [("app", "a"), ("app", "b")]
