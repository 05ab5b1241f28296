"""The address of the gateway that this process starts. Commands find it in the home, see `gateway.cli.address`."""

import contextlib
import ipaddress

from gateway.cli.address import ADDRESS_FILE, read_address
from gateway.settings import Settings

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
    (settings.home / ADDRESS_FILE).write_text(url_of(settings))


def remove_address(settings: Settings) -> None:
    """Remove the note, unless another gateway has written its own meanwhile."""
    if read_address(settings.home) == url_of(settings):
        (settings.home / ADDRESS_FILE).unlink(missing_ok=True)
