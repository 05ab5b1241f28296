"""A version of a document as it is stored, with the change that made it."""

from dataclasses import dataclass
from typing import NamedTuple

from router.document.document import Document


@dataclass(frozen=True, slots=True)
class Change:
    """The origin of one version of a document.

    `who` is the operator, `at_s` the time (seconds since the epoch), `what` the command and `why` the reason given.
    `id` names the attempt: an attempt that is repeated because its reply was lost is made only once. `by` is the
    replica that made the change.
    """

    who: str
    at_s: float
    what: str
    why: str = ""
    id: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a document and the change that made it."""

    document: Document
    change: Change


class NumberedEntry(NamedTuple):
    """An entry and its place in the order of all changes of all routes."""

    number: int
    entry: Entry
