"""The home: may it be written, is there room, and what was left in it."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.finding import Finding, fault, ok, warning
from gateway.settings import Settings
from inference_log.segment import SUFFIX
from inference_log.spool import DEAD_LETTER

_SUBJECT = "home"
_LEAST_FREE_BYTES = 2 * 1024**3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_home(settings: Settings) -> Iterator[Finding]:
    """Look at the folder of the state."""
    home = settings.home
    if not home.exists():
        parent = next(each for each in home.parents if each.exists())
        if not os.access(parent, os.W_OK):
            yield fault(_SUBJECT, f"{home} cannot be made.", f"Let this user write {parent}, or set POINTSMAN_HOME.")
        else:
            yield ok(_SUBJECT, f"{home} is not there yet; the gateway makes it.")
        return
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        yield fault(_SUBJECT, f"{home} cannot be written.", "Let this user write it, or set POINTSMAN_HOME.")
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & _OTHERS:
        yield warning(_SUBJECT, f"{home} has mode {mode:o}: other users may look into it.", f"chmod 700 {home}")
    free_bytes = shutil.disk_usage(home).free
    free = f"{free_bytes / 1024**3:.1f} GiB are free on the disk of {home}"
    if free_bytes < _LEAST_FREE_BYTES:
        yield fault(_SUBJECT, f"{free}.", "Make room: on a full disk, rows of the log are dropped and counted.")
    else:
        yield ok(_SUBJECT, f"{free}.")
    yield from _left(settings.spool)


def _left(spool: Path) -> Iterator[Finding]:
    """Yield what lies in the spool."""
    set_aside = len(list((spool / DEAD_LETTER).glob(f"*{SUFFIX}")))
    if set_aside:
        yield fault(
            _SUBJECT,
            f"{set_aside} segments are set aside in {spool / DEAD_LETTER}; their rows are not in the log.",
            "docs/operating.md (The log) says how they are read or tried again.",
        )
