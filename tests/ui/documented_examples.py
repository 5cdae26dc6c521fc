"""Sends each request that the documentation shows to a gateway; run as a program, it records the replies.

`python -m tests.ui.documented_examples` writes `gateway/web/example_replies.json` anew.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

import gateway
from gateway.web.endpoint import EXAMPLE_IDS
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

REPLIES = Path(gateway.__file__).parent / "web" / "example_replies.json"

KEY = "gw-admin-0123456789"
CONFIG = {
    "keys": [{"name": "ann", "key": KEY, "role": ["admin", "review"]}],
    "feedback": {"tokens": {"keys": ["a-secret-of-at-least-32-characters"]}},
    "routes": {
        "tone": {"experiment": {"variants": [{"name": "plain"}, {"name": "warm"}], "goal": "share_positive"}}
    },
    "webhooks": {"allow_internal": ["127.0.0.1"]},
}

NOT_SENT = {
    # An export of so few rows is done before it can be cancelled.
    "post_v1_logs_exports_export_id_cancel",
    "post_api_v1_exports_export_id_cancel",
    # The page sends a form.
    "post_f_token",
}

# Version of the prompt, who asked, and what they said.
_ASKED = (
    ("v1", EXAMPLE_IDS["user"], "down"),
    ("v1", "ben", "down"),
    ("v1", "cleo", "up"),
    ("v2", "ben", "up"),
    ("v2", "cleo", "up"),
)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MAX_TEXT = 200
_TOKEN_HEADER = "x-gateway-feedback-token"

# What the examples call January, so that it contains what is sent here.
_NOW = datetime.now(UTC)
_TIMES = {
    "2026-01-01T00:00:00Z": (_NOW - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "2026-02-01T00:00:00Z": (_NOW + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
}


@dataclass(frozen=True)
class Answer:
    """What came back for the example of an operation."""

    operation: dict[str, Any]
    response: httpx.Response

    @property
    def id(self) -> str:
        return str(self.operation["operationId"])

    @property
    def json(self) -> Any:
        """The reply; None where it is not JSON or the operation documents none."""
        return json.loads(self.response.content) if "application/json" in self.content else None

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = self.operation["responses"]["200"].get("content", {})
        return content


class Examples:
    """Sends the examples to a gateway with the built-in provider."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"x-portkey-api-key": KEY}, trust_env=False, timeout=30
        )
        self._token = ""
        self._made = 0

    @cached_property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = self._client.get("/openapi.json").json()
        return document

    def close(self) -> None:
        self._client.close()

    def fill(self) -> None:
        """Send what the examples are about."""
        first = EXAMPLE_IDS["request_id"]
        for number, (version, user, thumb) in enumerate(_ASKED):
            request_id = first if number == 0 else f"{number}{first[1:]}"
            self._ask(
                version, user, request_id, EXAMPLE_IDS["trace_id"] if number == 0 else f"trace-{number}"
            )
            entry = {"id": request_id, "thumb": thumb, "author": user, "label": "outdated"}
            ids = {"feedback_id": EXAMPLE_IDS["feedback_id"]} if number == 0 else {}
            self._client.post("/api/v1/feedback", json={**entry, **ids}).raise_for_status()
        headers = {_TOKEN_HEADER: self._token}
        body = {"id": request_id, "thumb": "up", "comment": "Just what I wanted."}
        rule = {"rule": "upsert"}
        self._client.post("/api/v1/feedback", params=rule, json=body, headers=headers).raise_for_status()
        eventually(
            lambda: self._client.get(f"/api/v1/requests/{EXAMPLE_IDS['request_id']}").json()["interpreted_at"]
        )

    def _ask(self, version: str, user: str, request_id: str, trace_id: str) -> None:
        metadata = {"_user": user, "_prompt": "support", "_prompt_version": version, "team": "support"}
        question = {"role": "user", "content": "How do I cancel my subscription?"}
        reply = self._client.post(
            "/v1/chat/completions",
            json={"model": "gpt-4o-mini", "messages": [question]},
            headers={
                "x-portkey-trace-id": trace_id,
                "x-portkey-metadata": json.dumps(metadata),
                "Helicone-Request-Id": request_id,
                "Helicone-Session-Id": EXAMPLE_IDS["session"],
            },
        )
        self._token = reply.raise_for_status().headers[_TOKEN_HEADER]

    def send_all(self) -> Iterator[Answer]:
        """Send each example; those that erase come last, and then the log of who did."""
        listed = [
            (method, path, operation)
            for path, operations in self.document["paths"].items()
            for method, operation in operations.items()
            if operation["operationId"] not in NOT_SENT
        ]
        for method, path, operation in sorted(listed, key=_rank):
            yield Answer(operation, self._send(method, path, operation))

    def _send(self, method: str, path: str, operation: dict[str, Any]) -> httpx.Response:
        ids = self._ids(path, operation["operationId"])
        shown = [each for each in operation.get("parameters", ()) if "example" in each]
        for each in shown:
            if each["in"] == "path":
                value = ids.get(each["name"], each["example"])
                path = path.replace(f"{{{each['name']}}}", quote(value, safe=""))
        query = {
            each["name"]: _TIMES.get(each["example"], each["example"])
            for each in shown
            if each["in"] == "query"
        }
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = self._body(content)
        if path.endswith("/file"):
            return self._client.get(self._download_link(path))
        needs_token = operation["security"] == [{"feedbackToken": []}]
        headers = {_TOKEN_HEADER: self._token} if needs_token else {}
        with self._client.stream(method.upper(), path, params=query, json=body, headers=headers) as reply:
            # Server-sent events have no end.
            if not reply.headers["content-type"].startswith("text/event-stream"):
                reply.read()
            return reply

    def _body(self, content: dict[str, Any]) -> Any:
        text = json.dumps(content.get("example"))
        for shown, now in _TIMES.items():
            text = text.replace(shown, now)
        return json.loads(text)

    def _ids(self, path: str, operation_id: str) -> dict[str, str]:
        """The ids that the gateway makes, of things made for this operation alone."""
        collection, _, rest = path.partition("/{")
        if rest.startswith("feedback_id") and operation_id != "get_api_v1_feedback_feedback_id":
            return {"feedback_id": self._make(collection)}
        if rest.startswith("export_id"):
            export_id = self._make(collection)
            # Our own jobs start by themselves.
            is_own = collection.startswith("/api/")
            if path.endswith(("/download", "/file")) or is_own:
                if not is_own:
                    self._client.post(f"{collection}/{export_id}/start").raise_for_status()
                eventually(
                    lambda: self._client.get(f"{collection}/{export_id}").json()["status"] == "success"
                )
            return {"export_id": export_id}
        if rest.startswith(("webhook_id", "rule_id")):
            return self._make_named(collection)
        if rest.startswith("delivery_id"):
            webhook_id = self._make_named("/api/v1/webhooks")["webhook_id"]
            tested = self._client.post(f"/api/v1/webhooks/{webhook_id}/test").raise_for_status()
            return {"delivery_id": tested.json()["delivery_id"]}
        return {"token": self._token}

    def _make_named(self, collection: str) -> dict[str, str]:
        """Make something whose name may be used once, and return its fields."""
        content = self.document["paths"][collection]["post"]["requestBody"]["content"]["application/json"]
        self._made += 1
        body = {**self._body(content), "name": f"example-{self._made}"}
        made: dict[str, str] = self._client.post(collection, json=body).raise_for_status().json()
        return made

    def _make(self, collection: str) -> str:
        content = self.document["paths"][collection]["post"]["requestBody"]["content"]["application/json"]
        made = self._client.post(collection, json=self._body(content)).raise_for_status()
        found = _UUID.search(made.text)
        assert found is not None
        return found[0]

    def _download_link(self, path: str) -> str:
        job = path.removesuffix("/file")
        link: str
        if job.startswith("/api/"):
            link = self._client.get(job).json()["download_url"]
        else:
            link = self._client.get(f"{job}/download").json()["signed_url"]
        return link


def _rank(each: tuple[str, str, dict[str, Any]]) -> int:
    method, path, _ = each
    return 2 if path == "/api/v1/audit" else int(method == "delete")


def shorten(value: Any) -> Any:
    """Return a reply with one item of each list, the one that says most, and long texts cut."""
    if isinstance(value, dict):
        return {name: shorten(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shorten(max(value, key=_said))] if value else []
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[: _MAX_TEXT - 1] + "…"
    return value


def _said(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(map(_said, value.values() if isinstance(value, dict) else value))
    return int(bool(value))


def _anonymous(reply: Any, url: str) -> Any:
    text = json.dumps(reply).replace(url, "https://gateway.example")
    for shown, now in _TIMES.items():
        text = text.replace(now, shown)
    text = re.sub("whsec_[A-Za-z0-9+/=]+", "whsec_…", text)
    return json.loads(re.sub("signature=[0-9a-f]+", "signature=…", text))


def main() -> None:
    replies = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningGateway(Path(folder), CONFIG, arguments=("--demo",)) as running,
    ):
        examples = Examples(running.url)
        examples.fill()
        for answer in examples.send_all():
            if answer.response.status_code != httpx.codes.OK:
                sys.exit(f"{answer.id}: {answer.response.status_code} {answer.response.text}")
            if answer.json is not None:
                replies[answer.id] = _anonymous(shorten(answer.json), running.url)
    REPLIES.write_text(json.dumps(replies, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
