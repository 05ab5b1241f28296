"""The errors of a command that asks the gateway. Each message is a sentence for the operator."""


class ApiError(Exception):
    """The gateway rejected a request, or cannot be reached. The message is a sentence for the operator.

    `status` is the HTTP status of the response, or None if there was no response.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class AnswerLost(ApiError):
    """The gateway got a change, but its answer did not come. The change may have been made all the same."""
