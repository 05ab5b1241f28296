"""What the log keeps of an arm's requests: computed once per snapshot, written once per segment."""

from gateway.inference.redaction import LoggedInputs, logged_inputs_of
from inference_log.record import Context, Role
from registry_sync.version import Version
from router.draw.assignment import BUCKETS
from router.snapshot import Arm, Route, Shadow
from router.spec.log import Durability
from runtimes.constant.runtime import ConstantRuntime
from runtimes.datatypes import TYPE_STRING_OF, Tensor
from runtimes.logged_tensors import label_and_prediction
from runtimes.manifest import Manifest


def log_context(
    route: Route,
    arm: Arm | Shadow | None,
    manifest: Manifest | None,
    role: Role,
    snapshot_hash: str,
    against: Arm | None = None,
) -> Context:
    """Return what all records of this arm have in common. Without an arm: of the requests that were rejected."""
    logged = logged_inputs_of(manifest.signature, route.log.redact) if manifest else LoggedInputs((), (), ())
    label, prediction = label_and_prediction(manifest.signature) if manifest else (None, None)
    if manifest is not None and has_whole_answer(manifest):
        label, prediction = (0, TYPE_STRING_OF["BYTES"]), None
    return Context(
        number=0,
        route=route.name,
        arm=arm.name if arm else "",
        role=role,
        policy_kind=route.kind,
        policy_version=route.document_version,
        snapshot_hash=snapshot_hash,
        weights={each.name: each.propensity for each in route.arms},
        model_name=arm.model if arm else "",
        model_version=arm.version if arm else "",
        model_digest=arm.digest if arm else "",
        features=logged.features,
        inputs=logged.inputs,
        label=label,
        prediction=prediction,
        slower_than_us=route.slower_than_us,
        against=against.name if against else "",
        against_version=against.version if against else "",
        has_fallback=isinstance(arm, Arm) and bool(route.fallbacks[route.arms.index(arm)]),
        categories=logged.categories,
        metrics=route.metrics,
        policy_number=route.policy_number,
        maximised="" if route.contextual is None else route.contextual.reward,
        trusted=route.compared_with,
        redaction=route.log.redaction if manifest else "",
        sample_slots=route.log.sample_slots if arm is not None and role == "primary" else BUCKETS,
        is_best_effort=route.log.durability is Durability.BEST_EFFORT,
        weighed_metrics=() if route.weighing is None else route.weighing.metrics,
    )


def has_whole_answer(manifest: Manifest) -> bool:
    """Return True if the log keeps the whole answer as JSON, in place of a label: of a value that stands by itself."""
    return manifest.runtime == "constant" and not manifest.inputs


def logged_outputs(context: Context) -> tuple[int, ...]:
    """Return the indices of the outputs whose values the log keeps: the label and the prediction."""
    return tuple(sorted({kept[0] for kept in (context.label, context.prediction) if kept is not None}))


def logged_answer(version: Version) -> tuple[Tensor, ...]:
    """Return what the log keeps in place of a version's outputs, if it keeps the whole answer."""
    if isinstance(version.runtime, ConstantRuntime) and has_whole_answer(version.manifest):
        return (version.runtime.logged,)
    return ()
