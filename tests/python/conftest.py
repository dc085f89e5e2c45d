"""What the tests are given: the server that the wheel carries, and interpreters with our package and with the original."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

for name in [name for name in os.environ if name.startswith("AGENTSIGHT_") and not name.startswith("AGENTSIGHT_TEST_")]:
    del os.environ[name]
os.environ["AGENTSIGHT_LOG_LEVEL"] = "CRITICAL"
os.environ["NO_PROXY"] = "*"

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "sdk"))

from server import Server

ORIGINAL = os.environ.get("AGENTSIGHT_TEST_ORIGINAL_PYTHON")
COMMAND = Path(sys.executable).with_name("agentsight")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The wheel's own command, serving."""
    server = Server(COMMAND, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    assert server.stop() == 0, server.said()


_names = (f"bot-{number}" for number in itertools.count(1))


@pytest.fixture
def key(server):
    """A write key of an agent that was never seen before."""
    return server.create_key(next(_names), "write")


def run_python(script, *arguments, python=sys.executable, **variables):
    """Runs a script in a process of its own; gives what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "AGENTSIGHT_API_KEY"} | variables
    ended = subprocess.run(
        [python, *(["-c", script] if isinstance(script, str) else [script]), *arguments],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
