"""Webhooks of real processes: killed in between, several of them, and through the API as a user has it."""

from __future__ import annotations

import signal
import threading
from typing import Any

import httpx

from gateway.models.webhooks import new_secret
from tests.alerts.receiver import OK, Answer, Message, Receiver
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

SECRET = new_secret()


def config(receiver: Receiver, *events: str, **server: Any) -> dict[str, Any]:
    endpoint = {"name": "crm", "url": f"{receiver.url}/file", "secret": SECRET, "events": list(events)}
    return {
        "providers": {"unused": {"base_url": "http://127.0.0.1:9/v1"}},
        "webhooks": {"allow_internal": ["127.0.0.1"], "endpoints": [endpoint]},
        "server": server,
    }


def give(gateway: RunningGateway, trace_id: str, score: float = 1) -> None:
    entry = {"id": trace_id, "score": score}
    httpx.post(f"{gateway.url}/api/v1/feedback", json=entry, timeout=60).raise_for_status()


def is_declared(gateway: RunningGateway) -> bool:
    return bool(httpx.get(f"{gateway.url}/api/v1/webhooks").json()["data"])


def test_nothing_is_lost_when_the_gateway_is_killed_in_between(start_gateway: StartGateway) -> None:
    is_stuck = threading.Event()

    def script(message: Message, before: int) -> Answer:
        # The first messages get their answer only when their sender is dead.
        if not is_stuck.is_set():
            is_stuck.wait(20)
        return OK

    with Receiver(script) as receiver:
        gateway = start_gateway(config(receiver, "feedback.created", workers=2))
        eventually(lambda: is_declared(gateway))
        for number in range(20):
            give(gateway, f"trace-{number}")
        eventually(lambda: receiver.messages)
        gateway.kill()
        is_stuck.set()
        before = {each.id: each.body for each in receiver.messages}
        gateway.start()
        give(gateway, "trace-20")
        eventually(lambda: len({each.id for each in receiver.messages}) == 21)
        waiting = "SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'"
        eventually(lambda: query(gateway.database, waiting)[0][0] == 0)
        # What was in flight came again, the same byte for byte.
        again = [each for each in receiver.messages if each.id in before]
        assert len(again) > len(before)
        assert all(each.body == before[each.id] for each in again)
        subjects = {each.verified_by(SECRET)["data"]["subject_id"] for each in receiver.messages}
        assert subjects == {f"trace-{number}" for number in range(21)}


def test_rules_of_the_file_act_on_what_is_logged_and_said(start_gateway: StartGateway) -> None:
    with Receiver() as receiver:
        rule = {"name": "disliked", "filters": {"rating": "bad"}, "label": "look-at", "webhook": "crm"}
        gateway = start_gateway({**config(receiver, "alert.fired", workers=2), "rules": [rule]})
        eventually(lambda: httpx.get(f"{gateway.url}/api/v1/rules").json()["data"])
        logged = {
            "request": {"url": "https://api.openai.com/v1/chat/completions", "body": {"model": "m"}},
            "response": {"body": {"model": "m"}},
            "metadata": {"trace_id": "trace-1"},
        }
        httpx.post(f"{gateway.url}/v1/logs", json=[logged]).raise_for_status()
        give(gateway, "trace-1", -1)
        [message] = eventually(lambda: receiver.messages)
        data = message.verified_by(SECRET)["data"]
        assert (message.type, data["rule"], data["request"]["trace_id"]) == (
            "rule.matched",
            "disliked",
            "trace-1",
        )
        found = httpx.get(f"{gateway.url}/api/v1/feedback", params={"label": "look-at"}).json()["data"]
        assert [(each["source"], each["metadata"]["rule"]) for each in found] == [("code", "disliked")]
        # The file has no rule any more.
        gateway.write_config(config(receiver, "alert.fired", workers=2))
        gateway.signal(signal.SIGHUP)
        eventually(lambda: not httpx.get(f"{gateway.url}/api/v1/rules").json()["data"])


def test_the_api_shows_a_secret_once_and_tells_what_became_of_messages(start_gateway: StartGateway) -> None:
    with Receiver() as receiver:
        gateway = start_gateway(config(receiver, "request.logged"))
        with httpx.Client(base_url=f"{gateway.url}/api/v1/webhooks") as api:
            made = api.post("", json={"url": f"{receiver.url}/made", "events": ["export.done"]}).json()
            eventually(lambda: len(api.get("").json()["data"]) == 2)
            listed = api.get("").text
            assert made["secret"].startswith("whsec_")
            assert made["secret"] not in listed
            assert SECRET not in listed
            path = f"/{made['webhook_id']}"
            rotated = api.post(f"{path}/rotate").json()
            sent = api.post(f"{path}/test").json()
            [message] = eventually(lambda: receiver.messages)
            assert message.id == sent["delivery_id"]
            for secret in (made["secret"], rotated["secret"]):
                assert message.verified_by(secret)["data"]["webhook_id"] == made["webhook_id"]
            found = eventually(lambda: api.get("/deliveries", params={"state": "delivered"}).json()["data"])
            assert (found[0]["status"], found[0]["attempts"], found[0]["payload"]) == (204, 1, message.json)
            api.post(f"/deliveries/{sent['delivery_id']}/resend").raise_for_status()
            eventually(lambda: len(receiver.messages) == 2)
            for bad, field in (
                ({"url": "https://169.254.169.254/", "events": ["export.done"]}, "url"),
                ({"url": receiver.url, "events": ["nothing"]}, "events[0]"),
                (
                    {"url": receiver.url, "events": ["request.logged"], "filters": {"rating": "bad"}},
                    "filters",
                ),
            ):
                refused = api.post("", json=bad)
                assert refused.status_code == 400
                assert refused.json()["error"]["field"].startswith(field)
            [declared] = (each for each in api.get("").json()["data"] if each["source"] == "file")
            assert api.delete(f"/{declared['webhook_id']}").status_code == 409
            assert len(api.delete(path).json()["data"]) == 1
