"""Finishes the homes of machines that are gone: counts and ships what lies in their spools, and removes what is empty.

Pods may keep their homes in a folder of their node, each in one of its own. If a pod is ended before it has shipped
everything, such as with S3 away, its segments stay on the node. A home is left alone while a process uses it, or has
used it shortly before: a container that starts again goes on in it. The process that sweeps a home
holds its companion's lock.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.companion.child_converter import ChildConverter
from gateway.companion.completeness import noted_name
from gateway.companion.convert import Task
from gateway.companion.files import lock_file
from gateway.companion.heartbeat import Heartbeat
from gateway.control.log_counter import LogCounter
from gateway.errors import GatewayError
from gateway.settings import Settings
from inference_log.completeness.watermark import Spool, write_watermark
from inference_log.errors import LogError
from inference_log.files.open import open_files
from inference_log.process_lock import is_held, take_lock
from inference_log.ship import Shipper
from inference_log.spool import DEAD_LETTER, all_segments, segments
from store.interface import Store

_SPOOL = "spool"
_LOCKS = "*/lock"


class NotShared(GatewayError):
    """A home holds more than what its gateway has left to ship. The message says what to do."""


class Swept(NamedTuple):
    """What became of a home: how many segments were shipped, how many are left, and why if it is still there."""

    home: str
    shipped: int
    left: int
    set_aside: int
    removed: bool
    trouble: str


def abandoned(homes: Path, idle_s: float, now_s: float) -> Iterator[Path]:
    """Yield the homes in a folder that no process uses, and none has used for `idle_s` seconds.

    Raises:
        OSError: the folder cannot be read.
    """
    for home in sorted(homes.iterdir()):
        if _is_abandoned(home / _SPOOL, idle_s, now_s):
            yield home


def sweep(settings: Settings, store: Store, *, within_s: float, now: Callable[[], float] = time.time) -> Swept:
    """Count and ship what a home has left, for about `within_s` seconds at most. Remove the home if nothing is left.

    Segments that were set aside are left, and so is their home.

    Raises:
        NotShared: the store or the log is in the home itself.
        OSError: the home cannot be read.
    """
    _require_shared(settings)
    spool = settings.spool
    began, set_aside_before = _left(spool)
    lock = take_lock(lock_file(settings))
    if lock is None:
        return Swept(str(settings.home), 0, began, 0, removed=False, trouble="a process uses it")
    heartbeat = Heartbeat(lock)
    try:
        trouble = _ship(settings, store, now() + within_s, now)
        left, set_aside = _left(spool)
        trouble = trouble or _say_shipped(settings, int(now() * 1e6))
        is_done = not left and not set_aside and not trouble
        if is_done:
            shutil.rmtree(settings.home)
    finally:
        heartbeat.stop()
        lock.release()
    return Swept(str(settings.home), began + set_aside_before - left - set_aside, left, set_aside, is_done, trouble)


def _left(spool: Path) -> tuple[int, int]:
    """Return how many segments wait, and how many were set aside."""
    return len(all_segments(spool)), len(segments(spool / DEAD_LETTER))


def _require_shared(settings: Settings) -> None:
    for name, place in (("store", settings.store.removeprefix("sqlite:///")), ("log", settings.log)):
        if Path(place).is_relative_to(settings.home):
            raise NotShared(
                f"The {name} of {settings.home} is in it, and would be removed with it. Set POINTSMAN_{name.upper()} to"
                f" the one that all machines share."
            )


def _ship(settings: Settings, store: Store, until_s: float, now: Callable[[], float]) -> str:
    """Return why segments are left, or nothing."""
    counter = LogCounter(store, settings.spool)
    converter = ChildConverter(
        Task(settings.log, str(settings.staging), settings.log_kms_key, settings.conversion_max_bytes)
    )
    shipper = Shipper(settings.spool, converter, may_delete=counter.finish, deleted=counter.deleted)
    waiting = -1
    try:
        # A damaged segment takes several turns. After a turn that has changed nothing, another would not either.
        while waiting != (waiting := _waiting_bytes(settings.spool)) and waiting and now() < until_s:
            counter.tick()
            shipper.tick(lambda: now() >= until_s, is_last=True)
        counter.tick()  # the store forgets what was deleted
    finally:
        converter.rest()
    return shipper.trouble or counter.trouble


def _waiting_bytes(spool: Path) -> int:
    return sum(path.stat().st_size for path in all_segments(spool))


def _say_shipped(settings: Settings, now_us: int) -> str:
    """Say in the machine's name that it has ended, so that its days can be closed. Return why that was not possible."""
    try:
        name = noted_name(settings.spool)
        if name:
            watermark = Spool(settings.spool, name).watermark(now_us, is_last=True)
            write_watermark(open_files(settings.log, settings.log_kms_key), watermark)
    except (LogError, OSError) as error:
        return str(error)
    return ""


def _is_abandoned(spool: Path, idle_s: float, now_s: float) -> bool:
    try:
        return spool.is_dir() and not any(map(is_held, spool.glob(_LOCKS))) and now_s - _used_s(spool) >= idle_s
    except FileNotFoundError:
        return False  # a segment or the whole home went meanwhile: a process uses it


def _used_s(spool: Path) -> float:
    """Return when a process gave its last heartbeat or wrote a segment."""
    used = (spool, *spool.glob(_LOCKS), *all_segments(spool))
    return max(path.stat().st_mtime for path in used)
