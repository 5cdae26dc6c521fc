// Keys, copy buttons, and details that open beside the list without a new page.

import { showLocalTimes } from "./format.js";

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

// Of lists without a detail beside them a link leads to its page.
const detail = () => {
  const place = document.querySelector("#detail");
  return place && getComputedStyle(place).display !== "none" ? place : null;
};

const items = () => [...document.querySelectorAll("[data-item]")];

function step(by) {
  const all = items();
  if (!all.length) return;
  const at = all.findIndex((item) => item.getAttribute("aria-current") === "true");
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  openBeside(next);
}

// The detail of an item is part of the page at its link, so one fetch and one swap show it.
let loading;
async function openBeside(link) {
  for (const item of items()) item.toggleAttribute("aria-current", false);
  link.setAttribute("aria-current", "true");
  const place = detail();
  if (!place) return;
  loading?.abort();
  loading = new AbortController();
  let page;
  try {
    const answer = await fetch(link.href, { signal: loading.signal, headers: { accept: "text/html" } });
    if (answer.redirected || !answer.ok) throw new Error(answer.statusText);
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (problem) {
    if (problem.name !== "AbortError") location.assign(link.href);
    return;
  }
  const fresh = page.querySelector("#detail");
  showLocalTimes(fresh);
  place.replaceWith(fresh);
  history.replaceState(null, "", link.href);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-item]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0 && detail()) {
    event.preventDefault();
    openBeside(link);
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(copy.dataset.copy || document.querySelector(copy.dataset.copyFrom).textContent);
    copy.dataset.copied = "";
    setTimeout(() => delete copy.dataset.copied, 1200);
  }
  if (event.target.closest("[data-help]")) document.querySelector("#help").showModal();
  for (const menu of document.querySelectorAll("details.menu[open], details.word[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// Values of a field are offered once somebody is about to type one.
async function offerValues(input) {
  const list = input.list;
  const chosen = input.form.querySelector("select[name=add]")?.selectedOptions[0];
  const key = input.form.querySelector("input[name=key]")?.value ?? "";
  const field = input.dataset.values || (chosen.value.endsWith(".") ? chosen.value + key : chosen.value);
  if (list.dataset.field === field) return;
  list.dataset.field = field;
  let values = chosen?.dataset.choices?.split(" ");
  if (!values) {
    const answer = await fetch(`/ui/values?field=${encodeURIComponent(field)}`);
    values = answer.ok ? await answer.json() : [];
  }
  list.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), { value })));
}
document.addEventListener("focusin", (event) => {
  if (event.target.matches?.("input[data-values]")) offerValues(event.target);
});

let wasGo = false;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const open = event.target.closest?.("details[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (wasGo) {
    wasGo = false;
    document.querySelector(`[data-go="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  const actions = {
    j: () => step(1),
    k: () => step(-1),
    g: () => (wasGo = true),
    "?": () => document.querySelector("#help")?.showModal(),
    o: () => document.querySelector("#detail [data-open], [data-item][aria-current=true]")?.click(),
  };
  const focusable = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (focusable) {
    event.preventDefault();
    const box = focusable.closest("details");
    if (box) box.open = true;
    focusable.matches("button, a") ? focusable.click() : focusable.focus();
  } else if (actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
});

for (const button of document.querySelectorAll("[data-help], [data-copy], [data-copy-from]")) button.hidden = false;
showLocalTimes(document);
for (const place of document.querySelectorAll(".bar [aria-current], .tabs [aria-current]")) {
  place.scrollIntoView({ block: "nearest", inline: "center" });
}
