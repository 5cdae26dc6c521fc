#!/usr/bin/env bash
# An error event in a stream of status 200, in Vercel's AI SDK: how often the question is asked.
#
# Versions: ai 7.0.173, @ai-sdk/openai 4.0.118; Node 20.20.2 on Linux
# Guessed: once, since the status was 200 and a stream has begun, as openai's and anthropic's own SDKs do
# Seen: three times, as for a status of 500, if the error comes before the first text and its type or code is one that passes
#   (`server_error`, `rate_limit_exceeded`); once if it is another, or if there was text. The caller gets an empty `textStream` that
#   ends quietly, and NoOutputGeneratedError from `finishReason`; after text, the reason `error`
# Output:
#   chat       server_error at once            requests 3  text ""    NoOutputGeneratedError
#   chat       server_error after a role       requests 3  text ""    NoOutputGeneratedError
#   chat       server_error after text         requests 1  text "Hi"  error
#   chat       invalid_request_error at once   requests 1  text ""    NoOutputGeneratedError
#   responses  rate_limit_exceeded at once     requests 3  text ""    NoOutputGeneratedError
#   responses  invalid_prompt at once          requests 1  text ""    NoOutputGeneratedError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund ai@7.0.173 @ai-sdk/openai@4.0.118
cat >finding.mjs <<'JS'
import assert from "node:assert";
import http from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";

let events, requests;
const server = http.createServer((request, response) => {
  requests += 1;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const openai = createOpenAI({ baseURL: `http://127.0.0.1:${server.address().port}/v1`, apiKey: "k" });
const chat = openai.chat("m");
const responses = openai.responses("m");

function chunk(content) {
  const choices = [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }];
  return { id: "c1", object: "chat.completion.chunk", created: 1, model: "m", choices };
}
const error = (type) => ({ error: { message: "engine died", type, param: null, code: null } });
const response = { id: "r1", object: "response", created_at: 1, model: "m", status: "in_progress", output: [] };
const failure = (code) => [
  { type: "response.created", sequence_number: 0, response },
  { type: "error", sequence_number: 1, code, message: "engine died", param: null },
];

async function outcome(model) {
  requests = 0;
  const stream = streamText({ model, prompt: "x", onError: () => {} });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  const reason = await stream.finishReason.then((reason) => reason, (error) => error.constructor.name);
  return [requests, text, reason];
}

const cases = [
  ["chat       server_error at once", chat, [error("server_error")]],
  ["chat       server_error after a role", chat, [chunk(""), error("server_error")]],
  ["chat       server_error after text", chat, [chunk("Hi"), error("server_error")]],
  ["chat       invalid_request_error at once", chat, [error("invalid_request_error")]],
  ["responses  rate_limit_exceeded at once", responses, failure("rate_limit_exceeded")],
  ["responses  invalid_prompt at once", responses, failure("invalid_prompt")],
];
const seen = [];
for (const [name, model, sent] of cases) {
  events = sent;
  const [count, text, reason] = await outcome(model);
  seen.push([count, text, reason]);
  console.log(`${name.padEnd(42)} requests ${count}  text ${JSON.stringify(text).padEnd(5)} ${reason}`);
}
server.close();
const none = ["", "NoOutputGeneratedError"];
assert.deepEqual(seen, [[3, ...none], [3, ...none], [1, "Hi", "error"], [1, ...none], [3, ...none], [1, ...none]]);
JS
node finding.mjs
