"""Who may call, and the keys that machines share."""

from collections.abc import Iterator
from pathlib import Path

from gateway.access.open import open_access
from gateway.access.tls import load_tls
from gateway.cli.doctor.finding import Finding, fault, ok, warning
from gateway.inference.token_key_file import open_token_keys
from gateway.inference.unit_secret import read_unit_secret
from gateway.settings import Settings
from store.redis.address import is_redis_url

_SUBJECT = "access"


def check_access(settings: Settings) -> Iterator[Finding]:
    """Look at access control, TLS and keys."""
    try:
        guard = open_access(settings)
        load_tls(settings)
        read_unit_secret(settings.home, settings.unit_secret_file)
        if settings.token_keys_file is not None:
            open_token_keys(settings)
    except (ValueError, OSError) as error:
        yield fault(_SUBJECT, str(error), "Correct the setting that it names.")
        return
    if guard is None:
        yield (
            warning(
                _SUBJECT,
                f"Whoever reaches {settings.host}:{settings.port} may do everything.",
                "Set POINTSMAN_ACCESS=required, and make keys: pointsman keys create.",
            )
            if settings.host not in ("127.0.0.1", "::1", "localhost")
            else ok(_SUBJECT, "Access is open, on this machine's loopback only.")
        )
    else:
        yield ok(_SUBJECT, "A key or a token is required.")
    if is_redis_url(settings.store):
        yield from _shared(settings.token_keys_file, "TOKEN_KEYS_FILE", "refuses decision tokens of the others")
        yield from _shared(settings.unit_secret_file, "UNIT_SECRET_FILE", "hashes units otherwise than the others")


def _shared(file: Path | None, setting: str, what: str) -> Iterator[Finding]:
    """Yield a finding if several machines may share the store, and this one makes a key of its own."""
    if file is None:
        yield warning(
            "keys",
            f"The key is one of this machine's home. If several machines share the store, each {what}.",
            f"Give all of them one file, and name it in POINTSMAN_{setting}. With one machine all is well.",
        )
