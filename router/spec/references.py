"""Parsing names, and the references to which arms are bound."""

import re

from router.errors import Rejected
from router.refusals import short_repr
from router.spec.spec import ArmRef

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


NAME_RULE = "letters, digits, dots, dashes and underscores (at most 128)"


def is_name(text: str) -> bool:
    """Return True if a text can stand in paths, labels and columns, as the names of models and versions must."""
    return _NAME.fullmatch(text) is not None


def parse_name(value: object, what: str) -> str:
    """Return a name that can stand in paths, labels and columns.

    Raises:
        Rejected: if it cannot.
    """
    if not isinstance(value, str) or not is_name(value):
        raise Rejected(f"{what} must be a name of {NAME_RULE}, not {short_repr(value)}.")
    return value


def parse_ref(text: object, what: str = "An arm") -> ArmRef:
    """Read `fraud@champion` or `fraud:17`.

    Raises:
        Rejected: if the text has neither form.
    """
    if isinstance(text, str):
        for separator, key in (("@", "alias"), (":", "version")):
            model, found, rest = text.partition(separator)
            if found and _NAME.fullmatch(model) and _NAME.fullmatch(rest):
                return ArmRef(model=model, **{key: rest})
    sentence = f"{what} must be bound to model@alias or model:version, not {short_repr(text)}."
    if isinstance(text, str) and ("@" in text or ":" in text):
        sentence += (
            " The names of models, aliases and versions have letters, digits, dots, dashes and underscores (at most "
            "128); the first is a letter or a digit."
        )
    raise Rejected(sentence)
