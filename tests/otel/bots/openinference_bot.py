"""OpenInference, with its own tracer for the tools."""

import talk
from openinference.instrumentation import OITracer, TraceConfig, using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace

provider = talk.opentelemetry()
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = OITracer(trace.get_tracer("helpdesk"), config=TraceConfig())
models = talk.client()
lookup, refund = tracer.tool(talk.lookup), tracer.tool(talk.refund)

with using_attributes(session_id="helpdesk", user_id="u-7"):
    with tracer.start_as_current_span("turn", openinference_span_kind="agent") as span:
        span.set_input(talk.QUESTIONS[0])
        history = talk.first_turn(models, lookup)
        span.set_output(history[-1]["content"])
    with tracer.start_as_current_span("turn", openinference_span_kind="agent") as span:
        span.set_input(talk.QUESTIONS[1])
        span.set_output(talk.second_turn(models, history))
with using_attributes(session_id="failed", user_id="u-7"):
    with tracer.start_as_current_span("turn", openinference_span_kind="agent"):
        talk.failing_turn(models)
        try:
            refund(order="A-9")
        except PermissionError:
            pass
provider.shutdown()
