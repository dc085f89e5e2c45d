"""Keys as an operator hands them out."""

import re

from agents import Agent
from server import BOOTSTRAP_KEY


def test_the_bootstrap_key_writes_from_the_first_start(server):
    agent = Agent(server.endpoint, BOOTSTRAP_KEY)

    pk = agent.conversation("first", "hello")

    assert agent.api.fetch_conversation(pk)["messages"][0]["content"] == "hello"


def test_a_key_is_printed_alone_and_works_at_once(server):
    key = server.create_key("keys", "write")

    assert re.fullmatch(r"ags_[0-9a-f]{32}_[0-9a-f]{6}", key)
    assert Agent(server.endpoint, key).conversation("first", "hello") > 0


def test_two_keys_of_one_agent_see_the_same_conversations(server):
    one, other = (Agent(server.endpoint, server.create_key("shared", "write")) for _ in range(2))
    pk = one.conversation("seen-by-both", "hello")

    assert other.api.fetch_conversation("seen-by-both")["id"] == pk
