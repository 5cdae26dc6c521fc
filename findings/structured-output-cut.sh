#!/usr/bin/env bash
# A structured answer that is cut at its limit of tokens (`{"a": 1`), in the helpers that parse it into a class; and one that
# is refused.
#
# Versions: openai==3.57.0, anthropic==2.14.0, google-genai==3.6.1, mistralai==3.7.0; CPython 3.11.7 on Linux
# Guessed: each raises an exception of its own that names the limit, and hands a refusal out as such
# Seen: openai does so for chat completions only. Its `responses.parse` and anthropic's let pydantic's ValidationError out, and
#   mistralai the json module's error, without the answer, so that its usage and reason cannot be read; google-genai's `parsed`
#   is None without a word. anthropic raises the ValidationError for a refusal too, where openai's `parsed` is None
# Output:
#   openai, chat       cut LengthFinishReasonError  refused None
#   openai, responses  cut ValidationError          refused None
#   anthropic          cut ValidationError          refused ValidationError
#   mistralai          cut JSONDecodeError
#   google-genai       cut None
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'anthropic==2.14.0' 'google-genai==3.6.1' 'mistralai==3.7.0'
venv/bin/python - <<'PY'
import http.server, json, logging, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with `answer`."""
    protocol_version = "HTTP/1.1"
    answer = {}

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"
logging.disable()

import anthropic, openai
from google import genai
from mistralai.client import Mistral
from pydantic import BaseModel

class Answer(BaseModel):
    a: int

CUT = '{"a": 1'
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
gpt = openai.OpenAI(api_key="k", base_url=URL)
claude = anthropic.Anthropic(api_key="k", base_url=URL)
gemini = genai.Client(api_key="k", http_options={"base_url": URL})
mistral = Mistral(api_key="k", server_url=URL)
as_json = {"response_mime_type": "application/json", "response_schema": Answer}
HELPERS = {
    "openai, chat": lambda: gpt.chat.completions.parse(**ASKED, response_format=Answer).choices[0].message.parsed,
    "openai, responses": lambda: gpt.responses.parse(model="m", input="x", text_format=Answer).output_parsed,
    "anthropic": lambda: claude.messages.parse(**ASKED, max_tokens=9, output_format=Answer).parsed_output,
    "mistralai": lambda: mistral.chat.parse(**ASKED, response_format=Answer).choices[0].message.parsed,
    "google-genai": lambda: gemini.models.generate_content(model="m", contents="x", config=as_json).parsed,
}

def chat(reason, **message):
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": None} | message}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}

def response(status, reason, **part):
    item = {"type": "message", "id": "m1", "status": status, "role": "assistant", "content": [part]}
    return {"id": "r1", "object": "response", "created_at": 1, "model": "m", "status": status, "error": None, "tools": [],
            "incomplete_details": reason, "output": [item], "parallel_tool_calls": False, "tool_choice": "auto"}

def message(reason, text):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": reason, "stop_sequence": None,
            "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 10, "output_tokens": 5}}

limit = {"reason": "max_output_tokens"}
candidate = {"content": {"role": "model", "parts": [{"text": CUT}]}, "finishReason": "MAX_TOKENS"}
ANSWERS = {
    "openai, chat": (chat("length", content=CUT), chat("stop", refusal="I cannot.")),
    "openai, responses": (response("incomplete", limit, type="output_text", text=CUT, annotations=[]),
                          response("completed", None, type="refusal", refusal="I cannot.")),
    "anthropic": (message("max_tokens", CUT), message("refusal", "I cannot.")),
    "mistralai": (chat("length", content=CUT),),
    "google-genai": ({"candidates": [candidate]},),
}

def outcome(name, answer):
    """What a helper returns, or the class of what it raises."""
    Provider.answer = answer
    try:
        return str(HELPERS[name]())
    except Exception as error:
        return type(error).__name__

seen = {name: [outcome(name, answer) for answer in answers] for name, answers in ANSWERS.items()}
for name, (cut, *refused) in seen.items():
    print(f"{name:<18} cut {cut:<24} {'refused ' + refused[0] if refused else ''}".rstrip())
assert list(seen.values()) == [["LengthFinishReasonError", "None"], ["ValidationError", "None"],
                               ["ValidationError", "ValidationError"], ["JSONDecodeError"], ["None"]]
PY
