"""The keys of decision tokens: a file, of which one key seals and all keys open.

    1a2b3c4d 5p0Xb1f...MZw= 2026-11-30T08:00:00Z

A line is a key: its id (eight hexadecimal digits), 32 bytes in base64 and, if it is known, when it was made. The newest
key is the first. It seals when it is ten minutes old, so all replicas have read it before a token needs it. A key that
does not say when it was made seals at once. With each key of a day, derived from one of these, the tokens of one day
are sealed.
"""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from router.spec.parse_metrics import LONGEST_WINDOW_S

SEALS_AFTER_S = 600.0
"""The age at which a new key seals."""
OPENS_FOR_S = LONGEST_WINDOW_S + 86_400.0
"""How long a key still opens after it has sealed for the last time. The day is for clocks and late rewards."""
MAX_KEYS = 100
"""So many keys a file may have: one a day for the longest window."""
_BYTES = 32
_CIPHERS = 1024  # the keys of days that are kept; each day costs 2 µs
_LINE = re.compile(r"(?P<id>[0-9a-f]{8})\s+(?P<secret>[A-Za-z0-9+/=]+)(?:\s+(?P<made>\S+))?")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key of the file. `made_s` is 0 if it is not known."""

    id: bytes
    secret: bytes = field(repr=False)
    made_s: float = 0.0


class TokenKeys:
    """All keys as they are now. `sealing` is the id of the one that seals; `cipher` finds the key of a day."""

    def __init__(self, keys: Sequence[TokenKey], sealing: bytes) -> None:
        self.sealing = sealing
        self._secrets = {key.id: key.secret for key in keys}
        self.cipher = lru_cache(maxsize=_CIPHERS)(self._cipher)

    def _cipher(self, key_id: bytes, day: int) -> AESGCM:
        """Return the cipher of a key's day.

        Raises:
            KeyError: there is no such key.
        """
        of_day = hashlib.blake2b(
            day.to_bytes(2, "big"), key=self._secrets[key_id], digest_size=_BYTES, person=b"decision token"
        )
        return AESGCM(of_day.digest())


def sealing_key(keys: Sequence[TokenKey], now_s: float) -> TokenKey:
    """Return the newest key that is old enough to seal. If none is, return the oldest one."""
    return next((key for key in keys if now_s - key.made_s >= SEALS_AFTER_S), keys[-1])


def new_key(now_s: float) -> TokenKey:
    """Return a new key."""
    return TokenKey(secrets.token_bytes(4), secrets.token_bytes(_BYTES), float(int(now_s)))


def parse_keys(content: bytes, path: Path) -> list[TokenKey]:
    """Return the keys of a file, which `path` names in errors. No error quotes a key.

    Raises:
        ValueError: a line is no key, two keys have the same id, or there is none, or too many.
    """
    lines = content.decode("utf-8", "replace").splitlines()
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    keys = [_parse_line(line, f"{path}, line {number}") for number, line in numbered if line and line[0] != "#"]
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"{path} has {len(keys)} keys of decision tokens; it must have 1 to {MAX_KEYS}.")
    if len({key.id for key in keys}) < len(keys):
        raise ValueError(f"{path} has two keys with the same id; a token could not say which one has sealed it.")
    return keys


def write_keys(keys: Sequence[TokenKey]) -> bytes:
    """Return the content of a file of keys."""
    lines = []
    for key in keys:
        made = [datetime.fromtimestamp(key.made_s, UTC).strftime(_TIME)] if key.made_s else []
        lines.append(" ".join([key.id.hex(), base64.b64encode(key.secret).decode(), *made]))
    return "".join(f"{line}\n" for line in lines).encode()


def _parse_line(line: str, where: str) -> TokenKey:
    match = _LINE.fullmatch(line)
    try:
        if match is None:
            raise ValueError
        secret = base64.b64decode(match["secret"], validate=True)
        made = match["made"]
        made_s = 0.0 if made is None else datetime.strptime(made, _TIME).replace(tzinfo=UTC).timestamp()
    except (ValueError, binascii.Error):
        raise ValueError(
            f"{where}: a key is an id of eight hexadecimal digits, {_BYTES} bytes in base64 and, if you like, the time "
            "when it was made, such as 2026-11-30T08:00:00Z."
        ) from None  # the cause could quote the key
    if len(secret) != _BYTES:
        raise ValueError(f"{where}: the key has {len(secret)} bytes; it must have {_BYTES}.")
    return TokenKey(bytes.fromhex(match["id"]), secret, made_s)
