#!/usr/bin/env bash
# The cheaper and dearer tiers of processing in genai-prices: what `extract_usage` makes of the tier that an answer names, and
# what `price_context` is heeded.
#
# Versions: genai-prices==0.2.3; CPython 3.11.7 on Linux
# Guessed: an answer that says `"service_tier": "batch"` or `"flex"` is priced by that tier; a context that is unknown to a
#   model is an error, not the full price
# Seen: the answer's own tier is ignored; so is every context that the model's prices do not name, among them
#   `service_tier: batch` as Anthropic's answers have it (`processing: batch` is the key) and `processing: batch` on older
#   models of Claude; and GPT-5's flex price, for a time before the autumn of 2026, is the full one
# Output:
#   claude-sonnet-4-5  none 0.0030    answer says batch 0.0030
#   claude-sonnet-4-5  processing=batch 0.0015    service_tier=batch 0.0030    processing=bacth 0.0030
#   claude-3-opus      none 0.0150    processing=batch 0.0150
#   gpt-5 flex         on 2026-11-01 0.000625    on 2026-06-01 0.00125    answer says flex 0.00125
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'genai-prices==0.2.3'
venv/bin/python - <<'PY'
from datetime import datetime, timezone
from genai_prices import Usage, calc_price, extract_usage

def at(day):
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc)

def price(model, provider, day="2026-11-01", **context):
    """The price of a thousand tokens of input on a day."""
    usage = Usage(input_tokens=1000)
    of = {"model_ref": model, "provider_id": provider, "genai_request_timestamp": at(day)}
    return float(calc_price(usage, **of, price_context=context or None).total_price)

def answered(provider, flavor, answer):
    """The price of an answer, as extracted."""
    found = extract_usage(answer, provider_id=provider, api_flavor=flavor)
    return float(found.calc_price(genai_request_timestamp=at("2026-11-01")).total_price)

counts = {"input_tokens": 1000, "output_tokens": 0}
sonnet, opus = "claude-sonnet-4-5", "claude-3-opus-20240229"
plain = price(sonnet, "anthropic")
by_answer = answered("anthropic", "default", {"model": sonnet, "usage": counts | {"service_tier": "batch"}})
print(f"{sonnet}  none {plain:.4f}    answer says batch {by_answer:.4f}")
batch = price(sonnet, "anthropic", processing="batch")
tier = price(sonnet, "anthropic", service_tier="batch")
mistyped = price(sonnet, "anthropic", processing="bacth")
print(f"{sonnet}  processing=batch {batch:.4f}    service_tier=batch {tier:.4f}    processing=bacth {mistyped:.4f}")
old, old_batch = price(opus, "anthropic"), price(opus, "anthropic", processing="batch")
print(f"claude-3-opus      none {old:.4f}    processing=batch {old_batch:.4f}")
now = price("gpt-5", "openai", service_tier="flex")
before = price("gpt-5", "openai", day="2026-06-01", service_tier="flex")
flex = answered("openai", "responses", {"model": "gpt-5", "usage": counts, "service_tier": "flex"})
print(f"gpt-5 flex         on 2026-11-01 {now}    on 2026-06-01 {before}    answer says flex {flex}")
assert by_answer == tier == mistyped == plain == 2 * batch and old == old_batch == 0.015
assert before == flex == 2 * now == 0.00125
PY
