"""The way to the server: what travels, what happens where it is cut, and who may use it."""

import gzip
import logging
import threading

import agentsight
import pytest
from agentsight.exceptions import AuthenticationError, PermissionDeniedError

from bots import Bot, awaited

WRONG_KEY = "ags_" + "0" * 32 + "_000000"

# More than the SDK compresses (8 192 bytes), on a thread of the SDK's own that has asked `/api/me/` first.
LARGE_EXCHANGE = """
import threading

import agentsight

agentsight.init(auto_instrument=False)
for thread in threading.enumerate():
    if thread.name == "agentsight-preflight":
        thread.join()
with agentsight.conversation("packed"), agentsight.turn():
    agentsight.user_message("long " * 3000)
    agentsight.agent_message("short")
"""


def test_the_sdk_says_who_it_is(new_bot, relay):
    new_bot(relay.endpoint).track().exchange("headers")

    (batch,) = relay.batches()
    assert batch.headers["user-agent"] == "agentsight-python/0.1.4"
    assert batch.headers["content-type"] == "application/json"
    assert batch.json()["sdk"] == {"name": "agentsight-python", "version": "0.1.4"}


def test_the_server_says_that_it_reads_gzip(bot):
    assert bot.api.me()["capabilities"] == ["gzip-ingest"]


def test_a_large_batch_comes_packed_and_is_read(new_bot, relay):
    bot = new_bot(relay.endpoint)
    bot.run(LARGE_EXCHANGE)

    (batch,) = relay.batches()
    assert (batch.headers["content-encoding"], batch.status) == ("gzip", 200)
    assert len(batch.body) < 8_192
    assert bot.said("packed") == [("end_user", "long " * 3000), ("agent", "short")]


def test_a_packed_batch_is_read_also_from_a_client_that_was_not_told(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    bot.exchange("plain")
    (batch,) = relay.batches()
    packed = gzip.compress(batch.body.replace(b'"plain"', b'"packed"'))

    answer = bot.request("POST", "/api/ingest/", data=packed, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 200, answer.text
    assert bot.said("packed") == bot.said("plain")


def test_a_read_key_leaves_nothing_and_does_not_disturb_the_application(keys_of_one_agent, caplog):
    writer, reader = keys_of_one_agent
    reader.track()

    with agentsight.conversation("by-a-reader"), agentsight.turn():
        agentsight.user_message("hello")
    reader.flush()

    assert writer.api.conversations.list(include_deleted=True).count() == 0
    assert "ingest rejected batch (403)" in caplog.text


def test_a_wrong_key_leaves_nothing_and_does_not_disturb_the_application(server, relay, caplog):
    stranger = Bot(relay.endpoint, WRONG_KEY).track()

    with agentsight.conversation("by-a-stranger"), agentsight.turn():
        agentsight.user_message("hello")
    stranger.flush()
    stranger.close()

    (batch,) = relay.batches()
    assert batch.status == 401
    assert "ingest rejected batch (401)" in caplog.text
    with pytest.raises(AuthenticationError, match="Invalid API key"):
        stranger.api.me()


def test_the_sdk_tells_at_its_start_that_a_key_is_wrong_or_only_reads(server, keys_of_one_agent, caplog):
    _, reader = keys_of_one_agent
    for key, complaint in ((WRONG_KEY, "was refused"), (reader.key, "has the read role")):
        Bot(server.endpoint, key).track(verify_key=True)
        awaited(lambda: complaint in caplog.text)
        agentsight.shutdown()

    assert [record.levelname for record in caplog.records if record.levelno > logging.WARNING] == ["ERROR", "ERROR"]


def test_a_read_key_reads_and_is_refused_what_changes(keys_of_one_agent):
    writer, reader = keys_of_one_agent
    writer.track().exchange("shared")

    assert reader.said("shared") == writer.said("shared")
    assert reader.spans("shared") == writer.spans("shared")
    for attempt in (
        lambda: reader.api.conversations.rename("shared", "name"),
        lambda: reader.api.conversations.mark("shared"),
        lambda: reader.api.conversations.update("shared", device="mobile"),
        lambda: reader.api.conversations.update_metadata("shared", {"plan": "pro"}),
        lambda: reader.api.conversations.delete("shared"),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()
    assert writer.conversation("shared")["name"] is None


def test_another_agent_sees_nothing_of_it(bot, new_bot):
    pk = bot.exchange("mine")
    (span,) = bot.spans("mine")
    stranger = new_bot()

    assert stranger.api.conversations.list().count() == 0
    assert stranger.api.spans.list().count() == 0
    assert stranger.api.usage.list().count() == 0
    for attempt in (
        lambda: stranger.api.conversations.get(pk),
        lambda: stranger.api.conversations.get("mine"),
        lambda: stranger.api.spans.get(span["id"]),
        lambda: stranger.api.spans.trace(span["trace_id"]),
        lambda: stranger.api.conversations.delete(pk),
    ):
        with pytest.raises(agentsight.NotFoundError):
            attempt()


def test_the_same_conversation_id_of_two_agents_is_two_conversations(new_bot):
    for content in ("of one", "of the other"):
        bot = new_bot().track()
        bot.exchange("same-id", content)
        assert bot.said("same-id")[0] == ("end_user", content)


def test_a_batch_that_was_cut_on_its_way_is_sent_again(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    relay.cut_before()

    bot.exchange("cut-before")

    assert [batch.status for batch in relay.batches()] == [None, 200]
    assert bot.said("cut-before") == [("end_user", "hello"), ("agent", "good day")]


def test_a_batch_whose_answer_was_lost_is_sent_again_and_stored_once(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    with agentsight.conversation("cut-after"), agentsight.turn():
        agentsight.user_message("hello")
        agentsight.tool(lambda: "found", name="lookup")()
        agentsight.agent_message("good day")
    relay.cut_after()
    bot.flush()

    first, again = relay.batches()
    assert (first.status, again.status, first.body) == (None, 200, again.body)
    assert bot.said("cut-after") == [
        ("end_user", "hello"),
        ("agent", "Action lookup performed"),
        ("agent", "good day"),
    ]
    assert bot.api.spans.list().count() == 2


def test_a_server_that_is_overloaded_is_asked_again(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    relay.answer(503)
    relay.answer(429, {"Retry-After": "0"})

    bot.exchange("overloaded")

    assert [batch.status for batch in relay.batches()] == [503, 429, 200]
    assert bot.said("overloaded") == [("end_user", "hello"), ("agent", "good day")]


def test_a_server_that_restarts_meanwhile_gets_the_batch(new_bot, relay, server):
    bot = new_bot(relay.endpoint).track()
    with agentsight.conversation("restart"), agentsight.turn():
        agentsight.user_message("are you there?")
    relay.cut_before()
    server_is_back = relay.hold()
    assert server.stop() == 0

    sending = threading.Thread(target=bot.flush)
    sending.start()
    server.start()
    server_is_back.set()
    sending.join()

    assert [batch.status for batch in relay.batches()] == [None, 200]
    assert bot.said("restart") == [("end_user", "are you there?")]


def test_a_batch_with_an_unknown_environment_is_refused_whole_and_told_which_block(new_bot, relay):
    # The SDK drops what it does not know; so this is what another client hears.
    bot = new_bot(relay.endpoint).track()
    with agentsight.conversation("good"), agentsight.turn():
        agentsight.user_message("hello")
    bot.flush()
    (batch,) = relay.batches()
    block = batch.json()["conversations"][0]
    body = {"conversations": [block, block | {"conversation_id": "bad-env", "environment": "staging"}]}

    refused = bot.request("POST", "/api/ingest/", json=body)

    assert refused.status_code == 400
    assert refused.json() == {
        "detail": (
            "1 of 2 conversation blocks failed validation. Nothing was written; resend without the blocks listed here."
        ),
        "conversations": [
            {
                "index": 1,
                "conversation_id": "bad-env",
                "errors": {"environment": ["Unknown environment: 'staging'."]},
            }
        ],
    }
    assert [row["conversation_id"] for row in bot.api.conversations.list()] == ["good"]
