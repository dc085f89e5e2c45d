// No instrumentation: an application that follows the conventions for generative AI by hand.

import { BROKEN, MODEL, QUESTIONS, failing, lookup, opentelemetry, refund, within } from "./talk.mjs";

const provider = opentelemetry();
const said = (role, content) => ({ role, parts: [{ type: "text", content }] });

async function chat(messages, options = {}) {
  const model = options.model ?? MODEL;
  const asked = { "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model };
  asked["gen_ai.input.messages"] = JSON.stringify(messages.filter(({ parts }) => parts));
  return within(`chat ${model}`, asked, async (span) => {
    const answered = await fetch(`${process.env.MODELS}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model, messages: messages.map(({ role }) => ({ role })), ...options }),
    });
    const { error, usage, choices, model: full } = await answered.json();
    if (error) throw new Error(error.message);
    const { content, tool_calls: calls } = choices[0].message;
    const parts = calls
      ? calls.map(({ id, function: { name, arguments: given } }) => ({ type: "tool_call", id, name, arguments: JSON.parse(given) }))
      : [{ type: "text", content }];
    const answer = { role: "assistant", parts };
    span.setAttributes({
      "gen_ai.response.model": full,
      "gen_ai.output.messages": JSON.stringify([{ ...answer, finish_reason: choices[0].finish_reason }]),
      "gen_ai.usage.input_tokens": usage.prompt_tokens,
      "gen_ai.usage.output_tokens": usage.completion_tokens,
      "gen_ai.usage.cache_read.input_tokens": usage.prompt_tokens_details.cached_tokens,
      "gen_ai.usage.reasoning.output_tokens": usage.completion_tokens_details.reasoning_tokens,
    });
    return answer;
  });
}

const tool = (name, work, given) => {
  const attributes = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": name,
    "gen_ai.tool.call.arguments": JSON.stringify(given),
  };
  return within(`execute_tool ${name}`, attributes, (span) => {
    const result = work(given);
    span.setAttribute("gen_ai.tool.call.result", result);
    return result;
  });
};
const turn = (conversation, work) => within("turn", { "gen_ai.conversation.id": conversation, "user.id": "u-7" }, work);

const talk = [said("system", "Be nice."), said("user", QUESTIONS[0])];
await turn("helpdesk", async () => {
  const tools = [{ function: { name: "lookup" } }];
  const asked = await chat(talk, { tools });
  const { id, arguments: given } = asked.parts[0];
  const response = await tool("lookup", lookup, given);
  talk.push(asked, { role: "tool", parts: [{ type: "tool_call_response", id, response }] });
  talk.push(await chat(talk, { tools }));
});
await turn("helpdesk", async () => {
  talk.push(said("user", QUESTIONS[1]));
  talk.push(await chat(talk));
});
await turn("failed", async () => {
  await failing(() => chat([said("user", "Hello?")], { model: BROKEN }));
  await failing(() => tool("refund", refund, { order: "A-9" }));
});
await provider.shutdown();
