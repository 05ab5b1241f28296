"""Numbers that tell whether something is new in a store."""

from typing import NamedTuple


class Revision(NamedTuple):
    """The state of a store as a whole. `number` grows by one with every written document.

    `identity` is given to a store with its first document and stays for as long as its data do. Another identity, or
    none, means that the data are not the ones that were there before.
    """

    identity: str
    number: int


class Marks(NamedTuple):
    """What grows when something is written: documents, API keys (`Store.keys_revision`) and learned policies.

    `audited` is the number of the last change that is in the log.
    """

    revision: Revision
    keys: int
    policies: int
    audited: int
