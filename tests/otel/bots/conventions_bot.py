"""OpenTelemetry's own instrumentation of `openai`, and the application's spans by the conventions for generative AI.

Or OpenLLMetry's, where WATCHED_BY says so, telling what is said as OpenTelemetry's first did: in events of their own.
"""

import os

import talk
from opentelemetry import trace

provider = talk.opentelemetry()
if os.environ.get("WATCHED_BY") == "openllmetry":
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor(use_legacy_attributes=False).instrument()
else:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
tracer = trace.get_tracer("helpdesk")
models = talk.client()
lookup, refund = talk.watched(tracer, talk.lookup), talk.watched(tracer, talk.refund)


def turn(conversation):
    attributes = {"gen_ai.conversation.id": conversation, "user.id": "u-7"}
    return tracer.start_as_current_span("turn", attributes=attributes)


with turn("helpdesk"):
    history = talk.first_turn(models, lookup)
with turn("helpdesk"):
    talk.second_turn(models, history)
with turn("failed"):
    talk.failing_turn(models)
    try:
        refund(order="A-9")
    except PermissionError:
        pass
provider.shutdown()
