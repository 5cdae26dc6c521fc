"""A message with Anthropic's SDK. The provider is named by the path; feedback names the request by its header."""

import os

import httpx
from anthropic import Anthropic

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
PROVIDER = os.environ.get("PROVIDER", "demo")
MODEL = os.environ.get("MODEL", "demo-chat")

with Anthropic(base_url=f"{GATEWAY_URL}/{PROVIDER}", api_key=GATEWAY_KEY) as client:
    answer = client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=200,
        messages=[{"role": "user", "content": "What is a gateway?"}],
        extra_headers={"x-portkey-metadata": '{"_user": "ann"}'},
    )
    for block in answer.parse().content:
        if block.type == "text":
            print("answer  ", block.text)
request_id = answer.headers["helicone-id"]

reply = httpx.post(
    f"{GATEWAY_URL}/v1/feedback",
    headers={"x-portkey-api-key": GATEWAY_KEY},
    json={"trace_id": request_id, "value": 7},
)
reply.raise_for_status()
print("feedback", reply.json()["feedback_ids"][0])
print("request ", request_id)
