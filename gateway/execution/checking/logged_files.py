"""Brings a part of a log in S3 to this machine, for the process that asks logged requests.

That process runs code of a model, so it has neither network nor credentials. The files are drawn evenly among those of
the route and its days, until a bound is reached.
"""

import random
import time
from pathlib import Path

import msgspec

from gateway.execution.checking.messages import Logged
from inference_log.errors import LogError
from inference_log.files.open import open_files
from inference_log.s3.place import is_in_s3
from inference_log.sample import Asked, asked_files

_MOST_BYTES = 256 * 1024 * 1024
_WITHIN_S = 20.0
_SEED = 7


def with_local_log(logged: Logged, folder: Path) -> Logged:
    """Return what is asked, with a log that is in a directory: `folder`, if it was in S3."""
    if not is_in_s3(logged.log):
        return logged
    try:
        is_partial = _copy(logged, folder)
    except (LogError, OSError) as error:
        return msgspec.structs.replace(logged, log=str(folder), unreadable=str(error))
    return msgspec.structs.replace(logged, log=str(folder), is_partial=is_partial)


def _copy(logged: Logged, folder: Path) -> bool:
    """Copy files of the log, and return True if some were left out."""
    until_s = time.monotonic() + _WITHIN_S
    files = open_files(logged.log)
    asked = asked_files(files, Asked(logged.route, logged.since_s, logged.until_s))
    random.Random(_SEED).shuffle(asked)  # noqa: S311  # a sample, no secret
    space, is_partial = _MOST_BYTES, False
    for key, size in asked:
        if size > space or time.monotonic() > until_s:
            is_partial = True
            continue
        content = files.read(key)
        if content is not None:
            space -= size
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(content)
    return is_partial
