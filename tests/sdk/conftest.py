"""What every test of the suite is given: a running server, an agent of its own, and the SDK pointed at it.

The SDK makes its objects on import and needs a key by then, so its variables are set here, before any import of it.
"""

import itertools
import os

from server import BOOTSTRAP_KEY, Nodes, Server

BINARY = os.environ.get("AGENTSIGHT_BIN")
DATABASE_URL = os.environ.get("AGENTSIGHT_TEST_DATABASE_URL")  # a PostgreSQL that is empty; without it, SQLite
NODES = int(os.environ.get("AGENTSIGHT_TEST_NODES", "1"))  # servers on that PostgreSQL, each request to any of them
BUCKET = dict(setting.split("=", 1) for setting in os.environ.get("AGENTSIGHT_TEST_BUCKET", "").split())
for name in [name for name in os.environ if name.startswith("AGENTSIGHT_")]:
    del os.environ[name]
os.environ["AGENTSIGHT_API_KEY"] = BOOTSTRAP_KEY
os.environ["AGENTSIGHT_API_ENDPOINT"] = "http://127.0.0.1:9"  # the discard port: a test that forgets its agent fails
os.environ["AGENTSIGHT_LOG_LEVEL"] = "ERROR"
os.environ["NO_PROXY"] = "*"

import pytest

from agents import Agent


def pytest_configure(config):
    if not BINARY and not config.option.collectonly:
        raise pytest.UsageError(
            "AGENTSIGHT_BIN must name the server binary; `cargo xtask test --only sdk` builds it and sets it"
        )
    if NODES > 1 and not DATABASE_URL:
        raise pytest.UsageError("AGENTSIGHT_TEST_NODES needs AGENTSIGHT_TEST_DATABASE_URL: nodes share a PostgreSQL")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    server = (
        Nodes(BINARY, folder, DATABASE_URL, NODES, BUCKET)
        if NODES > 1
        else Server(BINARY, folder, DATABASE_URL)
    )
    server.start()
    yield server
    code = server.stop()
    assert code == 0, f"the server ended with {code}:\n{server.said()}"
    if BUCKET:
        assert not list(tmp_path_factory.getbasetemp().rglob("blobs/*/*")), "a file is on a node's disk"
    if NODES > 1:
        assert all(server.spread.asked.values()), f"a node was never asked: {server.spread.asked}"


_names = (f"bot-{number}" for number in itertools.count(1))


@pytest.fixture
def new_agent(server):
    """Makes agents that have never been seen before, so that no test finds another's rows."""
    return lambda endpoint=server.endpoint: Agent(endpoint, server.create_key(next(_names), "write"))


@pytest.fixture
def agent(new_agent):
    return new_agent()


@pytest.fixture
def reader(server):
    """Two views of one agent: with a write key, and with a read key."""
    name = next(_names)
    return Agent(server.endpoint, server.create_key(name, "write")), Agent(
        server.endpoint, server.create_key(name, "read")
    )


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
