"""The main module of the process that checks a version for `pointsman models add` and `validate`.

    python -m gateway.cli.check_worker SOCKET PIPE SOURCE

Standard input says what to do with SOURCE. It sends lines of JSON (`registry_sync.publish.messages`). When PIPE is
closed, since the command has ended, the kernel kills this process. What the model prints goes to standard error.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.execution.process.network import leave_network
from gateway.execution.process.parent import connect_to_parent, limit_memory
from registry_sync.publish.messages import Message, decode_task, encode
from registry_sync.publish.steps import StepFailed, Steps
from registry_sync.publish.work import check


def main() -> None:
    """Check the version, and report each step."""
    descriptor, pipe, _ = sys.argv[1:]
    connection = connect_to_parent(descriptor, pipe)
    os.dup2(2, 1)

    def report(message: Message) -> None:
        connection.sendall(encode(message) + b"\n")

    to_check = decode_task(sys.stdin.buffer.read())
    sys.path[:] = [str(Path(each).absolute()) for each in sys.path]
    os.chdir("/")  # a model must not find files where the command happens to be run
    steps = Steps(report)
    remarks = () if to_check.options.has_network else _leave_network(steps)
    limit_memory(to_check.options.max_bytes)
    with suppress(StepFailed):
        result = check(to_check, steps)
        report(msgspec.structs.replace(result, remarks=(*remarks, *result.remarks)))


def _leave_network(steps: Steps) -> tuple[str, ...]:
    """Leave the network. Where the machine does not allow it, the model is tried all the same, and a remark says so."""
    try:
        leave_network()
    except OSError as error:
        remark = f"It was tried with network, since this machine does not let a process leave its network: {error}."
        steps.note("network", "remark", remark)
        return (remark,)
    return ()


if __name__ == "__main__":
    main()
