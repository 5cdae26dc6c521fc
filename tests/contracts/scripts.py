"""Having the scripted provider answer an SDK's call."""

from __future__ import annotations

import json

from tests.scripted_upstream import UpstreamProcess, answer


def scripted(
    upstream: UpstreamProcess, body: object, status: bytes = b"200 OK", *fields: bytes
) -> dict[str, str]:
    """Prepare an answer in JSON; returns the headers with which a call goes to the provider and gets it."""
    content = json.dumps(body).encode()
    steps = answer(content, b"Content-Type: application/json", *fields, status=status)
    name, _, value = upstream.script(*steps).decode().partition(": ")
    return {"x-portkey-provider": "scripted", name: value}
