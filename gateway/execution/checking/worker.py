"""The main module of the process that checks a version.

    python -m gateway.execution.checking.worker SOCKET PIPE SOURCE

Standard input says what to do (`ToCheck`, in JSON). SOURCE names it, for a person who lists the processes. The process
sends lines of JSON (`gateway.execution.checking.messages`). When PIPE is closed, since its parent has ended, the kernel
kills this process.
"""

import sys
from contextlib import suppress

from gateway.execution.checking.messages import Message, decode_task, encode
from gateway.execution.checking.steps import NETWORK, StepFailed, Steps
from gateway.execution.checking.tasks import check
from gateway.execution.process.network import leave_network
from gateway.execution.process.parent import connect_to_parent, limit_memory


def main() -> None:
    """Check the version, and report each step."""
    descriptor, pipe, _ = sys.argv[1:]
    connection = connect_to_parent(descriptor, pipe)

    def report(message: Message) -> None:
        connection.sendall(encode(message) + b"\n")

    to_check = decode_task(sys.stdin.buffer.read())
    steps = Steps(report)
    remarks = () if to_check.options.has_network else _leave_network(steps)
    limit_memory(to_check.options.max_bytes)
    with suppress(StepFailed):
        check(to_check, steps, remarks)
    connection.close()


def _leave_network(steps: Steps) -> tuple[str, ...]:
    """Leave the network. Where the machine does not allow it, the model is tried all the same, and a remark says so."""
    try:
        leave_network()
    except OSError as error:
        remark = f"It was tried with network, since this machine does not let a process leave its network: {error}."
        steps.note(NETWORK, "remark", remark)
        return (remark,)
    return ()


if __name__ == "__main__":
    main()
