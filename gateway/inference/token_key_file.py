"""The file of the keys of decision tokens: made when it is first needed, read again when it changes, and rotated."""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.inference.token_keys import (
    MAX_KEYS,
    OPENS_FOR_S,
    SEALS_AFTER_S,
    TokenKey,
    TokenKeys,
    new_key,
    parse_keys,
    sealing_key,
    write_keys,
)
from gateway.settings import Settings
from gateway.telemetry.periodic import LogOnce

_MAX_BYTES = 64 * 1024


class TokenKeyFile:
    """The keys of one process. `current` is swapped by one assignment."""

    def __init__(self, path: Path, now_s: float) -> None:
        """Read the file.

        Raises:
            ValueError: it cannot be read, or is no file of keys.
        """
        self._path = path
        self._trouble = LogOnce("gateway.token_keys.kept", "gateway.token_keys.read_again")
        self._content: bytes | None = None
        self._keys: list[TokenKey] = []
        self.current = self._read(now_s)

    def tick(self, now_s: float) -> None:
        """Take the keys of now. If the file cannot be read, keep those that are known, and log it once."""
        try:
            self.current = self._read(now_s)
            self._trouble.note("")
        except ValueError as error:
            self._trouble.note(str(error))

    def _read(self, now_s: float) -> TokenKeys:
        content = _read_limited(self._path)
        if content != self._content:
            self._keys, self._content = parse_keys(content, self._path), content
        elif self.current.sealing == sealing_key(self._keys, now_s).id:
            return self.current
        return TokenKeys(self._keys, sealing_key(self._keys, now_s).id)


def open_token_keys(settings: Settings) -> TokenKeyFile:
    """Return the keys that the settings name, or else those in the home. The first process that needs these makes them.

    Raises:
        ValueError: the file cannot be read or made, or is no file of keys.
    """
    path, now_s = token_keys_path(settings), time.time()
    if settings.token_keys_file is None:
        _make_first(path, now_s)
    return TokenKeyFile(path, now_s)


def token_keys_path(settings: Settings) -> Path:
    """Return the path of the file of keys."""
    return settings.token_keys_file or settings.home / "token-keys"


class Rotated(NamedTuple):
    """What a rotation did: the new key's id, when it will seal, and how many other keys were kept and dropped."""

    new_id: str
    seals_at_s: float
    kept: int
    dropped: int


def rotate(path: Path, now_s: float) -> Rotated:
    """Put a new key into a file, and drop the keys that no token needs any more. Make the file if there is none.

    A key is needed for as long as tokens that it has sealed may come: it seals until the key above it is old enough.

    Raises:
        ValueError: the file cannot be read or written, is no file of keys, or has too many that are still needed.
    """
    path = path.resolve()  # a link to the file stays one
    known = parse_keys(_read_limited(path), path) if path.exists() else []
    kept = [
        key
        for index, key in enumerate(known)
        if not index or not (made_s := known[index - 1].made_s) or now_s <= made_s + SEALS_AFTER_S + OPENS_FOR_S
    ]
    if len(kept) >= MAX_KEYS:
        raise ValueError(f"{path} has {len(kept)} keys that tokens may still need; rotate them less often.")
    new = new_key(now_s)
    _replace(path, write_keys([new, *kept]))
    seals_at_s = new.made_s + SEALS_AFTER_S if kept else new.made_s  # the only key seals at once
    return Rotated(new.id.hex(), seals_at_s, len(kept), len(known) - len(kept))


def _read_limited(path: Path) -> bytes:
    """Return the content of a file of keys.

    Raises:
        ValueError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"The keys of decision tokens cannot be read: {error}.") from error
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path} is larger than {_MAX_BYTES} bytes, so it is no file of keys of decision tokens.")
    return content


def _make_first(path: Path, now_s: float) -> None:
    """Make the file with one key, unless it is there."""
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(0o600)
        partial.write_bytes(write_keys([new_key(now_s)]))
        os.link(partial, path)  # unlike a rename, a link does not replace keys that another replica has made
    except FileExistsError:
        pass
    except OSError as error:
        raise ValueError(f"The keys of decision tokens cannot be made: {error}.") from error
    finally:
        with suppress(OSError):  # it may have failed before there was one
            partial.unlink()


def _replace(path: Path, content: bytes) -> None:
    """Replace a file in one step. Its owner and mode stay: the gateway may run as another user than this process."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(0o600)
        partial.write_bytes(content)
        if path.exists():
            known = path.stat()
            if (known.st_uid, known.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(partial, known.st_uid, known.st_gid)
            partial.chmod(stat.S_IMODE(known.st_mode))
        partial.replace(path)
    except OSError as error:
        raise ValueError(
            f"The keys of decision tokens cannot be written: {error}. If the file is mounted from a secret, rotate a "
            "copy of it (POINTSMAN_TOKEN_KEYS_FILE=COPY) and make the secret from that."
        ) from error
    finally:
        with suppress(OSError):  # it may have failed before there was one
            partial.unlink()
