"""The log: can a file be stored, read and listed there."""

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.finding import Finding, fault, ok
from gateway.settings import Settings
from inference_log.errors import LogError
from inference_log.files.open import open_files
from inference_log.s3.place import is_in_s3

_SUBJECT = "log"
_FOLDER = "_doctor"


def check_log(settings: Settings) -> Iterator[Finding]:
    """Store a small file beside the log's tables, read it, and remove it if that is allowed."""
    if not is_in_s3(settings.log) and not Path(settings.log).exists():
        yield ok(_SUBJECT, f"{settings.log} is not there yet; the gateway makes it.")
        return
    key, content = f"{_FOLDER}/{socket.gethostname()}", secrets.token_bytes(32)
    began_s = time.perf_counter()
    try:
        files = open_files(settings.log)
        files.write(key, content)
        found = files.read(key)
        files.list(f"{_FOLDER}/")
        with contextlib.suppress(LogError):  # a gateway's role need not delete: the next look takes the same key
            files.remove(key)
    except LogError as error:
        yield fault(
            _SUBJECT,
            str(error),
            "The gateway needs to put, get and list objects there; k8s/iam/gateway.json has a policy.",
        )
        return
    if found != content:
        yield fault(
            _SUBJECT, f"A file that was put to {settings.log} came back otherwise.", "Is the endpoint S3, or a proxy?"
        )
        return
    yield ok(_SUBJECT, f"A file could be put to {settings.log}, and read, in {time.perf_counter() - began_s:.2f} s.")
