"""Builds the parts of one replica, the lowest first. Nothing here starts a thread or listens on a port."""

from typing import Any, NamedTuple

from gateway.access.guard import AccessGuard
from gateway.access.middleware import AccessMiddleware
from gateway.access.tls import Tls
from gateway.api.app import create_app
from gateway.api.operators.router import operate_router
from gateway.control.audit import AuditTrail
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile
from gateway.control.log_counter import LogCounter
from gateway.control.reconciler import Reconciler
from gateway.control.replica_view import ReplicaView
from gateway.control.report import Identity
from gateway.control.rollouts import RolloutDriver
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane_pool import Dedicated, LaneOptions, LanePool
from gateway.execution.process.child import ProcessOptions
from gateway.grpc.inference import GrpcInference
from gateway.grpc.metadata import GrpcMetadata
from gateway.grpc.server import GrpcServer
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.metadata import Metadata
from gateway.inference.predictor import Predictor
from gateway.inference.service import InferenceService
from gateway.inference.shadows import Shadows
from gateway.inference.unit_key import load_unit_key
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from inference_log.spool import held_seats
from inference_log.writer import LogWriter
from registry_sync.catalogue import Catalogue
from registry_sync.open import open_registry
from runtimes.load import LoadOptions
from store.interface import Store


class Execution(NamedTuple):
    """What runs models: the loaded versions and their lanes."""

    catalogue: Catalogue
    lanes: LanePool


class Inference(NamedTuple):
    """What answers one prediction. `holder` has the live table."""

    holder: LiveTableHolder
    shadows: Shadows
    service: InferenceService
    metadata: Metadata


class Control(NamedTuple):
    """What reads documents, changes them, and does the work that all replicas share."""

    desired: DesiredState
    reconciler: Reconciler
    view: ReplicaView
    changes: Changes
    counter: LogCounter
    rollouts: RolloutDriver
    audit: AuditTrail


def build_execution(settings: Settings, turn: EndOfTurn, dedicated: Dedicated | None) -> Execution:
    """Build the catalogue over the registry, and the lanes."""
    options = LoadOptions(allow_pickle=settings.allow_pickle, intra_op_threads=settings.onnx_threads)
    lane_options = LaneOptions(
        threads=settings.model_threads,
        inline_below_s=settings.inline_below_ms / 1000,
        processes=ProcessOptions(settings.registry, options),
    )
    catalogue = Catalogue(open_registry(settings.registry), options)
    return Execution(catalogue, LanePool(turn, lane_options, dedicated))


def build_inference(
    settings: Settings, *, writer: LogWriter, metrics: Metrics, guard: AccessGuard | None, tracing: Tracing | None
) -> Inference:
    """Build the service for predictions, with an empty live table."""
    holder = LiveTableHolder()
    shadows = Shadows(writer, metrics)
    service = InferenceService(
        holder,
        Predictor(writer, metrics, shadows),
        metrics,
        guard,
        tracing,
        secret=load_unit_key(settings.home),
        max_in_flight=settings.max_in_flight,
        max_instances=settings.max_instances,
    )
    return Inference(holder=holder, shadows=shadows, service=service, metadata=Metadata(holder, metrics.lane_sums))


def build_control(
    settings: Settings,
    *,
    identity: Identity,
    store: Store,
    writer: LogWriter,
    execution: Execution,
    holder: LiveTableHolder,
    guard: AccessGuard | None,
) -> Control:
    """Build the reconciler of the live table, the changes of documents, and the work that all replicas share."""
    desired = DesiredState(store, LastKnownFile(settings.memory, settings.store))
    reconciler = Reconciler(
        identity=identity,
        store=store,
        desired=desired,
        catalogue=execution.catalogue,
        lanes=execution.lanes,
        holder=holder,
        registry_every_s=settings.registry_every_s,
        take_keys=guard.replace_keys if guard is not None else None,
    )
    view = ReplicaView(desired, holder, reconciler)
    changes = Changes(store, execution.catalogue, identity.name, view)
    return Control(
        desired=desired,
        reconciler=reconciler,
        view=view,
        changes=changes,
        counter=LogCounter(store, writer),
        rollouts=RolloutDriver(store, execution.catalogue, changes, view),
        audit=AuditTrail(store, writer, identity.name),
    )


def build_app(
    settings: Settings,
    *,
    store: Store,
    metrics: Metrics,
    execution: Execution,
    inference: Inference,
    control: Control,
    guard: AccessGuard | None,
) -> Any:
    """Build the ASGI application for everything but predictions: metadata, the operators' API, metrics."""
    operate = operate_router(store, execution.catalogue, control.changes, control.desired, control.view)
    app = create_app(inference.metadata, operate, lambda: metrics.render(held_seats(settings.spool)))
    return app if guard is None else AccessMiddleware(app, guard)


def build_grpc(
    settings: Settings,
    *,
    inference: Inference,
    view: ReplicaView,
    turn: EndOfTurn,
    guard: AccessGuard | None,
    tls: Tls | None,
) -> GrpcServer | None:
    """Build the gRPC server; None if the settings give it no port."""
    if not settings.grpc_port:
        return None
    metadata = GrpcMetadata(inference.metadata, view.is_ready, guard)
    return GrpcServer(
        {**metadata.methods(), **GrpcInference(inference.service).methods()},
        view.is_ready,
        turn,
        max_message_bytes=settings.max_body_bytes,
        tls=tls.for_grpc() if tls is not None else None,
    )
