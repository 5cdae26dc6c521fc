#!/usr/bin/env bash
# Where a chat call goes in three SDKs, by the `base_url` that they are given.
#
# Versions: groq==1.7.0, together==3.1.1, fireworks-ai==1.2.30; CPython 3.11.7 on Linux
# Guessed: a client whose own `base_url` is handed to another client asks where the first asks; the base URL that the
#   provider documents for OpenAI's SDK, which ends in /v1, is the right one for the provider's own SDK too
# Seen: the /v1 (Groq: /openai/v1) of the documented URL is there twice; with its own default given, Fireworks' SDK
#   leaves out /inference, and Together's asks another host than without it: neither `client.base_url` is where chat
#   calls go.
# Output: per SDK, without a base URL, with its own `client.base_url`, with the one documented for OpenAI's SDK
#   Groq
#     no base_url                            api.groq.com/openai/v1/chat/completions
#     https://api.groq.com                   api.groq.com/openai/v1/chat/completions
#     https://api.groq.com/openai/v1         api.groq.com/openai/v1/openai/v1/chat/completions
#   Together
#     no base_url                            api-inference.together.ai/v1/chat/completions
#     https://api.together.ai                api.together.ai/v1/chat/completions
#     https://api.together.ai/v1             api.together.ai/v1/v1/chat/completions
#   Fireworks
#     no base_url                            api.fireworks.ai/inference/v1/chat/completions
#     https://api.fireworks.ai               api.fireworks.ai/v1/chat/completions
#     https://api.fireworks.ai/inference/v1  api.fireworks.ai/inference/v1/v1/chat/completions
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'groq==1.7.0' 'together==3.1.1' 'fireworks-ai==1.2.30'
env -u GROQ_BASE_URL -u TOGETHER_BASE_URL -u FIREWORKS_BASE_URL venv/bin/python - <<'PY'
import httpx
from fireworks import Fireworks
from groq import Groq
from together import Together

asked = []

def answer(request):
    """Answers a question without sending it anywhere."""
    asked.append(str(request.url))
    choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]
    return httpx.Response(200, json={"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices})

def url(sdk, base_url=None):
    """Where a chat call goes, and the client's own base URL."""
    client = sdk(api_key="k", base_url=base_url, http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    return asked[-1].removeprefix("https://"), str(client.base_url).rstrip("/")

documented = {
    Groq: "https://api.groq.com/openai/v1",
    Together: "https://api.together.ai/v1",
    Fireworks: "https://api.fireworks.ai/inference/v1",
}
seen = {}
for sdk, of_openai in documented.items():
    plain, own = url(sdk)
    seen[sdk] = plain, url(sdk, own)[0], url(sdk, of_openai)[0]
    print(sdk.__name__)
    for base_url, where in zip(("no base_url", own, of_openai), seen[sdk]):
        print(f"  {base_url:38}", where)
end = "/chat/completions"
assert seen[Groq] == (f"api.groq.com/openai/v1{end}", f"api.groq.com/openai/v1{end}", f"api.groq.com/openai/v1/openai/v1{end}")
assert seen[Together] == (f"api-inference.together.ai/v1{end}", f"api.together.ai/v1{end}", f"api.together.ai/v1/v1{end}")
assert seen[Fireworks] == (
    f"api.fireworks.ai/inference/v1{end}",
    f"api.fireworks.ai/v1{end}",
    f"api.fireworks.ai/inference/v1/v1{end}",
)
PY
