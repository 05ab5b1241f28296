"""Decides if requests need a credential, so that a gateway that the network can reach is never open by accident."""

import ipaddress

from gateway.settings import Settings


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def require_access(settings: Settings) -> bool:
    """Return True if requests need a credential. If POINTSMAN_ACCESS is not set, they need none on loopback.

    Raises:
        ValueError: POINTSMAN_ACCESS is not set, and the address is not loopback.
    """
    if settings.access:
        return settings.access == "required"
    if is_loopback(settings.host):
        return False
    raise ValueError(
        f"The gateway would listen on {settings.host}, which other machines can reach, and POINTSMAN_ACCESS is unset. "
        "Set POINTSMAN_ACCESS=required and make the first key with "
        "`pointsman keys create NAME --scope operate --scope read`, or set POINTSMAN_ACCESS=open to need no keys."
    )
