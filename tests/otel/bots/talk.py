"""The same two turns and one failure for every bot of this folder, and OpenTelemetry set up as its manual says.

A bot is one process: instrumentations change the packages that they watch. It is told where to export by OpenTelemetry's
own variables, and where the models are by MODELS.
"""

import json
import os

import openai
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-5"
BROKEN = "gpt-broken"
ORDER = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
TOOLS = [
    {"type": "function", "function": {"name": "lookup", "description": "Looks an order up.", "parameters": ORDER}},
]
SYSTEM = {"role": "system", "content": "Be nice."}
QUESTIONS = ["Where is A-9?", "And when?"]


def opentelemetry():
    """The SDK, exporting over what OTEL_EXPORTER_OTLP_PROTOCOL says."""
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    resource = Resource.create({"service.name": "helpdesk"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # Events go out when the process ends, after the spans.
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(logs)
    return provider


def client():
    return openai.OpenAI(api_key="none", base_url=os.environ["MODELS"] + "/v1", max_retries=0)


def first_turn(models, run_tool):
    """A question, the call of a tool, what it says, an answer. Returns what a bot keeps of it."""
    talk = [SYSTEM, {"role": "user", "content": QUESTIONS[0]}]
    asked = models.chat.completions.create(model=MODEL, messages=talk, tools=TOOLS).choices[0].message
    [call] = asked.tool_calls
    talk.append({"role": "assistant", "content": None, "tool_calls": [call.model_dump()]})
    said = run_tool(**json.loads(call.function.arguments))
    talk.append({"role": "tool", "tool_call_id": call.id, "content": said})
    answer = models.chat.completions.create(model=MODEL, messages=talk, tools=TOOLS).choices[0].message.content
    return talk + [{"role": "assistant", "content": answer}]


def second_turn(models, talk):
    """The next question with all that was said before it; the answer is streamed."""
    talk = talk + [{"role": "user", "content": QUESTIONS[1]}]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = models.chat.completions.create(model=MODEL, messages=talk, **options)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def failing_turn(models):
    try:
        models.chat.completions.create(model=BROKEN, messages=[{"role": "user", "content": "Hello?"}])
    except openai.BadRequestError:
        return
    raise AssertionError("the model answered")


def watched(tracer, function):
    """A tool in a span of its own, by the conventions for generative AI."""

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


def lookup(order):
    """Looks an order up."""
    return f"{order} is shipped"


def refund(order):
    """Fails, as tools do."""
    raise PermissionError("no money")
