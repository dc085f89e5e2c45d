"""Clicks and files: what a conversation has beside its words."""

import agentsight
import pytest
import requests
from agentsight import UploadError

import rows
from expect import ID, TIME, assert_is

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def test_a_click_is_archived_and_no_line_of_the_transcript(bot):
    with agentsight.conversation("clicks"), agentsight.turn():
        agentsight.user_message("When?")
        agentsight.button("delivery_choice", "Tomorrow", "tomorrow", metadata={"screen": "home"})
    bot.flush()

    assert bot.said("clicks") == [("end_user", "When?")]
    (click,) = bot.spans("clicks", kind="button")
    assert (click["name"], click["attributes"]["agentsight.metadata"]) == ("Tomorrow", '{"screen": "home"}')
    assert [click["attributes"][f"agentsight.button.{part}"] for part in ("event", "label", "value")] == [
        "delivery_choice",
        "Tomorrow",
        "tomorrow",
    ]


def test_a_click_alone_makes_the_conversation_used(bot):
    with agentsight.conversation("only-a-click"):
        agentsight.button("open", "Chat", "chat")
    bot.flush()

    conversation = bot.conversation("only-a-click")
    assert (conversation["is_used"], conversation["messages"]) == (True, [])


def test_a_click_can_be_read_where_clicks_are_read(bot):
    with agentsight.conversation("read-clicks"):
        agentsight.button("delivery_choice", "Tomorrow", "tomorrow", metadata={"screen": "home"})
    bot.flush()

    clicks = bot.request("GET", "/api/buttons/").json()["results"]

    (click,) = bot.spans("read-clicks")
    assert_is(
        clicks,
        [
            {
                "id": ID,
                "conversation": click["conversation"],
                "conversation_id": "read-clicks",
                "message": None,
                "button_event": "delivery_choice",
                "label": "Tomorrow",
                "value": "tomorrow",
                "metadata": {"screen": "home"},
                "timestamp": click["started_at"],
            }
        ],
    )


def test_files_that_are_elsewhere_are_recorded_and_not_shown(bot):
    with agentsight.conversation("elsewhere"), agentsight.turn():
        agentsight.record_attachments([{"filename": "photo.png", "size": 264, "mime_type": "image/png"}])
    bot.flush()

    conversation = bot.conversation("elsewhere")
    assert (conversation["is_used"], conversation["messages"]) == (True, [])
    (record,) = bot.spans("elsewhere", kind="attachment")
    assert record["attributes"]["agentsight.attachment.count"] == 1
    assert "agentsight.attachment.mode" not in record["attributes"]
    assert bot.api.conversations.attachments("elsewhere")["attachments"] == []


def test_an_uploaded_file_is_there_before_anything_else_of_the_conversation(bot):
    with agentsight.conversation("uploaded", customer_id="u1"):
        uploaded = agentsight.upload_attachments({"filename": "photo.png", "data": PNG}, metadata={"from": "camera"})
        before = bot.conversation("uploaded")
        with agentsight.turn():
            agentsight.user_message("see my photo")
    bot.flush()

    conversation = bot.conversation("uploaded")
    photo = rows.attachment("photo.png", "image/png", len(PNG), "image")
    assert_is(
        conversation,
        rows.conversation(
            "uploaded",
            id=before["id"],
            customer_id="u1",
            environment="production",
            message_count=2,
            messages=[
                rows.message("end_user", "[Attachments]", attachments=[photo], metadata={"from": "camera"}),
                rows.message("end_user", "see my photo"),
            ],
        ),
    )
    assert before["messages"][0]["id"] == conversation["messages"][0]["id"] == uploaded["message"]
    file_url = conversation["messages"][0]["attachments"][0]["file_url"]
    assert requests.get(file_url, timeout=15).content == PNG
    (record,) = bot.spans("uploaded", kind="attachment")
    assert record["attributes"]["agentsight.attachment.mode"] == "base64"


def test_a_file_can_be_put_on_a_message_that_is_there(bot, tmp_path):
    pk = bot.exchange("on-a-message", "see my photo")
    question = bot.conversation("on-a-message")["messages"][0]["id"]
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF-1.4 nothing")

    agentsight.upload_attachments(tmp_path / "invoice.pdf", conversation_id="on-a-message", message_id=question)

    invoice = rows.attachment("invoice.pdf", "application/pdf", 16, "document") | {"message": question}
    messages = bot.conversation("on-a-message")["messages"]
    assert_is([message["attachments"] for message in messages], [[invoice], []])
    assert_is(
        bot.api.conversations.attachments("on-a-message"),
        {
            "conversation_id": "on-a-message",
            "conversation": pk,
            "total_attachments": 1,
            "attachment_count": 1,
            "messages": [
                {
                    "message_id": question,
                    "id": question,
                    "sender": "end_user",
                    "timestamp": TIME,
                    "attachments": [invoice],
                }
            ],
            "attachments": [invoice],
        },
    )


def test_a_file_for_a_message_of_another_conversation_is_refused(bot):
    bot.exchange("mine")
    bot.exchange("other")
    message = bot.conversation("other")["messages"][0]["id"]

    with pytest.raises(UploadError) as refused:
        agentsight.upload_attachments(
            {"filename": "photo.png", "data": PNG}, conversation_id="mine", message_id=message
        )

    assert refused.value.status_code == 404
    assert bot.api.conversations.attachments("other")["attachments"] == []


def test_several_files_of_the_agent_are_one_message(bot):
    with agentsight.conversation("several"):
        agentsight.upload_attachments(
            [{"filename": name, "data": name.encode()} for name in ("a.txt", "b.csv")], sender="agent"
        )

    (message,) = bot.conversation("several")["messages"]
    assert message["sender"] == "agent"
    assert [(file["filename"], file["type"]) for file in message["attachments"]] == [
        ("a.txt", "text"),
        ("b.csv", "text"),
    ]


def test_an_upload_into_an_environment_makes_the_conversation_there(bot):
    with agentsight.conversation("uploaded-in-development", environment="dev"):
        agentsight.upload_attachments({"filename": "photo.png", "data": PNG})

    assert bot.conversation("uploaded-in-development")["environment"] == "development"
