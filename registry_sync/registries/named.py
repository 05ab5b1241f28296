"""The names under which a version may be published: those that routes can have. What others publish may have any."""

from router.spec.references import NAME_RULE, is_name
from runtimes.errors import ModelRefused

_LONGEST = 80


def require_names(**names: str) -> None:
    """Return if these are names. The keys say of what, for the sentence.

    Raises:
        ModelRefused: one is none. In a directory it could lead out of the registry.
    """
    for what, name in names.items():
        if not is_name(name):
            raise ModelRefused(f"The {what} {name[:_LONGEST]!a} cannot be published; a name has {NAME_RULE}.")
