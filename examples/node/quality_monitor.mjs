// Helicone's page prints monitorQuality(); it runs as it stands against the gateway, given what the page leaves open:
// how requests are queried, how many there are, and who is told. Run it every few minutes, or let the gateway watch:
// docs/alerts.md.

const url = process.env.GATEWAY_URL ?? "http://127.0.0.1:8787";
const key = process.env.GATEWAY_KEY ?? "none";
const day = new Date(Date.now() - 24 * 3600 * 1000).toISOString();

async function queryRequests({ filter, sort, limit }) {
  const recent = { request: { created_at: { gte: day } } };
  const tree = filter === undefined ? recent : { left: recent, operator: "and", right: filter };
  const reply = await fetch(`${url}/v1/request/query`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ filter: tree, sort, limit }),
  });
  if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
  return (await reply.json()).data;
}

async function sendAlert(message) {
  console.log("alert", message);
}

const totalRequests = (await queryRequests({ sort: { created_at: "desc" }, limit: 100 })).length;

async function monitorQuality() {
  // Query recent requests with negative feedback
  const problematicRequests = await queryRequests({
    filter: {
      feedback: {
        rating: { equals: false }
      }
    },
    sort: { created_at: 'desc' },
    limit: 100
  });

  // Alert team if negative feedback rate is high
  const negativeRate = problematicRequests.length / totalRequests;
  if (negativeRate > 0.2) {
    await sendAlert('High negative feedback rate detected!');
  }
}

await monitorQuality();
console.log("watched", totalRequests, "requests");
