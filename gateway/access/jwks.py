"""Keeps the keys that sign tokens current, from a file or a URL, in a thread of its own.

The source is read every five minutes. If a token names an unknown key, or the last attempt failed, it is read sooner,
but at most every ten seconds. While the source is down, the last good keys stay.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog

from gateway.access.requirement import is_loopback
from gateway.access.signing_keys import SigningKeys, read_signing_keys

_log = structlog.get_logger()

REREAD_S = 300.0
RETRY_S = 10.0
_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.5


class JwksSource:
    """The signing keys of one replica. `current` is swapped by one assignment; it is None until the first read."""

    def __init__(self, location: str, fetch: Callable[[], bytes] | None = None) -> None:
        """Take a file or a URL as `location`. `fetch` replaces reading it.

        Raises:
            ValueError: `location` is plain HTTP over a network, or has a password in the URL.
        """
        self.current: SigningKeys | None = None
        self._fetch = fetch or _reader(location)
        self._content = b""
        self._is_refresh_requested = False
        self._failed = False
        self._read_s = float("-inf")

    def refresh_soon(self) -> None:
        """Request that the keys are read again soon. Any thread may call this; it does not wait."""
        self._is_refresh_requested = True

    def tick(self, now_s: float) -> None:
        """Read the source if it is time. Log its errors instead of raising them."""
        due_s = RETRY_S if self._is_refresh_requested or self._failed else REREAD_S
        if now_s - self._read_s < due_s:
            return
        self._read_s = now_s
        self._is_refresh_requested = False
        try:
            self._take(self._fetch())
            self._failed = False
        except Exception as error:  # noqa: BLE001  # the thread must go on: without it, withdrawn keys would stay valid
            self._failed = True
            _log.warning("gateway.jwks.failed", error=str(error), kept=self.current is not None)

    def _take(self, content: bytes) -> None:
        """Replace the keys, unless the content is the same. The same object keeps the tokens that it has verified."""
        if content == self._content and self.current is not None:
            return
        keys = read_signing_keys(content)
        self.current, self._content = keys, content
        _log.info("gateway.jwks.live", keys=sorted(keys.by_id), skipped=list(keys.skipped))


def _reader(location: str) -> Callable[[], bytes]:
    if "://" not in location:
        return Path(location).read_bytes
    url = urlsplit(location)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
        raise ValueError(
            f"POINTSMAN_JWKS must be a file or an https:// URL, not {url.scheme}://: over plain HTTP, "
            "an attacker could replace the keys. Inside a cluster, mount the JWKS as a file."
        )
    if url.username or url.password:
        raise ValueError("POINTSMAN_JWKS must not hold a password: a JWKS is public.")
    return lambda: _download(location)


def _download(location: str) -> bytes:
    return httpx.get(location, timeout=_TIMEOUT_S).raise_for_status().content
