"""Portkey's pages on feedback run as they are printed. What cannot is named with its reason in `documents`, and
runs as what it evidently means."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.contracts.printed import CONFIG, KEY, NODE, ask, bash, entries, node, printed, python
from tests.gateway_process import RunningGateway

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "node"))), reason="bash, curl or node is not installed"
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, CONFIG, arguments=("--demo",)) as running:
        yield running


# Portkey's page on its API


def test_feedback_is_appended_to_all_requests_with_the_trace_id_of_the_header(
    gateway: RunningGateway,
) -> None:
    header = printed("portkey-feedback-api", "trace header").code
    [(name, trace_id)] = json.loads(f"{{{header}}}").items()
    ask(gateway, "first", **{name: trace_id})
    ask(gateway, "second", **{name: trace_id})

    code = printed("portkey-feedback-api", "weighted feedback with metadata").code
    reply = json.loads(bash(gateway, code.replace("YOUR_TRACE_ID", trace_id)))

    assert (reply["status"], len(reply["feedback_ids"])) == ("success", 1)
    assert entries(gateway, "subject_id, value, weight, author") == [(trace_id, -10, 0.5, "fef653")]
    for request_id in ("first", "second"):
        shown = httpx.get(f"{gateway.url}/api/v1/requests/{request_id}", headers={"x-portkey-api-key": KEY})
        [entry] = shown.json()["feedback"]
        assert (entry["via"], entry["value"], entry["metadata"]) == (
            "trace",
            -10,
            {
                "text": "title was irrelevant",
                "_user": "fef653",
                "_organisation": "o9876",
                "_prompt": "test_prompt",
                "_environment": "production",
            },
        )


def test_a_thumb_up_by_curl_is_no_json_as_it_is_printed_and_is_taken_as_it_is_meant(
    gateway: RunningGateway,
) -> None:
    block = printed("portkey-feedback-api", "thumb up")
    refused = json.loads(bash(gateway, block.code))
    assert refused["status"] == "failure"
    assert "JSON" in refused["message"]
    assert entries(gateway) == []

    assert block.meant is not None
    assert json.loads(bash(gateway, block.meant))["status"] == "success"
    assert entries(gateway) == [("REQUEST_TRACE_ID", 1)]


def test_a_thumb_down_by_python_is_taken_at_the_path_with_a_slash(gateway: RunningGateway) -> None:
    block = printed("portkey-feedback-api", "thumb down")
    assert python(gateway, f"{block.code}\nprint(response.status_code)") == "200\n"
    assert entries(gateway) == [("REQUEST_TRACE_ID", 0)]


# Portkey's page on its SDKs

needs_node_sdk = pytest.mark.skipif(
    not (NODE / "node_modules").is_dir(), reason="run `npm ci` in examples/node to install the SDKs"
)


def refused_by_node(code: str) -> str:
    """What Node says of code that it does not run."""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code], cwd=NODE, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    return done.stderr


@needs_node_sdk
def test_the_sdk_for_node_gives_a_thumb_up_as_its_block_is_meant(gateway: RunningGateway) -> None:
    block = printed("portkey-feedback-sdk", "thumb up")
    assert "is not a constructor" in refused_by_node(block.code)
    assert block.meant is not None
    node(gateway, block.meant)
    assert entries(gateway) == [("REQUEST_TRACE_ID", 1)]


@needs_node_sdk
def test_the_method_of_the_sdk_for_node_takes_the_parameters_of_its_table(gateway: RunningGateway) -> None:
    made = """
        import { Portkey } from 'portkey-ai';
        const portkey = new Portkey({ apiKey: "PORTKEY_API_KEY" });
        const feedbackParams = { traceID: "t", value: -1, weight: 0.5, metadata: { page: "help" } };
    """
    method = printed("portkey-feedback-sdk", "method of the SDK for Node").code
    node(gateway, f"{made} await {method}")
    assert entries(gateway, "subject_id, value, weight, metadata") == [("t", -1, 0.5, '{"page":"help"}')]


def test_the_sdk_for_python_gives_a_thumb_down_as_its_block_is_meant(gateway: RunningGateway) -> None:
    block = printed("portkey-feedback-sdk", "thumb down")
    with pytest.raises(SyntaxError):
        ast.parse(block.code)
    assert block.meant is not None
    # The host: this SDK takes it as an argument alone.
    code = block.meant.replace("portkey = Portkey(", f'portkey = Portkey(base_url="{gateway.url}/v1",')
    python(gateway, code)
    assert entries(gateway) == [("REQUEST_TRACE_ID", 0)]


def test_the_method_of_the_sdk_for_python_takes_the_parameters_of_its_table(gateway: RunningGateway) -> None:
    made = (
        f'from portkey_ai import Portkey\nportkey = Portkey(api_key="{KEY}", base_url="{gateway.url}/v1")\n'
        'feedbackParams = {"trace_id": "t", "value": -1, "weight": 0.5, "metadata": {"page": "help"}}\n'
    )
    method = printed("portkey-feedback-sdk", "method of the SDK for Python").code
    python(gateway, made + method.replace("(feedbackParams)", "(**feedbackParams)").rstrip(";\n"))
    assert entries(gateway, "subject_id, value, weight, metadata") == [("t", -1, 0.5, '{"page":"help"}')]
