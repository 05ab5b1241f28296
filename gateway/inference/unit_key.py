"""The key with which units are hashed before they are logged: made once, kept beside the other state. Acts."""

import os
import secrets
from pathlib import Path

_BYTES = 32


def load_unit_key(home: Path) -> bytes:
    """The key in `<home>/secret`; whoever comes first makes it."""
    path = home / "secret"
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f".secret.{os.getpid()}"
    partial.touch(0o600)
    partial.write_bytes(secrets.token_bytes(_BYTES))
    try:
        os.link(partial, path)  # refuses to replace
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    return path.read_bytes()
