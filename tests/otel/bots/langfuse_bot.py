"""Langfuse's own SDK, which exports by itself: only its host and its keys are ours."""

import os

import talk
from langfuse import Langfuse, get_client, observe, propagate_attributes
from langfuse.openai import openai

langfuse = Langfuse()
models = openai.OpenAI(api_key="none", base_url=os.environ["MODELS"] + "/v1", max_retries=0)
lookup = observe(as_type="tool", name="lookup")(talk.lookup)
refund = observe(as_type="tool", name="refund")(talk.refund)


def turn(conversation, work, *given):
    with langfuse.start_as_current_observation(as_type="span", name="turn"):
        with propagate_attributes(session_id=conversation, user_id="u-7"):
            return work(models, *given)


def failing(models):
    talk.failing_turn(models)
    try:
        refund(order="A-9")
    except PermissionError:
        pass


history = turn("helpdesk", talk.first_turn, lookup)
turn("helpdesk", talk.second_turn, history)
turn("failed", failing)
get_client().shutdown()
