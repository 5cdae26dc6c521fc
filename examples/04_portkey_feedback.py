"""Portkey's SDK: chat through the gateway, judge one answer, then several at once, then change your mind."""

import os
import secrets

from portkey_ai import Portkey

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")

portkey = Portkey(base_url=f"{GATEWAY_URL}/v1", api_key=GATEWAY_KEY, metadata={"_user": "ann"})

trace_ids = [f"portkey-{secrets.token_hex(8)}" for _ in range(2)]
for trace_id in trace_ids:
    completion = portkey.with_options(trace_id=trace_id).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Name a colour."}]
    )
    print("answer ", completion.choices[0].message.content)

created = portkey.feedback.create(trace_id=trace_ids[0], value=5, weight=0.5, metadata={"_user": "ann"})
print("created", created.feedback_ids)

bulk = portkey.feedback.bulk_create(
    feedbacks=[{"trace_id": trace_id, "value": 1, "metadata": {"_user": "ben"}} for trace_id in trace_ids]
)
print("bulk   ", bulk.feedback_ids)

updated = portkey.feedback.update(feedback_id=created.feedback_ids[0], value=-5)
print("updated", updated.feedback_ids)
print("traces ", *trace_ids)
