"""Which gateway the command line asks: the one of --url or POINTSMAN_URL, or else the one that its home has started."""

import os
from pathlib import Path

from gateway.home import read_home

DEFAULT_URL = "http://127.0.0.1:8000"
ADDRESS_FILE = "address"


def read_address(home: Path) -> str | None:
    """Return the URL of the gateway that was started from this home, or None if none runs."""
    try:
        return (home / ADDRESS_FILE).read_text().strip() or None
    except (OSError, ValueError):
        return None


def find_url(given: str) -> str:
    """Return the URL that was given, or else the one of the gateway of this home, or else the default.

    Raises:
        ValueError: POINTSMAN_URL is there, but empty.
    """
    if not given and "POINTSMAN_URL" in os.environ and not os.environ["POINTSMAN_URL"].strip():
        raise ValueError(f"POINTSMAN_URL is empty. Unset it, set it to a URL such as {DEFAULT_URL}, or use --url.")
    return given or read_address(read_home(os.environ)) or DEFAULT_URL
