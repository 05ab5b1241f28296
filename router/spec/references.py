"""Reads names, and what an arm is bound to. Decides."""

import re

from router.errors import Rejected
from router.refusals import shown
from router.spec.spec import ArmRef

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def parse_name(value: object, what: str) -> str:
    """A name that is good for paths, labels and columns.

    Raises:
        Rejected: it is not.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Rejected(
            f"{what} must be a name of letters, digits, dots, dashes and underscores (at most 128), not {shown(value)}."
        )
    return value


def parse_ref(text: object, what: str = "An arm") -> ArmRef:
    """`fraud@champion` or `fraud:17`.

    Raises:
        Rejected: neither of the two forms.
    """
    if isinstance(text, str):
        for separator, key in (("@", "alias"), (":", "version")):
            model, found, rest = text.partition(separator)
            if found and _NAME.fullmatch(model) and _NAME.fullmatch(rest):
                return ArmRef(model=model, **{key: rest})
    raise Rejected(f"{what} must be bound to model@alias or model:version, not {shown(text)}.")
