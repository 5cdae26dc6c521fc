"""The gateway's own client: give feedback that is stored once however often it is sent, then read the trace."""

import os
import secrets

from openai import OpenAI

from gateway.client import FeedbackEntry, GatewayClient, InvalidRequest

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")

trace_id = f"client-{secrets.token_hex(8)}"

with OpenAI(base_url=f"{GATEWAY_URL}/v1", api_key=GATEWAY_KEY) as openai:
    openai.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is a gateway?"}],
        extra_headers={"x-portkey-trace-id": trace_id},
    )

with GatewayClient(GATEWAY_URL, GATEWAY_KEY) as client:
    receipt = client.feedback.create(trace_id=trace_id, value=6, idempotency_key=f"vote-on-{trace_id}")
    again = client.feedback.create(trace_id=trace_id, value=6, idempotency_key=f"vote-on-{trace_id}")
    print("once    ", receipt.feedback_id == again.feedback_id)

    client.feedback.create_many(
        [
            FeedbackEntry(trace_id=trace_id, value=10, metadata={"_user": "ann"}),
            FeedbackEntry(trace_id=trace_id, value=-10, weight=0.5, metadata={"_user": "ben"}),
        ]
    )
    client.feedback.update(receipt.feedback_id, value=8)

    try:
        client.feedback.create(trace_id=trace_id, value=11)
    except InvalidRequest as error:
        print("refused ", error)

    trace = client.traces.get(trace_id)
    for entry in trace.feedback:
        print("entry   ", entry.author, entry.value, entry.weight)
    print("score   ", trace.score.weighted_mean)
print("trace   ", trace_id)
