"""Writes the machine's metrics to standard output once a minute, in CloudWatch's Embedded Metric Format."""

import os
import threading
import time

from gateway.companion.files import PROCESS
from gateway.settings import Settings
from gateway.telemetry.emf import EmbeddedMetrics
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every, run_once
from gateway.telemetry.published import read_all
from inference_log.completeness.watermark import Spool
from inference_log.spool import held_seats

_EVERY_S = 60.0
_STDOUT = 1


class EmbeddedMetricsJob:
    """The lines of this machine. A reader of standard output that is slow holds up nothing but them."""

    def __init__(self, settings: Settings, output: int = _STDOUT) -> None:
        self._settings = settings
        self._output = output
        self._spool = Spool(settings.spool, "")
        self._metrics = EmbeddedMetrics()
        self._outage = LogOnce("gateway.emf.failed")

    def run(self, stop: threading.Event) -> None:
        """Write lines until `stop` is set, and once more after it."""
        job = PeriodicJob(lambda: self.tick(time.time()), "gateway.emf.failed")
        run_once(job)
        run_every(stop, _EVERY_S, job)
        run_once(job)

    def tick(self, now_s: float) -> None:
        """Write the lines of now."""
        settings, now_us = self._settings, int(now_s * 1e6)
        try:
            lag_s = (now_us - self._spool.watermark(now_us).shipped_until_us) / 1e6
            live = {PROCESS, *(str(seat) for seat in held_seats(settings.spool))}
            lines = self._metrics.lines(read_all(settings.metrics_dir), live, lag_s, now_s)
            content = "".join(f"{line}\n" for line in lines).encode()
            while content:
                content = content[os.write(self._output, content) :]
            self._outage.note("")
        except OSError as error:
            self._outage.note(str(error))
