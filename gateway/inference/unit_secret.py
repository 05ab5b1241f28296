"""The key that hashes units before they are logged. It is made once and kept in the gateway's home."""

import os
import secrets
from pathlib import Path

_BYTES = 32


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
