"""Builds the gRPC port of one replica from the parts that `gateway.replica.build` builds."""

from gateway.grpc.inference import GrpcInference
from gateway.grpc.limits import grpc_limits
from gateway.grpc.model_metadata import GrpcMetadata
from gateway.grpc.rewards import GrpcRewards
from gateway.grpc.server import GrpcServer
from gateway.replica.build import Inference, Shared


def build_grpc(shared: Shared, inference: Inference) -> GrpcServer | None:
    """Build the gRPC server; None if the settings give it no port."""
    settings = shared.settings
    if not settings.grpc_port:
        return None

    def is_ready() -> bool:
        return not inference.metadata.problems()

    metadata = GrpcMetadata(inference.metadata, is_ready, shared.guard)
    predictions = GrpcInference(inference.service, shared.budget, shared.offload, shared.guard, inference.payloads)
    return GrpcServer(
        {**metadata.methods(), **predictions.methods()},
        is_ready,
        shared.turn,
        limits=grpc_limits(settings),
        budget=shared.budget,
        offload=shared.offload,
        rewards=GrpcRewards(shared.rewards.send, shared.guard).methods(),
        tls=shared.tls.for_grpc() if shared.tls is not None else None,
    )
