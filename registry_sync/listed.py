"""Names that others gave, in a sentence: of models, versions and aliases. A registry allows nearly any text."""

from collections.abc import Collection
from itertools import islice

_MOST = 20
_LONGEST = 60


def listed(names: Collection[str]) -> str:
    """Return the first names, and how many more there are. One that is not printable is shown as a literal."""
    if not names:
        return "none"
    shown = ", ".join(_shown(name) for name in islice(names, _MOST))
    return shown if len(names) <= _MOST else f"{shown} and {len(names) - _MOST} more"


def _shown(name: str) -> str:
    short = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    return short if short.isprintable() and name.strip() == name and name else ascii(short)
