"""Has a version checked in a process of its own, with the limits of a trial: time, memory, no passwords."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from gateway.execution.model_environment import passed_on
from gateway.execution.process.child import THREADS, ChildProcess
from gateway.execution.process.network import NO_NETWORK
from registry_sync.publish.messages import Message, Result, ToCheck, decode
from registry_sync.publish.steps import Began, Step

_WORKER = "gateway.cli.check_worker"
_NO_MEMORY = ("MemoryError", "bad_alloc", "bad allocation", "Failed to allocate memory", "Unable to allocate")


class Checked(NamedTuple):
    """The steps that ended, and the result if none failed."""

    steps: tuple[Step, ...]
    result: Result | None

    @property
    def failure(self) -> str:
        """Why the version may not be served, or an empty text."""
        return next((each.detail for each in self.steps if each.state == "failed"), "")


def check_in_process(task: ToCheck, on_step: Callable[[str], None]) -> Checked:
    """Check a version. `on_step` is called when a step begins.

    Raises:
        OSError: no process can be started.
    """
    one_thread = dict.fromkeys(THREADS, "1")  # with several it could not leave its network (`start_model`)
    environment = {**passed_on(os.environ), **one_thread}
    content = msgspec.json.encode(task)
    child = ChildProcess(_WORKER, task.source, environment=environment, nice=0, content=content)
    timer = threading.Timer(task.options.within_s, child.kill)
    timer.daemon = True
    timer.start()
    began_s = time.monotonic()
    steps: list[Step] = []
    result, running = None, "start"
    try:
        for message in _received(child):
            if isinstance(message, Began):
                running = message.step
                on_step(running)
            elif isinstance(message, Step):
                steps.append(_explained(message, task))
                running = ""
            else:
                result = message
        ending = child.wait()
    finally:
        timer.cancel()
        child.kill()
        child.wait()
        child.close()
    if result is None and not any(each.state == "failed" for each in steps):
        took_s = time.monotonic() - began_s
        steps.append(Step(running or "end", "failed", _why_ended(ending, took_s, task), took_s))
    return Checked(tuple(steps), result)


def _received(child: ChildProcess) -> Iterator[Message]:
    with child.connection.makefile("rb") as stream:
        try:
            for line in stream:
                yield decode(line)
        except (OSError, msgspec.DecodeError):  # it ended while it was sending
            return


def _why_ended(ending: str, took_s: float, task: ToCheck) -> str:
    if took_s >= task.options.within_s:
        return f"It was not loaded and tried within {task.options.within_s:g} s (POINTSMAN_LOAD_WITHIN_S)."
    return f"{ending} while it was being tried."


def _explained(step: Step, task: ToCheck) -> Step:
    """Return a step; if it failed for want of memory, with the limit."""
    limit = task.options.max_bytes
    if step.state == "failed" and limit and any(word in step.detail for word in _NO_MEMORY):
        detail = f"It takes more memory than {limit >> 20} MiB (POINTSMAN_LOAD_MAX_BYTES). {step.detail}"
        return msgspec.structs.replace(step, detail=detail)
    if step.state == "failed" and not task.options.has_network and any(word in step.detail for word in NO_NETWORK):
        return msgspec.structs.replace(step, detail=f"{step.detail} A version is tried without network.")
    return step
