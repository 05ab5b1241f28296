"""Builds the guard that the settings ask for."""

from typing import NamedTuple

import structlog

from gateway.access.guard import AccessGuard
from gateway.access.jwks import JwksSource
from gateway.access.requirement import require_access
from gateway.access.tokens import TokenVerifier
from gateway.settings import Settings

_log = structlog.get_logger()


class Access(NamedTuple):
    """The guard, and the source of signing keys whose `tick` a thread must call; None if there is none."""

    guard: AccessGuard
    jwks: JwksSource | None


def open_access(settings: Settings) -> Access | None:
    """Return the guard and the source of signing keys, or None if requests need no credential.

    Raises:
        ValueError: the settings contradict each other, or would open the gateway to the network by accident.
    """
    if not require_access(settings):
        return None
    if not settings.jwks:
        if settings.jwt_issuer or settings.jwt_audience:
            raise ValueError("POINTSMAN_JWT_ISSUER and POINTSMAN_JWT_AUDIENCE have no effect without POINTSMAN_JWKS.")
        return Access(AccessGuard(), None)
    if not settings.jwt_audience:
        _log.warning("gateway.access.any_audience", advice="set POINTSMAN_JWT_AUDIENCE")
    source = JwksSource(settings.jwks)
    return Access(AccessGuard(TokenVerifier(source, settings.jwt_issuer, settings.jwt_audience)), source)
