"""What the package makes of trouble: stores, spools, servers and processes that do not behave."""

import asyncio
import copy
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading

import pytest

import agentsight
from agentsight import AgentSightAPI
from agentsight.exceptions import (
    CannotOpenException,
    ConversationApiException,
    ConversationNetworkException,
    InvalidApiKeyException,
    InvalidConversationDataException,
    NoApiKeyException,
    NotFoundException,
)
from conftest import NOBODY, Clients, run_python
from server import _free_port

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


# ── Stores ──


def test_a_folder_of_any_name_is_opened_by_its_address(tmp_path):
    folder = tmp_path / "mit Leerzeichen # ? ü %41"
    Clients(endpoint=folder.as_uri()).say("named", "hello")

    assert (folder / "agentsight.db").exists()


@posix
def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir(mode=0o500)
    script = (
        "import os, sys\n"
        "from agentsight import AgentSightAPI\n"
        "api = AgentSightAPI.separate(endpoint=sys.argv[1])\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: api.fetch_conversation(1)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = run_python(script, folder.as_uri())

    assert said.startswith("CannotOpenException ") and said.count("\n") == 1
    assert f"data folder {folder} cannot be written: Permission denied" in said


@posix
def test_a_store_that_another_program_locks_is_read_and_keeps_what_it_cannot_write(tmp_path):
    clients = Clients(endpoint=f"file://{tmp_path}/store")
    clients.say("locked", "one")
    hold = (
        "import sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('begin immediate'); print('locked', flush=True); sys.stdin.read(); database.rollback()"
    )
    # A process of its own: locks on files do not stand between threads of one process.
    command = [sys.executable, "-c", hold, tmp_path / "store" / "agentsight.db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert clients.texts("locked") == ["one"]
        clients.tracker.track_human_message("two")
        opened = []
        opening = threading.Thread(
            target=lambda: opened.append(
                pytest.raises(CannotOpenException, Clients(endpoint=f"file://{tmp_path}/store?agent=new").api.fetch_conversation, 1)
            )
        )
        opening.start()
        sent = clients.tracker.send_tracked_data()
        opening.join()
        holder.stdin.close()

    assert [(item["success"], item["kept"], item["error"]) for item in sent["items"]] == [
        (False, True, "API error for question (503): The database is not available, try again later."),
    ]
    assert str(opened[0].value).endswith("the database is not available: it is locked by another program")
    assert clients.tracker.send_tracked_data()["summary"]["errors"] == 0
    assert clients.texts("locked") == ["one", "two"]


@posix
def test_a_forked_child_writes_on_when_its_parent_has_closed_the_store(tmp_path):
    script = (
        "import gc, os, sys\n"
        "from agentsight import AgentSightAPI, ConversationTracker\n"
        "def say(text):\n"
        "    tracker.get_or_create_conversation('fork'); tracker.track_human_message(text)\n"
        "    assert tracker.send_tracked_data()['summary']['errors'] == 0\n"
        "tracker = ConversationTracker.separate(endpoint=sys.argv[1])\n"
        "say('before')\n"
        "to_parent, to_child = os.pipe(), os.pipe()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    say('child'); os.write(to_parent[1], b'x'); os.read(to_child[0], 1); say('orphan'); os._exit(0)\n"
        "os.read(to_parent[0], 1); say('parent')\n"
        "del tracker; gc.collect(); os.write(to_child[1], b'x')\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    run_python(script, f"file://{tmp_path}/store")

    texts = Clients(endpoint=f"file://{tmp_path}/store").texts("fork")

    assert sorted(texts) == ["before", "child", "orphan", "parent"]


@posix
def test_a_fork_waits_for_the_requests_of_other_threads(tmp_path):
    script = (
        "import os, sys, threading\n"
        "from agentsight import AgentSightAPI, ConversationTracker\n"
        "tracker = ConversationTracker.separate(endpoint=sys.argv[1]); api = AgentSightAPI.separate(endpoint=sys.argv[1])\n"
        "tracker.get_or_create_conversation('busy'); tracker.track_human_message('hello'); tracker.send_tracked_data()\n"
        "stop, counts = threading.Event(), []\n"
        "def read():\n"
        "    count = 0\n"
        "    while not stop.is_set(): api.fetch_conversation('busy'); count += 1\n"
        "    counts.append(count)\n"
        "threads = [threading.Thread(target=read) for _ in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for _ in range(10):\n"
        "    child = os.fork()\n"
        "    if child == 0: os._exit(len(api.fetch_conversation('busy')['messages']))\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1\n"
        "stop.set()\n"
        "for thread in threads: thread.join()\n"
        "assert len(counts) == 3 and all(counts)\n"
    )
    run_python(script, f"file://{tmp_path}/store")


# ── Settings ──


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"api_key": "wrong"}, InvalidApiKeyException, "ags_"),
        ({"endpoint": "http://127.0.0.1:9"}, NoApiKeyException, "AGENTSIGHT_API_KEY"),
        ({"endpoint": "http://[half"}, CannotOpenException, "is not an address"),
        ({"endpoint": "file:///a#b"}, CannotOpenException, "%23"),
        ({"endpoint": "file:///a?agnet=x"}, CannotOpenException, "?agent=name"),
        ({"endpoint": "file:///a?agent="}, CannotOpenException, "?agent=name"),
        ({"endpoint": "file:///a%00b"}, CannotOpenException, "names no folder"),
        ({"timeout_s": -1}, ValueError, "timeout_s"),
        ({"timeout_s": float("nan")}, ValueError, "timeout_s"),
        ({"timeout_s": "15"}, ValueError, "timeout_s"),
        ({"retries": 1.5}, ValueError, "retries"),
        ({"retries": -1}, ValueError, "retries"),
        ({"backoff_s": float("inf")}, ValueError, "backoff_s"),
    ],
)
def test_a_refused_change_leaves_the_settings_as_they_were(tmp_path, change, error, said):
    clients = Clients(endpoint=f"file://{tmp_path}/store")
    before = copy.copy(vars(clients.api.config))

    with pytest.raises(error) as caught:
        clients.api.configure(**change)

    assert said in str(caught.value)
    assert vars(clients.api.config) == before


def test_a_level_of_the_log_may_be_a_number_as_logging_has_it():
    from agentsight.enums import LogLevel

    assert [LogLevel.from_string(level) for level in (10, 30, 15, "debug", "loud", None)] == [
        LogLevel.DEBUG, LogLevel.WARNING, LogLevel.INFO, LogLevel.DEBUG, LogLevel.INFO, LogLevel.INFO,
    ]  # fmt: skip


# ── Copies ──


def test_a_client_is_copied_as_itself(tmp_path):
    for client in (agentsight.agentsight_api, Clients(endpoint=f"file://{tmp_path}/store").tracker):
        assert copy.copy(client) is client and copy.deepcopy({"tools": [client]})["tools"][0] is client


def test_the_object_of_the_class_is_pickled_as_the_object_of_the_class():
    assert pickle.loads(pickle.dumps(agentsight.conversation_tracker)) is agentsight.conversation_tracker


def test_a_client_goes_to_another_process_with_its_settings(tmp_path):
    clients = Clients(endpoint=f"file://{tmp_path}/store")
    clients.say("pickled", "hello")

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        conversation = pool.apply(clients.api.fetch_conversation, ("pickled",))

    assert [message["content"] for message in conversation["messages"]] == ["hello"]


# ── Spools ──

GARBAGE = [
    b"", b"{", b"\xff", b"5", b"[]", b"{}", b"[" * 100_000,
    b'{"kind": "question", "timestamp": "", "call": {"body": 5}, "files": null, "message": null}',
    b'{"kind": "question", "timestamp": "", "call": {"method": 5, "path": "/", "content_type": "", "body": ""}, "files": null, "message": null}',
    b'{"kind": "question", "timestamp": "", "call": null, "files": {"attachments": [], "mode": "form_data"}, "message": 1}',
    b'{"kind": "question", "timestamp": "", "call": null, "files": null, "message": "1"}',
]  # fmt: skip


def test_what_is_no_item_is_set_aside_and_does_not_keep_the_rest_from_being_sent(server, key, tmp_path):
    clients = Clients(endpoint=f"http://127.0.0.1:{_free_port()}", api_key=key, retries=0, spool_dir=str(tmp_path))
    clients.say("spool-garbage", "kept")
    for number, garbage in enumerate(GARBAGE):
        (tmp_path / f"0-{number}.json").write_bytes(garbage)
    clients.tracker.configure(endpoint=server.endpoint)

    assert clients.tracker.replay() == {"sent": 2, "refused": len(GARBAGE), "waiting": 0}
    assert len(list((tmp_path / "refused").glob("*.reason"))) == len(GARBAGE)


@posix
def test_a_spool_on_a_full_disk_leaves_items_in_memory(tmp_path):
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from agentsight import ConversationTracker\n"
        "folder = Path(sys.argv[1]); waiting = lambda: len(list(folder.glob('*.json')))\n"
        "tracker = ConversationTracker.separate(endpoint=sys.argv[2], api_key=sys.argv[3], retries=0, spool_dir=str(folder))\n"
        "tracker.get_or_create_conversation('full'); tracker.track_human_message('hello')\n"
        "_, most = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))\n"
        "assert [item['kept'] for item in tracker.send_tracked_data()['items']] == [True, True]\n"
        "assert list(folder.glob('.[0-9]*')) == [] and waiting() == 0\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "assert [item['kept'] for item in tracker.send_tracked_data()['items']] == [True, True] and waiting() == 2\n"
    )
    run_python(script, str(tmp_path), f"http://127.0.0.1:{_free_port()}", NOBODY)


def test_a_spool_folder_that_is_gone_is_one_sentence_and_loses_nothing(server, key, tmp_path):
    spool = tmp_path / "spool"
    clients = Clients(endpoint=server.endpoint, api_key=key, spool_dir=str(spool))
    shutil.rmtree(spool)
    with pytest.raises(agentsight.exceptions.SpoolException, match="spool folder .* cannot be written"):
        clients.say("spool-gone", "one")

    (spool / "refused").mkdir(parents=True)
    clients.tracker.track_human_message("two")

    assert clients.tracker.send_tracked_data()["summary"]["errors"] == 0
    assert clients.texts("spool-gone") == ["one", "two"]


# ── Interruptions ──


@posix
def test_what_ctrl_c_cut_short_can_be_sent_at_once(server, key):
    script = (
        "import os, signal, socket, sys, threading\n"
        "from agentsight import ConversationTracker\n"
        "silent = socket.create_server(('127.0.0.1', 0)); taken = []\n"
        "def interrupt(): taken.append(silent.accept()); os.kill(os.getpid(), signal.SIGINT)\n"
        "tracker = ConversationTracker.separate(endpoint='http://127.0.0.1:%d' % silent.getsockname()[1], api_key=sys.argv[2])\n"
        "tracker.get_or_create_conversation('ctrl-c'); tracker.track_human_message('hello')\n"
        "threading.Thread(target=interrupt).start()\n"
        "try: tracker.send_tracked_data()\n"
        "except KeyboardInterrupt as interrupted:\n"
        "    tracker.configure(endpoint=sys.argv[1])\n"
        "    print([item['success'] for item in tracker.send_tracked_data()['items']])\n"
    )
    assert run_python(script, server.endpoint, key) == "[True, True]\n"


def test_a_send_that_was_cancelled_can_be_sent_at_once(server, key):
    async def play():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.setblocking(False)
            clients = Clients(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", api_key=key)
            clients.tracker.get_or_create_conversation("cancelled")
            clients.tracker.track_human_message("hello")
            sending = asyncio.ensure_future(clients.tracker.asend_tracked_data())
            connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            connection.close()
        clients.tracker.configure(endpoint=server.endpoint)
        return await clients.tracker.asend_tracked_data()

    assert asyncio.run(play())["summary"]["errors"] == 0
    assert Clients(endpoint=server.endpoint, api_key=key).texts("cancelled") == ["hello"]


def test_a_program_ends_quietly_whatever_is_still_going_on(tmp_path):
    script = (
        "import asyncio, sys, threading\n"
        "from agentsight import *\n"
        "t = conversation_tracker; t.get_or_create_conversation('end'); t.track_human_message('sent'); t.send_tracked_data()\n"
        "t.track_human_message('never sent')\n"
        "async def main():\n"
        "    for _ in range(50): asyncio.ensure_future(agentsight_api.afetch_conversation('end'))\n"
        "    await asyncio.sleep(0)\n"
        "threading.Thread(target=lambda: [agentsight_api.fetch_conversation('end') for _ in range(100)], daemon=True).start()\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60,
        env=os.environ | {"AGENTSIGHT_API_ENDPOINT": f"file://{tmp_path}/store"},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_many_tasks_and_threads_share_a_client(clients):
    clients.say("shared", "hello")

    async def many():
        return await asyncio.gather(*(clients.api.afetch_conversation("shared") for _ in range(300)))

    seen = []
    threads = [
        threading.Thread(target=lambda: seen.extend(clients.texts("shared") for _ in range(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    awaited = asyncio.run(many())
    for thread in threads:
        thread.join()

    assert seen == [["hello"]] * 80 and {len(one["messages"]) for one in awaited} == {1}


# ── Servers ──


def said(status, body, length=None):
    """An answer that ends its connection."""
    head = f"HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {len(body) if length is None else length}"
    return f"{head}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"", ConversationNetworkException, "no answer from http://127.0.0.1:"),
        (b"SSH-2.0-OpenSSH\r\n", ConversationNetworkException, "no answer from http://127.0.0.1:"),
        (said(200, b"{", length=99), ConversationNetworkException, "no answer from http://127.0.0.1:"),
        (said(200, b"<html>"), ConversationNetworkException, "no AgentSight server"),
        (said(200, b"[]"), ConversationApiException, "no AgentSight server"),
        (said(301, b""), ConversationApiException, "redirects"),
        (said(502, b"<html>\nbad\n"), ConversationApiException, "(502): <html> bad"),
    ],
)
def test_an_answer_that_is_none_of_ours_is_one_sentence(answer, error, text):
    with Speaker(answer) as speaker:
        clients = Clients(endpoint=speaker.endpoint, api_key=NOBODY, retries=0)
        for fetch in (lambda: clients.api.fetch_conversation("name"), clients.api.fetch_conversations):
            with pytest.raises(error) as caught:
                fetch()
            assert text in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_gateway_answers_for_the_server_is_not_taken_for_stored(server, key):
    with Speaker(said(200, b"<html>")) as speaker:
        clients = Clients(endpoint=speaker.endpoint, api_key=key, retries=0)
        assert [item["kept"] for item in clients.say("gateway", "hello")["items"]] == [True, True]
    clients.tracker.configure(endpoint=server.endpoint)

    assert clients.tracker.send_tracked_data()["summary"]["errors"] == 0


@pytest.mark.parametrize("end", ["", "/"])
def test_a_slash_at_the_end_of_an_address_changes_nothing(server, key, end):
    clients = Clients(endpoint=server.endpoint + end, api_key=key)
    clients.say("slash", "hello")

    assert clients.texts("slash") == ["hello"]


class Speaker:
    """A server that says the same to everybody and hangs up."""

    def __init__(self, answer):
        self.answer, self.socket = answer, socket.create_server(("127.0.0.1", 0))
        self.endpoint = "http://127.0.0.1:%d" % self.socket.getsockname()[1]

    def __enter__(self):
        self.thread = threading.Thread(target=self.speak, daemon=True)
        self.thread.start()
        return self

    def speak(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer)

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


# ── Data ──


def test_an_id_of_nothing_but_nul_finds_nothing(clients):
    clients.say("some", "hello")
    with pytest.raises(NotFoundException):
        clients.api.fetch_conversation("\0")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda tracker: tracker.track_action(5), "Action name must be a string, got int"),
        (lambda tracker: tracker.track_button("e", b"l", "v"), "Button label must be a string, got bytes"),
        (lambda tracker: tracker.track_token_usage(1, "many"), "Token counts must be whole numbers"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name_and_nothing_is_kept(tmp_path, call, said):
    tracker = Clients(endpoint=f"file://{tmp_path}/store").tracker
    with pytest.raises(InvalidConversationDataException, match=said):
        call(tracker)
    assert tracker.get_tracked_data_summary()["items"] == [] and not any(tracker.get_token_usage().values())


def test_metadata_without_a_form_in_json_is_refused_by_name_and_nothing_is_sent(clients):
    clients.say("data-1", "hello")
    deep = {}
    for _ in range(100_000):
        deep = {"deeper": deep}
    for metadata in ({"a": b"bytes"}, {"a": float("nan")}, {("a", 1): 1}, deep):
        with pytest.raises(InvalidConversationDataException, match="cannot be written as JSON"):
            clients.manager.submit_feedback("data-1", "positive", metadata=metadata)
    assert clients.api.fetch_conversation("data-1")["feedbacks"] == []
