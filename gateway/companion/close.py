"""The main module of a process that closes a day of the log.

    python -m gateway.companion.close SOCKET PIPE TASK

PIPE is a pipe whose other end the companion holds: when it is closed the kernel kills this process. Nothing is sent
over SOCKET. TASK says where the log is, and which day to close.
"""

import sys

import msgspec
import structlog

from gateway.execution.process.die_with import die_with
from gateway.execution.process.parent import die_first
from gateway.telemetry.logs import configure_logs

_log = structlog.get_logger()


class CloseTask(msgspec.Struct, frozen=True):
    """Where the log is, its key of KMS, the day to close, and the time at which it is due (us since the epoch)."""

    log: str
    kms_key: str
    day: str
    now_us: int


def main() -> None:
    """Close the day, unless a machine is not ready any more."""
    _, pipe, given = sys.argv[1:]
    die_with(int(pipe))
    task = msgspec.json.decode(given, type=CloseTask)
    die_first()
    configure_logs()

    from inference_log.completeness.close import close_day
    from inference_log.errors import LogError
    from inference_log.files.open import open_files

    try:
        closed = close_day(open_files(task.log, task.kms_key), task.day, task.now_us)
    except LogError as error:
        _log.warning("inference_log.day.not_closed", day=task.day, error=str(error))
        return
    if not closed.why:
        lost = sum(each.lost for each in closed.routes)
        tell = _log.warning if lost or closed.away else _log.info
        tell(
            "inference_log.day.closed",
            day=task.day,
            rows=sum(each.inferences for each in closed.routes),
            lost=lost,
            late_files=closed.late_files,
            away=list(closed.away),
        )


if __name__ == "__main__":
    main()
