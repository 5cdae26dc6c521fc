// Two buttons that give feedback on an answer, and show what was given before.
//
// `token` is the answer's `x-gateway-feedback-token`. It is all that the browser needs: no API key belongs into a page.
import { useEffect, useState } from "react";

export default function FeedbackButtons({ gateway, token, onFeedback }) {
  const [feedback, setFeedback] = useState(null);
  const [loading, setLoading] = useState(false);
  const [problem, setProblem] = useState("");

  async function call(path, body) {
    const reply = await fetch(`${gateway}/api/v1/feedback${path}`, {
      method: body ? "POST" : "GET",
      body: body && JSON.stringify(body),
      headers: { "Content-Type": "application/json", "x-gateway-feedback-token": token },
    });
    const result = await reply.json();
    if (!reply.ok) throw new Error(result.error.message);
    return result;
  }

  useEffect(() => {
    let isCurrent = true;
    setFeedback(null);
    setProblem("");
    call("/current")
      .then(({ rating }) => isCurrent && setFeedback((chosen) => chosen ?? rating?.thumb ?? null))
      .catch(() => {}); // An earlier feedback may stay unknown.
    return () => {
      isCurrent = false;
    };
  }, [gateway, token]);

  async function handleFeedback(thumb) {
    setLoading(true);
    setProblem("");
    try {
      // `upsert` replaces what was given before, so a reader may change their mind.
      await call("?rule=upsert", { thumb });
      setFeedback(thumb);
      onFeedback?.(thumb);
    } catch (error) {
      console.error("Failed to give feedback:", error);
      setProblem("Your feedback could not be sent. Please try again.");
    } finally {
      setLoading(false);
    }
  }

  return (
    <div className="feedback-buttons" role="group" aria-label="How was this answer?">
      <button onClick={() => handleFeedback("up")} disabled={loading} aria-pressed={feedback === "up"}>
        👍 Helpful
      </button>
      <button onClick={() => handleFeedback("down")} disabled={loading} aria-pressed={feedback === "down"}>
        👎 Not helpful
      </button>
      <p role="status">{problem || (feedback && "Thank you for your feedback.")}</p>
    </div>
  );
}
