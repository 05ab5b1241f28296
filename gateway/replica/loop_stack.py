"""Say what the event loop is working on, by looking at its thread's stack from another thread.

Nothing is noted while requests are served. The stack is read when the loop has been silent for too long.
"""

import sys
from types import CodeType, FrameType

from gateway.execution.lane import Lane
from gateway.inference.service import InferenceService
from registry_sync.version import VersionKey

_INFER: CodeType = InferenceService.infer.__code__
_BATCH: CodeType = Lane._start.__code__
_MAX_CHARS = 200


def describe_work(thread: int) -> str:
    """Return the line of code that the thread is in, and the request, batch or connection that it works on.

    No control characters of a caller are in it.
    """
    frames = _frames(thread)
    if not frames:
        return "unknown"
    code = frames[0].f_code
    place = f"{'/'.join(code.co_filename.split('/')[-3:])}:{frames[0].f_lineno} {code.co_name}"
    subjects = [ascii(subject)[1:-1][:_MAX_CHARS] for frame in frames if (subject := _subject(frame)) is not None]
    return ", ".join([*dict.fromkeys(subjects), f"in {place}"])


def version_at_work(thread: int) -> VersionKey | None:
    """Return the version whose batch is run; None if no batch is."""
    return next((_version(frame) for frame in _frames(thread) if frame.f_code is _BATCH), None)


def _frames(thread: int) -> list[FrameType]:
    """Return the stack of a thread, the innermost function first."""
    frames, frame = [], sys._current_frames().get(thread)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _version(frame: FrameType) -> VersionKey:
    lane: Lane = frame.f_locals["self"]
    return lane.key.version


def _subject(frame: FrameType) -> str | None:
    """Return what a function of ours works on; None for any other function."""
    code = frame.f_code
    if code is _INFER:
        return f"request {frame.f_locals.get('decision_id')} for route {frame.f_locals.get('route')}"
    if code is _BATCH:
        return f"batch of version {_version(frame)}"
    if code.co_name == "data_received":
        return _connection(frame.f_locals.get("self"))
    return None


def _connection(protocol: object) -> str | None:
    """Return the peer of an HTTP/1.1 connection. HTTP/2 connections have a method of the same name, and no peer."""
    transport = getattr(protocol, "transport", None)
    peer = None if transport is None else transport.get_extra_info("peername")
    return None if peer is None else f"connection from {peer}"
