// Portkey's SDK for Node: chat through the gateway, judge the answer, and change your mind.
import { randomBytes } from "node:crypto";
import { Portkey } from "portkey-ai";

const gatewayUrl = process.env.GATEWAY_URL ?? "http://127.0.0.1:8787";
const gatewayKey = process.env.GATEWAY_KEY ?? "none";
const model = process.env.MODEL ?? "demo-chat";

const portkey = new Portkey({ baseURL: `${gatewayUrl}/v1`, apiKey: gatewayKey });

const traceIds = [1, 2].map(() => `node-portkey-${randomBytes(8).toString("hex")}`);
for (const traceID of traceIds) {
  const completion = await portkey.chat.completions.create(
    { model, messages: [{ role: "user", content: "Name a colour." }] },
    { traceID, metadata: { _user: "ann" } },
  );
  console.log("answer ", completion.choices[0].message.content);
}

const created = await portkey.feedback.create({ traceID: traceIds[0], value: 5, weight: 0.5 });
console.log("created", created.feedback_ids.join(" "));

// This SDK has no call for many entries at once, so its own is replaced by fetch.
const bulk = await fetch(`${gatewayUrl}/v1/feedback`, {
  method: "POST",
  headers: { "Content-Type": "application/json", "x-portkey-api-key": gatewayKey },
  body: JSON.stringify(traceIds.map((trace_id) => ({ trace_id, value: 1, metadata: { _user: "ben" } }))),
});
if (!bulk.ok) throw new Error(`${bulk.status}: ${await bulk.text()}`);
console.log("bulk   ", (await bulk.json()).feedback_ids.join(" "));

const updated = await portkey.feedback.update({ feedbackID: created.feedback_ids[0], value: -5 });
console.log("updated", updated.feedback_ids.join(" "));
console.log("traces ", ...traceIds);
