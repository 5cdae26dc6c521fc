// The live list of requests: one connection, which the browser opens again where it ended.
import { formats, showLocalTimes } from "./format.js";

const MAX_ROWS = 500;
const table = document.querySelector("table[data-tail]");
const body = table.tBodies[0];

function cell(row, text, className) {
  const made = row.insertCell();
  if (className) made.className = className;
  if (text instanceof Node) made.append(text);
  else made.textContent = text ?? "";
  return made;
}

function element(name, attributes, text) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function link(path, text) {
  return element("a", { href: path }, text);
}

function badge(request) {
  const isBad = request.outcome !== "complete" && request.outcome !== "client_closed";
  const kind = isBad || request.status >= 400 ? "bad" : request.outcome === "complete" ? "good" : "wait";
  const outcome = request.outcome === "complete" ? "" : ` ${request.outcome.replaceAll("_", " ")}`;
  return element("span", { class: `badge ${kind}` }, `${request.status ?? "–"}${outcome}`);
}

function show(request) {
  const row = body.insertRow(0);
  row.className = "fresh";
  const id = encodeURIComponent(request.request_id);
  const trace = encodeURIComponent(request.trace_id);
  const tokens = (request.prompt_tokens ?? 0) + (request.completion_tokens ?? 0);
  cell(row, element("time", { datetime: request.started_at }, ""));
  cell(row, badge(request));
  const model = link(`/ui/requests/${id}?trace_id=${trace}`, request.model ?? request.requested_model ?? request.endpoint);
  model.dataset.item = "";
  cell(row, model, "clip");
  cell(row, request.provider);
  cell(row, link(`/ui/traces/${trace}`, request.trace_id), "clip mono");
  cell(row, request.user ? link(`/ui/users/${encodeURIComponent(request.user)}`, request.user) : "", "clip");
  cell(row, [request.prompt, request.prompt_version].filter(Boolean).join(" "), "clip");
  cell(row, formats.duration(request.latency_ms), "number");
  cell(row, tokens ? formats.count.format(tokens) : "–", "number");
  cell(row, formats.money(request.cost_usd), "number");
  cell(row, "");
  showLocalTimes(row);
  while (body.rows.length > MAX_ROWS) body.deleteRow(-1);
}

const events = new EventSource(table.dataset.tail);
events.addEventListener("request", (event) => show(JSON.parse(event.data)));
events.addEventListener("reset", () => location.reload());
addEventListener("pagehide", () => events.close());
