"""The key that hashes units before they are logged. It is made once and kept in the gateway's home.

Where machines, or pods, have homes of their own, each would make another key, and one unit would be several in the log.
There the setting UNIT_SECRET_FILE names a key that all of them have.
"""

import hashlib
import os
import secrets
from pathlib import Path

_BYTES = 32
_LEAST_BYTES, _MOST_BYTES = 16, 64  # more than 64 bytes are no key of blake2b


def hash_unit(unit: str, secret: bytes) -> str:
    """Return what the log keeps instead of the unit itself."""
    return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=secret, digest_size=16).hexdigest()


def read_unit_secret(home: Path, given: Path | None = None) -> bytes | None:
    """Return the key in the file `given`, or in `<home>/secret`; None if there is none.

    Raises:
        ValueError: `given` cannot be read, or is too short.
    """
    if given is not None:
        return _read_given(given)
    try:
        return (home / "secret").read_bytes()
    except FileNotFoundError:
        return None


def load_unit_secret(home: Path, given: Path | None = None) -> bytes:
    """Return the key in the file `given`, or in `<home>/secret`, which the first replica that needs it makes.

    Raises:
        ValueError: `given` cannot be read, or is too short.
    """
    if given is not None:
        return _read_given(given)
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


def _read_given(path: Path) -> bytes:
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise ValueError(f"The key that hashes units cannot be read: {error}.") from error
    if not _LEAST_BYTES <= len(secret) <= _MOST_BYTES:
        raise ValueError(
            f"{path} has {len(secret)} bytes; a key that hashes units has {_LEAST_BYTES} to {_MOST_BYTES} of them."
        )
    return secret
