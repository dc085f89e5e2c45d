"""The server binary under test, started as an operator starts it."""

import os
import socket
import subprocess
import time

import requests

from spread import Spread

BOOTSTRAP_KEY = "ags_" + "5eed" * 8 + "_c0ffee"
READY_WITHIN_S = 30


class Server:
    """`agentsight serve` on a free port of the loopback, with a data folder of its own, or on a PostgreSQL."""

    def __init__(self, binary, folder, database_url=None, log="server.log", bucket=()):
        self.binary = binary
        # Nodes share these: the database, and the bucket or folder of the attachments.
        self.settings = ({"AGENTSIGHT_DATABASE_URL": database_url} if database_url else {}) | dict(bucket)
        self.data_dir = folder / "data"
        self.log = folder / log
        self.endpoint = f"http://127.0.0.1:{_free_port()}"

    def start(self):
        environment = _without_settings() | self.settings | {"AGENTSIGHT_BOOTSTRAP_API_KEY": BOOTSTRAP_KEY}
        listen = self.endpoint.removeprefix("http://")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--listen", listen, "--data-dir", self.data_dir],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        self._await_ready()

    def _await_ready(self):
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.said()}")
            try:
                if requests.get(f"{self.endpoint}/readyz", timeout=1).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"the server is not ready after {READY_WITHIN_S} s:\n{self.said()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=30)

    def said(self):
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def create_key(self, agent, role):
        """Makes a key as an operator does, beside the running server."""
        return self._run("key", "create", "--agent", agent, "--role", role)

    def create_environment(self, agent, name):
        """Makes an environment in the same way, and gives its slug."""
        return self._run("environment", "create", "--agent", agent, name)

    def _run(self, *command):
        done = subprocess.run(
            [self.binary, *command, "--data-dir", self.data_dir],
            capture_output=True,
            text=True,
            env=_without_settings() | self.settings,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n")


class Nodes:
    """Several servers on one PostgreSQL and one bucket, behind one address; used like a `Server`.

    Without a bucket they share a folder for the attachments.
    """

    def __init__(self, binary, folder, database_url, count, bucket=()):
        # With a bucket nothing on a node's own disk is shared.
        own = [folder / f"node-{number}" if bucket else folder for number in range(count)]
        for path in own:
            path.mkdir(exist_ok=True)
        self.nodes = [
            Server(binary, path, database_url, log=f"node-{number}.log", bucket=bucket) for number, path in enumerate(own)
        ]

    def start(self):
        for node in self.nodes:
            node.start()
        self.spread = Spread([node.endpoint for node in self.nodes])
        self.spread.start()
        self.endpoint = self.spread.endpoint

    def stop(self):
        """The first exit code that is not 0, where there is one."""
        self.spread.stop()
        return next((code for code in [node.stop() for node in self.nodes] if code), 0)

    def said(self):
        return "\n".join(f"── {node.log.name}\n{node.said()}" for node in self.nodes)

    def create_key(self, agent, role):
        return self.nodes[0].create_key(agent, role)


def _without_settings():
    """The environment without anything that would configure the server or the SDK."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AGENTSIGHT_")}


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
