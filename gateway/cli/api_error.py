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


_answered: list[str] = []


def note_answer(url: str) -> None:
    """Note that a server has answered this command with something that looked like a gateway's answer."""
    _answered[:] = [url]


def last_answered() -> str | None:
    """Return the URL of the server that has answered this command last, or None if none has.

    An answer is checked for its main key only. If one lacks another key, the server is no gateway.
    """
    return _answered[0] if _answered else None
