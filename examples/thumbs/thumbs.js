// A chat whose answers can be judged. Feedback names an answer by the trace id in the response's headers.
"use strict";

const model = "demo-chat";

async function call(method, path, body) {
  const reply = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!reply.ok) throw new Error(`${path} was answered with ${reply.status}: ${await reply.text()}`);
  return reply;
}

async function ask(question) {
  const messages = [{ role: "user", content: question }];
  const reply = await call("POST", "/v1/chat/completions", { model, messages });
  const completion = await reply.json();
  return {
    text: completion.choices[0].message.content,
    traceId: reply.headers.get("x-portkey-trace-id"),
  };
}

// The first click makes an entry, a later one changes it: one person, one verdict.
async function judge(verdict, value) {
  if (verdict.feedbackId) {
    await call("PUT", `/v1/feedback/${verdict.feedbackId}`, { value });
    return;
  }
  const reply = await call("POST", "/v1/feedback", { trace_id: verdict.traceId, value });
  verdict.feedbackId = (await reply.json()).feedback_ids[0];
}

function show(question, answer) {
  const exchange = document.getElementById("exchange").content.cloneNode(true);
  exchange.querySelector(".question").textContent = question;
  exchange.querySelector(".answer").textContent = answer.text;
  const verdict = { traceId: answer.traceId, feedbackId: null };
  const buttons = exchange.querySelectorAll("button");
  const thanks = exchange.querySelector(".thanks");
  for (const button of buttons) {
    button.addEventListener("click", () =>
      attempt(async () => {
        for (const other of buttons) other.disabled = true;
        try {
          await judge(verdict, Number(button.dataset.value));
          for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
          thanks.textContent = "Thank you!";
        } finally {
          for (const other of buttons) other.disabled = false;
        }
      }),
    );
  }
  document.getElementById("conversation").append(exchange);
}

async function attempt(action) {
  const problem = document.getElementById("problem");
  problem.hidden = true;
  try {
    await action();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("question");
  attempt(async () => {
    show(input.value, await ask(input.value));
    input.value = "";
  });
});
