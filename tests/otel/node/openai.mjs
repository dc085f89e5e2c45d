// The package `openai`, watched by the instrumentation that WATCHED_BY names.

import OpenAI from "openai";

import { BROKEN, MODELS, failing, firstTurn, lookup, opentelemetry, refund, secondTurn, within } from "./talk.mjs";

const provider = opentelemetry();
const isOpenInference = process.env.WATCHED_BY === "openinference";
const { OpenAIInstrumentation } = isOpenInference
  ? await import("@arizeai/openinference-instrumentation-openai")
  : await import("@traceloop/instrumentation-openai");
const instrumentation = new OpenAIInstrumentation();
instrumentation.setTracerProvider(provider);
instrumentation.manuallyInstrument(OpenAI);
const client = new OpenAI({ apiKey: "none", baseURL: MODELS, maxRetries: 0 });

// Tools and turns are the application's own spans, by the conventions of the same house.
const tool = (name, work) => (given) => {
  const attributes = isOpenInference
    ? { "openinference.span.kind": "TOOL", "tool.name": name, "input.value": JSON.stringify(given), "input.mime_type": "application/json" }
    : { "traceloop.span.kind": "tool", "traceloop.entity.name": name, "traceloop.entity.input": JSON.stringify({ args: [given] }) };
  return within(name, attributes, (span) => {
    const said = work(given);
    span.setAttribute(isOpenInference ? "output.value" : "traceloop.entity.output", said);
    return said;
  });
};
const turn = (conversation, work) => within("turn", { "session.id": conversation, "user.id": "u-7" }, work);

let talk;
await turn("helpdesk", async () => {
  talk = await firstTurn(client, tool("lookup", lookup));
});
await turn("helpdesk", () => secondTurn(client, talk));
await turn("failed", async () => {
  await failing(() => client.chat.completions.create({ model: BROKEN, messages: [{ role: "user", content: "Hello?" }] }));
  await failing(async () => tool("refund", refund)({ order: "A-9" }));
});
await provider.shutdown();
