"""The same scenes with our package over HTTP and in process, and with the original SDK over HTTP: the same results."""

import ast
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import HERE, ORIGINAL, run_python

SCRIPT = HERE / "behaviour.py"
SCENES = [
    node.name
    for node in ast.parse(SCRIPT.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]


@pytest.fixture(scope="module")
def played(server, tmp_path_factory):
    if not ORIGINAL:
        raise pytest.UsageError("AGENTSIGHT_TEST_ORIGINAL_PYTHON must name a Python with the original SDK")
    over_http = lambda name: {
        "AGENTSIGHT_API_ENDPOINT": server.endpoint, "AGENTSIGHT_API_KEY": server.create_key(name, "write"),
    }  # fmt: skip
    ways = {
        "original": ({"python": ORIGINAL}, over_http("three-original")),
        "http": ({}, over_http("three-http")),
        "in process": ({}, {"AGENTSIGHT_API_ENDPOINT": f"file://{tmp_path_factory.mktemp('store')}"}),
    }
    with ThreadPoolExecutor() as pool:
        running = {way: pool.submit(run_python, SCRIPT, **python, **env) for way, (python, env) in ways.items()}
        return {way: json.loads(run.result()) for way, run in running.items()}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("way", ["http", "in process"])
def test_a_scene_gives_what_the_original_gives(played, way, scene):
    assert "scene broke off" not in played["original"][scene]
    assert played[way][scene] == played["original"][scene]
