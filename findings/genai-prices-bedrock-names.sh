#!/usr/bin/env bash
# Which of AWS' own endpoints and names of one model genai-prices knows.
#
# Versions: genai-prices==0.2.3; CPython 3.11.7 on Linux
# Guessed: each endpoint that AWS documents for the Bedrock runtime is found by `provider_api_url`; a model's ARN is found, or
#   not, as its bare id is
# Seen: the plain endpoint is found, those for FIPS, for dual stack, for a VPC and "mantle" are not; of the ARNs those of Claude 3
#   and of inference profiles are found, while those of newer Claude foundation models are not, whose bare ids are
# Output:
#   bedrock-runtime.us-east-1.amazonaws.com                      found
#   bedrock-runtime-fips.us-east-1.amazonaws.com                 LookupError
#   bedrock-runtime.us-east-1.api.aws                            LookupError
#   vpce-0a1b2c3d.bedrock-runtime.us-east-1.vpce.amazonaws.com   LookupError
#   bedrock-mantle.us-east-1.api.aws                             LookupError
#   claude-3-haiku-20240307-v1:0       bare found   ARN found
#   claude-sonnet-4-5-20250929-v1:0    bare found   ARN LookupError   ARN of a profile found
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'genai-prices==0.2.3'
venv/bin/python - <<'PY'
from genai_prices import Usage, calc_price

def found(model, **provider):
    try:
        calc_price(Usage(input_tokens=1000), model_ref=model, **provider)
        return "found"
    except LookupError as error:
        return type(error).__name__

HAIKU, SONNET = "claude-3-haiku-20240307-v1:0", "claude-sonnet-4-5-20250929-v1:0"
hosts = [
    "bedrock-runtime.us-east-1.amazonaws.com",
    "bedrock-runtime-fips.us-east-1.amazonaws.com",
    "bedrock-runtime.us-east-1.api.aws",
    "vpce-0a1b2c3d.bedrock-runtime.us-east-1.vpce.amazonaws.com",
    "bedrock-mantle.us-east-1.api.aws",
]
endpoints = {host: found(f"anthropic.{HAIKU}", provider_api_url=f"https://{host}") for host in hosts}
for host, outcome in endpoints.items():
    print(f"{host:60}", outcome)
ARN = "arn:aws:bedrock:us-east-1::foundation-model/anthropic."
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic."
haiku = found(f"anthropic.{HAIKU}", provider_id="aws"), found(ARN + HAIKU, provider_id="aws")
sonnet = *(found(prefix + SONNET, provider_id="aws") for prefix in ("anthropic.", ARN, PROFILE)),
print(f"{HAIKU:34} bare {haiku[0]}   ARN {haiku[1]}")
print(f"{SONNET:34} bare {sonnet[0]}   ARN {sonnet[1]}   ARN of a profile {sonnet[2]}")
assert list(endpoints.values()) == ["found"] + 4 * ["LookupError"]
assert haiku == ("found", "found") and sonnet == ("found", "LookupError", "found")
PY
