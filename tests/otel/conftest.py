"""What every test of the suite is given: a running server, models on the loopback, and what a bot made of both.

A bot is a program of its own (bots/, node/) with a real instrumentation in it. All of them are started at once, each with
an agent of its own, and a test waits for the one that it asks about.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server import Server

BINARY = os.environ.get("AGENTSIGHT_BIN")
HERE = Path(__file__).parent
NODE_PACKAGES = os.environ.get("AGENTSIGHT_TEST_NODE", str(HERE.parents[1] / ".test-deps" / "otel-node"))
LLAMAINDEX_PYTHON = os.environ.get(
    "AGENTSIGHT_TEST_LLAMAINDEX_PYTHON", str(HERE.parents[1] / ".test-deps" / "venv-llamaindex" / "bin" / "python")
)
for name in [name for name in os.environ if name.startswith(("AGENTSIGHT_", "OTEL_", "LANGFUSE_", "TRACELOOP_"))]:
    del os.environ[name]
os.environ["NO_PROXY"] = "*"
os.environ["LANGSMITH_TRACING"] = "false"  # LangChain tells nobody

import pytest

import golden
from collector import Collector
from models import Models
from seen import Seen

ENDED_WITHIN_S = 240  # most of it goes into importing, on a machine that has other things to do


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write crates/otlp/tests/golden anew")


def pytest_configure(config):
    if not BINARY and not config.option.collectonly:
        raise pytest.UsageError(
            "AGENTSIGHT_BIN must name the server binary; `cargo xtask test --only otel` builds it and sets it"
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(BINARY, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    code = server.stop()
    assert code == 0, f"the server ended with {code}:\n{server.said()}"


@pytest.fixture(scope="session")
def models():
    with Models() as models:
        yield models


@pytest.fixture(scope="session")
def bots(request, server, models):
    """Starts every bot that the chosen tests ask about. `bots(name)` waits for it, and answers what the server has."""
    wanted = {item.callspec.params["bot"] for item in request.session.items if hasattr(item, "callspec")}
    names = sorted(wanted)
    # As many as the machine has cores: they are busy with importing.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        running = {name: pool.submit(run, name, server, models) for name in names}
        yield lambda name: running[name].result()
    if request.config.option.write_golden:
        for name in names:
            if exports := running[name].result().exports:
                golden.write(name, exports)


# How each is told to record what is said, and by which of the exporters it comes.
RECORDING = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "TRACELOOP_TRACE_CONTENT": "true",
    "TRACELOOP_METRICS_ENABLED": "false",
}
# What is said comes as log records: one for each call, or, by OpenLLMetry, one for each message.
EVENTS = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "EVENT_ONLY"}
BOTS = {
    "conventions": ("conventions_bot.py", {}),
    "conventions-grpc": ("conventions_bot.py", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
    "conventions-gzip": ("conventions_bot.py", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
    "conventions-events": ("conventions_bot.py", EVENTS),
    "conventions-events-grpc": ("conventions_bot.py", EVENTS | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
    "openllmetry": ("openllmetry_bot.py", {}),
    "openllmetry-events": ("conventions_bot.py", {"WATCHED_BY": "openllmetry"}),
    "openllmetry-anthropic": ("anthropic_bot.py", {"WATCHED_BY": "openllmetry"}),
    "openllmetry-llamaindex": ("llamaindex_bot.py", {"WATCHED_BY": "openllmetry"}),
    "openllmetry-langchain": ("langchain_bot.py", {"WATCHED_BY": "openllmetry"}),
    "openinference": ("openinference_bot.py", {}),
    "openinference-anthropic": ("anthropic_bot.py", {"WATCHED_BY": "openinference"}),
    "openinference-llamaindex": ("llamaindex_bot.py", {"WATCHED_BY": "openinference"}),
    "openinference-langchain": ("langchain_bot.py", {"WATCHED_BY": "openinference"}),
    "langfuse": ("langfuse_bot.py", {}),
    "node-proto": ("plain.mjs", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}),
    "node-json": ("plain.mjs", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}),
    "node-grpc": ("plain.mjs", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
    "vercel": ("vercel.mjs", {}),
    "node-openinference": ("openai.mjs", {"WATCHED_BY": "openinference"}),
    "node-openllmetry": ("openai.mjs", {"WATCHED_BY": "openllmetry"}),
}


def run(name, server, models):
    script, settings = BOTS[name]
    key = server.create_key(name, "write")
    settings = RECORDING | settings
    with Collector(server.endpoint) as collector:
        is_grpc = settings.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc"
        # The wire speaks HTTP/1 alone.
        endpoint = server.endpoint if is_grpc else collector.endpoint
        environment = os.environ | settings | {
            "MODELS": models.anthropic,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={key}",
            "OTEL_TRACES_EXPORTER": "otlp",
            "LANGFUSE_HOST": endpoint,
            "LANGFUSE_BASE_URL": endpoint,
            "LANGFUSE_PUBLIC_KEY": "pk-lf-any",
            "LANGFUSE_SECRET_KEY": key,
        }
        if script.endswith(".py"):
            python = LLAMAINDEX_PYTHON if script == "llamaindex_bot.py" else sys.executable
            command = [python, HERE / "bots" / script]
        else:
            command = ["node", Path(NODE_PACKAGES) / script]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ENDED_WITHIN_S)
        said = ended.stdout + ended.stderr
        assert ended.returncode == 0, f"{name} ended with {ended.returncode}:\n{said}"
        exports, statuses = collector.exports, collector.statuses
    assert is_grpc or set(statuses) == {200}, f"{name}: the server said {statuses}\n{said}"
    return Seen(name, server.endpoint, key, [export for _, export in exports], said)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed and "server" in item.funcargs:
        print(item.funcargs["server"].said())
    return report
