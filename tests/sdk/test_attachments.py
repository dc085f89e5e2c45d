"""Files, in both of the SDK's modes, with a message and alone: the bytes that come back are the bytes that went in."""

import base64
import hashlib

import pytest
import requests

import rows
from expect import ID, TIME, assert_is, text_with

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PDF = b"%PDF-1.7\n" + b"\x00\xff\r\n--boundary\r\n" * 300
MODES = ["base64", "form_data"]


def as_sent(mode, *files):
    """(filename, MIME type, bytes) as the SDK wants them in this mode."""
    return [
        {"filename": name, "mime_type": kind, "data": base64.b64encode(data).decode() if mode == "base64" else data}
        for name, kind, data in files
    ]


def downloaded(attachment):
    """The bytes behind `file_url`, asked for as a browser would: without a key."""
    answer = requests.get(attachment["file_url"], timeout=15)
    assert answer.status_code == 200, answer.text
    return answer.content


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("speaker", ["end_user", "agent"])
def test_the_files_of_a_message_come_back_byte_for_byte(agent, mode, speaker):
    # For an agent's message the SDK sends the text "None" as the conversation_id.
    files = as_sent(mode, ("photo.png", "image/png", PNG), ("invoice.pdf", "application/pdf", PDF))
    agent.tracker.get_or_create_conversation("with-files")
    speak = agent.tracker.track_human_message if speaker == "end_user" else agent.tracker.track_agent_message
    speak("here are two files", attachments=files, attachment_mode=mode, metadata={"k": 1})
    agent.send()

    messages = agent.api.fetch_conversation("with-files")["messages"]

    assert_is(
        messages,
        [
            rows.message(
                speaker,
                "here are two files",
                metadata={"k": 1},
                attachments=[
                    rows.attachment("photo.png", "image/png", len(PNG), "image"),
                    rows.attachment("invoice.pdf", "application/pdf", len(PDF), "document"),
                ],
            )
        ],
    )
    assert [sha256(downloaded(file)) for file in messages[0]["attachments"]] == [sha256(PNG), sha256(PDF)]


@pytest.mark.parametrize("mode", MODES)
def test_the_files_of_a_message_need_no_conversation_beside_it(agent, mode):
    # Without a conversation item in the batch the SDK sends "None" for both of its names.
    agent.tracker.configure(conversation_id="message-decides")
    agent.tracker.track_agent_message(
        "see here", attachments=as_sent(mode, ("a.txt", "text/plain", b"a")), attachment_mode=mode
    )
    agent.send()

    conversations = agent.api.fetch_conversations()

    assert [row["conversation_id"] for row in conversations["results"]] == ["message-decides"]
    assert_is(
        conversations["results"][0]["messages"],
        [
            rows.message("agent", "see here", attachments=[rows.attachment("a.txt", "text/plain", 1, "text")]),
        ],
    )


@pytest.mark.parametrize("mode", MODES)
def test_files_alone_make_a_message_of_their_own(agent, mode):
    agent.tracker.get_or_create_conversation("files-alone")
    agent.tracker.track_attachments(
        as_sent(mode, ("photo.png", "image/png", PNG)), metadata={"from": "camera"}, mode=mode
    )
    agent.tracker.track_attachments(as_sent(mode, ("invoice.pdf", "application/pdf", PDF)), sender="agent", mode=mode)
    sent = agent.send()

    conversation = agent.api.fetch_conversation("files-alone")

    assert sent["summary"]["attachments"] == 2
    assert_is(
        conversation["messages"],
        [
            rows.message(
                "end_user",
                "[Attachments]",
                metadata={"from": "camera"},
                attachments=[rows.attachment("photo.png", "image/png", len(PNG), "image")],
            ),
            rows.message(
                "agent",
                "[Attachments]",
                attachments=[rows.attachment("invoice.pdf", "application/pdf", len(PDF), "document")],
            ),
        ],
    )
    assert [
        downloaded(message["attachments"][0]) == data for message, data in zip(conversation["messages"], (PNG, PDF))
    ] == [True, True]
    stamps = [item["timestamp"].replace("+00:00", "Z") for item in sent["items"][1:]]
    assert [message["timestamp"] for message in conversation["messages"]] == stamps


def test_base64_files_alone_find_their_conversation_by_its_string(agent):
    agent.tracker.configure(conversation_id="by-string")
    agent.tracker.track_attachments(as_sent("base64", ("a.txt", "text/plain", b"a")))
    agent.send()

    conversation = agent.api.fetch_conversation("by-string")

    assert (conversation["environment"], conversation["is_used"], conversation["message_count"]) == (
        "production",
        True,
        1,
    )


def test_form_data_files_alone_without_any_conversation_are_refused(agent):
    # The SDK sends no conversation_id with them; without a conversation item nothing says where they belong.
    agent.tracker.configure(conversation_id="nobody-knows")
    agent.tracker.track_attachments([{"data": b"a"}], mode="form_data")

    sent = agent.tracker.send_tracked_data()

    assert sent["items"][0]["error"] == "API error for attachments (400): conversation_id: This field is required."
    assert agent.api.fetch_conversations()["count"] == 0


def test_a_file_without_a_name_is_named_by_the_sdk(agent):
    agent.tracker.get_or_create_conversation("unnamed")
    agent.tracker.track_attachments([{"data": PNG}, {"data": PDF}], mode="form_data")
    agent.send()

    [message] = agent.api.fetch_conversation("unnamed")["messages"]

    assert_is(
        message["attachments"],
        [
            rows.attachment("attachment_0.png", "image/png", len(PNG), "image"),
            rows.attachment("attachment_1.pdf", "application/pdf", len(PDF), "document"),
        ],
    )


@pytest.mark.parametrize(
    "mime_type, kind",
    [
        ("image/webp", "image"),
        ("audio/ogg", "audio"),
        ("video/mp4", "video"),
        ("text/csv", "text"),
        ("application/vnd.ms-excel", "document"),
        ("application/zip", "document"),
    ],
)
def test_the_type_of_a_file_follows_from_its_mime_type(agent, mime_type, kind):
    agent.tracker.get_or_create_conversation("types")
    agent.tracker.track_attachments(as_sent("base64", ("file", mime_type, b"data")))
    agent.send()

    [message] = agent.api.fetch_conversation("types")["messages"]

    assert_is(message["attachments"], [rows.attachment("file", mime_type, 4, kind)])


@pytest.mark.parametrize("named_by", ["string", "integer"])
def test_the_attachments_of_a_conversation_are_grouped_by_message(agent, named_by):
    agent.tracker.get_or_create_conversation("grouped")
    agent.tracker.track_human_message("no file here")
    agent.tracker.track_human_message(
        "two files", attachments=as_sent("base64", ("a.png", "image/png", PNG), ("b.pdf", "application/pdf", PDF))
    )
    agent.tracker.track_agent_message(
        "one file", attachments=as_sent("form_data", ("c.txt", "text/plain", b"c")), attachment_mode="form_data"
    )
    pk = agent.send()["items"][0]["response"]["id"]

    listed = agent.api.fetch_conversation_attachments({"string": "grouped", "integer": pk}[named_by])

    a, b, c = (
        rows.attachment("a.png", "image/png", len(PNG), "image"),
        rows.attachment("b.pdf", "application/pdf", len(PDF), "document"),
        rows.attachment("c.txt", "text/plain", 1, "text"),
    )
    assert_is(
        listed,
        {
            "conversation_id": "grouped",
            "conversation": pk,
            "total_attachments": 3,
            "attachment_count": 3,
            "messages": [
                {"message_id": ID, "id": ID, "sender": "end_user", "timestamp": TIME, "attachments": [a, b]},
                {"message_id": ID, "id": ID, "sender": "agent", "timestamp": TIME, "attachments": [c]},
            ],
            "attachments": [a, b, c],
        },
    )


def test_a_conversation_without_files_lists_none(agent):
    pk = agent.conversation("no-files", "hello")

    listed = agent.api.fetch_conversation_attachments("no-files")

    assert_is(
        listed,
        {
            "conversation_id": "no-files",
            "conversation": pk,
            "total_attachments": 0,
            "attachment_count": 0,
            "messages": [],
            "attachments": [],
        },
    )


def test_an_altered_link_opens_nothing(agent):
    agent.tracker.get_or_create_conversation("links")
    agent.tracker.track_attachments(as_sent("base64", ("a.txt", "text/plain", b"secret")))
    agent.send()
    [message] = agent.api.fetch_conversation("links")["messages"]
    link = message["attachments"][0]["file_url"]
    last = link[-1]

    altered = requests.get(link[:-1] + ("0" if last != "0" else "1"), timeout=15)
    bare = requests.get(link.split("?")[0], timeout=15)

    assert (altered.status_code, bare.status_code) == (403, 403)
    assert b"secret" not in altered.content + bare.content


@pytest.mark.parametrize("name, mime_type", [("page.html", "text/html"), ("drawing.svg", "image/svg+xml")])
def test_a_stranger_s_markup_downloads_and_never_opens(agent, name, mime_type):
    agent.tracker.get_or_create_conversation("markup")
    agent.tracker.track_attachments(as_sent("base64", (name, mime_type, b"<svg><script>alert(1)</script></svg>")))
    agent.send()
    [message] = agent.api.fetch_conversation("markup")["messages"]

    answer = requests.get(message["attachments"][0]["file_url"], timeout=15)

    assert answer.headers["Content-Disposition"] == text_with("attachment", name)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
