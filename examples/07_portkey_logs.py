"""Portkey's SDK: tell of a request that went past the gateway, judge it, and export what was logged."""

import json
import os
import secrets
import time

import httpx
from portkey_ai import Portkey

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")

portkey = Portkey(base_url=f"{GATEWAY_URL}/v1", api_key=GATEWAY_KEY)
trace_id = f"logs-{secrets.token_hex(8)}"

told = portkey.logs.create(
    request={
        "url": "https://api.openai.com/v1/chat/completions",
        "provider": "openai",
        "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Name a colour."}]},
    },
    response={
        "status": 200,
        "response_time": 850,
        "body": {
            "id": f"chatcmpl-{trace_id}",
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Blue."}}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 2},
        },
    },
    metadata={"trace_id": trace_id, "_user": "ann"},
)
print("told   ", told.json()["log_ids"][0])
portkey.feedback.create(trace_id=trace_id, value=8)

export = portkey.logs.exports.create(
    filters={"trace_id": trace_id}, requested_data=["trace_id", "ai_model", "total_units", "cost", "response"]
)
portkey.logs.exports.start(export_id=export.id)
while (job := portkey.logs.exports.retrieve(export_id=export.id)).status == "in_progress":
    time.sleep(0.1)
print("export ", job.status)

link = portkey.logs.exports.download(export_id=export.id).signed_url
for line in httpx.get(link).raise_for_status().text.splitlines():
    row = json.loads(line)
    print("row    ", row["ai_model"], row["total_units"], row["cost"], "cents")
    print("answer ", row["response"]["choices"][0]["message"]["content"])
print("trace  ", trace_id)
