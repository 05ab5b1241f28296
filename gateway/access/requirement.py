"""Whether callers must show a credential. Decides; a gateway that the network can reach never is open by accident."""

import ipaddress

from gateway.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def require_access(settings: Settings) -> bool:
    """Whether callers must show a credential: as set, and on loopback only if set.

    Raises:
        ValueError: nothing is set, and the address is not loopback.
    """
    if settings.access:
        return settings.access == "required"
    if is_loopback(settings.host):
        return False
    raise ValueError(
        f"The gateway would listen on {settings.host}, where others can reach it, and it is not said who may. "
        "Set POINTSMAN_ACCESS=required and make the first key with "
        "`pointsman keys create NAME --scope operate --scope read`, or set POINTSMAN_ACCESS=open to let everybody in."
    )
