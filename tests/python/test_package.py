"""What our package has beyond the original, and what it says when something is wrong."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

import agentsight
from agentsight import AgentSightAPI
from agentsight.exceptions import (
    CannotOpenException,
    ConversationNetworkException,
    InvalidApiKeyException,
    NoApiKeyException,
    UnauthorizedException,
)
from conftest import COMMAND, HERE, NOBODY, Clients, run_python
from server import Server, _free_port

def test_everything_can_be_awaited(clients):
    async def play():
        clients.tracker.get_or_create_conversation("async-1")
        clients.tracker.track_human_message("hello", [{"filename": "a", "mime_type": "text/plain", "data": "YQ=="}])
        sent = await clients.tracker.asend_tracked_data()
        await clients.tracker.ainitialize_conversation("async-2", language="en")
        await clients.manager.arename_conversation("async-1", "Named")
        await clients.manager.amark_conversation("async-1", True)
        await clients.manager.aupdate_conversation("async-1", device="mobile")
        await clients.manager.asubmit_feedback("async-1", "positive")
        both = await asyncio.gather(*(clients.api.afetch_conversation(name) for name in ("async-1", "async-2")))
        page = await clients.api.afetch_conversations(device="mobile")
        files = await clients.api.afetch_conversation_attachments("async-1")
        walked = [one["conversation_id"] async for one in clients.api.aiter_conversations(page_size=1)]
        await clients.manager.adelete_conversation("async-2")
        return sent, both, page, files, walked

    sent, (one, two), page, files, walked = asyncio.run(play())

    assert sent["summary"] == {"questions": 1, "answers": 0, "attachments": 0, "actions": 0, "buttons": 0, "errors": 0}
    assert (one["name"], one["is_marked"], len(one["feedbacks"]), two["language"]) == ("Named", True, 1, "en")
    assert page["count"] == 1 and files["total_attachments"] == 1
    assert walked == ["async-2", "async-1"]


def test_an_iterator_walks_over_all_pages(clients):
    for number in range(5):
        clients.say(f"walk-{number}", "hello")

    walked = [one["conversation_id"] for one in clients.api.iter_conversations(page_size=2)]

    assert walked == [f"walk-{number}" for number in reversed(range(5))]


def test_a_file_can_be_read_back(clients):
    clients.tracker.get_or_create_conversation("file-1")
    clients.tracker.track_attachments([{"filename": "a.bin", "data": bytes(range(256))}], mode="form_data")
    clients.tracker.send_tracked_data()

    attachment = clients.api.fetch_conversation_attachments("file-1")["attachments"][0]

    assert clients.api.download(attachment["file_url"]) == bytes(range(256))


def test_token_counts_begin_anew_with_each_send_and_are_booked_as_increments(clients):
    booked = []
    for number, counts in enumerate([(30, 12, 42), (40, 20, 60)]):
        clients.tracker.track_token_usage(*counts)
        clients.say(f"tokens-{number}", "question")
        assert set(clients.tracker.get_token_usage().values()) == {0}
        pk = clients.api.fetch_conversation(f"tokens-{number}")["id"]
        booked.append(clients.api.fetch_conversation(pk)["token_usage"]["totals"]["total_tokens"])
    clients.say("tokens-none", "question")

    assert booked == [42, 60]
    assert clients.texts("tokens-none") == ["question"]


def test_what_could_not_be_sent_is_kept_and_sent_once(server, key, door):
    clients = Clients(endpoint=door.endpoint, api_key=key, retries=0)
    first = clients.say("kept-1", "one", "two")
    door.status, door.behind = None, server.endpoint
    clients.tracker.track_human_message("three")
    second = clients.tracker.send_tracked_data()

    assert [item.get("kept") for item in first["items"]] == [True] * 3 and first["summary"]["errors"] == 3
    assert [item["success"] for item in second["items"]] == [True] * 4
    assert clients.texts("kept-1") == ["one", "two", "three"]


def test_a_send_takes_the_conversation_first_and_the_rest_at_once(server, key, door):
    door.status, door.behind = None, server.endpoint
    clients = Clients(endpoint=door.endpoint, api_key=key)
    clients.say("order-1", *map(str, range(12)))

    assert door.seen[0][0] == "/api/conversations/" and len(door.seen) == 13
    assert clients.texts("order-1") == list(map(str, range(12)))


def test_a_spool_keeps_what_cannot_be_sent_and_replays_it_in_order(server, key, door, tmp_path):
    settings = {"endpoint": door.endpoint, "api_key": key, "retries": 0, "spool_dir": str(tmp_path)}
    waiting = lambda: len(list(tmp_path.glob("*.json")))
    clients = Clients(**settings)
    png = {"filename": "a.png", "data": b"\x89PNG\r\n\x1a\n"}
    clients.tracker.get_or_create_conversation("spool-1", environment="production")
    clients.tracker.track_human_message("one", [png], "form_data")
    clients.tracker.send_tracked_data()
    clients.tracker.track_action("timed", started_at="not a time")
    clients.tracker.track_agent_message("two")
    clients.tracker.send_tracked_data()
    clients.tracker.initialize_conversation("spool-2")
    assert waiting() == 5 and len(door.seen) == 3, "behind what waits nothing is tried"

    door.status, door.behind = None, server.endpoint
    another = Clients(**settings)
    assert another.tracker.replay() == {"sent": 4, "refused": 1, "waiting": 0}

    conversation = another.api.fetch_conversation("spool-1")
    assert [message["content"] for message in conversation["messages"]] == ["one", "two"]
    assert len(conversation["messages"][0]["attachments"]) == 1 and conversation["environment"] == "production"
    assert another.api.fetch_conversation("spool-2")["is_used"] is False
    (reason,) = (tmp_path / "refused").glob("*.reason")
    assert "started_at" in reason.read_text()
    assert waiting() == 0


def test_several_processes_use_one_store_at_once(tmp_path):
    script = (
        "import sys; from agentsight import *\n"
        "for n in range(20):\n"
        "    conversation_tracker.get_or_create_conversation('shared'); conversation_tracker.track_human_message(sys.argv[1] + str(n))\n"
        "    assert conversation_tracker.send_tracked_data()['summary']['errors'] == 0\n"
    )
    endpoint = f"sqlite://{tmp_path}/store"
    environment = os.environ | {"AGENTSIGHT_API_ENDPOINT": endpoint}
    running = [subprocess.Popen([sys.executable, "-c", script, name], env=environment) for name in "abc"]
    assert [process.wait(60) for process in running] == [0, 0, 0]

    texts = Clients(endpoint=endpoint).texts("shared")

    assert sorted(texts) == sorted(f"{name}{number}" for name in "abc" for number in range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_the_store_anew(tmp_path):
    script = (
        "import os; from agentsight import *\n"
        "t = conversation_tracker; t.get_or_create_conversation('fork'); t.track_human_message('parent'); t.send_tracked_data()\n"
        "child = os.fork()\n"
        "t.track_human_message('child' if child == 0 else 'after'); t.send_tracked_data()\n"
        "if child == 0: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(sorted(m['content'] for m in agentsight_api.fetch_conversation('fork')['messages']))"
    )
    said = run_python(script, AGENTSIGHT_API_ENDPOINT=f"file://{tmp_path}/store")
    assert said.strip() == "['after', 'child', 'parent']"


def test_agents_of_one_folder_do_not_see_one_another(tmp_path):
    mine, other = (Clients(endpoint=f"file://{tmp_path}?agent={name}") for name in ("mine", "other"))
    mine.say("private", "hello")

    assert mine.api.fetch_conversations()["count"] == 1
    assert other.api.fetch_conversations()["count"] == 0


def test_what_the_rules_name_is_never_kept_in_process(tmp_path, monkeypatch):
    rules = tmp_path / "rules.toml"
    monkeypatch.setenv("AGENTSIGHT_REDACTION_RULES", str(rules))
    rules.write_text('[[rule]]\nname = "email"\n')
    clients = Clients(endpoint=f"file://{tmp_path}/store")
    clients.say("c", "I am jane@x.example")
    assert clients.texts("c") == ["I am [email]"]

    rules.write_text('[[rule]]\nname = "order"\npattern = "ORD-("\n')
    with pytest.raises(CannotOpenException, match='rule "order": unclosed group'):
        AgentSightAPI.separate(endpoint=f"file://{tmp_path}/another").fetch_conversation("c")


def test_other_threads_go_on_while_a_request_waits():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = AgentSightAPI.separate(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", api_key=NOBODY, retries=0)
        asking = threading.Thread(target=lambda: pytest.raises(ConversationNetworkException, api.fetch_conversation, 1))
        asking.start()
        # Reached only by a thread that runs while the other waits.
        silent.accept()[0].close()
        asking.join(20)
        assert not asking.is_alive()


def test_importing_needs_no_key_and_the_first_call_says_what_is_missing():
    said = run_python(
        "from agentsight import agentsight_api, conversation_tracker, conversation_manager\n"
        "from agentsight.exceptions import *\n"
        "for call in (lambda: agentsight_api.fetch_conversation('x'), lambda: conversation_manager.delete_conversation('x')):\n"
        "    try: call()\n"
        "    except NoApiKeyException as e: print(e)\n"
    )
    assert said.count("AGENTSIGHT_API_KEY") == 2


def test_the_objects_of_the_import_are_the_ones_that_the_classes_give():
    assert AgentSightAPI(endpoint="http://127.0.0.1:9", api_key=NOBODY) is agentsight.agentsight_api
    assert agentsight.agentsight_api.config.endpoint == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"api_key": "secret-key"}, InvalidApiKeyException, "ags_, 32 hex digits"),
        ({"endpoint": "http://127.0.0.1:9"}, NoApiKeyException, "AGENTSIGHT_API_KEY"),
        ({"endpoint": "file:///"}, CannotOpenException, "names no folder"),
        ({"endpoint": "file://host/folder"}, CannotOpenException, "names no folder"),
    ],
)
def test_a_wrong_setting_is_refused_when_it_is_given(settings, error, said):
    with pytest.raises(error) as caught:
        AgentSightAPI.separate(**settings)
    assert said in str(caught.value) and "secret" not in str(caught.value)


def test_a_store_that_cannot_be_opened_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    Clients(endpoint=f"file://{tmp_path}/newer").say("c", "x")
    for path, said in (("file", "folder|directory|data"), ("file/under", "folder|directory|data")):
        with pytest.raises(CannotOpenException) as caught:
            AgentSightAPI.separate(endpoint=f"file://{tmp_path}/{path}").fetch_conversation("c")
        assert re.search(said, str(caught.value)) and "\n" not in str(caught.value)


def test_a_newer_store_is_refused(tmp_path):
    import gc
    import sqlite3

    Clients(endpoint=f"file://{tmp_path}/newer").say("c", "x")
    gc.collect()
    with sqlite3.connect(tmp_path / "newer" / "agentsight.db") as connection:
        connection.execute("insert into migrations (version, name, applied_at) values (9999, 'later', 0)")
    with pytest.raises(CannotOpenException) as caught:
        AgentSightAPI.separate(endpoint=f"file://{tmp_path}/newer").fetch_conversation("c")
    assert "newer" in str(caught.value)


def test_an_unknown_key_and_an_absent_server(server):
    with pytest.raises(UnauthorizedException) as refused:
        AgentSightAPI.separate(endpoint=server.endpoint, api_key=NOBODY).fetch_conversation("c")
    with pytest.raises(ConversationNetworkException):
        AgentSightAPI.separate(endpoint=f"http://127.0.0.1:{_free_port()}", api_key=NOBODY, retries=0).fetch_conversation(1)
    assert refused.value.status_code == 401


@pytest.mark.parametrize(
    "text",
    ["0", "-1.5e3", "1e400", "18446744073709551616", '"\\u00e9\\ud83d\\ude42\\n\\"/"', "[]", "{}", '[1, [2, {"a": null}], true]', '{"a": {"a": false}}', '" 🙂 "'],
)
def test_json_is_read_as_python_reads_it(text):
    assert repr(agentsight._native.loads(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "[", "[1,]", "{", '{"a"}', "{1: 2}", '"', '"\\x"', "tru", "1 2", "--1", "[" * 600, "\xff"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):
        agentsight._native.loads(text.encode("latin-1"))


def test_the_command_is_the_server(server):
    version = subprocess.run([COMMAND, "--version"], capture_output=True, text=True)
    wrong = subprocess.run([COMMAND, "fly"], capture_output=True, text=True)
    failed = subprocess.run([COMMAND, "key", "list", "--data-dir", os.devnull], capture_output=True, text=True)

    assert (version.returncode, version.stdout) == (0, f"agentsight {agentsight.__version__}\n")
    assert wrong.returncode == 2 and "fly" in wrong.stderr
    assert failed.returncode == 1 and failed.stderr.startswith("agentsight: ")


def test_ctrl_c_stops_the_command_in_order(tmp_path):
    server = Server(COMMAND, tmp_path)
    server.start()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0, server.said()


def test_the_types_hold_for_a_sample():
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, HERE / "typed_sample.py"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_example_prints_what_the_readme_shows(tmp_path):
    example = HERE.parents[1] / "crates/python/examples/seed.py"
    said = run_python(example, AGENTSIGHT_API_ENDPOINT=f"file://{tmp_path}/store")
    assert said == "Conversation: Support Chat\nMessages: 2\nFeedbacks: 1\n"
