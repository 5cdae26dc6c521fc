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

// As `path_segment` of the server: browsers take `.` and `..` out of paths.
const segment = (name) => encodeURIComponent(/^~*\.{1,2}$/.test(name) ? `~${name}` : name);
const requestPage = (request) => `/ui/requests/${segment(request.request_id)}?trace_id=${encodeURIComponent(request.trace_id)}`;

function time(request) {
  const made = element("a", { href: requestPage(request), "data-item": "" }, "");
  made.append(element("time", { datetime: request.started_at }, ""));
  return made;
}

function tokens(request) {
  const number = (request.prompt_tokens ?? 0) + (request.completion_tokens ?? 0);
  return number ? formats.count.format(number) : "–";
}

const named = (place, name) => (name ? link(`/ui/${place}/${segment(name)}`, name) : "");
const duration = (ms) => (ms === null ? "–" : formats.duration(ms));

// What a column shows; the others show the field of their name. Nobody has given feedback yet.
const shown = {
  time,
  status: badge,
  model: (request) => request.model ?? request.requested_model ?? request.endpoint,
  prompt: (request) => [request.prompt, request.prompt_version].filter(Boolean).join(" "),
  user: (request) => named("users", request.user),
  session: (request) => named("sessions", request.session),
  trace: (request) => link(`/ui/traces/${segment(request.trace_id)}`, request.trace_id.length > 12 ? `${request.trace_id.slice(0, 12)}…` : request.trace_id),
  feedback: () => "",
  duration: (request) => duration(request.latency_ms),
  first_byte: (request) => duration(request.time_to_first_byte_ms),
  tokens,
  cost: (request) => formats.money(request.cost_usd),
  size: (request) => formats.count.format(request.response_size),
};

function value(request, name) {
  if (name in shown) return shown[name](request);
  const found = name.startsWith("metadata.") ? request.metadata?.[name.slice(9)] : request[name];
  return found === undefined || found === null ? "" : typeof found === "object" ? JSON.stringify(found) : String(found);
}

function show(request) {
  const row = body.insertRow(0);
  row.className = "fresh";
  table.dataset.columns.split(",").forEach((name, index) => {
    const isPlain = ["time", "status", "feedback"].includes(name);
    cell(row, value(request, name), `${table.tHead.rows[0].cells[index].className} ${isPlain ? "" : "clip"} ${name === "trace" ? "mono" : ""}`);
  });
  showLocalTimes(row);
  while (body.rows.length > MAX_ROWS) body.deleteRow(-1);
}

const events = new EventSource(table.dataset.tail);
events.addEventListener("request", (event) => show(JSON.parse(event.data)));
events.addEventListener("reset", () => location.reload());
// The browser gives up where it is answered by another page, as after the key was revoked.
events.addEventListener("error", () => {
  if (events.readyState !== EventSource.CLOSED) return;
  const ended = element("p", { class: "notice", role: "status" }, "The live list has ended. ");
  ended.append(link(location.href, "Load the page again"));
  table.parentElement.before(ended);
});
addEventListener("pagehide", () => events.close());
