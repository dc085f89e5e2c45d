// The same two turns and one failure for every bot of this folder, and OpenTelemetry set up as its manual says.

import { trace, SpanStatusCode } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";

export const MODEL = "gpt-4o-mini";
export const BROKEN = "gpt-broken";
export const QUESTIONS = ["Where is A-9?", "And when?"];
export const SYSTEM = { role: "system", content: "Be nice." };
const parameters = { type: "object", properties: { order: { type: "string" } }, required: ["order"] };
export const TOOLS = [
  { type: "function", function: { name: "lookup", description: "Looks an order up.", parameters } },
];
export const MODELS = `${process.env.MODELS}/v1`;

/** The SDK, exporting over what OTEL_EXPORTER_OTLP_PROTOCOL says. */
export function opentelemetry() {
  const Exporter = { grpc: Grpc, "http/json": Json }[process.env.OTEL_EXPORTER_OTLP_PROTOCOL] ?? Proto;
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": "helpdesk" }),
    spanProcessors: [new BatchSpanProcessor(new Exporter())],
  });
  provider.register();
  return provider;
}

/** Runs work within a span, which fails as the work does. */
export function within(name, attributes, work) {
  return trace.getTracer("helpdesk").startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      span.recordException(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      throw error;
    } finally {
      span.end();
    }
  });
}

export const lookup = ({ order }) => `${order} is shipped`;
export const refund = () => {
  throw new Error("no money");
};

/** A question, the call of a tool, what it says, an answer. Returns what a bot keeps of it. */
export async function firstTurn(client, run) {
  const talk = [SYSTEM, { role: "user", content: QUESTIONS[0] }];
  const asked = (await client.chat.completions.create({ model: MODEL, messages: talk, tools: TOOLS })).choices[0].message;
  const [call] = asked.tool_calls;
  talk.push({ role: "assistant", content: null, tool_calls: [call] });
  const said = await run(JSON.parse(call.function.arguments));
  talk.push({ role: "tool", tool_call_id: call.id, content: said });
  const answer = (await client.chat.completions.create({ model: MODEL, messages: talk, tools: TOOLS })).choices[0].message;
  return [...talk, { role: "assistant", content: answer.content }];
}

/** The next question with all that was said before it; the answer is streamed. */
export async function secondTurn(client, talk) {
  const messages = [...talk, { role: "user", content: QUESTIONS[1] }];
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const _ of stream);
}

/** The reason for which it failed, which it must. */
export async function failing(work) {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
