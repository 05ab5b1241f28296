"""Keeps the keys that sign tokens current: from a file or a URL, in a thread of its own. Acts, level-triggered.

Read every five minutes; sooner, though at most every ten seconds, if a token names a key that is not known or if
the last attempt failed. The last good set stays while the source is down.
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
    """One per replica. `current` is swapped by one assignment; None until the source was read once."""

    def __init__(self, location: str, fetch: Callable[[], bytes] | None = None) -> None:
        """Takes a file or a URL; `fetch` stands in for reading it.

        Raises:
            ValueError: the location cannot be trusted: plain HTTP over a network, or a password in the URL.
        """
        self.current: SigningKeys | None = None
        self._fetch = fetch or _reader(location)
        self._content = b""
        self._asked = False
        self._failed = False
        self._read_s = float("-inf")

    def ask(self) -> None:
        """Wants the keys read again before their time. For any thread; never waits."""
        self._asked = True

    def tick(self, now_s: float) -> None:
        """Reads the source if it is time; never raises what the source may raise."""
        due_s = RETRY_S if self._asked or self._failed else REREAD_S
        if now_s - self._read_s < due_s:
            return
        self._read_s = now_s
        self._asked = False
        try:
            self._take(self._fetch())
            self._failed = False
        except Exception as error:  # noqa: BLE001  # a thread that ended in silence would keep revoked keys alive
            self._failed = True
            _log.warning("gateway.jwks.failed", error=str(error), kept=self.current is not None)

    def _take(self, content: bytes) -> None:
        """The same content keeps the same object, and with it what was verified by it."""
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
            f"POINTSMAN_JWKS must be a file or an https:// URL, not {url.scheme}://: whoever answers in between could "
            "sign tokens. Inside a cluster, mount the JWKS as a file."
        )
    if url.username or url.password:
        raise ValueError("POINTSMAN_JWKS must not hold a password: a JWKS is public.")
    return lambda: _download(location)


def _download(location: str) -> bytes:
    return httpx.get(location, timeout=_TIMEOUT_S).raise_for_status().content
