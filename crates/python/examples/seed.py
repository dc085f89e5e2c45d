"""A conversation recorded and fetched back. With AGENTSIGHT_API_ENDPOINT=file:///some/folder it needs no server and no key."""

from agentsight import agentsight_api, conversation_manager, conversation_tracker

conversation_tracker.get_or_create_conversation("conv-abc-123", customer_id="user-456", name="Support Chat")
conversation_tracker.track_human_message("I need help with my account")
conversation_tracker.track_agent_message("Your account is fine.")
conversation_tracker.send_tracked_data()
conversation_manager.submit_feedback("conv-abc-123", "positive", comment="Very helpful!")

# Fetch by string conversation_id
conversation = agentsight_api.fetch_conversation("conv-abc-123")  # or database ID
print(f"Conversation: {conversation['name']}")
print(f"Messages: {len(conversation['messages'])}")
print(f"Feedbacks: {len(conversation['feedbacks'])}")
