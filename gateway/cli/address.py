"""Which gateway the command line asks: the one of --url or POINTSMAN_URL, or else the one that its home has started."""

import contextlib
import ipaddress
from pathlib import Path

from gateway.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8000"
_FILE = "address"
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what a client can ask instead


def url_of(settings: Settings) -> str:
    """Return the URL at which a client on this machine reaches the gateway."""
    host = settings.host.removeprefix("[").removesuffix("]")
    host = _WILDCARDS.get(host, host)
    with contextlib.suppress(ValueError):
        host = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    return f"{'http' if settings.tls_certificate is None else 'https'}://{host}:{settings.port}"


def write_address(settings: Settings) -> None:
    """Note the URL in the home, for commands."""
    (settings.home / _FILE).write_text(url_of(settings))


def remove_address(settings: Settings) -> None:
    """Remove the note, unless another gateway has written its own meanwhile."""
    if read_address(settings.home) == url_of(settings):
        (settings.home / _FILE).unlink(missing_ok=True)


def read_address(home: Path) -> str | None:
    """Return the URL of the gateway that was started from this home, or None if none runs."""
    try:
        return (home / _FILE).read_text().strip() or None
    except (OSError, ValueError):
        return None


def find_url(given: str) -> str:
    """Return the URL that was given, or else the one of the gateway of this home, or else the default."""
    return given or read_address(Settings().resolved().home) or DEFAULT_URL
