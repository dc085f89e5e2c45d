"""OpenLLMetry, by its SDK: workflows, tools, and what it says of the session."""

import talk
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import tool, workflow
from traceloop.sdk.instruments import Instruments

Traceloop.init(
    app_name="helpdesk",
    exporter=OTLPSpanExporter(),
    telemetry_enabled=False,
    instruments={Instruments.OPENAI},
)
models = talk.client()
lookup, refund = tool(name="lookup")(talk.lookup), tool(name="refund")(talk.refund)


@workflow(name="first")
def first():
    return talk.first_turn(models, lookup)


@workflow(name="second")
def second(history):
    return talk.second_turn(models, history)


@workflow(name="failing")
def failing():
    talk.failing_turn(models)
    try:
        refund(order="A-9")
    except PermissionError:
        pass


Traceloop.set_association_properties({"session_id": "helpdesk", "user_id": "u-7"})
second(first())
Traceloop.set_association_properties({"session_id": "failed", "user_id": "u-7"})
failing()
trace.get_tracer_provider().shutdown()
