"""LangChain and LlamaIndex: tools by their callbacks, tokens once, whoever else watches the call.

The frameworks keep what is registered with them, so each set-up has a process of its own, in which all of it happens.
"""

import pytest

from bots import Bot
from models import ANSWER, OPENAI_ROW, answering

SAID = "".join(ANSWER)

LANGCHAIN = """
import os

import agentsight
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import BadRequestError
from pytest import raises

agentsight.init(auto_instrument=os.environ["INSTRUMENT"].split())

@tool
def lookup(order: str) -> str:
    "Looks an order up."
    return f"{order} is shipped"

@tool
def charge_card(amount: int) -> str:
    "Charges the card."
    raise PermissionError("card expired")

def gpt(name="gpt-4o-mini", **options):
    return ChatOpenAI(model=name, api_key="none", base_url=os.environ["MODELS"], max_retries=0, **options)

with agentsight.conversation("agent"), agentsight.turn():
    agentsight.user_message("Where is A-9?")
    talk = [HumanMessage("Where is A-9?")]
    talk.append(gpt().bind_tools([lookup]).invoke(talk))
    talk += [lookup.invoke(call) for call in talk[-1].tool_calls]
    agentsight.agent_message(gpt().bind_tools([lookup]).invoke(talk).content)

for conversation, asking in (("streamed-asking", True), ("streamed-not-asking", False)):
    with agentsight.conversation(conversation), agentsight.turn():
        agentsight.user_message("Where is A-9?")
        chunks = gpt(stream_usage=asking).stream("Where is A-9?")
        agentsight.agent_message("".join(chunk.content for chunk in chunks))

with agentsight.conversation("failures"), agentsight.turn():
    agentsight.user_message("Charge me.")
    with raises(PermissionError):
        charge_card.invoke({"amount": 12})
    with raises(BadRequestError):
        gpt("gpt-broken").invoke("What now?")
    agentsight.agent_message("Your card has expired.")

with agentsight.conversation("hint"), agentsight.turn(), agentsight.model_hint("llama3.1:8b"):
    said = AIMessage("Tomorrow.", usage_metadata={"input_tokens": 5, "output_tokens": 3, "total_tokens": 8})
    GenericFakeChatModel(messages=iter([said])).invoke("When?")
"""

LLAMA_INDEX = """
import os

import agentsight
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from openai import BadRequestError
from pytest import raises

agentsight.init(auto_instrument=os.environ["INSTRUMENT"].split())

def lookup(order: str) -> str:
    "Looks an order up."
    return f"{order} is shipped"

def gpt(base=os.environ["MODELS"]):
    return OpenAI(model="gpt-4o-mini", api_key="none", api_base=base, max_retries=0)

question = [ChatMessage(role="user", content="Where is A-9?")]
with agentsight.conversation("agent"), agentsight.turn():
    agentsight.user_message("Where is A-9?")
    FunctionTool.from_defaults(lookup)(order="A-9")
    agentsight.agent_message(gpt().chat(question).message.content)

with agentsight.conversation("streamed"), agentsight.turn():
    agentsight.user_message("Where is A-9?")
    *_, said = gpt().stream_chat(question)
    agentsight.agent_message(said.message.content)

with agentsight.conversation("failures"), agentsight.turn():
    agentsight.user_message("Where is A-9?")
    with raises(BadRequestError):
        gpt(os.environ["MODELS"].replace("/v1", "/broken/v1")).chat(question)
    agentsight.agent_message("I cannot say.")
"""


def recorded(script, framework):
    """The bot for which the script ran: beside the patch of OpenAI's own package, or with the framework's alone."""

    @pytest.fixture(scope="module", params=[f"openai {framework}", framework])
    def recorded(request, server, models):
        bot = Bot(server.endpoint, server.create_key(request.param, "write"))
        bot.instrumented = request.param
        bot.run(script, INSTRUMENT=request.param, MODELS=models.openai)
        yield bot
        bot.close()

    return recorded


langchain = recorded(LANGCHAIN, "langchain")
llama_index = recorded(LLAMA_INDEX, "llama_index")


def assert_looked_up(bot):
    """The agent's transcript: a question, the tool with its arguments and its result, the answer."""
    question, ran, answer = bot.conversation("agent")["messages"]
    assert (question["content"], answer["content"]) == ("Where is A-9?", SAID)
    (log,) = ran["action_logs"]
    assert (ran["action_name"], log["tools_used"], log["response"], log["error_message"]) == (
        "lookup",
        {"order": "A-9"},
        "A-9 is shipped",
        "",
    )


def assert_counted(bot, conversation_id, calls=1, unreported=0):
    """One row of that many calls, each with the same tokens; none where the stream did not say."""
    (row,) = bot.usage(conversation_id)
    assert (row["model"], row["calls"], row["unreported_calls"]) == (answering("gpt-4o-mini"), calls, unreported)
    tokens = {column: row[column] for column in OPENAI_ROW}
    assert tokens == {column: (calls - unreported) * count for column, count in OPENAI_ROW.items()}


def test_a_langchain_agent_gives_its_tools_and_counts_each_call_once(langchain):
    assert_looked_up(langchain)
    assert_counted(langchain, "agent", calls=2)
    assert [span["kind"] for span in langchain.spans("agent")] == ["turn", "llm", "tool", "llm"]


def test_a_streamed_langchain_call_counts_once(langchain):
    assert langchain.said("streamed-asking") == [("end_user", "Where is A-9?"), ("agent", SAID)]
    assert_counted(langchain, "streamed-asking")
    (call,) = langchain.spans("streamed-asking", kind="llm")
    assert call["attributes"]["agentsight.llm.streaming"] is True


def test_a_langchain_stream_that_is_not_asked_for_its_usage_is_unreported_unless_openai_is_patched(langchain):
    assert langchain.said("streamed-not-asking") == [("end_user", "Where is A-9?"), ("agent", SAID)]
    assert_counted(langchain, "streamed-not-asking", unreported=1 if langchain.instrumented == "langchain" else 0)


def test_what_fails_in_langchain_is_recorded_and_the_turn_goes_on(langchain):
    question, ran, answer = langchain.conversation("failures")["messages"]
    assert (question["content"], answer["content"]) == ("Charge me.", "Your card has expired.")
    (log,) = ran["action_logs"]
    assert (ran["action_name"], log["tools_used"], log["response"], log["error_message"]) == (
        "charge_card",
        {"amount": 12},
        "",
        "card expired",
    )
    (row,) = langchain.usage("failures")
    assert (row["model"], row["calls"], row["total_tokens"]) == ("gpt-broken", 1, 0)
    (call,) = langchain.spans("failures", kind="llm")
    assert (call["status"], "the model is broken" in call["attributes"]["agentsight.llm.error"]) == ("error", True)


def test_a_hint_names_the_model_that_no_answer_names(langchain):
    (row,) = langchain.usage("hint")
    assert [row[column] for column in ("model", "prompt_tokens", "completion_tokens", "total_tokens")] == [
        "llama3.1:8b",
        5,
        3,
        8,
    ]
    (call,) = langchain.spans("hint", kind="llm")
    assert call["attributes"]["agentsight.llm.model_declared"] is True


def test_a_llama_index_agent_gives_its_tools_and_counts_each_call_once(llama_index):
    assert_looked_up(llama_index)
    assert_counted(llama_index, "agent")


def test_a_llama_index_stream_is_unreported_unless_openai_is_patched(llama_index):
    assert llama_index.said("streamed") == [("end_user", "Where is A-9?"), ("agent", SAID)]
    assert_counted(llama_index, "streamed", unreported=1 if llama_index.instrumented == "llama_index" else 0)


def test_a_llama_index_call_that_fails_is_recorded_and_the_turn_goes_on(llama_index):
    assert llama_index.said("failures") == [("end_user", "Where is A-9?"), ("agent", "I cannot say.")]
    (row,) = llama_index.usage("failures")
    # LlamaIndex names the model of a call only when it has gone well.
    model = None if llama_index.instrumented == "llama_index" else "gpt-4o-mini"
    assert (row["model"], row["calls"], row["total_tokens"]) == (model, 1, 0)
    (call,) = llama_index.spans("failures", kind="llm")
    assert call["status"] == "error"
