"""The pages of webhooks and rules: what is made there works, and shows what a reader has to know."""

from __future__ import annotations

import re

import httpx

from tests.alerts.receiver import Receiver
from tests.conftest import StartGateway
from tests.log_reader import eventually

WEBHOOKS, RULES = "/ui/settings/webhooks", "/ui/settings/rules"


def test_a_webhook_and_a_rule_are_made_tried_and_removed(start_gateway: StartGateway) -> None:
    config = {
        "providers": {"unused": {"base_url": "http://127.0.0.1:9/v1"}},
        "webhooks": {"allow_internal": ["127.0.0.1"]},
    }
    with Receiver() as receiver:
        gateway = start_gateway(config)
        with httpx.Client(base_url=gateway.url, headers={"Origin": gateway.url}) as client:

            def post(path: str, **fields: str) -> httpx.Response:
                token = re.findall('name="form_token" value="([^"]+)"', client.get(WEBHOOKS).text)[0]
                return client.post(path, data={**fields, "form_token": token})

            made = post(WEBHOOKS, **{"name": "crm <b>", "url": receiver.url, "export.done": "on"})
            assert "whsec_" in made.text
            assert "crm &lt;b&gt;" in made.text
            [webhook_id] = set(re.findall(r"ep_[0-9a-f-]{36}", made.text))
            assert "whsec_" not in client.get(WEBHOOKS).text
            assert post(f"{WEBHOOKS}/change", webhook_id=webhook_id, action="test").status_code == 303
            [message] = eventually(lambda: receiver.messages)
            eventually(lambda: "delivered" in client.get(f"{WEBHOOKS}?state=delivered").text)
            assert post(f"{WEBHOOKS}/resend", delivery_id=message.id).status_code == 303
            eventually(lambda: len(receiver.messages) == 2)
            refused = post(WEBHOOKS, url="https://10.0.0.1/", **{"export.done": "on"})
            assert refused.status_code == 400
            assert "internal address" in refused.text

            tried = post(RULES, name="x", filters="rating=bad\nmodel=m", label="l", action="try")
            assert "matches 0 requests" in tried.text
            assert "There are none." in client.get(RULES).text
            twice = post(RULES, name="x", filters="rating=bad\nrating=good", label="l", action="try")
            assert (twice.status_code, "the same filter in two lines" in twice.text) == (400, True)
            share = post(RULES, name="x", filters="rating=bad", label="l", sample="200", action="try")
            assert "at most 100 %; got 200" in share.text
            fields = {"name": "disliked", "filters": "rating=bad", "sample": "50", "review": "on"}
            assert post(RULES, **fields, action="make").status_code == 303
            shown = client.get(RULES).text
            assert "rating is bad" in shown
            assert "50" in shown
            [rule_id] = set(re.findall(r"rule_[0-9a-f-]{36}", shown))
            for action in ("disable", "enable", "backfill", "remove"):
                assert post(f"{RULES}/change", rule_id=rule_id, action=action).status_code == 303, action
            assert "There are none." in client.get(RULES).text
            for action in ("disable", "enable", "rotate", "remove"):
                assert post(f"{WEBHOOKS}/change", webhook_id=webhook_id, action=action).status_code in (
                    200,
                    303,
                )
            assert "There are none." in client.get(WEBHOOKS).text
