// One call by Vercel's AI SDK: node call.mjs GATEWAY_URL GATEWAY_KEY MODEL KIND, told as JSON on one line.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateText, jsonSchema, streamText, tool } from "ai";

const [url, apiKey, modelName, kind] = process.argv.slice(2);
const headers = { "x-portkey-api-key": apiKey };
const openai = createOpenAI({ baseURL: `${url}/openai/v1`, apiKey });
const models = {
  chat: openai.chat("gpt-4o-mini"),
  responses: openai("gpt-5-mini"),
  messages: createAnthropic({ baseURL: `${url}/anthropic/v1`, apiKey })("claude-haiku-4-5"),
  gemini: createGoogleGenerativeAI({ baseURL: `${url}/google/v1beta`, apiKey: "providers", headers })("gemini-2.5-flash"),
};
const call = { model: models[modelName], prompt: "How are you?", maxRetries: 0 };
const find = tool({ inputSchema: jsonSchema({ type: "object", properties: { q: { type: "string" } } }) });

const kinds = {
  async plain() {
    const { text, response, usage, finishReason } = await generateText(call);
    return { text, id: response.id, input: usage.inputTokens, output: usage.outputTokens, finishReason };
  },
  async stream() {
    const errors = [];
    const stream = streamText({ ...call, onError: ({ error }) => errors.push(error.message) });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    const [finishReason, response] = await Promise.all([stream.finishReason, stream.response]);
    return { text, errors, finishReason, id: response.id };
  },
  async tool() {
    const { toolCalls } = await generateText({ ...call, tools: { find } });
    return { calls: toolCalls.map(({ toolName, input }) => [toolName, input]) };
  },
  async embed() {
    const { embedding, usage } = await embed({
      model: openai.embeddingModel("text-embedding-3-small"),
      value: "How are you?",
      maxRetries: 0,
    });
    return { embedding, tokens: usage.tokens };
  },
};

try {
  console.log(JSON.stringify(await kinds[kind]()));
} catch ({ name, message, statusCode }) {
  console.log(JSON.stringify({ thrown: name, message, status: statusCode }));
}
