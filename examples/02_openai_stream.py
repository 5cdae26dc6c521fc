"""A streamed chat with OpenAI's SDK; the feedback names it by the id that came in the stream."""

import os

import httpx
from openai import OpenAI

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")

response_id = ""
with (
    OpenAI(base_url=f"{GATEWAY_URL}/v1", api_key=GATEWAY_KEY) as client,
    client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Count to three, slowly."}],
        stream=True,
        # Without this, OpenAI's streams carry no token counts and the log has none either.
        stream_options={"include_usage": True},
    ) as stream,
):
    for chunk in stream:
        response_id = chunk.id
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        if chunk.usage:
            print(f"\ntokens   {chunk.usage.prompt_tokens} in, {chunk.usage.completion_tokens} out")

reply = httpx.post(
    f"{GATEWAY_URL}/v1/feedback",
    headers={"x-portkey-api-key": GATEWAY_KEY},
    json={"trace_id": response_id, "value": -3},
)
reply.raise_for_status()
print("feedback", reply.json()["feedback_ids"][0])
print("request ", response_id)
