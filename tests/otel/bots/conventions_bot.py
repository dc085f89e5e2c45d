"""OpenTelemetry's own instrumentation of `openai`, and the application's spans by the conventions for generative AI."""

import json

import talk
from opentelemetry import trace
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

provider = talk.opentelemetry()
OpenAIInstrumentor().instrument()
tracer = trace.get_tracer("helpdesk")
models = talk.client()


def tool(function):
    def run(**arguments):
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": function.__name__,
            "gen_ai.tool.call.arguments": json.dumps(arguments),
        }
        with tracer.start_as_current_span(f"execute_tool {function.__name__}", attributes=attributes) as span:
            said = function(**arguments)
            span.set_attribute("gen_ai.tool.call.result", said)
            return said

    return run


def turn(conversation):
    attributes = {"gen_ai.conversation.id": conversation, "user.id": "u-7"}
    return tracer.start_as_current_span("turn", attributes=attributes)


with turn("helpdesk"):
    history = talk.first_turn(models, tool(talk.lookup))
with turn("helpdesk"):
    talk.second_turn(models, history)
with turn("failed"):
    talk.failing_turn(models)
    try:
        tool(talk.refund)(order="A-9")
    except PermissionError:
        pass
provider.shutdown()
