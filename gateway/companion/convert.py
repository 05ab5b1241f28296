"""The main module of a process that turns segments into Parquet.

    python -m gateway.companion.convert SOCKET PIPE TASK

SOCKET is one end of a connection to the companion. It sends the path of a segment in each line, and gets a line with
the result (`inference_log.converter.Converted`, in JSON). Empty lines before it are signs of life. PIPE is a
pipe whose other end the companion holds: when it is closed the kernel kills this process. TASK says where the log is
and how much memory may be used.
"""

import os
import resource
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path

import msgspec

from gateway.execution.process.die_with import die_with
from gateway.execution.process.parent import die_first

_STACK_BYTES = 1024 * 1024
"""Of a thread that puts a file. The usual 8 MiB count toward the memory that the process may take."""


class Task(msgspec.Struct, frozen=True):
    """Where the log is, where files for it wait, the key of KMS, and the memory that the process may take."""

    log: str
    staging: str
    kms_key: str
    max_bytes: int


def main() -> None:
    """Convert segments until the companion closes the connection."""
    descriptor, pipe, given = sys.argv[1:]
    die_with(int(pipe))
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group of processes: the companion ends this one
        signal.signal(number, signal.SIG_IGN)
    task = msgspec.json.decode(given, type=Task)
    resource.setrlimit(resource.RLIMIT_DATA, (task.max_bytes, task.max_bytes))
    threading.stack_size(_STACK_BYTES)
    die_first()

    from inference_log.completeness.late import NotingSink
    from inference_log.files.open import open_files
    from inference_log.local_converter import LocalConverter
    from inference_log.sinks.open import open_sink
    from inference_log.sinks.staging import remove_leftovers
    from inference_log.strict.clean import CleaningConverter

    remove_leftovers(Path(task.staging))
    for each in (descriptor, pipe):
        os.set_inheritable(int(each), False)
    sink = open_sink(task.log, Path(task.staging), task.kms_key)
    open_log = partial(open_files, task.log, task.kms_key)
    converter = CleaningConverter(LocalConverter(NotingSink(sink, open_log)), open_log)
    with socket.socket(fileno=int(descriptor)) as connection, connection.makefile("rb") as paths:

        def goes_on() -> bool:
            connection.sendall(b"\n")
            return False

        for path in paths:
            converted = converter.convert(Path(os.fsdecode(path.rstrip(b"\n"))), goes_on)
            connection.sendall(msgspec.json.encode(converted) + b"\n")


if __name__ == "__main__":
    main()
