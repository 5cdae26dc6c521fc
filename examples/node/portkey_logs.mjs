// Portkey's SDK for Node: tell of a request that went past the gateway, and export what was logged.
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Portkey } from "portkey-ai";

const gatewayUrl = process.env.GATEWAY_URL ?? "http://127.0.0.1:8787";
const gatewayKey = process.env.GATEWAY_KEY ?? "none";

const portkey = new Portkey({ baseURL: `${gatewayUrl}/v1`, apiKey: gatewayKey });
const traceId = `node-logs-${randomBytes(8).toString("hex")}`;

const told = await portkey.logs.create({
  request: {
    url: "https://api.openai.com/v1/chat/completions",
    provider: "openai",
    body: { model: "gpt-4o", messages: [{ role: "user", content: "Name a colour." }] },
  },
  response: {
    status: 200,
    response_time: 850,
    body: {
      model: "gpt-4o",
      choices: [{ index: 0, message: { role: "assistant", content: "Blue." }, finish_reason: "stop" }],
      usage: { prompt_tokens: 11, completion_tokens: 2 },
    },
  },
  metadata: { trace_id: traceId, _user: "ann" },
});
console.log("told  ", told.log_ids[0]);

const exports = portkey.logs.exports;
const filters = { trace_id: traceId };
const { id: exportId } = await exports.create({ filters, requestedData: ["id"], description: "one trace" });
const updated = await exports.update({ exportId, filters, requestedData: ["id", "total_units", "request"] });
console.log("total ", updated.total);

await exports.start({ exportId });
let job;
do {
  await pause(100);
  job = await exports.retrieve({ exportId });
} while (job.status === "in_progress");
console.log("export", job.status, job.description);
console.log("listed", (await exports.list({})).data.some((each) => each.id === exportId));

const { signed_url: link } = await exports.download({ exportId });
const reply = await fetch(link);
if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
const [row] = (await reply.text()).trim().split("\n").map((line) => JSON.parse(line));
console.log("row   ", row.id, row.total_units, row.request.messages[0].content);
console.log("trace ", traceId);
