"""Calls of fetch_conversation per second: the original SDK over HTTP, ours over HTTP, ours in process.

    python fetch.py PYTHON_WITH_THE_ORIGINAL    # run by the Python that has our release wheel

Rounds take turns, so that a busy machine is as busy for each; medians of the rounds are printed.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, SECONDS = 5, 1.0
TURNS = 5

WORKER = """
import sys, time
from agentsight import agentsight_api
fetch = agentsight_api.fetch_conversation
for line in sys.stdin:
    end, calls, began = time.perf_counter() + float(line), 0, time.perf_counter()
    while time.perf_counter() < end:
        fetch("bench-1"); calls += 1
    print(calls / (time.perf_counter() - began), flush=True)
"""
FILL = f"""
from agentsight import conversation_tracker as t
t.get_or_create_conversation("bench-1", name="Support Chat", language="en")
for n in range({TURNS}):
    t.track_human_message(f"Question {{n}}: where is my parcel, and when will it be here?")
    t.track_agent_message(f"Answer {{n}}: it is on its way, and will be with you tomorrow before noon.")
print(t.send_tracked_data()["summary"])
"""


def main(original: str) -> None:
    folder = tempfile.TemporaryDirectory()
    command = Path(sys.executable).with_name("agentsight")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = "127.0.0.1:%d" % probe.getsockname()[1]
    data = f"{folder.name}/data"
    key = "ags_" + "5eed" * 8 + "_c0ffee"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTSIGHT_")}
    server = subprocess.Popen(
        [command, "serve", "--listen", address, "--data-dir", data],
        env=clean | {"AGENTSIGHT_BOOTSTRAP_API_KEY": key}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        server.stdout.readline()
        quiet = clean | {"AGENTSIGHT_LOG_LEVEL": "CRITICAL", "NO_PROXY": "*"}
        http = quiet | {"AGENTSIGHT_API_ENDPOINT": f"http://{address}", "AGENTSIGHT_API_KEY": key}
        local = quiet | {"AGENTSIGHT_API_ENDPOINT": f"file://{folder.name}/local"}
        for env in (http, local):
            subprocess.run([sys.executable, "-c", FILL], env=env, check=True, stdout=subprocess.DEVNULL)
        ways = {"original, HTTP": (original, http), "ours, HTTP": (sys.executable, http), "ours, in process": (sys.executable, local)}
        workers = {
            way: subprocess.Popen(
                [python, "-c", WORKER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for way, (python, env) in ways.items()
        }
        rates: "dict[str, list[float]]" = {way: [] for way in ways}
        for worker in workers.values():
            ask(worker, 0.3)
        for _ in range(ROUNDS):
            for way, worker in workers.items():
                rates[way].append(ask(worker, SECONDS))
        base = statistics.median(rates["original, HTTP"])
        for way, seen in rates.items():
            rate = statistics.median(seen)
            print(f"{way:18} {rate:9.0f} calls/s  {rate / base:5.1f} x   ({min(seen):.0f} to {max(seen):.0f})")
        for worker in workers.values():
            worker.communicate()
    finally:
        server.terminate()
        server.wait()
        folder.cleanup()


def ask(worker: "subprocess.Popen[str]", seconds: float) -> float:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(f"{seconds}\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


if __name__ == "__main__":
    main(sys.argv[1])
