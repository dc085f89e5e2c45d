"""LangChain, watched by the instrumentation that WATCHED_BY names: its tools and its model are seen by callbacks."""

import os

import openai
import talk
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from opentelemetry import trace

provider = talk.opentelemetry()
if os.environ["WATCHED_BY"] == "openinference":
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)
else:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    LangchainInstrumentor().instrument(tracer_provider=provider)
tracer = trace.get_tracer("helpdesk")
lookup, refund = tool(talk.lookup), tool(talk.refund)


def gpt(name=talk.MODEL):
    return ChatOpenAI(model=name, api_key="none", base_url=os.environ["MODELS"] + "/v1", max_retries=0, stream_usage=True)


def turn(conversation):
    return tracer.start_as_current_span("turn", attributes={"session.id": conversation, "user.id": "u-7"})


with turn("helpdesk"):
    history = [SystemMessage("Be nice."), HumanMessage(talk.QUESTIONS[0])]
    history.append(gpt().bind_tools([lookup]).invoke(history))
    history += [lookup.invoke(call) for call in history[-1].tool_calls]
    history.append(gpt().bind_tools([lookup]).invoke(history))
with turn("helpdesk"):
    history.append(HumanMessage(talk.QUESTIONS[1]))
    for _ in gpt().stream(history):
        pass
with turn("failed"):
    try:
        gpt(talk.BROKEN).invoke("Hello?")
    except openai.BadRequestError:
        pass
    try:
        refund.invoke({"order": "A-9"})
    except PermissionError:
        pass
provider.shutdown()
