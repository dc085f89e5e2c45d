"""What can be raised. Names, ancestors and attributes are those of the 0.0.x generation; the last two are ours."""

from typing import Any, Optional


class NoApiKeyException(Exception):
    """There is no API key where one is needed."""

    def __init__(
        self,
        message: str = "Could not initialize AgentSight client - API Key is missing."
        " Set AGENTSIGHT_API_KEY, or pass api_key; an endpoint file:///path/to/folder needs none.",
    ) -> None:
        super().__init__(message)


class InvalidApiKeyException(Exception):
    """The API key has not the form ``ags_`` + 32 hex digits + ``_`` + 6 hex digits. The key is not repeated here."""

    def __init__(self, api_key: str, app_url: str) -> None:
        hint = f"{api_key[:4]}… ({len(api_key)} characters)" if api_key.startswith("ags_") else "it does not begin with ags_"
        super().__init__(
            f"API Key is invalid: {hint}. It must be ags_, 32 hex digits, _, 6 hex digits; find yours at {app_url}/settings"
        )


class ApiServerException(Exception):
    """Kept for code that catches it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class AgentSightClientNotInitializedException(RuntimeError):
    """Kept for code that catches it."""

    def __init__(self, message: str = "AgentSight client must be initialized before using this feature") -> None:
        super().__init__(message)


class AgentSightApiJwtExpiredException(Exception):
    """Kept for code that catches it."""

    def __init__(self, message: str = "JWT token has expired") -> None:
        super().__init__(message)


class ConversationTrackingException(Exception):
    """What all errors of a request have in common."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class InvalidConversationDataException(ConversationTrackingException):
    """A value is refused before anything is sent."""

    def __init__(self, message: str = "Invalid conversation data provided") -> None:
        super().__init__(message)


class NoConversationIdException(Exception):
    """Kept for code that catches it."""

    def __init__(self, message: str = "conversation_id is required but was not provided") -> None:
        self.message = message
        super().__init__(self.message)


class InvalidAnswerDataException(ConversationTrackingException):
    """An agent's message is blank."""

    def __init__(self, message: str = "Invalid answer data provided") -> None:
        super().__init__(message)


class InvalidQuestionDataException(ConversationTrackingException):
    """An end user's message is blank."""

    def __init__(self, message: str = "Invalid question data provided") -> None:
        super().__init__(message)


class MissingConversationIdException(Exception):
    """The conversation has no id, or an empty one."""

    def __init__(self, message: str = "Conversation ID is required and cannot be empty") -> None:
        super().__init__(message)


class NoDataToSendException(Exception):
    """Nothing was tracked for the conversation."""

    def __init__(self, message: str = "No tracked data found for conversation.") -> None:
        super().__init__(message)


class ConversationApiException(ConversationTrackingException):
    """The server refused: ``status_code`` is its HTTP status, ``response_data`` the JSON it answered with."""

    def __init__(self, message: str, status_code: Optional[int] = None, response_data: Optional[Any] = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.response_data = response_data


class ConversationNetworkException(ConversationTrackingException):
    """There was no answer, after as many attempts as were safe."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class InvalidAttachmentException(Exception):
    """A file cannot be sent as it was given."""

    def __init__(self, message: str = "Invalid attachment data provided") -> None:
        self.message = message
        super().__init__(self.message)


class NotFoundException(ConversationApiException):
    """404: there is no such row, or it is another agent's."""

    def __init__(self, message: str = "Resource not found") -> None:
        super().__init__(message, status_code=404)


class UnauthorizedException(ConversationApiException):
    """401: the key is unknown, expired or revoked."""

    def __init__(self, message: str = "Unauthorized - invalid or missing API key") -> None:
        super().__init__(message, status_code=401)


class ForbiddenException(ConversationApiException):
    """403: the key may not do this."""

    def __init__(self, message: str = "Forbidden - not authorized to access this resource") -> None:
        super().__init__(message, status_code=403)


class CannotOpenException(ConversationTrackingException):
    """The endpoint cannot be used: no address, or a folder whose store cannot be opened. Says why in one sentence."""


class SpoolException(ConversationTrackingException):
    """The spool folder cannot be read or written. Says why in one sentence."""


__all__ = [name for name, value in list(globals().items()) if isinstance(value, type) and issubclass(value, Exception)]
