// A chat and a stream with OpenAI's SDK for Node, and feedback on the trace of both.
import { randomBytes } from "node:crypto";
import OpenAI from "openai";

const gatewayUrl = process.env.GATEWAY_URL ?? "http://127.0.0.1:8787";
const gatewayKey = process.env.GATEWAY_KEY ?? "none";
const model = process.env.MODEL ?? "demo-chat";

const traceId = `node-${randomBytes(8).toString("hex")}`;
const client = new OpenAI({
  baseURL: `${gatewayUrl}/v1`,
  apiKey: gatewayKey,
  defaultHeaders: { "x-portkey-trace-id": traceId },
});

const completion = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "What is a gateway?" }],
});
console.log("answer  ", completion.choices[0].message.content);

const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "And what is a proxy?" }],
  stream: true,
  stream_options: { include_usage: true },
});
process.stdout.write("streamed ");
let usage;
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  usage = chunk.usage ?? usage;
}
console.log(`\ntokens   ${usage.total_tokens}`);

const reply = await fetch(`${gatewayUrl}/v1/feedback`, {
  method: "POST",
  headers: { "Content-Type": "application/json", "x-portkey-api-key": gatewayKey },
  body: JSON.stringify({ trace_id: traceId, value: 10, metadata: { _user: "ann" } }),
});
if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
console.log("feedback", (await reply.json()).feedback_ids[0]);
console.log("trace   ", traceId);
