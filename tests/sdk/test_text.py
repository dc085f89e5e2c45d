"""What was said comes back as it was said, in any script."""

import pytest

from expect import assert_is

TEXTS = {
    "emoji": "so 😀 👩‍👩‍👧‍👦 🇭🇷!",
    "right to left": "שלום עולם — مرحبا \u200f(123)\u200e",
    "combining": "Z\u0301a\u0308l\u0335go e\u0301 é",
    "chinese": "我要退款，谢谢。",
    "astral": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𒀀",
    "white space": "  two\tlines \r\n and a trailing one \n",
    "markup": "<script>alert('x')</script> & \"quotes\" \\u0041 ${jndi} %s '; drop table messages; --",
    "control": "bell \x07 escape \x1b[31m delete \x7f",
    "separators": "line\u2028paragraph\u2029bom\ufeffend",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_text_comes_back_as_it_was_said(agent, text):
    agent.tracker.get_or_create_conversation("texts", name=text, metadata={text: text})
    agent.tracker.track_human_message(text, metadata={"heard": text})
    agent.tracker.track_action(text, response=text, tools_used={text: [text]}, error_msg=text)
    agent.tracker.track_button(text, text, text)
    agent.send()
    agent.manager.submit_feedback("texts", "neutral", comment=text)

    conversation = agent.api.fetch_conversation("texts")

    message, action, click = conversation["messages"]
    [log], [feedback] = action["action_logs"], conversation["feedbacks"]
    assert [
        conversation["name"],
        conversation["metadata"],
        message["content"],
        message["metadata"],
        action["action_name"],
        log["response"],
        log["tools_used"],
        log["error_message"],
        click["button"]["button_event"],
        click["button"]["label"],
        click["button"]["value"],
        feedback["comment"],
    ] == [text, {text: text}, text, {"heard": text}, text, text, {text: [text]}, text, text, text, text, text]


@pytest.mark.parametrize(
    "said, stored",
    [
        ("half an emoji \ud83d here", "half an emoji \ufffd here"),
        ("the other half \ude00", "the other half \ufffd"),
        ("a nul \x00 inside", "a nul  inside"),
    ],
    ids=["high surrogate", "low surrogate", "nul"],
)
def test_what_no_text_may_hold_is_replaced_and_the_message_kept(agent, said, stored):
    agent.tracker.get_or_create_conversation("broken", metadata={"note": said})
    agent.tracker.track_human_message(said, metadata={"note": said, "list": [said]})
    agent.tracker.track_action("look", response=said, tools_used={"asked": said})
    agent.send()

    conversation = agent.api.fetch_conversation("broken")

    message, action = conversation["messages"]
    [log] = action["action_logs"]
    assert [conversation["metadata"], message["content"], message["metadata"], log["response"], log["tools_used"]] == [
        {"note": stored},
        stored,
        {"note": stored, "list": [stored]},
        stored,
        {"asked": stored},
    ]


def test_metadata_comes_back_as_given_key_order_and_numbers_included(agent):
    given = {
        "z": 1,
        "a": 1.0,
        "m": -0.0,
        "big": 2**70,
        "small": 1e-9,
        "list": [1, 1.5, True, None, "1", {}, []],
        "": {"deep": {"er": [[[1]]]}},
    }
    agent.tracker.get_or_create_conversation("as-given", metadata=given)
    agent.tracker.track_human_message("hello", metadata=given)
    agent.send()

    conversation = agent.api.fetch_conversation("as-given")

    for metadata in (conversation["metadata"], conversation["messages"][0]["metadata"]):
        assert_is(metadata, given)
        assert (list(metadata), repr(metadata["m"])) == (list(given), "-0.0")


def test_a_long_message_comes_back_whole(agent):
    text = "".join(f"{number} šćž 😀\n" for number in range(40_000))[:700_000]
    agent.conversation("long", text)

    assert agent.api.fetch_conversation("long")["messages"][0]["content"] == text


@pytest.mark.parametrize(
    "conversation_id", ["a/b?c=d&e#f", "100% + more", "../../etc/passwd", "42", " spaces ", "ključ 😀", "x" * 255]
)
def test_a_conversation_may_be_named_by_any_string(agent, conversation_id):
    pk = agent.conversation(conversation_id, "hello")

    fetched = agent.api.fetch_conversation(conversation_id)

    assert (fetched["id"], fetched["conversation_id"]) == (pk, conversation_id)
    assert agent.manager.rename_conversation(conversation_id, "found")["id"] == pk
