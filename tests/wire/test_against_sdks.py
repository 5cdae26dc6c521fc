"""The official SDKs put streams together too: where they can read a stream, they and we must agree."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import openai
import pytest

from gateway.wire import reassemble
from tests.wire.samples import CASES, Case

WELL_FORMED = [
    "chat.completions/text.sse",
    "chat.completions/tools.sse",
    "chat.completions/reasoning.sse",
    "chat.completions/refusal.sse",
    "chat.completions/function_call.sse",
    "chat.completions/cumulative_usage_no_done.sse",
    "chat.completions/cut_mid_event.sse",
    "responses/text.sse",
    "messages/text.sse",
    "messages/tool_use.sse",
    "messages/thinking.sse",
]


class Replay(BaseHTTPRequestHandler):
    """Answers `POST /<endpoint>/<name>/…` with that case's body."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        _, endpoint, name, *_ = self.path.split("/")
        body = (CASES / endpoint / name).read_bytes()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Replay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def read_by_sdk(case: Case, base_url: str) -> dict[str, Any]:
    if case.endpoint == "messages":
        with (
            anthropic.Anthropic(api_key="none", base_url=base_url, max_retries=0) as claude,
            claude.messages.stream(model="m", max_tokens=1, messages=[]) as messages,
        ):
            return messages.get_final_message().to_dict(mode="json", warnings=False)
    with openai.OpenAI(api_key="none", base_url=base_url, max_retries=0) as client:
        if case.endpoint == "responses":
            with client.responses.stream(model="m", input="x") as responses:
                return responses.get_final_response().to_dict(mode="json", warnings=False)
        with client.chat.completions.stream(model="m", messages=[]) as completions:
            return completions.get_final_completion().to_dict(mode="json", warnings=False)


def without_nulls(value: Any) -> Any:
    """`value` without what SDKs add: nulls, indices of tool calls, parsed copies of texts."""
    added = {"index", "parsed", "parsed_arguments"}
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None and k not in added}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", WELL_FORMED)
def test_a_reassembled_stream_is_what_the_official_sdk_makes_of_it(name: str, origin: str) -> None:
    case = Case(CASES / name)
    ours = reassemble(case.endpoint, case.content_type, case.body)
    assert without_nulls(ours) == without_nulls(read_by_sdk(case, f"{origin}/{name}"))
