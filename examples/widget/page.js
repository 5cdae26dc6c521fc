// Asks a question, and shows the answer with <gateway-feedback> beneath it. The page's only credential is the token
// that came with the answer.
"use strict";

const byId = (id) => document.getElementById(id);

// An answer stays for a reload, which shows that the widget finds the feedback given before.
const remember = (answer) => sessionStorage.setItem("answer", JSON.stringify(answer));
const recall = () => JSON.parse(sessionStorage.getItem("answer"));

function show(answer) {
  const feedback = document.createElement("gateway-feedback");
  feedback.setAttribute("token", answer.token);
  feedback.setAttribute("type", answer.type);
  feedback.setAttribute("reasons", "wrong, too long, off topic");
  feedback.addEventListener("feedback", (event) => console.info("feedback", event.detail));
  const text = document.createElement("p");
  text.textContent = answer.text;
  if (answer.type === "edit") feedback.append(text);
  byId("answer").replaceChildren(...(answer.type === "edit" ? [feedback] : [text, feedback]));
}

// Once for a page; an application would name its gateway in a <script> element.
function loadWidget(gateway) {
  if (customElements.get("gateway-feedback")) return;
  document.head.append(Object.assign(document.createElement("script"), { src: `${gateway}/widget.js` }));
}

byId("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("problem").textContent = "";
  const reply = await fetch("/ask", { method: "POST", body: byId("question").value });
  if (!reply.ok) {
    byId("problem").textContent = `No answer: ${reply.status}`;
    return;
  }
  const answer = { ...(await reply.json()), type: byId("type").value };
  loadWidget(answer.gateway);
  remember(answer);
  show(answer);
});

if (recall()) {
  loadWidget(recall().gateway);
  show(recall());
}
