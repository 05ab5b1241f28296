"""The steps of copying, told to a hook. Tests end the process at each of them."""

from collections.abc import Callable

Hook = Callable[[str], None]


def no_hook(step: str) -> None:
    """Do nothing."""
