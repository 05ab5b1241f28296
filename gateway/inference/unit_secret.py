"""The key that hashes units before they are logged. It is made once and kept in the gateway's home."""

import hashlib
import os
import secrets
from pathlib import Path

_BYTES = 32


def hash_unit(unit: str, secret: bytes) -> str:
    """Return what the log keeps instead of the unit itself."""
    return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=secret, digest_size=16).hexdigest()


def read_unit_secret(home: Path) -> bytes | None:
    """Return the key in `<home>/secret`, or None if there is none."""
    try:
        return (home / "secret").read_bytes()
    except FileNotFoundError:
        return None


def load_unit_secret(home: Path) -> bytes:
    """Return the key in `<home>/secret`. The first replica that needs it makes it."""
    path = home / "secret"
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f".secret.{os.getpid()}"
    partial.touch(0o600)
    partial.write_bytes(secrets.token_bytes(_BYTES))
    try:
        os.link(partial, path)  # unlike a rename, a link does not replace a key that another replica has made
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    return path.read_bytes()
