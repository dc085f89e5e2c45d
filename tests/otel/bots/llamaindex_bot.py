"""LlamaIndex with Anthropic's models, watched by the instrumentation that WATCHED_BY names: both hear its own events."""

import os

import anthropic
import talk
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from opentelemetry import trace

provider = talk.opentelemetry()
if os.environ["WATCHED_BY"] == "openinference":
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
else:
    from opentelemetry.instrumentation.llamaindex import LlamaIndexInstrumentor
LlamaIndexInstrumentor().instrument(tracer_provider=provider)
tracer = trace.get_tracer("helpdesk")
lookup, refund = FunctionTool.from_defaults(talk.lookup), FunctionTool.from_defaults(talk.refund)


def claude(path=""):
    address = os.environ["MODELS"] + path
    return Anthropic(model=talk.CLAUDE, api_key="none", base_url=address, max_retries=0, max_tokens=100)


def turn(conversation):
    return tracer.start_as_current_span("turn", attributes={"session.id": conversation, "user.id": "u-7"})


with turn("helpdesk"):
    models = claude()
    history = [ChatMessage(role="system", content="Be nice."), ChatMessage(role="user", content=talk.QUESTIONS[0])]
    asked = models.chat_with_tools(tools=[lookup], chat_history=history)
    [call] = models.get_tool_calls_from_response(asked)
    said = lookup.call(**call.tool_kwargs)
    history.append(asked.message)
    history.append(ChatMessage(role="tool", content=said.content, additional_kwargs={"tool_call_id": call.tool_id}))
    history.append(models.chat_with_tools(tools=[lookup], chat_history=history).message)
with turn("helpdesk"):
    history.append(ChatMessage(role="user", content=talk.QUESTIONS[1]))
    for _ in models.stream_chat(history):
        pass
with turn("failed"):
    try:
        # It knows its models by name, and takes no other.
        claude("/broken").chat([ChatMessage(role="user", content="Hello?")])
    except anthropic.BadRequestError:
        pass
    try:
        refund.call(order="A-9")
    except PermissionError:
        pass
provider.shutdown()
