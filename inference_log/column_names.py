"""Names of columns that Athena takes: small letters, digits and `_`. It does not tell capitals apart."""

import re

_OTHER = re.compile(r"[^a-z0-9_]")


def plain(name: str) -> str:
    """Return a name in small letters, with `_` for what is no letter, digit or `_`."""
    return _OTHER.sub("_", name.lower())


def unique(name: str, taken: set[str]) -> str:
    """Return the name, or with a number behind it if it is taken, and add it to those that are."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found
