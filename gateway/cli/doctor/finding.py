"""What the doctor finds: one statement about one thing, and what to do if it is not well."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    """The gateway serves, and something falls short."""
    FAULT = "fault"
    """The gateway does not start, or loses what it should keep."""


class Finding(NamedTuple):
    """`advice` is empty if all is well."""

    subject: str
    state: State
    sentence: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]


def ok(subject: str, sentence: str) -> Finding:
    """Return the finding that something is well."""
    return Finding(subject, State.OK, sentence)


def warning(subject: str, sentence: str, advice: str) -> Finding:
    """Return the finding that something falls short."""
    return Finding(subject, State.WARNING, sentence, advice)


def fault(subject: str, sentence: str, advice: str) -> Finding:
    """Return the finding that something must be mended."""
    return Finding(subject, State.FAULT, sentence, advice)
