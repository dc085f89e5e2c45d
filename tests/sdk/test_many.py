"""A batch of generated conversations of many turns, read back message for message."""

import random

from expect import assert_holds

WORDS = """
    the a my your order parcel refund please when where tomorrow
    šibenik đak größe naïve 退款 مرحبا 😀 100% A-9 <b>
""".split()


def generated(seed):
    """Conversations as (id, details, turns), the same for the same seed."""
    chance = random.Random(seed)

    def words(most):
        return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))

    for number in range(15):
        turns = []
        for _ in range(chance.randint(2, 9)):
            turns.append(("end_user", words(40), {"tokens": chance.randint(1, 99)}))
            for _ in range(chance.randint(0, 2)):
                turns.append(("action", chance.choice(["lookup_order", "search", "book"]), {"took": chance.random()}))
            turns.append(("agent", words(120), {}))
        yield (
            f"generated-{number}",
            {"customer_id": f"c-{chance.randint(1, 5)}", "language": chance.choice(["en", "hr"]), "name": words(5)},
            turns,
        )


def test_generated_conversations_come_back_message_for_message(agent):
    tracked = list(generated(seed=7))
    for conversation_id, details, turns in tracked:
        agent.tracker.get_or_create_conversation(conversation_id, **details)
        for kind, text, metadata in turns:
            if kind == "action":
                agent.tracker.track_action(text, metadata=metadata)
            elif kind == "agent":
                agent.tracker.track_agent_message(text, metadata=metadata)
            else:
                agent.tracker.track_human_message(text, metadata=metadata)
        agent.send()

    for conversation_id, details, turns in tracked:
        conversation = agent.api.fetch_conversation(conversation_id)

        assert_holds(conversation, details)
        assert [
            ("action", message["action_name"], message["metadata"])
            if message["action_name"]
            else (message["sender"], message["content"], message["metadata"])
            for message in conversation["messages"]
        ] == turns
        times = [message["timestamp"] for message in conversation["messages"]]
        assert times == sorted(times)
    assert agent.api.fetch_conversations()["count"] == len(tracked)
