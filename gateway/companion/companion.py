"""What the companion process consists of."""

import socket
import threading
import time
from contextlib import suppress
from functools import partial

from gateway.companion.child_converter import ChildConverter
from gateway.companion.completeness import Completeness, machine_name
from gateway.companion.convert import Task
from gateway.companion.emf import EmbeddedMetricsJob
from gateway.companion.fence import Fence
from gateway.companion.files import PROCESS, folder, scrape_socket
from gateway.companion.jobs import Shipping, Stewardship, sync_segments
from gateway.companion.node_view import NodeView
from gateway.companion.registry_copy import RegistryCopy, open_sync
from gateway.companion.rewards.results import RewardResults
from gateway.companion.rewards.service import RewardService
from gateway.companion.route_gauges import RouteGauges
from gateway.companion.scrape import Scrapes, render_all
from gateway.companion.spool_watch import SpoolWatch
from gateway.companion.threads import ThreadGroup, watch_processes
from gateway.control.asked_versions import AskedVersions
from gateway.control.audit import AuditTrail
from gateway.control.changes import Changes
from gateway.control.follower import Follower
from gateway.control.last_known import LastKnownFile
from gateway.control.learned_file import LearnedFile
from gateway.control.learning.learner import Learner
from gateway.control.log_counter import LogCounter
from gateway.control.report import name_on
from gateway.control.rollouts import RolloutDriver
from gateway.control.route_shares import RouteShares
from gateway.control.tried_versions import TriedVersions
from gateway.control.waits_file import MACHINE, WaitsFile
from gateway.execution.checking.adopt import adopt
from gateway.execution.load_options import load_options
from gateway.execution.process.model import ProcessOptions
from gateway.execution.trial import Trials
from gateway.inference.token_key_file import open_token_keys
from gateway.settings import Settings
from gateway.telemetry.metric_table import (
    ABORTS,
    CONTROL_FAILURES,
    P_VALUE,
    REWARDS_SILENT,
    STORE_DISTRUSTED,
    UNCOUNTED,
)
from gateway.telemetry.metrics import Metrics
from inference_log.ship import Shipper
from inference_log.spool import held_seats, seat_locks
from inference_log.strict.open import has_second_place
from inference_log.writer import LogWriter
from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.details_reader import DetailsReader
from registry_sync.open import is_local, open_for_serving, serving_url
from registry_sync.reference_reader import ReferenceReader
from store.open import open_store

_STUCK_S = 300.0
_WATERMARK_S = 5.0
"""How long the last watermark may take. Without it, the next start of this machine says what it has shipped."""


class Companion:
    """The jobs of the companion, in threads."""

    def __init__(self, settings: Settings) -> None:
        host, started_ms = socket.gethostname(), time.time_ns() // 1_000_000
        name = name_on(host, PROCESS)
        self._settings = settings
        self._store = open_store(settings.store)
        self._metrics = Metrics(settings.metrics_dir, PROCESS)
        writer, rewards_writer = (
            LogWriter(folder(settings), f"{part}-{started_ms}", settings.segment_max_bytes)
            for part in (name, name_on(host, "rewards"))
        )
        options = load_options(settings)
        catalogue = Catalogue(open_for_serving(settings.registry, settings.home), options)
        processes = ProcessOptions(serving_url(settings.registry, settings.home), options)
        trials = Trials(settings.home, processes, settings.log)
        self._reader = ReferenceReader(catalogue, in_daemon_thread)
        versions = TriedVersions(self._reader, trials.require, trials.has_passed, in_daemon_thread)
        last_known = LastKnownFile(settings.last_known_file, settings.store, read_only=True)
        view = NodeView(self._store, last_known, settings.spool)
        self._copy = (
            None
            if is_local(settings.registry)
            else RegistryCopy(open_sync(settings, trials, partial(adopt, options=options)), view)
        )
        results = RewardResults(rewards_writer.writer_id)
        self._counter = LogCounter(self._store, settings.spool, settled=results.settled)
        self._token_keys = open_token_keys(settings)
        self._rewards = RewardService(
            settings, self._store, view, self._token_keys, rewards_writer, self._counter, results
        )
        self._versions, self._waits = versions, WaitsFile(settings.home)
        self._asked = AskedVersions(trials.logged.require, trials.logged.has_passed, in_daemon_thread)
        details = DetailsReader(catalogue.details, in_daemon_thread)
        self._follower = Follower(self._reader, details, versions, require=self._asked.require)
        strict = has_second_place(settings.log)
        changes = Changes(self._store, catalogue, name, view, known=versions, may_be_strict=strict)
        shares = RouteShares(self._store, machine_name(settings.spool))
        self._rollouts = RolloutDriver(self._store, self._follower, changes, view, shares)
        self._learner = Learner(self._store, view, changes, writer, shares)
        self._audit = AuditTrail(self._store, writer, host, newest=lambda: view.newest)
        self._view, self._route_gauges = view, RouteGauges()
        converter = ChildConverter(
            Task(settings.log, str(settings.staging), settings.log_kms_key, settings.conversion_max_bytes)
        )
        self._shipper = Shipper(
            settings.spool, converter, may_delete=self._counter.finish, deleted=self._counter.deleted
        )
        self._spool = SpoolWatch(settings.spool, settings.log_max_disk_bytes, self._shipper, rewards_writer)
        self._stewardship = Stewardship(
            view=view,
            shares=shares,
            counter=self._counter,
            rollouts=self._rollouts,
            learner=self._learner,
            learned=LearnedFile(settings.learned_file, settings.store),
            audit=self._audit,
            retain=self._retain,
            publish=self._publish,
        )
        self._shipping = Shipping(
            settings.spool, [writer, rewards_writer], self._shipper, converter, settings.ship_at_end_s
        )
        self._scrapes = Scrapes(scrape_socket(settings), lambda: render_all(settings))
        self._completeness = Completeness(settings, self._is_last)
        self._threads, self._ship, self._watermarks = ThreadGroup(), ThreadGroup(), ThreadGroup()

    def start(self) -> None:
        """Start the threads."""
        settings = self._settings
        fence = Fence(lambda: seat_locks(settings.spool), settings.wedged_after_s)
        threading.Thread(
            target=self._reader.run, args=(threading.Event(), settings.registry_every_s), name="registry", daemon=True
        ).start()
        if self._copy is not None:
            self._threads.start("copy", self._copy.run)
        self._threads.start("fence", watch_processes, fence)
        self._threads.start("scrapes", self._scrapes.run)
        self._threads.start("rewards", self._rewards.run)
        self._threads.start("sync", sync_segments, settings.spool)
        self._threads.start("spool", self._spool.run)
        self._threads.start("steward", self._stewardship.run, settings.advance_every_ms / 1000)
        self._ship.start(
            "ship", self._shipping.run, settings.segment_max_age_s, settings.segment_max_bytes, self._is_last
        )

        self._watermarks.start("watermark", self._completeness.run)
        if settings.metrics_emf:
            self._watermarks.start("emf", EmbeddedMetricsJob(settings).run)

    def stop(self) -> None:
        """End the threads. The last companion of a machine first does what is left to do."""
        self._threads.stop()
        self._ship.stop()
        self._watermarks.stop(_WATERMARK_S)
        with suppress(OSError):
            self._publish()  # what was shipped at the end
        self._store.close()

    def is_working(self) -> bool:
        """Return False if counting, aborts and the like have been stuck for so long that they must begin anew."""
        return self._stewardship.stuck_s() < _STUCK_S

    def _is_last(self) -> bool:
        return not held_seats(self._settings.spool)

    def _retain(self) -> None:
        if self._follower.is_whole:
            self._versions.forget_unasked(self._follower.refs)
            self._asked.forget_unasked()
        self._waits.write({**self._follower.waits, MACHINE: self._spool.trouble(time.time())})
        self._token_keys.tick(time.time())

    def _publish(self) -> None:
        metrics = self._metrics
        self._spool.publish(metrics)
        metrics.set_gauge(UNCOUNTED, ((), self._counter.behind_bytes))
        for labels, aborts in self._rollouts.aborts.items():
            metrics.set_total(ABORTS, aborts, *labels)
        metrics.set_gauge(
            P_VALUE,
            *(
                ((route, found.arm, found.guardrail), found.verdict.p_value)
                for route, findings in self._rollouts.verdicts.items()
                for found in findings
            ),
        )
        metrics.set_gauge(STORE_DISTRUSTED, ((), float(bool(self._view.trouble))))
        view = self._view
        self._route_gauges.publish(metrics, view.documents, view.policies, self._rollouts.verdicts, time.time())
        metrics.set_total(CONTROL_FAILURES, self._rollouts.failures, "rollouts")
        metrics.set_total(CONTROL_FAILURES, self._learner.failures, "learning")
        metrics.set_total(CONTROL_FAILURES, self._audit.failures, "audit")
        self._rewards.publish(metrics)
        metrics.set_gauge(REWARDS_SILENT, *((labels, 1) for labels in self._rollouts.silent))
        if self._copy is not None:
            self._copy.publish(metrics)
        metrics.publish()
