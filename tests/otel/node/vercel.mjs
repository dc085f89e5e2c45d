// The AI SDK of Vercel, with its telemetry, and a provider that speaks as OpenAI does.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { BROKEN, MODEL, MODELS, QUESTIONS, failing, lookup, opentelemetry, refund, within } from "./talk.mjs";

const provider = opentelemetry();
const models = createOpenAICompatible({ name: "models", baseURL: MODELS, apiKey: "none", includeUsage: true });
const telemetry = (sessionId) => ({ isEnabled: true, metadata: { sessionId, userId: "u-7" } });
const inputSchema = z.object({ order: z.string() });
const tools = { lookup: tool({ description: "Looks an order up.", inputSchema, execute: lookup }) };
const broken = { refund: tool({ description: "Gives money back.", inputSchema, execute: refund }) };

const asked = [{ role: "user", content: QUESTIONS[0] }];
const first = await generateText({
  model: models(MODEL),
  system: "Be nice.",
  messages: asked,
  tools,
  stopWhen: stepCountIs(3),
  experimental_telemetry: telemetry("helpdesk"),
});
const second = streamText({
  model: models(MODEL),
  system: "Be nice.",
  messages: [...asked, ...first.response.messages, { role: "user", content: QUESTIONS[1] }],
  experimental_telemetry: telemetry("helpdesk"),
});
await second.consumeStream();
await failing(() =>
  generateText({ model: models(BROKEN), prompt: "Hello?", maxRetries: 0, experimental_telemetry: telemetry("failed") }),
);
// The model calls the tool, which fails, and answers all the same.
await generateText({
  model: models(MODEL),
  prompt: "Give it back.",
  tools: broken,
  stopWhen: stepCountIs(3),
  experimental_telemetry: telemetry("failed"),
});
await provider.shutdown();
