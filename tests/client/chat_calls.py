"""Chat calls through a gateway, to be read and rated."""

from __future__ import annotations

import httpx


def ask(url: str, trace_id: str, question: str = "Hello", **more: object) -> httpx.Response:
    """Ask the demo a question under a trace id, and return the whole reply."""
    body = {"model": "demo", "messages": [{"role": "user", "content": question}], **more}
    return httpx.post(
        f"{url}/v1/chat/completions",
        json=body,
        headers={"x-portkey-trace-id": trace_id, "x-portkey-metadata": '{"plan": "gold", "_user": "ann"}'},
    ).raise_for_status()
