"""AgentSight: a conversation database for chatbots and agents.

>>> from agentsight import agentsight_api
>>> conversation = agentsight_api.fetch_conversation("conv-abc-123")  # doctest: +SKIP

``AGENTSIGHT_API_ENDPOINT`` names a server (with ``AGENTSIGHT_API_KEY``), or, as ``file:///path/to/folder``, a store that
is opened in this process. Nothing is asked for on import.
"""

from agentsight._native import __version__
from agentsight.client import (
    AgentSightAPI,
    ConversationManager,
    ConversationTracker,
    agentsight_api,
    conversation_manager,
    conversation_tracker,
)

__all__ = [
    "AgentSightAPI",
    "ConversationManager",
    "ConversationTracker",
    "__version__",
    "agentsight_api",
    "conversation_manager",
    "conversation_tracker",
]
