"""Alerts on the pages: tried on the past, saved, shown, changed and deleted, with forms alone."""

from __future__ import annotations

import re

import httpx

from tests.gateway_process import RunningGateway
from tests.ui_pages import ADMIN_KEY, form_token, signed_in

FORM = {
    "name": "disliked <b>answers</b>", "measure": "negative_share", "direction": "above", "threshold": "0.1",
    "where": "prompt=support-reply\n", "group_by": "prompt_version", "window": "7d", "severity": "critical",
    "days": "30", "enabled": "true", "min_count": "", "test": "", "no_data": "keep", "settle": "", "renotify": "1d",
    "description": "Ask ann.",
}  # fmt: skip


def post(client: httpx.Client, path: str = "/ui/alerts", **change: str) -> httpx.Response:
    return client.post(path, data={**FORM, "form_token": form_token(client, "/ui/alerts/new"), **change})


def test_an_alert_is_tried_saved_changed_and_deleted(demo_pages: RunningGateway) -> None:
    with signed_in(demo_pages, ADMIN_KEY) as client:
        tried = post(client, "/ui/alerts/preview")
        assert tried.status_code == 200, tried.text
        assert re.search(r"It would have fired [0-9]+ times?", tried.text)
        assert "<svg" in tried.text
        # What was typed is still there.
        assert 'value="disliked &lt;b&gt;answers&lt;/b&gt;"' in tried.text
        assert post(client, action="save").headers["location"] == "/ui/alerts"
        page = client.get("/ui/alerts").text
        assert "disliked &lt;b&gt;answers" in page
        alert_id = re.findall(r'href="/ui/alerts/([0-9a-f-]{36})"', page)[0]
        form = client.get(f"/ui/alerts/{alert_id}").text
        assert 'value="0.1"' in form
        assert "prompt=support-reply" in form
        assert post(client, action="save", alert_id=alert_id, threshold="0.5").status_code == 303
        assert 'value="0.5"' in client.get(f"/ui/alerts/{alert_id}").text
        refused = post(client, action="save", threshold="much")
        assert refused.status_code == 400
        assert "must be a number such as 0.05" in refused.text
        assert post(client, action="delete", alert_id=alert_id).status_code == 303
        assert alert_id not in client.get("/ui/alerts").text
