#!/usr/bin/env bash
# Streams that fail, in Vercel's AI SDK: reading `textStream` to its end.
#
# Versions: ai 6.0.326, @ai-sdk/openai 3.0.141; Node 20.20.2 on Linux
# Guessed: a provider's error event and a lost connection are told in the same way: both throw, or both go to `onError`.
# Seen: an error event goes to `onError`, and `textStream` ends as if all were well; a lost connection throws from
#   `textStream`, as an API call error with status 200. A stream that ends before its finish reason is no failure at all.
# Output:
#   error event      text Hi  reason error  onError engine died
#   lost connection  throws AI_APICallError 200: Failed to process successful response
#   no finish        text Hi  reason other  onError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund ai@6.0.326 @ai-sdk/openai@3.0.141
cat >finding.mjs <<'JS'
import assert from "node:assert";
import http from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";

const choices = [{ index: 0, delta: { role: "assistant", content: "Hi" }, finish_reason: null }];
const chunk = { id: "c1", object: "chat.completion.chunk", created: 1, model: "m", choices };
const error = { error: { message: "engine died", type: "server_error", param: null, code: null } };
let events, isLost;
const server = http.createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
  isLost ? setTimeout(() => request.socket.destroy(), 200) : response.end();
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const openai = createOpenAI({ baseURL: `http://127.0.0.1:${server.address().port}/v1`, apiKey: "k" });

async function outcome() {
  const told = [];
  const onError = ({ error }) => told.push(error.message);
  const stream = streamText({ model: openai.chat("m"), prompt: "x", maxRetries: 0, onError });
  let text = "";
  try {
    for await (const piece of stream.textStream) text += piece;
  } catch ({ name, statusCode, message }) {
    return `throws ${name} ${statusCode}: ${message}`;
  }
  return `text ${text}  reason ${await stream.finishReason}  onError ${told}`.trim();
}

[events, isLost] = [[chunk, error], false];
const failed = await outcome();
[events, isLost] = [[chunk], true];
const lost = await outcome();
[events, isLost] = [[chunk], false];
const short = await outcome();
console.log(`error event      ${failed}\nlost connection  ${lost}\nno finish        ${short}`);
server.close();
assert.equal(failed, "text Hi  reason error  onError engine died");
assert.equal(lost, "throws AI_APICallError 200: Failed to process successful response");
assert.equal(short, "text Hi  reason other  onError");
JS
node finding.mjs
