"""Builds the parts of one replica, the lowest first. Nothing here starts a thread or listens on a port."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from gateway.access.guard import AccessGuard
from gateway.access.jwks import JwksSource
from gateway.access.open import open_access
from gateway.access.tls import Tls, load_tls
from gateway.companion.files import rewards_socket
from gateway.companion.rewards.client import RewardsClient
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile
from gateway.control.learned_file import LearnedFile
from gateway.control.reconciler import Reconciler
from gateway.control.replica_view import ReplicaView
from gateway.control.report import Identity, name_on
from gateway.control.served_file import ServedFile, forget_served
from gateway.control.version_loader import VersionLoader
from gateway.control.waits_file import WaitsReader
from gateway.eventloop.body_budget import BodyBudget
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.execution.dedicated import Dedicated
from gateway.execution.lane_pool import LanePool
from gateway.execution.load_options import load_options, memory_budget
from gateway.execution.open_in_replica import LaneOptions
from gateway.execution.process.model import ProcessOptions
from gateway.execution.trial import Trials
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.log_bounds import LogBounds
from gateway.inference.metadata import Metadata
from gateway.inference.payloads import Payloads
from gateway.inference.predictor import Predictor
from gateway.inference.recorder import Recorder
from gateway.inference.service import InferenceService
from gateway.inference.shadows import Shadows
from gateway.inference.strict.acknowledge import Task
from gateway.inference.strict.predict import StrictPredictor
from gateway.inference.strict.second_place import SecondPlace
from gateway.inference.token_key_file import TokenKeyFile
from gateway.inference.unit_secret import load_unit_secret
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.statistics import VersionStatistics
from gateway.telemetry.tracing import Tracing, open_tracing
from inference_log.spool import Seat, take_seat
from inference_log.strict.open import has_second_place
from inference_log.writer import LogWriter
from registry_sync.background import in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.open import open_for_serving, serving_url
from registry_sync.reference_reader import ReferenceReader
from registry_sync.version import VersionKey
from store.interface import Store
from store.open import open_store
from store.redis.address import plain_remote_nodes

_log = structlog.get_logger()


class Shared(NamedTuple):
    """What several parts use. `guard` is None if every caller may do everything."""

    settings: Settings
    guard: AccessGuard | None
    jwks: JwksSource | None
    tls: Tls | None
    tracing: Tracing | None
    seat: Seat
    identity: Identity
    writer: LogWriter
    metrics: Metrics
    store: Store
    turn: EndOfTurn
    budget: BodyBudget
    offload: Offload
    rewards: RewardsClient


class Execution(NamedTuple):
    """What runs models: the references to versions, their trials, the loaded versions and their lanes."""

    catalogue: Catalogue
    trials: Trials
    reader: ReferenceReader
    lanes: LanePool


class Inference(NamedTuple):
    """What answers predictions. `holder` has the live table."""

    holder: LiveTableHolder
    shadows: Shadows
    service: InferenceService
    metadata: Metadata
    payloads: Payloads
    place: SecondPlace | None


class Control(NamedTuple):
    """What reads documents and changes them."""

    desired: DesiredState
    reconciler: Reconciler
    view: ReplicaView
    changes: Changes


def open_shared(settings: Settings) -> Shared:
    """Take a seat, and open the log, the metrics and the store.

    Raises:
        ValueError: the settings do not define which callers are allowed, or name files that cannot be used.
    """
    access, tls = open_access(settings), load_tls(settings)
    plain = plain_remote_nodes(settings.store)
    if plain:
        _log.warning("gateway.store.not_encrypted", hosts=plain, advice="use rediss://: passwords and keys go in clear")
    tracing = open_tracing(os.environ)
    seat = take_seat(settings.spool)
    forget_served(seat.folder)
    name = name_on(socket.gethostname(), seat.number)
    writer_id = f"{name}-{time.time_ns() // 1_000_000}"
    return Shared(
        settings=settings,
        guard=access.guard if access is not None else None,
        jwks=access.jwks if access is not None else None,
        tls=tls,
        tracing=tracing,
        seat=seat,
        identity=Identity(name=name, pid=os.getpid(), started_s=time.time()),
        writer=LogWriter(seat.folder, writer_id, settings.segment_max_bytes, settings.cluster),
        metrics=Metrics(settings.metrics_dir, str(seat.number)),
        store=open_store(settings.store),
        turn=EndOfTurn(),
        budget=BodyBudget(settings.max_unfinished_bytes),
        offload=Offload(),
        rewards=RewardsClient(rewards_socket(settings)),
    )


def build_execution(shared: Shared, dedicated: Dedicated | None) -> Execution:
    """Build the catalogue over the registry, and the lanes."""
    settings, load = shared.settings, load_options(shared.settings)
    processes = ProcessOptions(serving_url(settings.registry, settings.home), load, open_within_s=load.within_s)
    options = LaneOptions(
        threads=settings.model_threads,
        inline_below_s=settings.inline_below_ms / 1000,
        processes=processes,
        home=settings.home,
    )
    trials, registry = Trials(settings.home, processes), open_for_serving(settings.registry, settings.home)
    budget = memory_budget(settings)
    catalogue = Catalogue(registry, load, trials.require, in_daemon_thread, budget)
    lanes = LanePool(shared.turn, options, dedicated, in_daemon_thread, loader=catalogue.loader, budget=budget)
    return Execution(catalogue, trials, ReferenceReader(catalogue, in_daemon_thread), lanes)


def build_inference(shared: Shared, count: Callable[[], None], token_keys: TokenKeyFile) -> Inference:
    """Build the service for predictions, with an empty live table.

    `count` is called before statistics are read, so that they are those of now: clients take differences of them.
    """
    settings, metrics, holder = shared.settings, shared.metrics, LiveTableHolder()
    bounds = LogBounds(settings.log_max_instances_per_request, settings.log_max_bytes_per_request)
    secret = load_unit_secret(settings.home, settings.unit_secret_file)
    recorder = Recorder(shared.writer, bounds, secret)
    shadows = Shadows(recorder, metrics)
    predictor, place = Predictor(recorder, metrics, shadows), _second_place(shared)
    service = InferenceService(
        holder,
        predictor,
        metrics,
        shared.guard,
        shared.tracing,
        secret=secret,
        max_in_flight=settings.max_in_flight,
        max_instances=settings.max_instances,
        token_keys=token_keys,
        strict=StrictPredictor(predictor, place),
    )

    def statistics() -> Mapping[VersionKey, VersionStatistics]:
        count()
        return metrics.lane_sums()

    payloads = Payloads(shared.writer, holder, settings.log_max_payload_bytes)
    return Inference(holder, shadows, service, Metadata(holder, statistics), payloads, place)


def _second_place(shared: Shared) -> SecondPlace | None:
    """Return what asks for the second place of rows, if there is one. Half of the room for requests may wait for it."""
    settings, writer = shared.settings, shared.writer
    if not has_second_place(settings.log):
        return None
    task = Task(settings.log, settings.log_kms_key, str(writer.folder), writer.writer_id)
    return SecondPlace(writer, task, max(1, settings.max_in_flight // 2))


def build_control(shared: Shared, execution: Execution, holder: LiveTableHolder) -> Control:
    """Build the reconciler of the live table, and the changes of documents."""
    settings, store, catalogue, name = shared.settings, shared.store, execution.catalogue, shared.identity.name
    versions = VersionLoader(catalogue, execution.reader)
    desired = DesiredState(
        store,
        LastKnownFile(settings.last_known_file, settings.store),
        LearnedFile(settings.learned_file, settings.store),
    )
    reconciler = Reconciler(
        identity=shared.identity,
        store=store,
        desired=desired,
        versions=versions,
        lanes=execution.lanes,
        holder=holder,
        retry_every_s=settings.registry_every_s,
        take_keys=shared.guard.replace_keys if shared.guard is not None else None,
        after_swap=ServedFile(shared.seat.folder).write,
        waits=WaitsReader(settings.home).read,
        keep_warm_s=settings.keep_warm_s,
    )
    view = ReplicaView(desired, holder, reconciler)
    strict = has_second_place(settings.log)
    changes = Changes(store, catalogue, name, view, known=versions, may_be_strict=strict)
    return Control(desired, reconciler, view, changes)
