"""What attempts mean: the schedule of the specification, when an endpoint is disabled, and signatures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from gateway.alerts.delivery import retry_after_seconds, sign
from gateway.models.webhooks import (
    MAX_ATTEMPTS,
    Attempt,
    Delivery,
    DeliveryState,
    EventType,
    Webhook,
    after_attempt,
    secret_bytes,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK = Webhook(tenant=None, name="x", url="https://x/", events=("feedback.created",), secret=SECRET)
DELIVERY = Delivery(
    webhook_id=WEBHOOK.webhook_id, tenant=None, type=EventType.FEEDBACK_CREATED, body="{}", next_at_us=0
)


@pytest.mark.parametrize(("jitter", "total"), [(0.0, 272_105), (1.0, 299_315.5)])
def test_the_schedule_ends_after_ten_attempts_and_three_days(jitter: float, total: float) -> None:
    webhook, delivery = WEBHOOK, DELIVERY
    for _ in range(MAX_ATTEMPTS):
        assert delivery.state is DeliveryState.WAITING
        at_us = delivery.next_at_us or 0
        webhook, delivery = after_attempt(webhook, delivery, Attempt("x", at_us, 500, "no."), jitter)
    assert (delivery.state, delivery.attempts, delivery.next_at_us) == (DeliveryState.FAILED, 10, None)
    assert delivery.last_at_us == total * 1_000_000
    # Nothing else succeeded meanwhile.
    assert webhook.disabled_at_us == delivery.last_at_us
    assert webhook.disabled_reason == "every attempt since 1970-01-01T00:00:00Z failed; the last: no."


def test_a_message_that_is_refused_alone_does_not_disable_its_endpoint() -> None:
    webhook, delivery = WEBHOOK, DELIVERY
    for _ in range(MAX_ATTEMPTS):
        at_us = delivery.next_at_us or 0
        webhook, delivery = after_attempt(webhook, delivery, Attempt("x", at_us, 400, "no."), 0.0)
        webhook, _ = after_attempt(webhook, DELIVERY, Attempt("y", at_us, 200), 0.0)
    assert (delivery.state, webhook.disabled_at_us, webhook.failures) == (DeliveryState.FAILED, None, 0)


def test_an_endpoint_that_fails_is_asked_less_and_less_often_up_to_a_minute() -> None:
    webhook, pauses = WEBHOOK, []
    for _ in range(9):
        webhook, _ = after_attempt(webhook, DELIVERY, Attempt("x", 1, 502, "no."), 0.0)
        pauses.append(((webhook.paused_until_us or 0) - 1) / 1e6)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    throttled, _ = after_attempt(WEBHOOK, DELIVERY, Attempt("x", 0, 429, "no.", 300.0), 0.0)
    assert throttled.paused_until_us == 300_000_000


def test_what_retry_after_asks_for() -> None:
    at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    given = ("120", " 7 ", "Sat, 31 Jan 2026 09:31:00 GMT", "Sat, 31 Jan 2026 09:00:00 GMT", "9" * 20, "soon")
    found = [retry_after_seconds(text, at) for text in given]
    assert found == [120.0, 7.0, 60.0, 0.0, 86_400.0, None]
    assert retry_after_seconds(None, at) is None


def test_the_signature_is_the_one_of_the_specifications_library() -> None:
    # Its own test vector.
    body = b'{"test": 2432232314}'
    assert (
        sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    odd = '{"text": "ä € \U0001f600"}'
    at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    expected = Verifier(SECRET).sign("msg_1", at, odd)
    assert sign(SECRET, "msg_1", int(at.timestamp()), odd.encode()) == expected


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", f"whsec_{'A' * 88}", SECRET[6:], "whsec_ä"])
def test_secrets_that_are_refused_are_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes in base64") as refusal:
        secret_bytes(secret)
    assert secret == "whsec_" or secret not in str(refusal.value)


def test_old_secrets_sign_until_their_time_is_over() -> None:
    rotated = replace(WEBHOOK, old_secret="whsec_old", old_secret_until_us=10)
    assert rotated.secrets(9) == (SECRET, "whsec_old")
    assert rotated.secrets(10) == (SECRET,)
