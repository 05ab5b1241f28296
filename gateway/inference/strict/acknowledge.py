"""The main module of a process that puts the rows of one replica in the second place, and says how far they are there.

    python -m gateway.inference.strict.acknowledge SOCKET PIPE TASK

SOCKET is one end of a connection to the replica. It sends a `Question` in each line, in JSON, and gets a `Reply` in a
line; the first one comes at the start. PIPE is a pipe whose other end the replica holds: when it is closed the kernel
kills this process. TASK says where the log is, and which writer the rows are from.
"""

import signal
import sys
from pathlib import Path

import msgspec

from gateway.execution.process.parent import connect_to_parent, die_first


class Task(msgspec.Struct, frozen=True):
    """Where the log is, the key of KMS, the folder of the writer's segments, and its id."""

    log: str
    kms_key: str
    folder: str
    writer_id: str


def main() -> None:
    """Answer questions until the replica closes the connection."""
    descriptor, pipe, given = sys.argv[1:]
    connection = connect_to_parent(descriptor, pipe)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group of processes: the replica ends this one
        signal.signal(number, signal.SIG_IGN)
    die_first()

    from inference_log.strict.acknowledge import Acknowledger, Question, Reply
    from inference_log.strict.open import open_second_place

    task = msgspec.json.decode(given, type=Task)
    acknowledger = Acknowledger(Path(task.folder), task.writer_id, open_second_place(task.log, task.kms_key))
    decode = msgspec.json.Decoder(Question).decode
    with connection, connection.makefile("rb") as questions:
        connection.sendall(msgspec.json.encode(Reply(-1, 0)) + b"\n")
        for line in questions:
            connection.sendall(msgspec.json.encode(acknowledger.answer(decode(line))) + b"\n")


if __name__ == "__main__":
    main()
