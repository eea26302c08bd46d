"""What the API answers when it refuses: a message and the ``extensions.code`` beside it."""

from __future__ import annotations

INTERNAL = "Unable to complete operation. An internal API error occurred."


class ApiError(Exception):
    """An error of one field. HTTP stays 200, as Prefect Server's gateway (Apollo) has it."""

    def __init__(self, message: str, code: str = "INTERNAL_SERVER_ERROR") -> None:
        super().__init__(message)
        self.code = code


class InternalError(ApiError):
    """The request met something that Prefect Server does not check for (its ``exceptions.APIError``)."""

    def __init__(self) -> None:
        super().__init__(INTERNAL)
