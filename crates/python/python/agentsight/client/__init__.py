"""The three clients."""

from agentsight.client.api_client import AgentSightAPI, agentsight_api
from agentsight.client.conversation_manager_client import ConversationManager, conversation_manager
from agentsight.client.main_client import ConversationTracker, conversation_tracker

__all__ = [
    "AgentSightAPI",
    "ConversationManager",
    "ConversationTracker",
    "agentsight_api",
    "conversation_manager",
    "conversation_tracker",
]
