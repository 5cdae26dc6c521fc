#!/usr/bin/env bash
# The price of an answer of Gemini's in genai-prices' own two steps: `extract_usage` of the answer, then its price. The
# question is audio, the text before it came out of the cache.
#
# Versions: genai-prices==0.2.3; CPython 3.11.7 on Linux
# Guessed: what `extract_usage` returns can be priced; a modality that is not among the cached tokens counts as none
# Seen: `calc_price` raises ValueError as soon as the question has audio and the cache was used, unless the answer itself says
#   how many of the cached tokens were audio: even `cacheTokensDetails` that put all cached tokens down as text do not do
# Output:
#   audio, nothing cached             0.000395
#   audio, 500 cached                 ValueError: Missing usage for cache_audio_read_tokens
#   audio, 500 cached, all of it text ValueError: Missing usage for cache_audio_read_tokens
#   … and audio given as 0            0.000260
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'genai-prices==0.2.3'
venv/bin/python - <<'PY'
from genai_prices import extract_usage

def price(**cached):
    """The price of an answer to 900 tokens of text and 100 of audio, or what is raised."""
    question = [{"modality": "TEXT", "tokenCount": 900}, {"modality": "AUDIO", "tokenCount": 100}]
    counts = {"promptTokenCount": 1000, "candidatesTokenCount": 10, "totalTokenCount": 1010, "promptTokensDetails": question}
    answer = {"modelVersion": "gemini-2.5-flash", "usageMetadata": counts | cached}
    try:
        return str(extract_usage(answer, provider_id="google").calc_price().total_price)
    except ValueError as error:
        return f"ValueError: {str(error).split(':')[0]}"

of_text = {"modality": "TEXT", "tokenCount": 500}
of_audio = {"modality": "AUDIO", "tokenCount": 0}
seen = {
    "audio, nothing cached": price(),
    "audio, 500 cached": price(cachedContentTokenCount=500),
    "audio, 500 cached, all of it text": price(cachedContentTokenCount=500, cacheTokensDetails=[of_text]),
    "… and audio given as 0": price(cachedContentTokenCount=500, cacheTokensDetails=[of_text, of_audio]),
}
for case, outcome in seen.items():
    print(f"{case:33}", outcome)
missing = "ValueError: Missing usage for cache_audio_read_tokens"
first, second, third, fourth = seen.values()
assert (second, third) == (missing, missing) and float(first) > float(fourth) > 0
PY
