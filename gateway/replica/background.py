"""The background work of one replica: little, and cheap while nothing has changed. The companion does the rest."""

import threading
import time
from collections.abc import Callable

from gateway.access.jwks import LOOK_EVERY_S, JwksSource
from gateway.companion.keeper import CompanionKeeper
from gateway.inference.token_key_file import TokenKeyFile
from gateway.replica.publish import Publisher
from gateway.telemetry.periodic import PeriodicJob, run_every
from inference_log.disk_bound import DiskUseReader
from inference_log.writer import LogWriter

_UPKEEP_EVERY_S = 1.0


def keep_signing_keys(stop: threading.Event, jwks: JwksSource) -> None:
    """Keep the keys that sign tokens current."""
    run_every(stop, LOOK_EVERY_S, PeriodicJob(lambda: jwks.tick(time.monotonic()), "gateway.jwks.failed"))


def do_upkeep(
    stop: threading.Event,
    keeper: CompanionKeeper,
    publisher: Publisher,
    writer: LogWriter,
    disk: DiskUseReader,
    token_keys: TokenKeyFile,
    look_at_place: Callable[[], None],
    max_age_s: float,
    max_bytes: int,
) -> None:
    """Keep the companion running, see to the segments and the metrics, and keep the keys current.

    An old or full segment is closed. What the spool has no room for is left out.
    """

    def keep_to_bound() -> None:
        writer.leaves_out = disk.read().shed

    jobs = (
        PeriodicJob(keeper.look, "gateway.companion.not_started"),
        PeriodicJob(keep_to_bound, "inference_log.bound.failed"),
        PeriodicJob(lambda: writer.rotate(max_age_s, max_bytes), "inference_log.roll.failed"),
        PeriodicJob(look_at_place, "inference_log.second_place.not_started"),
        PeriodicJob(publisher.publish, "gateway.metrics.not_published"),
        PeriodicJob(lambda: token_keys.tick(time.time()), "gateway.token_keys.failed"),
    )
    run_every(stop, _UPKEEP_EVERY_S, *jobs)
