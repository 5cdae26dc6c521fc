// A page that gives feedback straight to the gateway. Its only credential is the token that came with the answer,
// which is good for that answer and for nothing else.
"use strict";

const show = (id) => document.getElementById(id);
let answer = null;

async function ask(question) {
  const reply = await fetch("/ask", { method: "POST", body: question });
  if (!reply.ok) throw new Error(`no answer: ${reply.status}`);
  return reply.json();
}

// `keepalive` lets the feedback arrive even if the reader leaves the page at once.
async function giveFeedback(value) {
  const reply = await fetch(`${answer.gateway}/v1/feedback`, {
    method: "POST",
    keepalive: true,
    headers: { "Content-Type": "application/json", "x-gateway-feedback-token": answer.token },
    body: JSON.stringify({ trace_id: answer.traceId, value }),
  });
  if (!reply.ok) throw new Error((await reply.json()).message);
}

async function attempt(action, done) {
  try {
    await action();
    show("status").textContent = done;
  } catch (error) {
    show("status").textContent = `That did not work: ${error.message}`;
  }
}

show("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    answer = await ask(show("question").value);
    show("text").textContent = answer.text;
    // The same token in a link: a page with a form, which also fits into an e-mail.
    show("later").href = `${answer.gateway}/f/${answer.token}`;
    show("answer").hidden = false;
  }, "");
});

for (const button of document.querySelectorAll("button[data-value]")) {
  button.addEventListener("click", () => attempt(() => giveFeedback(Number(button.dataset.value)), "Thank you!"));
}
