"""What every test of the suite is given: a running server, an agent of its own, and the SDK tracking for it.

The SDK is one OpenTelemetry set-up per process. A test that needs no more takes `bot`; one that needs a process of its
own runs a script with `bot.run`.
"""

import itertools
import os
from pathlib import Path

from server import Server

BINARY = os.environ.get("AGENTSIGHT_BIN")
DATABASE_URL = os.environ.get("AGENTSIGHT_TEST_DATABASE_URL")  # a PostgreSQL that is empty; without it, SQLite
OLDER_SDK = os.environ.get(
    "AGENTSIGHT_TEST_OLDER_PYTHON",  # a Python with SDK 0.0.44; the one of tests/sdk when not told otherwise
    str(Path(__file__).parents[2] / ".test-deps" / "venv" / "bin" / "python"),
)
for name in [name for name in os.environ if name.startswith(("AGENTSIGHT_", "OTEL_"))]:
    del os.environ[name]
os.environ["NO_PROXY"] = "*"
os.environ["LANGSMITH_TRACING"] = "false"  # LangChain tells nobody

import pytest

import older
from bots import Bot
from models import Models
from relay import Relay


def pytest_configure(config):
    if not BINARY and not config.option.collectonly:
        raise pytest.UsageError(
            "AGENTSIGHT_BIN must name the server binary; `cargo xtask test --only spans` builds it and sets it"
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(BINARY, tmp_path_factory.mktemp("server"), DATABASE_URL)
    server.start()
    yield server
    code = server.stop()
    assert code == 0, f"the server ended with {code}:\n{server.said()}"


_names = (f"bot-{number}" for number in itertools.count(1))


@pytest.fixture
def new_bot(server):
    """Makes agents that have never been seen before; whichever tracks at the end of the test is shut down."""
    bots = []

    def make(endpoint=server.endpoint, role="write"):
        bots.append(Bot(endpoint, server.create_key(next(_names), role)))
        return bots[-1]

    yield make
    for bot in bots:
        bot.close()


@pytest.fixture
def bot(new_bot):
    """An agent for which this process tracks. Spans leave when the test says `bot.flush()`."""
    return new_bot().track()


@pytest.fixture
def keys_of_one_agent(server):
    """Two views of one agent: with a write key, and with a read key."""
    name = next(_names)
    writer, reader = (Bot(server.endpoint, server.create_key(name, role)) for role in ("write", "read"))
    yield writer, reader
    writer.close()
    reader.close()


@pytest.fixture
def relay(server):
    """A wire to the server on which one can listen, and which can be cut."""
    with Relay(server.endpoint) as relay:
        yield relay


@pytest.fixture(scope="session")
def models():
    """OpenAI and Anthropic on the loopback."""
    with Models() as models:
        yield models


@pytest.fixture(scope="session")
def older_sdk():
    return older.Sdk(OLDER_SDK)


@pytest.fixture(autouse=True)
def _show_the_server_s_log_when_a_test_fails(request):
    yield
    report = getattr(request.node, "outcome_of_call", None)
    if report is not None and report.failed and "server" in request.fixturenames:
        print(request.getfixturevalue("server").said())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.outcome_of_call = report
    return report
