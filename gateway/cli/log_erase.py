"""`pointsman log erase`: takes the rows of one unit out of the log, and leaves a row in the table `audit`."""

import getpass
import json
import socket
import time
from typing import TYPE_CHECKING

from gateway.cli.output import print_table, say

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.settings import Settings
    from inference_log.erase.erase import Erasure

_FOLDER = "commands"
_HASH_CHARACTERS = 32


def unit_hash_of(settings: "Settings", unit: str | None, unit_hash: str | None) -> str:
    """Return the hash of the unit that the command names.

    Raises:
        ValueError: it names none, or two, or something that is no hash; or the home has no secret.
    """
    from gateway.inference.unit_secret import hash_unit, read_unit_secret

    if (unit is None) == (unit_hash is None):
        raise ValueError("Name the unit with --unit, or its hash as the log has it with --unit-hash.")
    if unit_hash is not None:
        if len(unit_hash) != _HASH_CHARACTERS or set(unit_hash) - set("0123456789abcdef"):
            raise ValueError("--unit-hash must be 32 hexadecimal digits, as in the column unit_hash.")
        return unit_hash
    secret = read_unit_secret(settings.home, settings.unit_secret_file)
    if secret is None:
        raise ValueError(f"There is no secret in {settings.home}, so no unit can be hashed; name the right --home.")
    return hash_unit(unit or "", secret)


def note_erasure(settings: "Settings", unit_hash: str, route: str | None, why: str, done: "Erasure") -> None:
    """Write what was done as a row of `audit`, which becomes Parquet with the other segments.

    Raises:
        OSError: it could not be written.
    """
    from inference_log.record import Audit
    from inference_log.writer import LogWriter

    now_us = time.time_ns() // 1000
    folder = settings.spool / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    writer = LogWriter(folder, f"{host}-erase-{now_us}")
    removed = {"removed": done.removed, "decisions": done.decisions, "waiting": done.waiting, "unread": done.unread}
    what = f"log erase --unit-hash {unit_hash}{f' --route {route}' if route else ''}"
    is_noted = writer.note(Audit(0, "", 0, now_us, getpass.getuser(), what, why, host, "", {}, json.dumps(removed)))
    writer.close()
    if not is_noted:
        raise OSError(f"The row of audit could not be written to {folder}; free some of the disk, then run it again.")


def print_erasure(done: "Erasure", unit_hash: str) -> None:
    """Print the files before and after, and what is left to do."""
    rows: list[tuple[object, ...]] = [
        (table, each.key.rpartition("/")[2], each.rows, each.removed, each.rows - each.removed)
        for table, those in done.rewritten.items()
        for each in those
    ]
    rows += [("dead-letter", name, "", removed, "") for name, removed in done.set_aside.items()]
    if rows:
        print_table(("TABLE", "FILE", "ROWS", "REMOVED", "LEFT"), rows)
    total = sum(done.removed.values())
    say(f"{total:,} rows of unit {unit_hash} and its {done.decisions:,} decisions were removed.")
    if done.waiting:
        say(
            f"{done.waiting:,} rows wait in segments that are not Parquet yet. Run it again in a minute or two; if a "
            "machine was lost that served strict routes, after `pointsman log recover`."
        )
    for name in done.unread:
        say(f"A part of {name} cannot be read. If the unit may be in it, delete the file: spool/dead-letter/{name}.")
