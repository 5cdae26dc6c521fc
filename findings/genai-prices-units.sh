#!/usr/bin/env bash
# What genai-prices charges for usage in a unit that the model has no price for.
#
# Versions: genai-prices==0.2.3; CPython 3.11.7 on Linux
# Guessed: a unit without a price raises an error or gives no price, so that a figure always covers the whole usage; the
#   seconds of audio that were put in are what a model for transcription is charged by
# Seen: tokens of whisper-1, which is priced by the second, cost nothing and say nothing; characters of gpt-4o-mini-tts
#   cost nothing with a warning of Python's; `input_audio_seconds` alone raises, as `audio_seconds` is wanted
# Output:
#   whisper-1, a million tokens           0.00   warnings 0
#   gpt-4o-mini-tts, a million characters 0.0    warnings 1
#   whisper-1, audio_seconds=60           0.006  warnings 0
#   whisper-1, input_audio_seconds=60     ValueError: Missing usage for audio_seconds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'genai-prices==0.2.3'
venv/bin/python - <<'PY'
import warnings
from genai_prices import Usage, calc_price

def price(model, **usage):
    """The price of a usage, and how many warnings there were."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return calc_price(Usage(**usage), model_ref=model, provider_id="openai").total_price, len(told)

tokens = price("whisper-1", input_tokens=1_000_000)
print("whisper-1, a million tokens          ", f"{tokens[0]!s:6} warnings {tokens[1]}")
characters = price("gpt-4o-mini-tts", characters=1_000_000)
print("gpt-4o-mini-tts, a million characters", f"{characters[0]!s:6} warnings {characters[1]}")
seconds = price("whisper-1", audio_seconds=60)
print("whisper-1, audio_seconds=60          ", f"{seconds[0]!s:6} warnings {seconds[1]}")
try:
    raised = price("whisper-1", input_audio_seconds=60)
except ValueError as error:
    raised = f"ValueError: {str(error).split(':')[0]}"
print("whisper-1, input_audio_seconds=60    ", raised)
assert (tokens, characters) == ((0, 0), (0, 1)) and str(seconds[0]) == "0.006"
assert raised == "ValueError: Missing usage for audio_seconds"
PY
