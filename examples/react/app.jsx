// A page with one question, its answer, and <FeedbackButtons> beneath it.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import FeedbackButtons from "./FeedbackButtons.jsx";

function App() {
  const [question, setQuestion] = useState("");
  const [answer, setAnswer] = useState(null);

  async function ask(event) {
    event.preventDefault();
    // The server asks the gateway, and hands on the answer's token.
    const reply = await fetch("/ask", { method: "POST", body: question });
    if (reply.ok) setAnswer(await reply.json());
  }

  return (
    <main>
      <form onSubmit={ask}>
        <label htmlFor="question">Your question</label>
        <input id="question" value={question} onChange={(event) => setQuestion(event.target.value)} required />
        <button>Ask</button>
      </form>
      {answer && (
        <section id="answer">
          <p>{answer.text}</p>
          <FeedbackButtons gateway={answer.gateway} token={answer.token} />
        </section>
      )}
    </main>
  );
}

createRoot(document.getElementById("root")).render(<App />);
