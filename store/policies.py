"""What a store returns of learned policies."""

from collections.abc import Mapping
from typing import NamedTuple

from router.document.learned import LearnedPolicy


class Policies(NamedTuple):
    """The newest learned policies of some routes, and the revision of the store: it grows with each policy."""

    revision: int
    of: Mapping[str, LearnedPolicy]
