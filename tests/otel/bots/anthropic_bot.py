"""`anthropic`, watched by the instrumentation that WATCHED_BY names, and the application's spans by OpenTelemetry's conventions."""

import os

import anthropic
import talk
from opentelemetry import trace

provider = talk.opentelemetry()
if os.environ["WATCHED_BY"] == "openinference":
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
else:
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
AnthropicInstrumentor().instrument(tracer_provider=provider)
tracer = trace.get_tracer("helpdesk")
models = anthropic.Anthropic(api_key="none", base_url=os.environ["MODELS"], max_retries=0)
lookup, refund = talk.watched(tracer, talk.lookup), talk.watched(tracer, talk.refund)
TOOLS = [{"name": "lookup", "description": "Looks an order up.", "input_schema": talk.ORDER}]
ASKED = {"model": talk.CLAUDE, "max_tokens": 100, "system": "Be nice."}


def turn(conversation):
    return tracer.start_as_current_span("turn", attributes={"session.id": conversation, "user.id": "u-7"})


with turn("helpdesk"):
    history = [{"role": "user", "content": talk.QUESTIONS[0]}]
    asked = models.messages.create(**ASKED, messages=history, tools=TOOLS)
    [call] = asked.content
    history.append({"role": "assistant", "content": [call.model_dump()]})
    said = {"type": "tool_result", "tool_use_id": call.id, "content": lookup(**call.input)}
    history.append({"role": "user", "content": [said]})
    answer = models.messages.create(**ASKED, messages=history, tools=TOOLS)
    history.append({"role": "assistant", "content": answer.content[0].text})
with turn("helpdesk"):
    history.append({"role": "user", "content": talk.QUESTIONS[1]})
    for _ in models.messages.create(**ASKED, messages=history, stream=True):
        pass
with turn("failed"):
    try:
        models.messages.create(**ASKED | {"model": talk.BROKEN}, messages=[{"role": "user", "content": "Hello?"}])
    except anthropic.BadRequestError:
        pass
    try:
        refund(order="A-9")
    except PermissionError:
        pass
provider.shutdown()
