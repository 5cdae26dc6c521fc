// One call by OpenAI's or Anthropic's own SDK: node refusal.mjs PROVIDER_URL GATEWAY_KEY LIBRARY, told as JSON on one line.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [url, apiKey, library] = process.argv.slice(2);
const messages = [{ role: "user", content: "How are you?" }];
const calls = {
  openai: () => new OpenAI({ baseURL: `${url}/v1`, apiKey }).chat.completions.create({ model: "gpt-4o-mini", messages }),
  anthropic: () =>
    new Anthropic({ baseURL: url, apiKey }).messages.create({ model: "claude-haiku-4-5", max_tokens: 8, messages }),
};

const begun = performance.now();
try {
  console.log(JSON.stringify(await calls[library]()));
} catch ({ name, message, status }) {
  const seconds = (performance.now() - begun) / 1000;
  console.log(JSON.stringify({ thrown: name, message, status, seconds }));
}
