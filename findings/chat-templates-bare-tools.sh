#!/usr/bin/env bash
# What the chat templates that trl ships make of a tool that leaves out what OpenAI's API lets it leave out.
#
# Versions: trl==1.16.0, transformers==5.24.0, jinja2==3.1.6; CPython 3.11.7 on Linux
# Guessed: a tool with only its name renders wherever one with description and parameters does, as both are optional
#   in OpenAI's chat completions
# Seen: without a description four of the 72 templates raise, without parameters two, so that one such tool anywhere in
#   a dataset ends the run; gpt-oss raises, too, for a turn with reasoning, text and calls, as Anthropic's models write
#   them. `"description": ""` and an empty object schema render everywhere
# Output:
#   without description: 4 of 72 raise: gptoss, gptoss_training, muse_glimmer, muse_glimmer_training
#   without parameters: 2 of 72 raise: muse_glimmer, muse_glimmer_training
#   with both empty: []
#   gptoss, reasoning, text and calls: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'transformers==5.24.0' 'jinja2==3.1.6'
venv/bin/pip install --quiet --disable-pip-version-check --no-deps 'trl==1.16.0'
venv/bin/python - <<'PY' 2>/dev/null
from importlib.metadata import files
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template as compile_template

paths = [Path(file.locate()) for file in files("trl") if str(file).endswith(".jinja")]
templates = {path.stem: compile_template(path.read_text()) for path in sorted(paths)}
whole = {"name": "count", "description": "Counts.", "parameters": {"type": "object", "properties": {}}}
question = {"role": "user", "content": "Hi"}


def renders(template, tool, *turns):
    tools = [{"type": "function", "function": tool}]
    try:
        template.render(messages=[question, *turns], tools=tools, bos_token="", eos_token="", pad_token="")
    except Exception:
        return False
    return True


able = {name for name, template in templates.items() if renders(template, whole)}


def failing(tool):
    return sorted(name for name in able if not renders(templates[name], tool))


seen = {key: failing({name: value for name, value in whole.items() if name != key}) for key in ("description", "parameters")}
for key, names in seen.items():
    print(f"without {key}: {len(names)} of {len(able)} raise: {', '.join(names)}")
print("with both empty:", failing({**whole, "description": ""}))
call = {"id": "a", "type": "function", "function": {"name": "count", "arguments": {}}}
turn = {"role": "assistant", "content": "I count.", "thinking": "Hm.", "tool_calls": [call]}
print("gptoss, reasoning, text and calls:", renders(templates["gptoss"], whole, turn))
assert len(able) == 72 and seen["parameters"] == ["muse_glimmer", "muse_glimmer_training"]
assert seen["description"] == ["gptoss", "gptoss_training", "muse_glimmer", "muse_glimmer_training"]
assert failing({**whole, "description": ""}) == []
assert not renders(templates["gptoss"], whole, turn)
assert renders(templates["gptoss"], whole, {**turn, "content": ""})
PY
